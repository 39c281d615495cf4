"""The lines of a figure: runs, medians with their intervals, smoothed lines and ribbons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, cast

from matplotlib.axes import Axes
from matplotlib.markers import CARETDOWNBASE, CARETUPBASE

from kgen.analysis.figures import Dot, FigureData, Series
from kgen.report.marks import look_of, series_look
from kgen.report.style import PAPER, Look

UP: Final = cast("str", CARETUPBASE)
DOWN: Final = cast("str", CARETDOWNBASE)
"""Arrows whose base is where they stand."""


def draw_series(axes: Axes, data: FigureData, series: Series) -> None:
    """One line with all that belongs to it, the estimates above the runs that they are made of."""
    line = series_look(data, series)
    for ribbon in series.ribbons:
        xs, lows, highs = zip(*ribbon, strict=True)
        axes.fill_between(xs, lows, highs, color=line.colour, alpha=0.16, linewidth=0, zorder=1)
    for run in series.singles:
        axes.plot(*zip(*run, strict=True), color=line.colour, linewidth=0.5, alpha=0.35, zorder=2)
    smoothed = bool(series.smooth)
    for segment in series.segments:
        # Beside a smoothed line that of the medians stands back.
        width, alpha, dashes = (0.5, 0.45, "-") if smoothed else (1.2, 1.0, line.dashes)
        xs, ys = zip(*segment, strict=True)
        axes.plot(xs, ys, color=line.colour, linestyle=dashes, linewidth=width, alpha=alpha, zorder=3)
    if smoothed:
        _draw_smooth(axes, series, line)
    for style in dict.fromkeys(dot.style for dot in series.dots):
        own = look_of(data, style)
        dots = [dot for dot in series.dots if dot.style == style and dot.y is not None]
        medians = [dot for dot in dots if not dot.single]
        some = [dot for dot in medians if dot.share is not None and dot.share < 1]
        _scatter(axes, [dot for dot in dots if dot.single], own, size=2.8, alpha=0.45, edge="none", zorder=2)
        _draw_intervals(axes, dots, own)
        _scatter(axes, [dot for dot in medians if dot not in some], own, size=4.6, alpha=1.0, edge=PAPER, zorder=5)
        _scatter(axes, some, own, size=4.2, alpha=1.0, edge=own.colour, zorder=5, face=PAPER)


def _draw_smooth(axes: Axes, series: Series, line: Look) -> None:
    xs, ys = zip(*series.smooth, strict=True)
    axes.plot(xs, ys, color=line.colour, linestyle=line.dashes, linewidth=1.5, zorder=4)
    if series.safe is not None:
        low, high = series.safe
        safe = [(x, y) for x, y in series.smooth if low <= x <= high]
        if safe:
            axes.plot(*zip(*safe, strict=True), color=line.colour, linewidth=5, alpha=0.25, zorder=3)
    if series.pick is not None:
        axes.plot(
            *series.pick, marker="o", markersize=8, markerfacecolor="none", markeredgecolor=line.colour,
            markeredgewidth=1.1, linestyle="none", zorder=6, clip_on=False,
        )  # fmt: skip


def _draw_intervals(axes: Axes, dots: Sequence[Dot], own: Look) -> None:
    """Bars. One that the runs do not bound ends in an arrow at the outermost run: a longer one would say no more."""
    runs: dict[float, list[float]] = {}
    for dot in dots:
        if dot.y is not None:
            runs.setdefault(dot.x, []).append(dot.y)
    bars = [(dot.x, *dot.interval) for dot in dots if dot.interval is not None]
    if not bars:
        return
    lows = [min(runs[x]) if low is None else low for x, low, _ in bars]
    highs = [max(runs[x]) if high is None else high for x, _, high in bars]
    axes.vlines([x for x, _, _ in bars], lows, highs, color=own.colour, linewidth=0.8, alpha=0.6, zorder=3)
    for arrow, open_ends in (
        (UP, [(x, end) for (x, _, high), end in zip(bars, highs, strict=True) if high is None]),
        (DOWN, [(x, end) for (x, low, _), end in zip(bars, lows, strict=True) if low is None]),
    ):
        axes.plot(
            [x for x, _ in open_ends], [y for _, y in open_ends], linestyle="none", marker=arrow, markersize=3.5,
            color=own.colour, alpha=0.6, markeredgewidth=0, zorder=3, clip_on=False,
        )  # fmt: skip


def _scatter(
    axes: Axes, dots: Sequence[Dot], own: Look, *, size: float, alpha: float, edge: str, zorder: int, face: str = ""
) -> None:
    axes.plot(
        [dot.x for dot in dots],
        [math.nan if dot.y is None else dot.y for dot in dots],
        linestyle="none",
        marker=own.marker,
        markersize=size,
        color=own.colour,
        alpha=alpha,
        markerfacecolor=face or own.colour,
        markeredgecolor=edge,
        markeredgewidth=0.9 if face else 0.4,
        zorder=zorder,
        # Values at the cap, the upper edge, are whole.
        clip_on=False,
    )
