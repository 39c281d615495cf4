"""Trials one after another: each has the process to itself, and its row is written when it ends."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import threading
from collections.abc import Callable, Mapping
from typing import NoReturn

from kgen.errors import StoreError, TrialExit
from kgen.names import row_file
from kgen.results.rows import TrialRow, rows_to_bytes
from kgen.results.store import Store
from kgen.spec import TrialSpec
from kgen.trial.attempt import Attempt, Describe, Ending
from kgen.trial.environment import GRACE_SECONDS, Surroundings
from kgen.trial.handle import Trial
from kgen.trial.output import ReportPrinter, Tail

Train = Callable[[Trial], None]
"""A user's trainer: trains one trial, reports as it goes, returns when told to stop."""


class Single(Attempt):
    """Runs a trainer once and publishes its row.

    Two threads may want to end it (the trainer's own and the one that hears signals): the first one writes the row,
    the other finds it done.
    """

    def __init__(
        self,
        spec: TrialSpec,
        attempt: str,
        *,
        store: Store,
        surroundings: Surroundings,
        tail: Tail,
        on_report: Callable[[int, Mapping[str, float]], None] = lambda step, metrics: None,
        on_failure: Callable[[str], object] = lambda text: None,
        on_written: Callable[[TrialRow], None] = lambda row: None,
    ) -> None:
        """``on_written`` gets the row once it is there."""
        printer = ReportPrinter(spec.id)

        def report(step: int, metrics: Mapping[str, float]) -> None:
            printer(step, metrics)
            on_report(step, metrics)

        super().__init__(spec, attempt, surroundings=surroundings, tail=tail, on_report=report, on_failure=on_failure)
        self.ended = threading.Event()
        self.final: TrialRow | None = None
        """The row, once it is written."""
        self._store = store
        self._on_written = on_written
        self._lock = threading.Lock()

    def run(self, train: Train, describe: Describe) -> Ending:
        """Train, then write the row; the ending says with what code a process of this one trial exits.

        An error of the trainer ends in a ``failed`` row, never in an exception here. Raises StoreError only when
        the row can't be written.
        """
        try:
            self.environment = self._surroundings.describe(describe())
            train(self.trial)
            ending = self.ending()
        except BaseException as error:  # noqa: BLE001  whatever a trainer raises, the trial must leave a row
            ending = self.failure(error)
        return self.finish(ending)

    def finish(self, ending: Ending) -> Ending:
        """Write the row, once. A later call changes nothing and returns what the first one said."""
        with self._lock:
            if self.final is None:
                row = self.row(ending)
                for start in itertools.count(2):
                    if self._store.write_row_file(row_file(row.trial, row.attempt), rows_to_bytes([row])):
                        break
                    # The name is taken: a container that was started again in its pod has the pod's name still.
                    row = dataclasses.replace(row, attempt=f"{self.name}-{start}")
                self.final = row
                self._on_written(row)
                self.ended.set()
                self.written(row)
            row = self.final
        return Ending(row.state, row.outcome, row.exit_reason, row.exit_code)


class OneByOne:
    """Runs attempts, one at a time, until it is interrupted."""

    def __init__(self, train: Train, describe: Describe, leave: Callable[[int], NoReturn]) -> None:
        """``leave`` ends the process, with that code, when a row was written over the trainer's head."""
        self._train = train
        self._describe = describe
        self._leave = leave
        self._lock = threading.Lock()
        self._current: Single | None = None
        self.interrupted: str | None = None
        """Why no other trial begins, once that is so."""
        self._is_closed = False

    def close(self) -> bool:
        """Whether a trial runs, the row of which is not there yet; where none does, none will begin any more."""
        with self._lock:
            self._is_closed = self._current is None or self._current.ended.is_set()
            return not self._is_closed

    def begin(self, attempt: Single) -> bool:
        """Whether the trial may begin; from here on it leaves a row."""
        with self._lock:
            if self.interrupted is not None or self._is_closed:
                return False
            self._current = attempt
            return True

    def run(self, attempt: Single) -> Ending:
        """Train one that has begun. Raises StoreError when its row can't be written."""
        return attempt.run(self._train, self._describe)

    def rest(self) -> None:
        """All that there is to say of the last one has been said: nothing is lost with the process now."""
        with self._lock:
            self._current = None

    def stop(self, reason: str) -> None:
        """Begin no trial any more, and ask the one that runs to stop."""
        with self._lock:
            self.interrupted = self.interrupted or reason
            attempt = self._current
        if attempt is not None:
            attempt.trial.interrupt(reason)

    def interrupt(self, reason: str) -> None:
        """End the running trial as interrupted: by its own return if it is quick, else over its head.

        Returns only if the trainer did.
        """
        self.stop(reason)
        attempt = self._current
        if attempt is None:
            self._leave(TrialExit.INTERRUPTED)  # nothing is lost with a process between two trials
        if not attempt.ended.wait(GRACE_SECONDS):
            try:
                code = attempt.finish(attempt.interruption(reason)).exit_code
            except StoreError as error:
                print(f"kgen: {error}", file=sys.stderr, flush=True)
                code = int(TrialExit.NO_DATA)
            self._leave(code)
