"""The trials of a sweep laid out on its parameters: one point for each line and each value on x."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from kgen.analysis.measure import Measure
from kgen.analysis.outcomes import COUNTED, Mark, observe
from kgen.analysis.roles import Roles, Scale
from kgen.analysis.survival import Estimate, estimate

_NEAR: Final = 0.9
"""A trial looks at its budget at every check, and stops at the last one before or the first one after its end."""


@dataclass(frozen=True, slots=True)
class Run:
    """One trial in a point."""

    trial: str
    mark: Mark
    value: float
    """NaN unless measured."""
    stopped: float
    """What the estimate takes, smaller being better: see :func:`kgen.analysis.outcomes.observe`."""
    seed: int
    """Which repeat it is."""

    @property
    def counts(self) -> bool:
        """Whether it enters the statistics."""
        return self.mark in COUNTED


@dataclass(frozen=True, slots=True)
class Point:
    """The trials of one line at one value on x: repeats, and whatever else is spread."""

    group: int
    """Code of the line's value; 0 where there is one line."""
    x: int
    """Code of the value on x; 0 where nothing varies."""
    position: float
    """Where it lies on the axis; NaN for trials that do not have the parameter."""
    runs: tuple[Run, ...]
    estimate: Estimate | None
    """Over the runs that count; ``None`` when none does."""

    @property
    def median(self) -> float | None:
        """Of the measure, of two middle values the better one; ``None`` unless at least half of the counted runs have a
        value."""
        return None if self.estimate is None else self.estimate.median

    @property
    def works(self) -> bool:
        """Whether at least half of the counted runs have a value."""
        return self.median is not None

    @property
    def share(self) -> float | None:
        """Of the counted runs: those with a value; ``None`` where none counts."""
        return None if self.estimate is None else self.estimate.events / self.estimate.trials

    def count(self, mark: Mark) -> int:
        """How many of its runs have that mark."""
        return sum(run.mark is mark for run in self.runs)


@dataclass(frozen=True, slots=True)
class Grid:
    """All points of a sweep for one measure."""

    roles: Roles
    measure: Measure
    lines: Mapping[int, tuple[Point, ...]]
    """Per line its points by ascending x: those that the sweep has for it."""

    @property
    def scale(self) -> Scale:
        """Of the horizontal axis."""
        return Scale.CATEGORY if self.roles.x is None else self.roles.x.scale

    @property
    def x_labels(self) -> tuple[str, ...]:
        """Of every value on x."""
        return ("all trials",) if self.roles.x is None else self.roles.x.labels

    def label(self, group: int) -> str:
        """Of a line."""
        return "all trials" if self.roles.group is None else self.roles.group.described(group)

    @property
    def runs(self) -> tuple[Run, ...]:
        """All trials."""
        return tuple(run for points in self.lines.values() for point in points for run in point.runs)

    @property
    def cap_binds(self) -> bool:
        """Whether the cap on this clock stopped trials, and not only the cap on another one, far below it."""
        cap = self.measure.cap
        return cap is not None and any(run.mark is Mark.CAPPED and run.stopped >= _NEAR * cap for run in self.runs)

    def columns(self) -> Mapping[int, tuple[Point, ...]]:
        """Per value on x the points of all lines there."""
        out: dict[int, list[Point]] = {}
        for points in self.lines.values():
            for point in points:
                out.setdefault(point.x, []).append(point)
        return {x: tuple(out[x]) for x in sorted(out)}


def lay_out(trials: pd.DataFrame, roles: Roles, measure: Measure) -> Grid:
    """Group the trials and estimate every point's median.

    A metric is estimated as a time is, by ranks, with the sign that makes smaller better: a diverged run is worse than
    any value.
    """
    seen = observe(trials, measure)
    zeros = np.zeros(len(trials), dtype=np.int64)
    groups = zeros if roles.group is None else roles.group.codes(trials)
    xs = zeros if roles.x is None else roles.x.codes(trials)
    cells = zip(trials["trial"], seen["mark"], seen["value"], seen["stopped"], trials["seed"], strict=True)
    runs = [Run(trial, Mark(mark), value, stopped, seed) for trial, mark, value, stopped, seed in cells]
    places: dict[tuple[int, int], list[Run]] = {}
    for key, run in zip(zip(groups.tolist(), xs.tolist(), strict=True), runs, strict=True):
        places.setdefault(key, []).append(run)
    lines: dict[int, list[Point]] = {}
    for (group, x), here in sorted(places.items(), key=lambda item: item[0]):
        position = 0.0 if roles.x is None else roles.x.positions[x]
        lines.setdefault(group, []).append(Point(group, x, position, tuple(here), _estimate(here, measure)))
    return Grid(roles, measure, {group: tuple(points) for group, points in lines.items()})


def _estimate(runs: Sequence[Run], measure: Measure) -> Estimate | None:
    counted = [run for run in runs if run.mark in COUNTED]
    if not counted:
        return None
    times = np.array([run.stopped for run in counted])
    found = estimate(times, np.array([run.mark is Mark.MEASURED for run in counted]), measure.cap)
    return found if measure.sign > 0 else _mirrored(found)


def _mirrored(found: Estimate) -> Estimate:
    """Of a metric that is better when greater, from the estimate of its negative."""
    median, low, high = (None if value is None else -value for value in (found.median, found.low, found.high))
    return Estimate(found.trials, found.events, median, high, low, found.restricted_mean)
