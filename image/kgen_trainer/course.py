"""The way of a trial from check to check, alone or among others: what is measured at a check, and what is reported.

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
``weights``
    In the first report: how many numbers are trained.
``learning_rate``
    In a range test (:mod:`kgen_trainer.range_test`): that of the steps since the last report.

Counted time is the steps alone: loading, compiling, warming up, shuffling and all evaluation stand outside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from kgen.built_in import METRICS
from kgen.errors import BadParametersError
from kgen.spec import Budget
from kgen.trial import Decision, Trial
from kgen_trainer import dead
from kgen_trainer.checkpoint import Checkpoint
from kgen_trainer.models import RELU_LAYERS
from kgen_trainer.optimizers import residual_shrinks
from kgen_trainer.program import Measured
from kgen_trainer.randomness import examples_at
from kgen_trainer.range_test import Rise
from kgen_trainer.settings import Settings
from kgen_trainer.values import choose

WINDOW: Final = 5000
"""Examples that ``train_accuracy`` looks back on: 50 batches of the article."""
_HELD_OUT: Final = ("val_accuracy", "val_loss")


class Network(dead.Network, Protocol):
    """What a check asks of a network in training."""

    def non_finite_weights(self) -> list[str]:
        """Names of the weights that are not numbers or infinite, such as ``dense/kernel``."""


def check_budget(budget: Budget) -> None:
    """Raises BadParametersError for a budget that training would never spend, or a target that it never reports."""
    if budget.target is None and budget.steps is None and budget.seconds is None:
        raise BadParametersError("budget has no target, no steps and no seconds: training would never end")
    if budget.target is not None:
        choose("metric of the target", budget.target.metric, METRICS)


class Course:
    """Where one trial stands. In turn: :meth:`batches` are trained on, :meth:`trained` notes what came of it,
    :meth:`check` looks, :meth:`report` tells."""

    def __init__(self, trial: Trial, settings: Settings, examples: int, weights: int) -> None:
        """``examples``: size of the training set; ``weights``: how many numbers are trained."""
        self.trial = trial
        self.step = 0
        self.is_dead = False
        """Whether the last check has found that the network can't learn any more."""
        self._batch_size = settings.batch_size
        self._examples = examples
        self._weights = weights
        self._right = 0
        self._before = 0
        """Step of the check before."""
        self._loss = math.nan
        self._trained_at: float | None = None
        """Rate of the steps before the last check, in a range test."""
        self._metrics: dict[str, float] = {}
        self._only_last: tuple[str, ...] = ()
        """Metrics of this check that are reported only because it is the trial's last."""
        self._diverged: str | None = None
        self._rise = None if settings.range_test is None else Rise(settings.range_test, trial.budget)
        # What the proof of death knows of an optimizer holds for a rate that stays.
        stops = settings.stop_dead and self._rise is None and residual_shrinks(settings.optimizer, settings.overrides)
        self._watch = dead.DeadWatch(RELU_LAYERS) if stops else None

    def batches(self) -> NDArray[np.int32]:
        """What the steps up to the next check train on: indices into the training set [steps, batch size]."""
        budget = self.trial.budget
        steps = budget.check_every_steps
        if budget.steps is not None:
            steps = min(steps, budget.steps - self.step)
        start = self.step * self._batch_size
        return self._seen(start, start + steps * self._batch_size).reshape(steps, self._batch_size)

    @property
    def rate(self) -> float | None:
        """Learning rate of the steps up to the next check, in a range test; None where it stays."""
        return None if self._rise is None else self._rise.rate(self.step)

    def trained(self, steps: int, loss: float, right: int) -> None:
        """So many steps were made, with this mean loss, and so many examples right in them."""
        self._trained_at = self.rate
        self._before, self.step = self.step, self.step + steps
        self._loss = loss
        self._right += right

    def window(self, ahead: int = 0) -> NDArray[np.int32]:
        """The examples that ``train_accuracy`` is measured on, now or so many steps ahead."""
        seen = (self.step + ahead) * self._batch_size
        return self._seen(seen - min(WINDOW, seen, self._examples), seen)

    def check(self, measured: Measured, network: Network) -> bool:
        """Take in how the network does on :meth:`window`; whether the report has to say how it does on held-out
        examples, too."""
        seen = self.step * self._batch_size
        metrics = {"train_accuracy": measured.accuracy, "running_accuracy": self._right / seen, "loss": self._loss}
        if self._before == 0:
            metrics["weights"] = self._weights
        if self._trained_at is not None:
            metrics["learning_rate"] = self._trained_at
        self._metrics, self._diverged = metrics, None
        if not measured.finite:
            self._diverged = f"nan: weights not finite at step {self.step}: {', '.join(network.non_finite_weights())}"
        elif self._watch is not None:
            self._diverged = self._watch.check(network, constant=measured.constant)
        elif self._rise is not None and self._trained_at is not None:
            self._diverged = self._rise.check(self._loss, self._trained_at)
        self.is_dead = self._diverged is not None
        numbers = measured.finite and all(map(math.isfinite, metrics.values()))
        is_due = self._evaluation_due()
        self._only_last = () if is_due else _HELD_OUT
        return numbers and (self.is_dead or is_due or self.trial.would_end(step=self.step, **metrics))

    def report(self, held_out: Measured | None) -> Decision:
        """Report the check, with the network on held-out examples where :meth:`check` asked for it."""
        metrics = self._metrics
        if held_out is not None:
            metrics |= {"val_accuracy": held_out.accuracy, "val_loss": held_out.loss}
        decision = self.trial.report(step=self.step, **metrics)
        if self._diverged is not None and not decision.stop:
            return self.trial.diverged(self._diverged)
        return decision

    def checkpoint(self, program: Sequence[NDArray[Any]]) -> Checkpoint:
        """Everything that the next steps and checks depend on, after a report; ``program`` is what trains it."""
        resting = [] if self._watch is None else self._watch.state()
        return Checkpoint(self.step, self._right, self.trial.progress(leave_out=self._only_last), program, resting)

    def restore(self, kept: Checkpoint) -> None:
        """Go on from a checkpoint, before the first step. Raises ValueError, and changes nothing, for one that holds
        no progress of a trial."""
        self.trial.resume_from(kept.step, kept.progress)
        if self._watch is not None:
            self._watch.restore(kept.resting)
        if self._rise is not None:
            self._rise.note(at.value for at in self.trial.snapshot()[1] if at.metric == "loss")
        self.step = self._before = kept.step
        self._right = kept.right

    def _seen(self, start: int, stop: int) -> NDArray[np.int32]:
        return examples_at(self.trial.seed, start, stop, self._examples)

    def _evaluation_due(self) -> bool:
        budget = self.trial.budget
        every = budget.evaluate_every_steps
        if every is None:
            return budget.target is not None and budget.target.metric in _HELD_OUT
        return self.step // every > self._before // every
