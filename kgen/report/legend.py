"""A figure's legend: lines, then what markers stand for, then what happened."""

from __future__ import annotations

from typing import Final

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from kgen.analysis import Mark
from kgen.analysis.figures import FigureData, Series
from kgen.report.marks import look_of, mark_at, series_look, short
from kgen.report.series import UP
from kgen.report.style import INK, PAPER, WORDS, Look

CHARACTER: Final = 0.068
"""Inches that a character of the legend takes, on average."""


def legends(figure: Figure, data: FigureData, width: float) -> list[Legend]:
    """A legend for each kind, so that each begins a row of its own; ``width`` in inches."""
    dots = [dot for series in data.series for dot in series.dots]
    rows: list[list[Artist]] = []
    if len(data.series) > 1:
        rows.append([_line_handle(data, series) for series in data.series])
    if any(series.style is None for series in data.series):
        used = {dot.style for dot in dots if dot.y is not None}
        rows.append([_group_handle(data, style) for style in range(len(data.groups)) if style in used])
        rows[-1] += [_group_handle(data, None)] if None in used else []
    rows.append(_estimates(data))
    rows.append([])
    if any(dot.single and dot.y is not None for dot in dots):
        rows[-1].append(Line2D([], [], linestyle="none", marker="o", markersize=2.8, color=INK, label="single run"))
    for mark in Mark:
        if any(dot.mark is mark and dot.y is None for dot in dots):
            handle = mark_at(mark, Look(INK, "o", "-"))
            handle.set_label(WORDS[mark])
            rows[-1].append(handle)
    return [_row(figure, row, width) for row in rows if row]


def _estimates(data: FigureData) -> list[Artist]:
    """What is drawn of several runs together."""
    dots = [dot for series in data.series for dot in series.dots]
    found: list[Artist] = []
    if any(dot.interval is not None for dot in dots):
        bar = Line2D([], [], linestyle="none", marker="|", markersize=9, color=INK, label="95 % interval of the median")
        found.append(bar)
    if any(None in dot.interval for dot in dots if dot.interval is not None):
        arrow = Line2D([], [], linestyle="none", marker=UP, markersize=4, color=INK, markeredgewidth=0)
        arrow.set_label("no end of it: too few runs")
        found.append(arrow)
    if any(dot.share is not None and dot.share < 1 for dot in dots):
        ring = Line2D([], [], linestyle="none", marker="o", markersize=4.6, color=INK, label="median, not all runs")
        ring.set_markerfacecolor(PAPER)
        found.append(ring)
    if data.smooth_label:
        found.append(Line2D([], [], color=INK, linewidth=1.4, label=short(data.smooth_label)))
    if any(series.pick is not None for series in data.series):
        pick = Line2D([], [], linestyle="none", marker="o", markersize=8, color=INK, label="recommended")
        pick.set_markerfacecolor("none")
        found.append(pick)
    if data.ribbon_label:
        found.append(Patch(facecolor=INK, alpha=0.18, linewidth=0, label=short(data.ribbon_label)))
    return found


def _row(figure: Figure, handles: list[Artist], width: float) -> Legend:
    longest = max(len(str(handle.get_label())) for handle in handles)
    lines = any(not isinstance(handle, Line2D) or handle.get_linestyle() != "None" for handle in handles)
    columns = max(1, int(width / (longest * CHARACTER + (0.7 if lines else 0.4))))
    rows = -(-len(handles) // columns)
    return figure.legend(
        handles=handles,
        loc="upper center",
        ncols=-(-len(handles) // rows),
        handlelength=3.4 if lines else 1.2,
        columnspacing=1.4,
        labelspacing=0.35,
        borderpad=0.3,
        borderaxespad=0.0,
    )


def _line_handle(data: FigureData, series: Series) -> Line2D:
    own = series_look(data, series)
    joined = any(other.segments for other in data.series)
    return Line2D(
        [],
        [],
        color=own.colour,
        linestyle=own.dashes if joined else "none",
        linewidth=1.2,
        marker=own.marker,
        markersize=4.6,
        markeredgecolor=PAPER,
        markeredgewidth=0.4,
        label=short(series.label),
    )


def _group_handle(data: FigureData, style: int | None) -> Line2D:
    own = look_of(data, style)
    label = "another" if style is None else short(data.groups[style])
    return Line2D([], [], color=own.colour, linestyle="none", marker=own.marker, markersize=4.6, label=label)
