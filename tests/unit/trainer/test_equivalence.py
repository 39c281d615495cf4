"""Many trials in one program, and plain Keras layers and optimizers, one trial at a time: the same experiment.

Both have the same initial weights, batches and dropout masks, and the same formulas. What differs is the order in which
floats of 32 bits are added, so each step is off by some units in the last place (6e-8). Training amplifies that: a
difference grows by a factor with each step, by a large one where the rate is large, and at once where a unit is just
about to become active, or two pixels of a pooling window are just about equal. After some hundred steps the two are
different draws of one experiment, as are two runs of either on processors with different kernels. So the loss after 50
steps must be the same for nearly all; steps to a target for most; and what can't be the same trial for trial must be
the same as a distribution over seeds.

``make equivalence`` runs the whole, some minutes of one core; the suite runs a sample.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from kgen.spec import Budget, Target, TrialSpec
from kgen.sweep import expand, load
from kgen.trial import Trial
from kgen_trainer import train
from kgen_trainer.fused import program_for as fused_program_for
from kgen_trainer.models import weights_of
from kgen_trainer.program import Program, program_for
from kgen_trainer.randomness import examples_at
from kgen_trainer.settings import Settings
from tests.unit.trainer.together import spec, train_here

WHOLE = os.environ.get("KGEN_TEST_EQUIVALENCE") == "1"
QUICKSTART = Path(__file__).parents[3] / "examples" / "quickstart.yaml"
CHECK = 50
SAMPLE = {
    "sgd": (0.1, 0.2),
    "momentum": (0.05, 0.1),
    "adam": (0.005, 0.01, 0.02),
    "adagrad": (0.1, 0.2),
    "adadelta": (3.0, 6.0),
    "rmsprop": (0.005, 0.01),
}


def settings_of(trial: TrialSpec) -> Settings:
    return Settings.from_trial(Trial(trial, checkpoints=Path("unused")))


def losses_together(trials: Sequence[TrialSpec], steps: int) -> NDArray[np.float64]:
    """Of the last of so many steps."""
    members = [settings_of(trial) for trial in trials]
    program, seed, size = fused_program_for(members[0]), trials[0].seed, members[0].batch_size
    batches = examples_at(seed, 0, steps * size, program.data.examples).reshape(steps, size)
    lanes, _, _ = program.train(program.fresh(seed, members), seed, 0, batches[:-1])
    _, losses, _ = program.train(lanes, seed, steps - 1, batches[-1:])
    return losses


@contextlib.contextmanager
def nudged() -> Iterator[None]:
    """Inside, plain Keras trains from initial weights each of which is moved by one unit in the last place: what comes
    out otherwise then would come out otherwise with any other order of additions, too."""

    def reset(program: Program, seed: int, learning_rate: float) -> None:
        as_it_is(program, seed, learning_rate)
        random, state = np.random.default_rng(0), program.state()
        for values in state[: len(weights_of(program._model))]:
            values[...] = np.nextafter(values, random.choice(np.array([-1e9, 1e9], np.float32), values.shape))
        program.restore(state)

    as_it_is = Program.reset
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Program, "reset", reset)
        yield


def loss_alone(trial: TrialSpec, steps: int) -> float:
    """Of the last of so many steps."""
    settings = settings_of(trial)
    program, size = program_for(settings, steps), settings.batch_size
    batches = examples_at(trial.seed, 0, steps * size, program.data.examples).reshape(steps, size)
    program.reset(trial.seed, settings.learning_rate)
    program.train(batches[:-1])
    return program.train(batches[-1:])[0]


def test_after_50_steps_the_loss_is_the_same() -> None:
    """For 95 % of those for which plain Keras gives the same again when it is nudged. The others, nearly all with rates
    that blow the network up, have no loss to compare: two builds of Keras don't agree on it either (measured: of the
    288 oneDNN's kernels and TensorFlow's own differ for 33, Keras and a nudged Keras for 32, this program and Keras for
    30)."""
    trials = expand(load(QUICKSTART))[:: 1 if WHOLE else 7]
    together = losses_together(trials, 50)
    alone = np.array([loss_alone(trial, 50) for trial in trials])
    with nudged():
        own = np.abs(alone - [loss_alone(trial, 50) for trial in trials])
    off = np.abs(together - alone)
    stable = own <= 1e-4
    for trial, difference, nudge in zip(trials, off, own, strict=True):
        if not (difference <= 1e-4 and nudge <= 1e-4):
            print(f"at step 50 off by {difference:.2g}, nudged by {nudge:.2g}: {dict(trial.parameters)}")
    print(f"within 1e-4: {np.mean(off <= 1e-4):.1%} of {len(trials)}, {np.mean(off[stable] <= 1e-4):.1%} of the "
          f"{stable.sum()} that stand a nudge; median {np.median(off):.2g}")  # fmt: skip
    assert np.mean(stable) >= 0.8
    assert np.mean(off[stable] <= 1e-4) >= 0.95


def steps_alone(trial: TrialSpec, at_most: int) -> int | None:
    """Steps to the target; None if they are more than so many."""
    budget = trial.budget
    short = Budget(target=budget.target, steps=at_most, check_every_steps=budget.check_every_steps)
    one = Trial(
        TrialSpec(trial.id, trial.sweep, trial.stage, trial.parameters, trial.seed, short), checkpoints=Path("unused")
    )
    train(one)
    return one.steps_to_target


def test_they_reach_the_target_at_the_same_check(tmp_path: Path) -> None:
    """For 75 % of those for which plain Keras gives the same again when it is nudged. (Measured, of the 47 that reach
    97 %: this program and Keras agree on 34, oneDNN's kernels and TensorFlow's own on 35, Keras and a nudged Keras on
    37; and of these 37 this program agrees with Keras on 31.)"""
    budget = {"target": Target("train_accuracy", 0.8), "steps": 600, "check_every_steps": CHECK}
    points = [(optimizer, rate) for optimizer, rates in SAMPLE.items() for rate in rates]
    trials = [spec(i, *point, budget=budget) for i, point in enumerate(points)]
    if WHOLE:
        trials = list(expand(load(QUICKSTART)))
    rows = train_here(tmp_path, trials)
    reached = [(trial, steps) for trial in trials if (steps := rows[trial.id].steps_to_target)]
    assert len(reached) >= 10
    near = stable = both = 0
    for trial, together in sorted(reached, key=lambda pair: pair[1]):
        most = together + 3 * CHECK
        alone = steps_alone(trial, most)
        with nudged():
            again = steps_alone(trial, most)
        is_near, is_stable = _is_near(alone, together), _is_near(again, alone)
        near, stable, both = near + is_near, stable + is_stable, both + (is_near and is_stable)
        if not (is_near and is_stable):
            print(f"{together} steps together, alone {alone or 'more'}, nudged {again or 'more'} (of {most}): "
                  f"{dict(trial.parameters)}")  # fmt: skip
    print(f"within one check: {near} of the {len(reached)} that reach, {both} of the {stable} that stand a nudge")
    assert both >= 0.75 * stable
    assert stable >= len(reached) / 2


def _is_near(steps: int | None, others: int | None) -> bool:
    if steps is None or others is None:
        return steps is others
    return abs(steps - others) <= CHECK


@pytest.mark.skipif(not WHOLE, reason="make equivalence")
@pytest.mark.parametrize(("optimizer", "rate"), [("adam", 0.0147), ("adagrad", 0.215), ("adadelta", 10.0)])
def test_over_seeds_they_reach_it_as_soon(tmp_path: Path, optimizer: str, rate: float) -> None:
    """The log-rank test of two samples of censored times (Mantel 1966), at 1 %."""
    cap = 1200
    budget = {"target": Target("train_accuracy", 0.97), "steps": cap, "check_every_steps": CHECK}
    trials = [spec(seed, optimizer, rate, seed=seed, budget=budget) for seed in range(24)]
    rows = train_here(tmp_path, trials)
    together = [rows[trial.id].steps_to_target for trial in trials]
    alone = [steps_alone(trial, cap) for trial in trials]
    result = stats.logrank(_censored(together, cap), _censored(alone, cap))
    print(f"{optimizer} {rate}: together {_summary(together)}, alone {_summary(alone)}, p = {result.pvalue:.2f}")
    assert sum(steps is not None for steps in together + alone) >= len(trials), "else there is little to compare"
    assert result.pvalue > 0.01


def _censored(steps: Sequence[int | None], cap: int) -> stats.CensoredData:
    reached = [each for each in steps if each is not None]
    return stats.CensoredData(uncensored=reached, right=[cap] * (len(steps) - len(reached)))


def _summary(steps: Sequence[int | None]) -> str:
    reached = sorted(each for each in steps if each is not None)
    return f"{len(reached)} of {len(steps)} reach, median of these {np.median(reached):.0f}"
