"""Calls ``train_many`` until every trial has its row, and narrows its failures down to the trial at fault."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, NoReturn

from kgen.errors import TrialError, TrialExit
from kgen.results.rows import State
from kgen.trial.attempt import error_text, exit_code
from kgen.trial.crew import Crew
from kgen.trial.environment import GRACE_SECONDS
from kgen.trial.many import TrainMany, Trials
from kgen.trial.output import say

_ORDERLY: Final = frozenset({TrialExit.BAD_PARAMETERS, TrialExit.NO_DEVICE, TrialExit.NO_DATA})
"""Codes of failures after which a process is as good as before."""


class Fused:
    """Runs trials many at a time until there are no more, or it is interrupted.

    When ``train_many`` raises an error with several trials running, nobody knows whose it is: they are trained once
    more from their beginning, the first half of them alone, then the other, and so on, until the one at fault fails
    alone. It gets the failed row; nothing of the runs that were given up is in any row.
    """

    def __init__(
        self,
        train_many: TrainMany,
        crew: Crew,
        *,
        tell: Callable[[str], object],
        leave: Callable[[], NoReturn],
        ends_after_crash: bool,
    ) -> None:
        """``tell`` gets, as text, errors of which nobody knows yet whose they are; ``leave`` ends the process once all
        rows are written over the trainer's head; ``ends_after_crash``: whatever crashed may have broken the process, so
        take nothing more after it, somebody will start another."""
        self._train_many = train_many
        self._crew = crew
        self._tell = tell
        self._leave = leave
        self._ends_after_crash = ends_after_crash
        self._has_crashed = False
        self._ended = threading.Event()

    def run(self) -> None:
        """Everything; at the end all rows are written."""
        first = True
        while not self.is_interrupted and (self._crew.next_group() or self._goes_on(first)):
            first = False
            taken = self._crew.taken
            try:
                self._train_many(Trials(self._crew))
            except BaseException as error:  # noqa: BLE001  whatever a trainer raises, each trial must leave a row
                if exit_code(error) != TrialExit.OK:  # sys.exit(0) is a return
                    self._failed(error, began_any=self._crew.taken > taken)
                    continue
            self._crew.end_all()
            if self._crew.taken == taken and self._crew.is_waiting():
                self._blame(TrialError("train_many returned without taking a trial: trials.take(…) was not called"))
        if self.is_interrupted:
            self._crew.end_interrupted()
        self._crew.flush()
        self._ended.set()

    def _goes_on(self, first: bool) -> bool:
        if self._has_crashed and self._ends_after_crash:
            return False
        return first or self._crew.is_waiting()

    def _failed(self, error: BaseException, *, began_any: bool) -> None:
        running = len(self._crew.running)
        if self.is_interrupted:  # an error on the way out is no trial's fault
            say(error_text(error))
        elif running == 1:
            self._blame(error)
        elif running:
            self._tell(
                f"kgen: train_many failed with {running} trials running; each half is trained again alone:\n"
                + error_text(error)
            )
            self._crew.set_aside()
        elif began_any:
            self._tell(f"kgen: train_many failed when all that it had begun had ended:\n{error_text(error)}")
        elif self._crew.is_waiting():
            self._blame(error)

    def _blame(self, error: BaseException) -> None:
        ending = self._crew.fail_one(error)
        if ending.state is State.FAILED and ending.exit_code not in _ORDERLY:
            self._has_crashed = True

    def close(self) -> bool:
        """Whether trials run, or have begun and not ended; where none has, none will begin any more."""
        return self._crew.close()

    @property
    def is_interrupted(self) -> bool:
        """Whether it was stopped from outside."""
        return self._crew.interrupted is not None

    def stop(self, reason: str) -> None:
        """Begin no trial any more, and ask those that run to stop."""
        self._crew.interrupt(reason)

    def interrupt(self, reason: str) -> None:
        """End everything that runs as interrupted: by the trainer's own return if it is quick, else over its head.

        All have the same grace, and all their rows lie in one file. Returns only if the trainer did.
        """
        self._crew.interrupt(reason)
        if self._crew.is_busy and self._ended.wait(GRACE_SECONDS):
            return
        self._crew.end_interrupted()
        self._crew.flush()
        self._leave()
