"""A sweep of three stages whose rows are made up, so that the whole way from row files to the page can be walked."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kgen.names import pack_row_file
from kgen.results.rows import CurvePoint, Environment, MetricSummary, Outcome, State, TrialRow, rows_to_bytes
from kgen.spec import Timing, TrialSpec
from kgen.sweep import SweepSpec, expand, load
from kgen.workflow.stages import Course
from kgen.workflow.store import store_of

SWEEP = """\
version: 1
name: three
seed: 7
repeats: 3
trainer: {config: {dataset: mnist, data: mnist.npz, model: cnn-small}}
stages:
  - name: grid
    parameters:
      optimizer: [sgd, adam, adadelta]
      learning_rate: {log: {start: 1e-5, stop: 100, per_decade: 3}, except: [1]}
    budget: {target: {train_accuracy: 0.95}, steps: 1000, check_every_steps: 50}
  - name: best
    parameters: {from: {stage: grid, per: optimizer}}
    budget: {steps: 800, evaluate_every_steps: 50}
    objective: {metric: val_accuracy, goal: maximize, at: best}
  - name: scale
    parameters:
      from: {stage: grid, per: optimizer, where: {optimizer: adam}, neighbours: 1}
      scale: {linear: {start: 1, stop: 8, num: 8}}
    budget: {target: {train_accuracy: 0.94}, steps: 1000, check_every_steps: 50}
results: results/
"""
_BOTTOMS = {"sgd": (0.1, 450.0), "adam": (1.2e-3, 250.0), "adadelta": (8.0, 350.0)}
"""Optimizer: its best rate, and the steps there."""
_START = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Made:
    """Of one trial: what came of it."""

    outcome: Outcome
    steps: int
    reached: int | None
    curve: tuple[tuple[int, str, float], ...]


def make(folder: Path, *, text: str = SWEEP, fail: int | None = None) -> SweepSpec:
    """Write the sweep's file and go through its stages, a row for each trial; returns the sweep.

    ``fail``: which trial of the first stage crashes.
    """
    file = folder / "sweep.yaml"
    file.write_text(text)
    spec = load(str(file))
    store = store_of(spec)
    course = Course(spec, store, allow_incomplete=fail is not None)
    while (part := course.next()) is not None:
        first = part.stage == spec.stages[0].name
        trials = expand(part)
        rows = [_row(trial, None if first and place == fail else _train(trial)) for place, trial in enumerate(trials)]
        store.write_row_file(pack_row_file(trials[0].id, "a1", 1), rows_to_bytes(rows))
    return spec


def _noise(trial: TrialSpec) -> float:
    """From -1 to 1, the same for the same trial wherever it is made."""
    digest = hashlib.sha256(f"{dict(trial.parameters)} {trial.seed} {trial.stage}".encode()).digest()
    return int.from_bytes(digest[:4]) / 2**31 - 1


def _train(trial: TrialSpec) -> Made:
    """A valley along the rate's logarithm, which gets narrower and moves down as the model grows."""
    optimizer, rate = str(trial.parameters["optimizer"]), float(trial.parameters["learning_rate"])
    scale = float(trial.parameters.get("scale", 1))
    bottom, fastest = _BOTTOMS[optimizer]
    off = math.log10(rate / bottom) + 0.05 * (scale - 1)
    cap, target = trial.budget.steps or 0, trial.budget.target
    needs = fastest * (0.7 + 0.3 * scale) * math.exp(1.2 * off * off + 0.2 * _noise(trial))
    steps = math.ceil(needs / 50) * 50
    if off > 1.6:
        return Made(Outcome.DIVERGED, 50, None, ((50, "train_accuracy", 0.1),))
    reached = target is not None and steps <= cap
    last = steps if reached else cap
    level = 0.95 if target is None else target.value
    points: list[tuple[int, str, float]] = [(50, "weights", round(500 * scale + 171))]
    for step in range(50, last + 1, 50):
        value = level * (1 - math.exp(-3 * step / needs)) / (1 - math.exp(-3))
        value = level + 0.001 if reached and step == last else min(value, level - 0.001)
        points.append((step, "train_accuracy", value))
        if trial.budget.evaluate_every_steps:
            wobble = 0.01 * math.sin(step + 7 * _noise(trial))
            points.append((step, "val_accuracy", min(0.999, 0.97 * value + wobble)))
    outcome = Outcome.REACHED if reached else Outcome.CAPPED if target is not None else Outcome.FINISHED
    return Made(outcome, last, last if reached else None, tuple(points))


def _row(trial: TrialSpec, made: Made | None) -> TrialRow:
    pace = 0.002 * float(trial.parameters.get("scale", 1)) * (1 + 0.1 * _noise(trial))
    steps = 0 if made is None else made.steps
    known: dict[str, Any] = {
        "trial": trial.id,
        "attempt": "a1",
        "sweep": trial.sweep,
        "stage": trial.stage,
        "seed": trial.seed,
        "parameters": trial.parameters,
        "budget": _json(trial.budget),
        "objective": _json(trial.objective),
        "timing": Timing.EXCLUSIVE,
        "steps": steps,
        "seconds": pace * steps,
        "total_seconds": pace * steps + 1,
        "resumed_from_step": None,
        "started": _START,
        "ended": _START + dt.timedelta(seconds=60),
        "environment": Environment(
            node="node-1", device="Tesla K80", trainer="kgen_trainer 0.1.0", framework="tensorflow",
            framework_version="2.18.0", python="3.11.9",
        ),
    }  # fmt: skip
    if made is None:
        return TrialRow(**known, state=State.FAILED, outcome=None, exit_reason="MemoryError: 12 GB", exit_code=1,
                        steps_to_target=None, seconds_to_target=None)  # fmt: skip
    metrics: dict[str, list[float]] = {}
    for _, name, value in made.curve:
        metrics.setdefault(name, []).append(value)
    return TrialRow(
        **known,
        state=State.COMPLETE,
        outcome=made.outcome,
        exit_reason=str(made.outcome),
        exit_code=0,
        steps_to_target=made.reached,
        seconds_to_target=None if made.reached is None else pace * made.reached,
        metrics=[MetricSummary(name, values[-1], min(values), max(values)) for name, values in metrics.items()],
        curve=[CurvePoint(step, pace * step, name, value) for step, name, value in made.curve],
    )


def _json(value: Any) -> str:
    from kgen.spec import dump_json

    return dump_json(value.to_json())
