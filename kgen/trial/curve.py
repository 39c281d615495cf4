"""What a trial has reported so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from kgen.results.rows import CurvePoint, MetricSummary


@dataclass(slots=True)
class _Series:
    """Running summary of one metric."""

    final: float = math.nan
    low: float = math.inf
    high: float = -math.inf

    def add(self, value: float) -> None:
        self.final = value
        if not math.isnan(value):
            self.low = min(self.low, value)
            self.high = max(self.high, value)


@dataclass(slots=True)
class Curve:
    """Everything reported so far."""

    points: list[CurvePoint] = field(default_factory=list)
    series: dict[str, _Series] = field(default_factory=dict)

    def add(self, step: int, seconds: float, metrics: Mapping[str, float]) -> None:
        """The metrics of one report."""
        for name, value in metrics.items():
            self.points.append(CurvePoint(step, seconds, name, value))
            self.series.setdefault(name, _Series()).add(value)

    def summaries(self) -> tuple[MetricSummary, ...]:
        """One line per metric, by name; a metric that was never a number has NaN throughout."""
        return tuple(
            MetricSummary(name, s.final, *((s.low, s.high) if s.low <= s.high else (math.nan, math.nan)))
            for name, s in sorted(self.series.items())
        )
