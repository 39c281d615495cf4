"""Figures as data: everything that a drawing shows, and nothing of how it looks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from kgen.analysis.line import along_of, cost_of
from kgen.analysis.outcomes import Mark
from kgen.analysis.points import Grid, Point
from kgen.analysis.roles import MOST_LINES, Kind, Scale
from kgen.analysis.smooth import LEAN_RUNS
from kgen.analysis.text import listing, plural, plurals
from kgen.analysis.valley import Valley, ranked

_SMOOTH: Final = "smoothed, thick in the safe band"
LOG_DECADES: Final = 1.5
"""Values over more decades than this are drawn on a logarithmic axis."""
_MARGIN: Final = 0.05
"""Of the axis, beyond the outermost value."""
_FARTHEST: Final = 305.0
"""Powers of ten; beyond these a double can't hold the ends of an axis."""
_FINE: Final = 121
"""Points of a smoothed line."""
_FEW: Final = 3
"""Positions that work, from which on there is a valley to smooth."""
_ROOM: Final = 0.7
"""Of the distance between two categories: the groups of one stand side by side in it."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its words, its scale and its ends."""

    label: str
    scale: Scale
    low: float
    high: float
    ticks: tuple[str, ...] = ()
    """Of a categorical axis: the labels at 0, 1, 2 …"""


@dataclass(frozen=True, slots=True)
class Dot:
    """One trial, or the median of several."""

    x: float
    y: float | None
    """``None``: it has no value, and lies in its series' lane beside the axes."""
    mark: Mark
    style: int | None
    """Which group it belongs to (an index into the figure's groups); ``None`` for none of them."""
    single: bool = False
    """A single run of a point whose median is drawn too."""
    interval: tuple[float | None, float | None] | None = None
    """Of a median: its 95 % interval. An end is ``None`` where the runs do not bound it: it goes on to the edge of the
    axes. ``None`` for a single run."""
    share: float | None = None
    """Of a median over several runs: the share of them that has a value."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line with its dots."""

    label: str
    style: int | None
    """Index into the figure's groups; ``None`` for a line over all of them."""
    segments: tuple[tuple[tuple[float, float], ...], ...]
    """Runs of neighbours that all have a value; between two of them the line is broken."""
    dots: tuple[Dot, ...]
    smooth: tuple[tuple[float, float], ...] = ()
    """The smoothed line: many points close together; it may leave the axes, and is cut there."""
    pick: tuple[float, float] | None = None
    """Where on the smoothed line the recommended value lies."""
    safe: tuple[float, float] | None = None
    """Ends on x of the safe band around it."""
    singles: tuple[tuple[tuple[float, float], ...], ...] = ()
    """Lines of single runs behind the one of their median."""
    ribbons: tuple[tuple[tuple[float, float, float], ...], ...] = ()
    """Shaded pieces around the line: x, lower and upper end."""


@dataclass(frozen=True, slots=True)
class FigureData:
    """One figure. Series stand in the order of the legend; those with dots without a value have a lane each."""

    name: str
    """Of its files, without suffix."""
    title: str
    caption: str
    """What it shows, for those who can't see it and those who can."""
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    groups: tuple[str, ...]
    """Labels of what colours and markers stand for."""
    ordered: bool
    """Whether the groups are numbers, so that colours should follow their order."""
    lane_title: str
    """What the dots in the lanes have in common."""
    level: float | None = None
    """A horizontal line: the target."""
    notes: tuple[str, ...] = ()
    smooth_label: str = ""
    """What smoothed lines are, for the legend; empty where there are none."""
    ribbon_label: str = ""
    """What the shaded pieces are, for the legend; empty where there are none."""


def by_parameter(grid: Grid, found: tuple[Valley, ...]) -> FigureData:
    """The measure against x, one line per group: the valley of each."""
    shown, notes = _shown(grid, found)
    series = tuple(_line(grid, valley, style, len(shown)) for style, valley in enumerate(shown))
    what = grid.measure.label[:1].upper() + grid.measure.label[1:]
    lines = "" if grid.roles.group is None else f", one line per {grid.roles.group.name}"
    return FigureData(
        name=_file_name(grid),
        title=f"{what}{'' if grid.roles.x is None else f' against {grid.roles.x.name}'}{lines}",
        caption=f"{_explained(grid, found)} {grid.measure.source}".rstrip(),
        x=_x_axis(grid),
        y=_y_axis(grid, series),
        series=series,
        groups=tuple(valley.label for valley in shown),
        ordered=_ordered(grid),
        lane_title=_lane_title(grid),
        notes=notes,
        smooth_label=_SMOOTH if any(line.smooth for line in series) else "",
    )


