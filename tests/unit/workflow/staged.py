"""Sweeps with stages whose rows a test writes itself, as if trials had left them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

from kgen.results.rows import MetricSummary, Outcome, State
from kgen.spec import Timing, TrialSpec
from kgen.sweep import SweepSpec, expand, load
from tests.unit.plan.rows import leave

HEAD = """\
version: 1
name: toy
seed: 1
trainer: {command: [python, train.py]}
"""
GRID = """\
  - name: grid
    parameters: {optimizer: [a, b], rate: [1e-3, 1e-2, 1e-1, 1]}
    budget: {steps: 1000, target: {accuracy: 0.9}}
"""
BEST = """\
  - name: best
    parameters: {from: {stage: grid, per: optimizer}}
    repeats: 3
    budget: {steps: 500}
    objective: {metric: accuracy, goal: maximize}
"""
SCALE = """\
  - name: scale
    parameters:
      from: {stage: best, per: optimizer, top: 1}
      scale: [1, 2]
    budget: {steps: 2000, target: {accuracy: 0.9}}
"""
STAGES = f"{HEAD}stages:\n{GRID}{BEST}{SCALE}"


def file(folder: Path, text: str = STAGES) -> SweepSpec:
    """The sweep of a file of that text."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sweep.yaml"
    path.write_text(text)
    return load(path)


def decades(trial: TrialSpec) -> float:
    """How far a trial's rate is from the best of its optimizer: 1e-2 of a, 1e-1 of b."""
    rate = float(trial.parameters["rate"])
    return abs(math.log10(rate) - {"a": -2, "b": -1}[str(trial.parameters["optimizer"])])


def train(spec: SweepSpec, trials: Iterable[TrialSpec], attempt: str = "1", timing: Timing = Timing.EXCLUSIVE) -> None:
    """Leave a result of each of these."""
    for trial in trials:
        pace = 100 if trial.parameters["optimizer"] == "a" else 120
        steps = round(pace * (1 + decades(trial)) * float(trial.parameters.get("scale", 1)))
        accuracy = 0.95 - decades(trial) / 10
        metrics = (MetricSummary("accuracy", *[accuracy] * 3),)
        result = {"steps": steps, "attempt": attempt, "timing": timing, "metrics": metrics}
        if trial.budget.target is None:
            leave(spec, trial, outcome=Outcome.FINISHED, **result)
        elif steps > (trial.budget.steps or steps):
            leave(spec, trial, outcome=Outcome.CAPPED, **{**result, "steps": trial.budget.steps})
        else:
            leave(spec, trial, outcome=Outcome.REACHED, steps_to_target=steps, **result)


def fail(spec: SweepSpec, trials: Iterable[TrialSpec], attempt: str = "1", state: State = State.FAILED) -> None:
    """Leave a row of a failed attempt of each of these."""
    for trial in trials:
        leave(spec, trial, state=state, outcome=None, exit_reason="no luck", exit_code=1, attempt=attempt)


def pick(spec: SweepSpec, which: Callable[[TrialSpec], bool]) -> list[TrialSpec]:
    """The trials for which that is true."""
    return [trial for trial in expand(spec) if which(trial)]
