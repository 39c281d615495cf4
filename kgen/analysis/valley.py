"""What one line of points says: its best value on x, and the band of values that work."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from kgen.analysis.line import Line, lines_of
from kgen.analysis.points import Grid, Point
from kgen.analysis.roles import Scale
from kgen.analysis.smooth import SmoothedValley
from kgen.analysis.told import Told


@dataclass(frozen=True, slots=True)
class Band:
    """The values on x from the lowest to the highest that works."""

    low: int
    """Code of the lowest."""
    high: int
    holes: int
    """Values between the two that were tried and do not work."""
    width: float
    """In decades on a logarithmic axis, else in the parameter's own unit."""


@dataclass(frozen=True, slots=True)
class Valley:
    """One line, summed up."""

    group: int
    label: str
    points: tuple[Point, ...]
    best: Point | None
    """``None`` when nothing works."""
    tied: int
    """How many other values on x have the same median as the best."""
    band: Band | None
    """``None`` when nothing works, or on a categorical axis, where neighbours mean nothing."""
    line: Line
    """Its runs as they are smoothed."""
    smoothed: SmoothedValley

    @property
    def working(self) -> int:
        """How many values on x work."""
        return sum(point.works for point in self.points)


def valleys(grid: Grid, told: Told | None = None) -> tuple[Valley, ...]:
    """One for each line, in the sweep's order; ``told``: what a search by bisection was, of their trials."""
    lines = lines_of(grid, told)
    return tuple(_valley(grid, group, points, lines[group]) for group, points in grid.lines.items())


def ranked(found: tuple[Valley, ...], sign: float) -> tuple[Valley, ...]:
    """From the best to the worst by the best value of each; those that do not work at all last, in their order."""
    return tuple(sorted(found, key=lambda valley: _rank(valley.best, sign)))


def neighbours(valley: Valley) -> list[tuple[Point, Point]]:
    """Pairs of points next to each other on x that both have a value."""
    return [(left, right) for left, right in pairwise(valley.points) if left.works and right.works]


def _rank(point: Point | None, sign: float) -> float:
    return math.inf if point is None or point.median is None else sign * point.median


def _valley(grid: Grid, group: int, points: tuple[Point, ...], line: Line) -> Valley:
    band = None if grid.scale is Scale.CATEGORY else _band(points, grid.scale)
    working = [point for point in points if point.works]
    smallest = min((_rank(point, grid.measure.sign) for point in working), default=math.inf)
    tied = [point for point in working if _rank(point, grid.measure.sign) == smallest]
    # Times come in steps of the check interval, so ties are common: the middle of the band is the safest of them.
    centre = 0.0
    if band is not None and grid.roles.x is not None:
        ends = grid.roles.x.positions[band.low], grid.roles.x.positions[band.high]
        centre = (_along(ends[0], grid.scale) + _along(ends[1], grid.scale)) / 2
    best = min(tied, key=lambda point: _distance(point, centre, grid.scale), default=None)
    return Valley(group, grid.label(group), points, best, max(len(tied) - 1, 0), band, line, line.smoothed())


def _band(points: tuple[Point, ...], scale: Scale) -> Band | None:
    placed = [point for point in points if math.isfinite(point.position)]
    working = [point for point in placed if point.works]
    if not working:
        return None
    low, high = working[0], working[-1]
    inside = [point for point in placed if low.x < point.x < high.x]
    holes = sum(point.estimate is not None and not point.works for point in inside)
    return Band(low.x, high.x, holes, _along(high.position, scale) - _along(low.position, scale))


def _along(position: float, scale: Scale) -> float:
    return math.log10(position) if scale is Scale.LOG else position


def _distance(point: Point, centre: float, scale: Scale) -> float:
    if scale is Scale.CATEGORY:
        return 0.0
    return abs(_along(point.position, scale) - centre) if math.isfinite(point.position) else math.inf
