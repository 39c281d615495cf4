"""The books of a process that trains many trials at a time: what waits, what runs, which rows are on their way.

Every trial that has begun leaves exactly one row per attempt. It is in one of three places, moved from one to the next
under one lock: running, set aside (it ran when ``train_many`` failed, and is to be trained again), or handed to the
row batch.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from kgen.results.rows import TrialRow
from kgen.results.store import Store
from kgen.trial.attempt import Attempt, Describe, Ending
from kgen.trial.batch import RowBatch
from kgen.trial.channel import Start
from kgen.trial.clock import SharedWatch
from kgen.trial.environment import Surroundings
from kgen.trial.handle import Trial
from kgen.trial.output import SharedPrinter, Tail, of_trial


class Source(Protocol):
    """Where trials come from, and who hears of them."""

    def next(self, most: int) -> Sequence[Start]:
        """Up to so many that wait; none: none now, and while none runs none ever."""

    def started(self, trial: str) -> None:
        """It runs."""

    def reported(self, trial: str, step: int, metrics: Mapping[str, float]) -> None:
        """It has said something."""

    def written(self, rows: Sequence[TrialRow]) -> None:
        """Rows that are in a file now; called on another thread."""


class Crew:
    """What :class:`kgen.trial.many.Trials` shows to trainers, with what only kgen may do."""

    def __init__(
        self,
        source: Source,
        *,
        store: Store,
        surroundings: Surroundings,
        tail: Tail,
        describe: Describe,
        on_failure: Callable[[str], object],
        on_unwritable: Callable[[BaseException], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``on_failure`` gets the errors of failed trials as text; ``on_unwritable`` the one for which rows can't be
        written any more, on another thread."""
        self.lock = threading.RLock()
        self.interrupted: str | None = None
        """Why no other trial begins, once that is so."""
        self.taken = 0
        """Trials begun so far."""
        self.is_over = False
        """Whether the source has nothing any more."""
        self.watch = SharedWatch(clock)
        self._source = source
        self._surroundings = surroundings
        self._tail = tail
        self._describe = describe
        self._on_failure = on_failure
        self._printer = SharedPrinter()
        self._running: dict[Trial, Attempt] = {}
        self._aside: list[list[Start]] = []
        self._group: list[Start] | None = None
        """While a failure is being narrowed down: those of the part that is trained now that have not begun again."""
        self._is_closed = False
        self._held: list[Start] = []
        """Taken from the source, not begun."""
        self._unwritten: dict[tuple[str, str], Attempt] = {}
        self._written: list[tuple[Attempt, TrialRow]] = []
        self._batch = RowBatch(store, on_written=self._note_written, on_failure=on_unwritable)

    # -- what trainers see, through Trials

    @property
    def running(self) -> tuple[Trial, ...]:
        """Begun and not ended, in the order of their beginning."""
        with self.lock:
            return tuple(self._running)

    def take(self, most: int) -> list[Trial]:
        """As :meth:`kgen.trial.many.Trials.take`."""
        self.put_away()
        idle = not self.running
        if most < 0 or (idle and most == 0):
            raise ValueError(f"take({most}): at least one, while none is running")
        if self.interrupted is not None or most == 0:
            return []
        if self._group is None and len(self._held) < most:
            if idle:
                self.flush()  # whoever deals trials out knows then how all the others ended
            self._fetch(most, idle=idle)
        trials = self._begin(most)
        if trials:
            environment = self._surroundings.describe(self._describe())
            with self.lock:
                for trial in trials:
                    self._running[trial].environment = environment
        return trials

    def _fetch(self, most: int, *, idle: bool) -> None:
        if not self.is_over:
            found = self._source.next(most - len(self._held))
            self._held += found
            self.is_over = idle and not self._held

    def _begin(self, most: int) -> list[Trial]:
        with self.lock:
            if self.interrupted is not None or self._is_closed:
                return []
            waiting = self._held if self._group is None else self._group
            starts = waiting[:most]
            del waiting[:most]
            trials = [self._add(start) for start in starts]
            for attempt in self._running.values():
                attempt.mates = max(attempt.mates, len(self._running) - 1)
        for start in starts:
            self._source.started(start.trial.id)
        return trials

    def _add(self, start: Start) -> Trial:
        attempt = self._attempt(start)
        self._running[attempt.trial] = attempt
        self.taken += 1
        return attempt.trial

    def _attempt(self, start: Start) -> Attempt:
        name = start.trial.id

        def report(step: int, metrics: Mapping[str, float]) -> None:
            self._printer(name, step, metrics, is_last=attempt.trial.verdict is not None)
            self._source.reported(name, step, metrics)

        def fail(text: str) -> None:
            self._on_failure(of_trial(name, text))

        attempt = Attempt(
            start.trial, start.attempt, surroundings=self._surroundings, tail=self._tail, on_report=report,
            on_failure=fail, share=self.watch.member(),
        )  # fmt: skip
        attempt.mates = 0
        return attempt

    def end(self, trial: Trial) -> None:
        """As :meth:`kgen.trial.many.Trials.end`."""
        with self.lock:
            attempt = self._of(trial)
            self._close((attempt, attempt.ending()))
        self.put_away()

    def fail(self, trial: Trial, error: BaseException) -> None:
        """As :meth:`kgen.trial.many.Trials.fail`."""
        with self.lock:
            attempt = self._of(trial)
            self._close((attempt, attempt.failure(error)))
        self.put_away()

    def describe(self, trial: Trial, trainer: Mapping[str, str]) -> None:
        """As :meth:`kgen.trial.many.Trials.describe`."""
        environment = self._surroundings.describe(trainer)
        with self.lock:
            self._of(trial).environment = environment

    def _of(self, trial: Trial) -> Attempt:
        try:
            return self._running[trial]
        except KeyError:
            raise ValueError(f"trial {trial.id} is not running: it has been ended before") from None

    @contextlib.contextmanager
    def training(self, among: Iterable[Trial] | None = None) -> Iterator[None]:
        """As :meth:`kgen.trial.many.Trials.training`."""
        with self.lock:
            own = None if among is None else [self._of(trial) for trial in among]
            others = [each for each in self._running.values() if own is not None and each not in own]
        for attempt in others:
            attempt.rest_clock()
        try:
            with self.watch.counting():
                yield
        finally:
            for attempt in others:
                attempt.wake_clock()

    # -- rows

    def _close(self, *endings: tuple[Attempt, Ending]) -> None:
        rows = []
        for attempt, ending in endings:
            row = attempt.row(ending)
            attempt.stop_clock()
            del self._running[attempt.trial]
            self._unwritten[row.trial, row.attempt] = attempt
            rows.append(row)
        if rows:
            self._batch.add(rows)

    def _note_written(self, rows: Sequence[TrialRow]) -> None:
        with self.lock:
            self._written += [(self._unwritten.pop((row.trial, row.attempt)), row) for row in rows]
        self._source.written(rows)

    def flush(self) -> None:
        """Return when the rows of all that have ended are written."""
        self._batch.flush()
        self.put_away()

    def put_away(self) -> None:
        """Do what trainers want done once a result is written: on their own thread, whenever they call."""
        with self.lock:
            written, self._written = self._written, []
        for attempt, row in written:
            attempt.written(row)

    # -- when train_many has returned or failed

    def end_all(self) -> None:
        """The trainer is done with all that run."""
        with self.lock:
            self._close(*[(attempt, attempt.ending()) for attempt in self._running.values()])

    def fail_one(self, error: BaseException) -> Ending:
        """The only one that runs failed; or, where none does, the next of those that wait."""
        with self.lock:
            if not self._running:
                waiting = self._group or self._held
                self._add(waiting.pop(0))
            (attempt,) = self._running.values()
            ending = attempt.failure(error)
            self._close((attempt, ending))
        return ending

    @property
    def is_busy(self) -> bool:
        """Whether a trial has begun and not ended."""
        with self.lock:
            return bool(self._running or self._aside or self._group)

    def close(self) -> bool:
        """Whether a trial has begun and not ended; where none has, none will begin any more."""
        with self.lock:
            self._is_closed = self._is_closed or not self.is_busy
            return not self._is_closed

    def interrupt(self, reason: str) -> None:
        """Ask all that run to stop at their next report, and begin no other."""
        with self.lock:
            self.interrupted = self.interrupted or reason
            for trial in self._running:
                trial.interrupt(self.interrupted)

    def end_interrupted(self) -> None:
        """Rows for all that have begun and not ended: those decided have their result, the others are interrupted."""
        assert self.interrupted is not None, "only what was interrupted ends so"
        with self.lock:
            for group in [*self._aside, self._group or []]:
                for start in group:
                    self._add(start)
            self._aside, self._group = [], None
            endings = []
            for attempt in self._running.values():
                is_decided = attempt.trial.verdict is not None
                endings.append((attempt, attempt.ending() if is_decided else attempt.interruption(self.interrupted)))
            self._close(*endings)

    def set_aside(self) -> None:
        """Train all that run once more, from their beginning, in two halves: one after the other."""
        with self.lock:
            starts = [Start(attempt.spec, attempt.name) for attempt in self._running.values()]
            for attempt in self._running.values():
                attempt.stop_clock()
            self._running.clear()
            if self._group:  # not begun again yet; their turn comes as it would have
                self._aside.append(self._group)
            half = (len(starts) + 1) // 2
            self._aside += [starts[half:], starts[:half]]
            self._group = []

    def next_group(self) -> bool:
        """Let the next part of those set aside be all that waits; False when no part is left."""
        with self.lock:
            if not self._group:
                self._group = self._aside.pop() if self._aside else None
            return self._group is not None

    def is_waiting(self) -> bool:
        """Whether a trial waits, asking the source for one if need be. To be called while none runs."""
        if not self._held and self._group is None and self.interrupted is None:
            self.flush()
            self._fetch(1, idle=True)
        return bool(self._held or self._group) and self.interrupted is None and not self._is_closed
