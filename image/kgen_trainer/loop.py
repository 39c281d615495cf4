"""One trial alone: chunks of training and the checks between them (:mod:`kgen_trainer.course`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from kgen.spec import Packing
from kgen.trial import Decision, Trial
from kgen_trainer.backend import announce, require_gpus
from kgen_trainer.checkpoint import Checkpoint
from kgen_trainer.course import Course, check_budget
from kgen_trainer.lineage import checkpoints_of
from kgen_trainer.program import Program, program_for
from kgen_trainer.settings import Settings

Training = Callable[[], AbstractContextManager[None]]


def run(trial: Trial, training: Training | None = None) -> None:
    """Train until the trial's budget is spent, its target reached, or the network diverged.

    ``training`` counts time in place of the trial's own clock, for a trial among many. Raises BadParametersError,
    DeviceError or DataError before the first step.
    """
    announce()
    require_gpus()
    settings = Settings.from_trial(trial)
    check_budget(trial.budget)
    program = program_for(settings, trial.budget.check_every_steps)
    program.reset(trial.seed, settings.learning_rate)
    alone = _Alone(trial, settings, program, training or trial.training)
    alone.resume()
    while not alone.advance().stop:
        pass


class _Alone:
    """One trial and the program that is its own while it runs."""

    def __init__(self, trial: Trial, settings: Settings, program: Program, training: Training) -> None:
        self._trial = trial
        self._settings = settings
        self._program = program
        self._training = training
        self._course = Course(trial, settings, program.data.examples, program.weights)
        self._checkpoints = checkpoints_of(trial, settings, Packing.SEQUENTIAL)

    def resume(self) -> None:
        """Go on where an earlier attempt was killed, if it left a checkpoint that fits."""
        if self._checkpoints is not None:
            self._checkpoints.resume(self._restore)

    def _restore(self, kept: Checkpoint) -> None:
        try:
            self._program.restore(kept.program)
            self._course.restore(kept)
        except ValueError:
            self._program.reset(self._trial.seed, self._settings.learning_rate)
            raise

    def advance(self) -> Decision:
        """One chunk of steps and the check after it."""
        course, program = self._course, self._program
        if course.rate is not None:
            program.set_learning_rate(course.rate)
        batches = course.batches()
        with self._training():
            loss, right = program.train(batches)
        course.trained(len(batches), loss, right)
        needs_held_out = course.check(program.measure_train(course.window()), program)
        decision = course.report(program.measure_test() if needs_held_out else None)
        if self._checkpoints is not None and self._checkpoints.wants(decision, is_dead=course.is_dead):
            self._checkpoints.save(course.checkpoint(program.state()))
        return decision
