"""FigureData → a matplotlib figure → SVG, PNG and PDF bytes. The only module that imports matplotlib."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.axis import Axis as MatplotlibAxis
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from kgen.analysis import Mark
from kgen.analysis.figures import Axis, Dot, FigureData, Series
from kgen.analysis.roles import Scale
from kgen.analysis.text import number
from kgen.report.style import FAINT, INK, PAPER, RC, WORDS, Look, look

WIDTH: Final = 7.2
"""Inches: two columns of a paper."""
HEIGHT: Final = 3.3
"""Inches of the axes' part."""
LANE: Final = 0.135
"""Inches of a lane's height with one run at a place; with more it grows, up to three times."""
GAP: Final = 0.06
"""Inches of white around the whole."""
CHARACTER: Final = 0.068
"""Inches that a character of the legend takes, on average."""
DPI: Final = 200
_LONGEST: Final = 60
"""Characters of a name in a figure."""
_CROWDED: Final = 70
"""Characters that fit below the axes; more are turned."""
_MOST_LABELS: Final = 40
"""Categories whose labels can stand side by side."""
_SHAPES: Final = {
    Mark.DIVERGED: ("x", 4.2),
    Mark.FAILED: ("+", 5.6),
    Mark.ABSENT: ("|", 5.0),
    Mark.NO_VALUE: ("_", 4.2),
}
"""Marker and size of runs without a value."""
_FORMATS: Final[dict[str, dict[str, Any]]] = {
    # No dates, no versions: the same rows give the same bytes.
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "png": {"metadata": {"Software": None}, "dpi": DPI},
    "pdf": {"metadata": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None}},
}


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure in every format that people put into pages, slides and papers."""

    files: Mapping[str, bytes]
    """By suffix: svg, png, pdf."""


def draw(data: FigureData) -> Picture:
    """Draw one figure; the same data gives the same bytes with the same matplotlib."""
    with matplotlib.style.context(["default", RC]), warnings.catch_warnings():
        # A name in a script that DejaVu does not have is drawn as boxes; the page has it in letters.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # Ticks beyond the largest double, of an axis that ends near it.
        warnings.filterwarnings("ignore", message="overflow encountered", category=RuntimeWarning)
        figure = _figure(data)
        return Picture({suffix: _save(figure, suffix) for suffix in _FORMATS})


def _save(figure: Figure, suffix: str) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format=suffix, **_FORMATS[suffix])
    return out.getvalue()


def _figure(data: FigureData) -> Figure:
    figure = Figure(figsize=(WIDTH, HEIGHT))
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8), zorder=1)
    _set_axes(axes, data)
    for series in data.series:
        _draw_series(axes, data, series)
    if data.level is not None:
        axes.axhline(data.level, color=INK, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
    if not any(dot.y is not None for series in data.series for dot in series.dots):
        axes.text(0.5, 0.5, "no trial has a value", transform=axes.transAxes, ha="center", va="center", color=FAINT)
    lanes = _lanes(data)
    strip = None
    if lanes:
        strip = figure.add_axes((0.1, 0.9, 0.8, 0.1), sharex=axes)
        _draw_lanes(strip, data, lanes)
    _arrange(figure, axes, strip, _lane_height(lanes) * (len(lanes) + 0.6), _legends(figure, data))
    return figure


def _arrange(figure: Figure, axes: Axes, strip: Axes | None, strip_height: float, legends: list[Legend]) -> None:
    """Give every part the room that its text needs: the strip right on the axes, the legends below.

    matplotlib's own layout engines leave a gap between the two axes and don't place legends of several rows.
    """
    figure.draw_without_rendering()
    inch = 1 / figure.dpi
    box, frame = axes.get_tightbbox(), axes.get_window_extent()
    assert box is not None
    left, below, above, right = frame.x0 - box.x0, frame.y0 - box.y0, box.y1 - frame.y1, box.x1 - frame.x1
    if strip is not None:
        box, frame = strip.get_tightbbox(), strip.get_window_extent()
        assert box is not None
        left, above = max(left, frame.x0 - box.x0), box.y1 - frame.y1 + strip_height / inch
    heights = [legend.get_window_extent().height * inch for legend in legends]
    left, below, above, right = (side * inch + GAP for side in (left, below, above, max(right, 0.0)))
    below += sum(heights)
    height = HEIGHT + below + above
    figure.set_size_inches(WIDTH, height)
    width = (WIDTH - left - right) / WIDTH
    axes.set_position((left / WIDTH, below / height, width, HEIGHT / height))
    if strip is not None:
        strip.set_position((left / WIDTH, (below + HEIGHT) / height, width, strip_height / height))
    top = sum(heights) + GAP / 2
    for legend, tall in zip(legends, heights, strict=True):
        legend.set_bbox_to_anchor((0.5, top / height), transform=figure.transFigure)
        top -= tall


def _short(text: str) -> str:
    """A name on one line, cut where it would push the axes aside. The page has all of it."""
    line = " ".join(text.split())
    line = line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
    # matplotlib leaves out of a legend what begins with an underscore.
    return f" {line}" if line.startswith("_") else line


def _look(data: FigureData, style: int | None) -> Look:
    return look(style, len(data.groups), ordered=data.ordered)


def _series_look(data: FigureData, series: Series) -> Look:
    """Of its line. Lines over all groups are drawn in ink, the first solid, the next dashed."""
    if series.style is not None:
        return _look(data, series.style)
    return Look(INK, "", "-" if series is data.series[0] else (0, (4, 2)))


# -- the axes ---------------------------------------------------------------------------------------------------


def _set_axes(axes: Axes, data: FigureData) -> None:
    _set_scale(axes, "x", data.x)
    _set_scale(axes, "y", data.y)
    axes.grid(visible=True, which="major", color=FAINT, alpha=0.35, linewidth=0.5)
    axes.set_axisbelow(True)


def _set_scale(axes: Axes, which: str, axis: Axis) -> None:
    vertical = which == "y"
    side = axes.yaxis if vertical else axes.xaxis
    (axes.set_ylim if vertical else axes.set_xlim)(axis.low, axis.high)
    (axes.set_ylabel if vertical else axes.set_xlabel)(_short(axis.label))
    if axis.scale is Scale.LOG:
        (axes.set_yscale if vertical else axes.set_xscale)("log")
        (axes.set_ylim if vertical else axes.set_xlim)(axis.low, axis.high)
        few = axis.high / axis.low < 1e3
        side.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=20))
        side.set_minor_locator(LogLocator(subs=range(2, 10), numticks=400))
        side.set_minor_formatter(NullFormatter())
        side.set_major_formatter(FuncFormatter(lambda value, _: number(value, 3)))
    elif axis.scale is Scale.CATEGORY:
        _set_categories(side, axis.ticks)
    else:
        side.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def _set_categories(side: MatplotlibAxis, labels: Sequence[str]) -> None:
    """Every label, or every second, third … where there are too many to read."""
    every = -(-len(labels) // _MOST_LABELS)
    shown = [_short(label) for label in labels[::every]]
    crowded = max(map(len, shown), default=0) * len(shown) > _CROWDED
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    side.set_ticks(range(0, len(labels), every), shown, **turned)


def _draw_series(axes: Axes, data: FigureData, series: Series) -> None:
    line = _series_look(data, series)
    for segment in series.segments:
        xs, ys = zip(*segment, strict=True)
        axes.plot(xs, ys, color=line.colour, linestyle=line.dashes, linewidth=1.2, zorder=3)
    for style in dict.fromkeys(dot.style for dot in series.dots):
        own = _look(data, style)
        dots = [dot for dot in series.dots if dot.style == style and dot.y is not None]
        medians = [dot for dot in dots if not dot.single]
        _scatter(axes, [dot for dot in dots if dot.single], own, size=2.8, alpha=0.6, edge="none", zorder=2)
        _scatter(axes, medians, own, size=4.6, alpha=1.0, edge=PAPER, zorder=4)


def _scatter(axes: Axes, dots: list[Dot], own: Look, *, size: float, alpha: float, edge: str, zorder: int) -> None:
    axes.plot(
        [dot.x for dot in dots],
        [math.nan if dot.y is None else dot.y for dot in dots],
        linestyle="none",
        marker=own.marker,
        markersize=size,
        color=own.colour,
        alpha=alpha,
        markeredgecolor=edge,
        markeredgewidth=0.4,
        zorder=zorder,
        # Values at the cap, the upper edge, are whole.
        clip_on=False,
    )


# -- the lanes --------------------------------------------------------------------------------------------------


def _lanes(data: FigureData) -> tuple[Series, ...]:
    """The series that need a lane; all of them as soon as one does, so that an empty lane says something too."""
    needed = any(dot.y is None for series in data.series for dot in series.dots)
    return data.series if needed else ()


def _lane_height(lanes: tuple[Series, ...]) -> float:
    most = max((len(stack) for series in lanes for stack in _stacks(series).values()), default=1)
    return LANE * min(1 + 0.4 * (most - 1), 3.0)


def _stacks(series: Series) -> dict[float, list[Dot]]:
    """What has no value, by its place on x."""
    stacks: dict[float, list[Dot]] = {}
    for dot in series.dots:
        if dot.y is None:
            stacks.setdefault(dot.x, []).append(dot)
    return stacks


def _draw_lanes(axes: Axes, data: FigureData, lanes: tuple[Series, ...]) -> None:
    axes.set_ylim(len(lanes) - 0.1, -0.7)
    axes.set_yticks(range(len(lanes)), [_short(series.label) for series in lanes], fontsize=7)
    axes.tick_params(axis="y", length=0)
    axes.patch.set_visible(False)  # values at the cap reach into it
    axes.xaxis.set_visible(False)
    axes.set_title(data.lane_title, loc="left", fontsize=7.5, pad=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines["bottom"].set_linewidth(2.0)
    for lane, series in enumerate(lanes):
        axes.axhline(lane, color=FAINT, alpha=0.35, linewidth=0.5, zorder=0)
        for (mark, style, scale), places in _placed(series, lane).items():
            axes.add_line(_mark(mark, _look(data, style), scale, places))


def _placed(series: Series, lane: int) -> dict[tuple[Mark, int | None, float], list[tuple[float, float]]]:
    """Where the marks of each kind and size stand: repeats above one another, smaller the more they are."""
    places: dict[tuple[Mark, int | None, float], list[tuple[float, float]]] = {}
    for x, dots in _stacks(series).items():
        step, scale = 0.8 / len(dots), len(dots) ** -0.35
        for place, dot in enumerate(sorted(dots, key=lambda dot: list(Mark).index(dot.mark))):
            y = lane + (place - (len(dots) - 1) / 2) * step
            places.setdefault((dot.mark, dot.style, scale), []).append((x, y))
    return places


def _mark(mark: Mark, own: Look, scale: float = 1.0, places: Sequence[tuple[float, float]] = ()) -> Line2D:
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


# -- the legend -------------------------------------------------------------------------------------------------


def _legends(figure: Figure, data: FigureData) -> list[Legend]:
    """Lines, then what markers stand for, then what happened: a legend each, so that each begins a row of its own."""
    dots = [dot for series in data.series for dot in series.dots]
    rows = [[_line_handle(data, series) for series in data.series]] if len(data.series) > 1 else []
    if any(series.style is None for series in data.series):
        used = {dot.style for dot in dots if dot.y is not None}
        rows.append([_group_handle(data, style) for style in range(len(data.groups)) if style in used])
        rows[-1] += [_group_handle(data, None)] if None in used else []
    rows.append([])
    if any(dot.single and dot.y is not None for dot in dots):
        rows[-1].append(Line2D([], [], linestyle="none", marker="o", markersize=2.8, color=INK, label="single run"))
    for mark in Mark:
        if any(dot.mark is mark and dot.y is None for dot in dots):
            rows[-1].append(_mark(mark, Look(INK, "o", "-")))
            rows[-1][-1].set_label(WORDS[mark])
    return [_legend_row(figure, row) for row in rows if row]


def _legend_row(figure: Figure, handles: list[Line2D]) -> Legend:
    longest = max(len(str(handle.get_label())) for handle in handles)
    lines = any(handle.get_linestyle() != "None" for handle in handles)
    columns = max(1, int((WIDTH - 2 * GAP) / (longest * CHARACTER + (0.7 if lines else 0.4))))
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
    own = _series_look(data, series)
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
        label=_short(series.label),
    )


def _group_handle(data: FigureData, style: int | None) -> Line2D:
    own = _look(data, style)
    label = "another" if style is None else _short(data.groups[style])
    return Line2D([], [], color=own.colour, linestyle="none", marker=own.marker, markersize=4.6, label=label)
