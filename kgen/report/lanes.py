"""The lanes above a figure's axes: what has no value, one lane for each line."""

from __future__ import annotations

from typing import Final

from matplotlib.axes import Axes

from kgen.analysis import Mark
from kgen.analysis.figures import Dot, FigureData, Series
from kgen.report.marks import look_of, mark_at, short
from kgen.report.style import FAINT

LANE: Final = 0.135
"""Inches of a lane's height with one run at a place; with more it grows, up to three times."""


def lanes_of(data: FigureData) -> tuple[Series, ...]:
    """The series that need a lane; all of them as soon as one does, so that an empty lane says something too."""
    needed = any(dot.y is None for series in data.series for dot in series.dots)
    return data.series if needed else ()


def lane_height(lanes: tuple[Series, ...]) -> float:
    """Of each, in inches."""
    most = max((len(stack) for series in lanes for stack in _stacks(series).values()), default=1)
    return LANE * min(1 + 0.4 * (most - 1), 3.0)


def _stacks(series: Series) -> dict[float, list[Dot]]:
    """What has no value, by its place on x."""
    stacks: dict[float, list[Dot]] = {}
    for dot in series.dots:
        if dot.y is None:
            stacks.setdefault(dot.x, []).append(dot)
    return stacks


def draw_lanes(axes: Axes, data: FigureData, lanes: tuple[Series, ...]) -> None:
    """Fill the strip above the figure's axes."""
    axes.set_ylim(len(lanes) - 0.1, -0.7)
    axes.set_yticks(range(len(lanes)), [short(series.label) for series in lanes], fontsize=7)
    axes.tick_params(axis="y", length=0)
    axes.patch.set_visible(False)  # values at the cap reach into it
    axes.xaxis.set_visible(False)
    axes.set_title(data.lane_title, loc="left", fontsize=7.5, pad=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines["bottom"].set_linewidth(2.0)
    for lane, series in enumerate(lanes):
        axes.axhline(lane, color=FAINT, alpha=0.35, linewidth=0.5, zorder=0)
        for (mark, style, scale), places in _placed(series, lane).items():
            axes.add_line(mark_at(mark, look_of(data, style), scale, places))


def _placed(series: Series, lane: int) -> dict[tuple[Mark, int | None, float], list[tuple[float, float]]]:
    """Where the marks of each kind and size stand: repeats above one another, smaller the more they are."""
    places: dict[tuple[Mark, int | None, float], list[tuple[float, float]]] = {}
    for x, dots in _stacks(series).items():
        step, scale = 0.8 / len(dots), len(dots) ** -0.35
        for place, dot in enumerate(sorted(dots, key=lambda dot: list(Mark).index(dot.mark))):
            y = lane + (place - (len(dots) - 1) / 2) * step
            places.setdefault((dot.mark, dot.style, scale), []).append((x, y))
    return places
