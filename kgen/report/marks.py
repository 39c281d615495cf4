"""How a group, a run and a name look in a figure: what axes, lanes and legends have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from matplotlib.lines import Line2D

from kgen.analysis import Mark
from kgen.analysis.figures import FigureData, Series
from kgen.report.style import INK, Look, look

_LONGEST: Final = 60
"""Characters of a name in a figure."""
_SHAPES: Final = {
    Mark.DIVERGED: ("x", 4.2),
    Mark.FAILED: ("+", 5.6),
    Mark.ABSENT: ("|", 5.0),
    Mark.NO_VALUE: ("_", 4.2),
}
"""Marker and size of runs without a value."""


def short(text: str) -> str:
    """A name on one line, cut where it would push the axes aside. The page has all of it."""
    line = " ".join(text.split())
    line = line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
    # matplotlib leaves out of a legend what begins with an underscore.
    return f" {line}" if line.startswith("_") else line


def look_of(data: FigureData, style: int | None) -> Look:
    """Of a group of the figure."""
    return look(style, len(data.groups), ordered=data.ordered)


def series_look(data: FigureData, series: Series) -> Look:
    """Of its line. Lines over all groups are drawn in ink, the first solid, the next dashed."""
    if series.style is not None:
        return look_of(data, series.style)
    return Look(INK, "", "-" if series is data.series[0] else (0, (4, 2)))


def mark_at(mark: Mark, own: Look, scale: float = 1.0, places: Sequence[tuple[float, float]] = ()) -> Line2D:
    """Hollow in the group's own shape: capped. Any other shape says what happened, the colour to which group."""
    shape, size = _SHAPES.get(mark, (own.marker, 3.6))
    return Line2D(
        [x for x, _ in places],
        [y for _, y in places],
        linestyle="none",
        marker=shape,
        markersize=size * scale,
        markerfacecolor="none",
        markeredgecolor=own.colour,
        markeredgewidth=1.4 if mark is Mark.FAILED else 0.9,
    )
