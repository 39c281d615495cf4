"""One trial: chunks of training, checks between them, and what is reported at each check.

After every ``budget.check_every_steps`` steps a trial reports

``train_accuracy``
    Share right of the last 5,000 examples seen, dropout off, with the weights at the check. Of fewer where fewer have
    been seen or the training set is smaller (never more than one pass).
``running_accuracy``
    Share right of all examples seen since the start, dropout on, each with the weights that it met. This is the
    "training accuracy" of the article *Which optimizer and learning rate should I use for deep learning?*
    (TensorFlow's cumulative metric): it lags, and with dropout 0.4 on 15 units it never gets near 0.97.
``loss``
    Mean cross-entropy (nats) of the steps since the last report, dropout on.
``val_accuracy``, ``val_loss``
    On all held-out examples, dropout off: at the first check at or after each multiple of
    ``budget.evaluate_every_steps`` (at every check if the target is one of the two and that is not set), and in the
    last report of a trial, unless it ends because something is not a number.

Counted time is the chunks alone: loading, compiling, warming up, shuffling and all evaluation stand outside.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kgen.errors import BadParametersError
from kgen.spec import Budget
from kgen.trial import Decision, Trial
from kgen_trainer.backend import announce, device, require_gpus, versions
from kgen_trainer.checkpoint import Checkpoint, Checkpoints
from kgen_trainer.dead import DeadWatch
from kgen_trainer.models import RELU_LAYERS
from kgen_trainer.optimizers import residual_shrinks
from kgen_trainer.program import Program, program_for
from kgen_trainer.randomness import examples_at
from kgen_trainer.settings import Settings
from kgen_trainer.values import choose

WINDOW: Final = 5000
"""Examples that ``train_accuracy`` looks back on: 50 batches of the article."""
_HELD_OUT: Final = ("val_accuracy", "val_loss")
METRICS: Final = ("train_accuracy", "running_accuracy", "loss", *_HELD_OUT)


def run(trial: Trial) -> None:
    """Train until the trial's budget is spent, its target reached, or the network diverged.

    Raises BadParametersError, DeviceError or DataError before the first step.
    """
    announce()
    require_gpus()
    settings = Settings.from_trial(trial)
    _check_budget(trial.budget)
    program = program_for(settings, trial.budget.check_every_steps)
    program.reset(trial.seed, settings.learning_rate)
    training = _Training(trial, settings, program)
    if settings.checkpoint_every_seconds is None:
        while not training.advance().stop:
            pass
    else:
        _train_with_checkpoints(training, trial, settings.checkpoint_every_seconds)


def _train_with_checkpoints(training: _Training, trial: Trial, every: float) -> None:
    """Go on where an earlier attempt was killed, and save at checks what a later one needs."""
    checkpoints = Checkpoints(trial.checkpoint_dir, {"trial": trial.id, "device": device()[0], **versions()}, every)
    # A row that goes on from an earlier attempt has no seconds to compare, so it could never be the result.
    found = None if trial.spec.objective.needs_exclusive else checkpoints.load()
    if found is not None:
        try:
            training.restore(found)
        except ValueError as error:
            checkpoints.pass_over(str(error))
    trial.when_done(checkpoints.remove)
    while True:
        decision = training.advance()
        # An interrupted check that has found the network dead is not kept: a retry must find it at the same step.
        if not training.is_dead and (decision.interrupted or (not decision.stop and checkpoints.due)):
            checkpoints.save(training.checkpoint())
        if decision.stop:
            return


def _check_budget(budget: Budget) -> None:
    if budget.target is None and budget.steps is None and budget.seconds is None:
        raise BadParametersError("budget has no target, no steps and no seconds: training would never end")
    if budget.target is not None:
        choose("metric of the target", budget.target.metric, METRICS)


class _Training:
    """The progress of one trial."""

    def __init__(self, trial: Trial, settings: Settings, program: Program) -> None:
        self._trial = trial
        self._program = program
        self._batch_size = settings.batch_size
        self._learning_rate = settings.learning_rate
        shrinks = residual_shrinks(settings.optimizer, settings.overrides)
        self._watch = DeadWatch(program, RELU_LAYERS) if shrinks else None
        self._step = 0
        self._right = 0
        self.is_dead = False
        """Whether the last check has found that the network can't learn any more."""

    def checkpoint(self) -> Checkpoint:
        """Everything that the next steps and checks depend on."""
        suspect, weights = (None, []) if self._watch is None else self._watch.state()
        state = self._program.state()
        return Checkpoint(self._step, self._right, self._trial.progress(), state, suspect, weights)

    def restore(self, kept: Checkpoint) -> None:
        """Go on from a checkpoint, before the first step. Raises ValueError, and changes nothing, for one that does not
        fit."""
        try:
            self._program.restore(kept.program)
            self._trial.resume_from(kept.step, kept.progress)
        except ValueError:
            self._program.reset(self._trial.seed, self._learning_rate)
            raise
        if self._watch is not None:
            self._watch.restore(kept.suspect, kept.suspect_weights)
        self._step, self._right = kept.step, kept.right

    def advance(self) -> Decision:
        """One chunk of steps and the check after it."""
        before = self._step
        loss = self._train_chunk()
        seen = self._step * self._batch_size
        window = min(WINDOW, seen, self._program.data.examples)
        measured = self._program.measure_train(self._examples(seen - window, seen))
        metrics = {"train_accuracy": measured.accuracy, "running_accuracy": self._right / seen, "loss": loss}
        diverged: str | None = None
        if not measured.finite:
            diverged = f"nan: weights not finite at step {self._step}: {', '.join(self._program.non_finite_weights())}"
        elif self._watch is not None:
            diverged = self._watch.check(constant=measured.constant)
        numbers = measured.finite and all(map(math.isfinite, metrics.values()))
        if numbers and (diverged or self._evaluation_due(before) or self._ends(metrics)):
            held_out = self._program.measure_test()
            metrics |= {"val_accuracy": held_out.accuracy, "val_loss": held_out.loss}
        decision = self._trial.report(step=self._step, **metrics)
        self.is_dead = diverged is not None
        if diverged and not decision.stop:
            return self._trial.diverged(diverged)
        return decision

    def _train_chunk(self) -> float:
        """Steps up to the next check; returns their mean loss."""
        budget = self._trial.budget
        steps = budget.check_every_steps
        if budget.steps is not None:
            steps = min(steps, budget.steps - self._step)
        start = self._step * self._batch_size
        batches = self._examples(start, start + steps * self._batch_size).reshape(steps, self._batch_size)
        with self._trial.training():
            loss, right = self._program.train(batches)
        self._step += steps
        self._right += right
        return loss

    def _examples(self, start: int, stop: int) -> NDArray[np.int32]:
        return examples_at(self._trial.seed, start, stop, self._program.data.examples)

    def _evaluation_due(self, before: int) -> bool:
        budget = self._trial.budget
        every = budget.evaluate_every_steps
        if every is None:
            return budget.target is not None and budget.target.metric in _HELD_OUT
        return self._step // every > before // every

    def _ends(self, metrics: dict[str, float]) -> bool:
        """Whether this check's report will end the trial, by the rules of :meth:`kgen.trial.Trial.report`."""
        budget, target = self._trial.budget, self._trial.budget.target
        return (
            (target is not None and target.metric in metrics and target.reached_by(metrics[target.metric]))
            or (budget.steps is not None and self._step >= budget.steps)
            or (budget.seconds is not None and self._trial.seconds >= budget.seconds)
        )