def extremes(grid: Grid, found: tuple[Valley, ...]) -> FigureData:
    """The best and the worst group at each x, over all groups."""
    shown, notes = _shown(grid, found)
    styles = {valley.group: style for style, valley in enumerate(shown)}
    columns = [points for points in grid.columns().values() if math.isfinite(points[0].position)]
    first, last = grid.measure.first, grid.measure.last
    series = (
        _over_groups(first, [_best(points, grid) for points in columns], styles),
        _over_groups(last, [_worst(points, grid) for points in columns], styles),
    )
    group = "group" if grid.roles.group is None else grid.roles.group.name
    where = "" if grid.roles.x is None else f" at each {grid.roles.x.name}"
    short = "did not get there" if grid.measure.is_time else "has no value"
    return FigureData(
        name=f"{_file_name(grid)}_extremes",
        title=f"{first.capitalize()} and {last} {group}{where}: {grid.measure.label}",
        caption=f"Over all {len(found)}; the markers say which it is. Where any of them {short}, the {last} stands in "
        f"its lane above the axes; where all of them, so does the {first}. {grid.measure.source}".rstrip(),
        x=_x_axis(grid),
        y=_y_axis(grid, series),
        series=series,
        groups=tuple(valley.label for valley in shown),
        ordered=_ordered(grid),
        lane_title=_lane_title(grid),
        notes=notes,
    )


def _shown(grid: Grid, found: tuple[Valley, ...]) -> tuple[tuple[Valley, ...], tuple[str, ...]]:
    """At most as many groups as can be told apart: the best, in the sweep's order. And what the reader must know."""
    notes = []
    shown = found
    if len(found) > MOST_LINES:
        best = {valley.group for valley in ranked(found, grid.measure.sign)[:MOST_LINES]}
        shown = tuple(valley for valley in found if valley.group in best)
        notes.append(f"The {MOST_LINES} best of {len(found)} are shown; the tables have all of them.")
    roles = grid.roles
    spread = [f"all values of {listing([parameter.name for parameter in roles.spread])}"] if roles.spread else []
    if roles.seeds > 1:
        held = [len({run.seed for run in p.runs if run.counts}) for valley in shown for p in valley.points]
        spread.append(plurals(held, "seed"))
    if spread:
        notes.append(f"Every point spans {listing(spread)}.")
    lost = [point for valley in found for point in valley.points if not math.isfinite(point.position)]
    if lost and roles.x is not None:
        count = plural(sum(len(point.runs) for point in lost), "trial")
        notes.append(f"{count} without {roles.x.name} can't be placed on the axis; the tables have them.")
    return shown, tuple(notes)


def _line(grid: Grid, valley: Valley, style: int, lines: int) -> Series:
    points = [point for point in valley.points if math.isfinite(point.position)]
    # Categories have no order, so no line joins them; instead the groups stand side by side.
    joined = grid.scale is not Scale.CATEGORY
    aside = 0.0 if joined else _ROOM * ((style + 0.5) / lines - 0.5)
    dots: list[Dot] = []
    for point in points:
        several, x = len(point.runs) > 1, point.position + aside
        for run in point.runs:
            y = run.value if run.mark is Mark.MEASURED else None
            if several or y is None:
                dots.append(Dot(x, y, run.mark, style, single=several))
        if point.median is not None:
            dots.append(_median(grid, point, x, style))
    segments = _segments(points) if joined else ()
    smooth, pick, safe = _smooth(grid, valley)
    return Series(valley.label, style, segments, tuple(dots), smooth=smooth, pick=pick, safe=safe)


def _median(grid: Grid, point: Point, x: float, style: int) -> Dot:
    several = len(point.runs) > 1 and point.estimate is not None and point.estimate.trials > 1
    if point.estimate is None or not several:
        return Dot(x, point.median, Mark.MEASURED, style)
    interval = None if grid.roles.spread else (point.estimate.low, point.estimate.high)
    return Dot(x, point.median, Mark.MEASURED, style, interval=interval, share=point.share)


def _smooth(
    grid: Grid, valley: Valley
) -> tuple[tuple[tuple[float, float], ...], tuple[float, float] | None, tuple[float, float] | None]:
    """The smoothed line, the place of its best value, and the ends of the safe band; nothing where few values work."""
    fit, x = valley.smoothed, grid.roles.x
    if x is None or fit.best is None or fit.band is None or int(fit.works.sum()) < _FEW:
        return (), None, None
    along, cost = along_of(grid), cost_of(grid)
    ends = fit.positions[fit.works][[0, -1]]
    fine = np.unique(np.concatenate([np.linspace(ends[0], ends[1], _FINE), fit.positions[fit.works]]))
    line = tuple((along.axis(float(at)), cost.value(float(y))) for at, y in zip(fine, fit.line(fine), strict=True))
    safe = tuple(x.positions[valley.line.codes[float(fit.positions[end])]] for end in fit.band)
    at = x.positions[valley.line.codes[float(fit.positions[fit.best])]]
    return line, (at, cost.value(float(fit.fitted[fit.best]))), (safe[0], safe[1])


def _segments(points: list[Point]) -> tuple[tuple[tuple[float, float], ...], ...]:
    segments: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point.median is None:
            segments.append([])
        else:
            segments[-1].append((point.position, point.median))
    return tuple(tuple(segment) for segment in segments if len(segment) > 1)


def _over_groups(label: str, points: list[Point], styles: dict[int, int]) -> Series:
    dots = tuple(
        Dot(point.position, point.median, _mark(point), None if point.median is None else styles.get(point.group))
        for point in points
    )
    return Series(label, None, _segments(points), dots)


