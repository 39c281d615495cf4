"""Trials as a search and a belief are told of them: each by itself, with how far it came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pandas as pd

from kgen.analysis.measure import column_of
from kgen.analysis.outcomes import COMPLETE, Status
from kgen.spec import Value
from kgen.sweep import SweepSpec
from kgen.sweep.stages import RISES_TO

Curve = Mapping[str, Sequence[tuple[int, float, float]]]
"""Metric → step, counted seconds and value of each check, ascending."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial: it has a result, or an attempt of it failed (one for each), or it is pending."""

    parameters: Mapping[str, Value]
    seed: int
    steps_budget: int | None
    """``budget.steps`` of its own: the rung that it was in."""
    status: Status
    value: float | None
    """Of the stage's objective; ``None`` where it has none: it missed the target, or has no result."""
    spent_steps: int = 0
    """That this trial trained itself: without those before the checkpoint that it went on from."""
    spent_seconds: float = 0.0
    """Counted seconds, likewise."""
    metric: float | None = None
    """Last value of the target's metric; ``None`` without a target or without a finite value."""
    resumed: bool = False
    """Whether it went on from a checkpoint of its lineage."""
    curve: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=lambda: MappingProxyType({}))
    """Metric → its values at each check, (step, value), ascending. Tells how far a trial that missed the target came,
    and is all that a range test has; empty where it is not known."""

    @property
    def complete(self) -> bool:
        """Whether it has a result."""
        return self.status in COMPLETE

    @property
    def is_range_test(self) -> bool:
        """Whether its rate rose: it is no trial of that rate."""
        return RISES_TO in self.parameters


def trained(
    part: SweepSpec, parameters: Mapping[str, Value], seed: int, line: Mapping[str, Any], curve: Curve
) -> Tried:
    """A trial of that part that has a result, by its line in the trials' table (see :func:`lines_by_trial`)."""
    start, target = line["resumed_from_step"], part.budget.target
    before = max((at for points in curve.values() for step, at, _ in points if start and step <= start), default=0.0)
    return Tried(
        parameters,
        seed,
        part.budget.steps,
        Status(line["status"]),
        _number(line.get(column_of(part.objective))),
        spent_steps=int(line["steps"]) - int(start or 0),
        spent_seconds=max(0.0, float(line["seconds"]) - before),
        metric=None if target is None else _number(line.get(f"final.{target.metric}")),
        resumed=start is not None,
        curve={name: tuple((step, value) for step, _, value in points) for name, points in curve.items()},
    )


def lines_by_trial(trials: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The lines of the trials' table, ``None`` for what they lack."""
    frame = trials.astype(object).where(trials.notna(), None)
    return {str(line["trial"]): {str(name): value for name, value in line.items()} for line in frame.to_dict("records")}


def curves_by_trial(curves: pd.DataFrame) -> dict[str, Curve]:
    """The curves of the long table."""
    found: dict[str, dict[str, list[tuple[int, float, float]]]] = {}
    columns = (curves[name].tolist() for name in ("trial", "step", "seconds", "metric", "value"))
    for trial, step, seconds, metric, value in zip(*columns, strict=True):
        found.setdefault(trial, {}).setdefault(metric, []).append((int(step), float(seconds), float(value)))
    return {trial: MappingProxyType(curve) for trial, curve in found.items()}


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)
