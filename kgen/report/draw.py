"""FigureData → a matplotlib figure → SVG, PNG and PDF bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.axis import Axis as MatplotlibAxis
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from kgen.analysis.figures import Axis, FigureData
from kgen.analysis.roles import Scale
from kgen.analysis.text import number
from kgen.report.lanes import draw_lanes, lane_height, lanes_of
from kgen.report.legend import legends
from kgen.report.marks import short
from kgen.report.series import draw_series
from kgen.report.style import FAINT, INK, RC

WIDTH: Final = 7.2
"""Inches: two columns of a paper."""
HEIGHT: Final = 3.3
"""Inches of the axes' part."""
GAP: Final = 0.06
"""Inches of white around the whole."""
DPI: Final = 200
_CROWDED: Final = 70
"""Characters that fit below the axes; more are turned."""
_MOST_LABELS: Final = 40
"""Categories whose labels can stand side by side."""
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
        draw_series(axes, data, series)
    if data.level is not None:
        axes.axhline(data.level, color=INK, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
    if not any(dot.y is not None for series in data.series for dot in series.dots):
        axes.text(0.5, 0.5, "no trial has a value", transform=axes.transAxes, ha="center", va="center", color=FAINT)
    lanes = lanes_of(data)
    strip = None
    if lanes:
        strip = figure.add_axes((0.1, 0.9, 0.8, 0.1), sharex=axes)
        draw_lanes(strip, data, lanes)
    _arrange(figure, axes, strip, lane_height(lanes) * (len(lanes) + 0.6), legends(figure, data, WIDTH - 2 * GAP))
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
    (axes.set_ylabel if vertical else axes.set_xlabel)(short(axis.label))
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
    shown = [short(label) for label in labels[::every]]
    crowded = max(map(len, shown), default=0) * len(shown) > _CROWDED
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    side.set_ticks(range(0, len(labels), every), shown, **turned)
