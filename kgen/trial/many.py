"""Many trials in one program: what a trainer's ``train_many`` holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager

from kgen.trial.crew import Crew
from kgen.trial.handle import Trial


class Trials:
    """The trials of a process that trains many of them at a time.

    ::

        def train_many(trials: Trials) -> None:
            running: list[Trial] = []
            while running := running + trials.take(CAPACITY - len(running)):
                with trials.training():                     # only this time counts: a share of it for each
                    losses = train_chunk(running)
                for trial, loss in zip(list(running), losses):
                    if trial.report(step=…, loss=loss).stop:
                        trials.end(trial)                   # its row is written; its place is free
                        running.remove(trial)

        main(train, train_many)

    Each is a :class:`Trial` like any other, but for ``trial.training()``. To be used from one thread.
    """

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    @property
    def running(self) -> tuple[Trial, ...]:
        """Those begun and not ended, in the order of their beginning."""
        return self._crew.running

    @property
    def stopping(self) -> bool:
        """Whether a stop from outside was asked for; the next report of each running trial says so, too."""
        return self._crew.interrupted is not None

    def take(self, most: int) -> list[Trial]:
        """Begin up to ``most`` of the trials that wait; call it whenever places are free.

        While some are running it waits for nothing, and an empty list means none for the moment. While none is, an
        empty list is the end: return. After a stop from outside it gives no more. Raises ValueError for less than
        one while none is running.
        """
        return self._crew.take(most)

    def end(self, trial: Trial) -> None:
        """The trainer is done with this one: after a report that said stop, or because it gives it up here.

        Its row is written soon, together with others that end about now. Raises ValueError for a trial that is not
        running.
        """
        self._crew.end(trial)

    def fail(self, trial: Trial, error: BaseException) -> None:
        """This one can't be trained, for this error (BadParametersError, …): a failed row; the others go on.

        Raises ValueError for a trial that is not running.
        """
        self._crew.fail(trial, error)

    def describe(self, trial: Trial, trainer: Mapping[str, str]) -> None:
        """What this one's row should say of the trainer, in place of what ``describe`` of :func:`kgen.trial.main` said.

        Raises ValueError for a trial that is not running.
        """
        self._crew.describe(trial, trainer)

    def training(self, among: Iterable[Trial] | None = None) -> AbstractContextManager[None]:
        """Count the time spent inside, an equal share of it for each running trial that is not decided yet, or for each
        ``among`` these, while the others wait.

        Leave evaluation, loading and compiling outside; may be entered many times, not twice at the same time
        (RuntimeError).
        """
        return self._crew.training(among)


TrainMany = Callable[[Trials], None]
"""A user's trainer of many: trains all that it takes, returns when there are no more."""