def _best(points: tuple[Point, ...], grid: Grid) -> Point:
    """The best median; else the group that came nearest to having one."""
    return min(points, key=lambda point: (not point.works, _signed(point, grid), _severity(point)))


def _worst(points: tuple[Point, ...], grid: Grid) -> Point:
    """A group without a median is worse than any with one. Groups without a counted trial say nothing, unless all."""
    counted = [point for point in points if point.estimate is not None] or points
    return max(counted, key=lambda point: (not point.works, _signed(point, grid), _severity(point)))


def _signed(point: Point, grid: Grid) -> float:
    return math.inf if point.median is None else grid.measure.sign * point.median


def _mark(point: Point) -> Mark:
    """The commonest mark of a point; measured where it has a median."""
    if point.works:
        return Mark.MEASURED
    lost = [mark for mark in Mark if mark is not Mark.MEASURED]
    return max(lost, key=lambda mark: (point.count(mark), -lost.index(mark)))


def _severity(point: Point) -> int:
    return list(Mark).index(_mark(point))


def _x_axis(grid: Grid) -> Axis:
    x = grid.roles.x
    label = "" if x is None else x.name
    if grid.scale is Scale.CATEGORY:
        return Axis(label, Scale.CATEGORY, -0.5, len(grid.x_labels) - 0.5, grid.x_labels)
    placed = [] if x is None else [position for position in x.positions if math.isfinite(position)]
    low, high = _widened(min(placed, default=0.0), max(placed, default=1.0), grid.scale, _MARGIN / 2)
    return Axis(label, grid.scale, low, high)


def _y_axis(grid: Grid, series: Iterable[Series]) -> Axis:
    values = [dot.y for line in series for dot in line.dots if dot.y is not None]
    cap = grid.measure.cap if grid.cap_binds else None
    if not values:
        return Axis(grid.measure.label, Scale.LINEAR, 0.0, grid.measure.cap or 1.0)
    axis = value_axis(grid.measure.label, values if cap is None else [*values, cap], from_zero=grid.measure.is_time)
    # The cap is the upper edge of the axes: what lies beyond it lies beyond the budget.
    return axis if cap is None else replace(axis, high=max(cap, *values))


def value_axis(label: str, values: Sequence[float], *, from_zero: bool) -> Axis:
    """A vertical axis that holds the values: logarithmic over more than :data:`LOG_DECADES` decades, else linear."""
    low, high = min(values), max(values)
    scale = Scale.LOG if low > 0 and math.log10(high) - math.log10(low) > LOG_DECADES else Scale.LINEAR
    bottom, top = _widened(low, high, scale, _MARGIN)
    return Axis(label, scale, 0.0 if from_zero and scale is Scale.LINEAR else bottom, top)


def _widened(low: float, high: float, scale: Scale, margin: float) -> tuple[float, float]:
    if scale is Scale.LOG:
        first, last = math.log10(low), math.log10(high)
        by = margin * (last - first) or 0.1
        return 10 ** max(first - by, -_FARTHEST), 10 ** min(last + by, _FARTHEST)
    by = 2 * margin * (high / 2 - low / 2) or 0.1 * abs(high) or 1.0
    return max(low - by, -(10**_FARTHEST)), min(high + by, 10**_FARTHEST)


def _ordered(grid: Grid) -> bool:
    return grid.roles.group is not None and grid.roles.group.kind is Kind.NUMBER


def _lane_title(grid: Grid) -> str:
    if not grid.measure.is_time:
        return "without a value"
    cap = grid.measure.cap if grid.cap_binds else None
    return "without a time" if cap is None else f"without a time (cap: {grid.measure.said(cap)})"


def _explained(grid: Grid, found: tuple[Valley, ...]) -> str:
    repeated = any(len(point.runs) > 1 for points in grid.lines.values() for point in points)
    what = "Every mark is a single run."
    if repeated:
        bars = "" if grid.roles.spread else " with their 95 % interval"
        what = f"Large marks are medians{bars}, small ones single runs."
    joined = "" if grid.scale is Scale.CATEGORY else " A line joins neighbours that both have a value."
    if any(valley.smoothed.band is not None and int(valley.smoothed.works.sum()) >= _FEW for valley in found):
        lost = "its budget" if grid.measure.is_time else "the worst value"
        joined += (
            " The smooth line is a cubic smoothing spline of all runs, in which one without a value counts as one that "
            f"lies beyond {lost}; it is thick in the safe band, {cost_of(grid).safe}."
        )
        if any(valley.line.belief is not None for valley in found):
            joined += (
                " It is the mean of that spline and of the valley that the search believes in, which counts as much as "
                f"{LEAN_RUNS} runs."
            )
    if not grid.measure.is_time:
        return f"{what}{joined} Runs without a value stand in the lanes above the axes, one lane for each group."
    return (
        f"{what}{joined} Runs that did not reach the target within their budget have no time: they stand in the lanes "
        "above the axes, one lane for each group."
    )


def _file_name(grid: Grid) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", grid.measure.column)
