"""One line of a grid as arrays of runs, in the coordinates in which it is smoothed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kgen.analysis.belief import Belief
from kgen.analysis.outcomes import Mark
from kgen.analysis.points import Grid, Point
from kgen.analysis.roles import Scale
from kgen.analysis.smooth import WITHIN, Floats, Lean, SmoothedValley, separate, smooth
from kgen.analysis.told import Told

_LINEAR_SPAN: Final = 2.0
"""A linear axis is smoothed as if it were so many decades wide."""


@dataclass(frozen=True, slots=True)
class Along:
    """The coordinate along x: log10 of a number that was varied by factors, else its place in the range."""

    log: bool
    low: float
    unit: float

    def of(self, position: float) -> float:
        """From the axis."""
        return math.log10(position) if self.log else (position - self.low) / self.unit

    def axis(self, at: float) -> float:
        """Back to the axis."""
        return float(10**at) if self.log else self.low + at * self.unit


@dataclass(frozen=True, slots=True)
class Cost:
    """What is smoothed of a measure: smaller is better, and positive where ``log``.

    A time itself; of a metric that is a share to be maximised what it lacks to 1, so that 0.95 is a quarter worse than
    0.96; of a positive one to be minimised the value; of any other the value with the sign that makes smaller better.
    """

    log: bool
    sign: float
    offset: float
    least: float
    """Stands for a cost of zero, which has no logarithm."""

    def of(self, signed: Floats) -> Floats:
        """From values with the sign that makes smaller better."""
        cost = signed + self.offset
        return np.maximum(cost, self.least) if self.log else cost

    @property
    def safe(self) -> str:
        """When a value on x is safe, as a clause."""
        share = f"{WITHIN * 100:.0f} %"
        if not self.log:
            return f"at most {share} of the way from its best to its worst"
        return f"within {share} of its best" if self.offset == 0 else f"what it lacks to 1 within {share} of its best"

    def value(self, cost: float) -> float:
        """Back to the measure."""
        return self.sign * (cost - self.offset)


@dataclass(frozen=True, slots=True)
class Line:
    """The runs of one line that count, an entry each."""

    group: int
    codes: Mapping[float, int]
    """Position → code of the value on x."""
    positions: Floats
    costs: Floats
    """Infinite for a run without a value."""
    bounds: Floats
    """What a run without a value is known to lie beyond; infinite for one that never gets there."""
    seeds: npt.NDArray[np.int64]
    joined: bool
    """Whether neighbours on x mean anything."""
    log: bool
    belief: Belief | None = None
    """Of the search by bisection that asked for its trials."""

    def smoothed(
        self, costs: Floats | None = None, weights: Floats | None = None, lean: Lean | None = None
    ) -> SmoothedValley:
        """Its fit, or that of a resample: other costs, how often each run counts, one valley of the belief."""
        values = self.costs if costs is None else costs
        if not self.joined:
            return separate(self.positions, values, log=self.log, weights=weights)
        expected = self.belief.expected if lean is None and self.belief is not None else lean
        return smooth(self.positions, values, cap=self.bounds, log=self.log, weights=weights, lean=expected)

    def repeated(self, fit: SmoothedValley) -> bool:
        """Whether most positions have runs of several seeds, or those that decide: the best and the ones beside it."""
        seeds: dict[float, set[int]] = {position: set() for position in fit.positions.tolist()}
        for position, seed in zip(self.positions.tolist(), self.seeds.tolist(), strict=True):
            seeds.setdefault(position, set()).add(seed)
        several = [len(each) > 1 for each in seeds.values()]
        near = (
            several[max((fit.best or 0) - 1, 0) : (fit.best or 0) + 2] if self.joined and fit.best is not None else []
        )
        return 2 * sum(several) > len(several) or (bool(near) and all(near))


def cost_of(grid: Grid) -> Cost:
    """How the measure is smoothed."""
    measure = grid.measure
    values = [run.value for run in grid.runs if run.mark is Mark.MEASURED]
    sign = measure.sign
    offset = 1.0 if sign < 0 and values and min(values) >= 0 and max(values) <= 1 else 0.0
    costs = [sign * value + offset for value in values]
    positive = [cost for cost in costs if cost > 0]
    log = bool(positive) and min(costs) >= 0
    return Cost(log, sign, offset, min(positive) / 2 if log else 0.0)


def along_of(grid: Grid) -> Along:
    """The coordinate along x; where nothing is numeric, the place in the list."""
    x = grid.roles.x
    placed = [] if x is None else sorted({position for position in x.positions if math.isfinite(position)})
    if x is None or x.scale is Scale.CATEGORY or len(placed) < 2:
        return Along(False, 0.0, 1.0)
    return Along(x.scale is Scale.LOG, placed[0], (placed[-1] - placed[0]) / _LINEAR_SPAN)


def lines_of(grid: Grid, told: Told | None = None) -> Mapping[int, Line]:
    """Every line of the grid, by its code; ``told`` counts where it is of this grid's measure."""
    cost, along = cost_of(grid), along_of(grid)
    fits = told is not None and along.log and cost.log and grid.measure.column == told.objective.metric
    known = told if fits else None
    return {group: _line(grid, group, points, cost, along, known) for group, points in grid.lines.items()}


def _line(grid: Grid, group: int, points: tuple[Point, ...], cost: Cost, along: Along, told: Told | None) -> Line:
    placed = [point for point in points if math.isfinite(point.position)]
    joined = grid.scale is not Scale.CATEGORY and bool(placed)
    at = {point.x: along.of(point.position) if joined else float(point.x) for point in (placed if joined else points)}
    runs = [(at[point.x], run) for point in points if point.x in at for run in point.runs if run.counts]
    measured = np.array([run.mark is Mark.MEASURED for _, run in runs], dtype=bool)
    stopped = cost.of(np.array([run.stopped for _, run in runs], dtype=float))
    capped = np.array([run.mark is Mark.CAPPED for _, run in runs], dtype=bool)
    never = math.inf if grid.measure.cap is None else grid.measure.cap
    return Line(
        group=group,
        codes={position: code for code, position in at.items()},
        positions=np.array([position for position, _ in runs], dtype=float),
        costs=np.where(measured, stopped, math.inf),
        bounds=np.where(capped, stopped, never),
        seeds=np.array([run.seed for _, run in runs], dtype=np.int64),
        joined=joined,
        log=cost.log,
        belief=None if told is None or not joined else told.belief({run.trial: place for place, run in runs}),
    )
