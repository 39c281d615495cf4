"""Which value on x to use for each line: the bottom of its smoothed valley, how wide it is, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from kgen.analysis.confidence import Confidence, Resampled, Sureness, confidence
from kgen.analysis.line import Along, along_of, cost_of
from kgen.analysis.points import Grid, Point
from kgen.analysis.roles import Kind, Parameter
from kgen.analysis.smooth import WITHIN
from kgen.analysis.valley import Valley
from kgen.spec import Value, written

_GAP: Final = 0.25
"""Decades between neighbours (an eighth of a linear axis) from which a value between them is worth a trial."""
_CHANCE: Final = 0.05
"""A value that is the best in fewer of the resamples is not worth another trial."""
_MOST_NEXT: Final = 3
_CLOSE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to use for one group."""

    group: Mapping[str, Value]
    """The parameter that makes the groups, with its value; empty for a single group."""
    label: str
    code: int
    """Of the line in its grid."""
    at: Value | None
    """The value on x, one that was tried; ``None`` when nothing works, or nothing is on x."""
    x: int | None
    """Its code; ``None`` when nothing works."""
    value: float | None
    """The smoothed measure there."""
    low: float | None
    """Ends of its 95 % interval; ``None``: the trials do not bound it."""
    high: float | None
    band: tuple[Value, Value] | None
    """The safe band: the values on x around ``at`` where at least half of the runs work and the smoothed measure is
    within 25 % of the best. ``None`` when nothing works, and where neighbours mean nothing."""
    sure: float | None
    """Share of the resamples in which ``at`` stays in the safe band; ``None`` where there is nothing to resample."""
    by: Resampled | None
    """What these are made of."""
    within: float
    next: tuple[Value, ...]
    """Values whose trial would tell most: in gaps beside the best and beyond it where it is the outermost, then those
    that are best in some of the resamples, with another seed."""

    @property
    def works(self) -> bool:
        """Whether there is anything to recommend."""
        return self.x is not None


def recommend(grid: Grid, found: tuple[Valley, ...], sure: Confidence | None = None) -> tuple[Recommendation, ...]:
    """One for each valley, in their order; ``sure`` as of :func:`sureness`, which is called where it is not given."""
    known = sureness(grid, found) if sure is None else sure
    return tuple(_recommendation(grid, valley, known) for valley in found)


def sureness(grid: Grid, found: tuple[Valley, ...]) -> Confidence | None:
    """What resamples say of these valleys; ``None`` where other settings share the points, whose spread is no noise."""
    if grid.roles.spread:
        return None
    return confidence({v.group: v.line for v in found}, {v.group: v.smoothed for v in found})


def point_of(valley: Valley, one: Recommendation) -> Point | None:
    """The point that is recommended."""
    return next((point for point in valley.points if point.x == one.x), None)


def _recommendation(grid: Grid, valley: Valley, known: Confidence | None) -> Recommendation:
    fit, line, x, group = valley.smoothed, valley.line, grid.roles.x, grid.roles.group
    names = {} if group is None else {group.name: group.values[valley.group]}
    own = None if known is None else known.lines.get(valley.group)
    at = None if fit.best is None else line.codes[float(fit.positions[fit.best])]
    cost = cost_of(grid)
    ends = [] if own is None else [None if end is None else cost.value(end) for end in (own.low, own.high)]
    if cost.offset:  # a share
        ends = [None if end is None else max(end, 0.0) for end in ends]
    low, high = (ends if cost.sign > 0 else ends[::-1]) or (None, None)
    band = None
    if fit.band is not None and x is not None:
        first, last = (x.values[line.codes[float(fit.positions[end])]] for end in fit.band)
        band = None if first is None or last is None else (first, last)
    return Recommendation(
        group=MappingProxyType({name: value for name, value in names.items() if value is not None}),
        label=valley.label,
        code=valley.group,
        at=None if at is None or x is None else x.values[at],
        x=at,
        value=None if fit.best is None else cost.value(float(fit.fitted[fit.best])),
        low=low,
        high=high,
        band=band,
        sure=None if own is None else own.safe,
        by=None if own is None or known is None else known.by,
        within=WITHIN,
        next=() if x is None or fit.best is None else _next(valley, x, along_of(grid), own),
    )


def _next(valley: Valley, x: Parameter, along: Along, own: Sureness | None) -> tuple[Value, ...]:
    fit, line = valley.smoothed, valley.line
    assert fit.best is not None
    chances = {} if own is None else own.best
    likely = sorted((position for position, chance in chances.items() if chance >= _CHANCE), key=lambda p: -chances[p])
    tried = [x.values[line.codes[position]] for position in likely] if len(likely) > 1 else []
    new: list[Value] = []
    if line.joined and x.kind is Kind.NUMBER:
        at, ticks = fit.positions[fit.best], fit.positions
        for side in (-1, 1):
            beside = fit.best + side
            inside = 0 <= beside < len(ticks)
            step = abs(ticks[beside] - at) if inside else np.min(np.diff(ticks), initial=math.inf)
            if not math.isfinite(step) or (inside and step <= _GAP):
                continue
            new.append(_written(along.axis(float(at + side * (step / 2 if inside else step))), x))
    fresh = [value for value in new if value not in [x.values[code] for code in line.codes.values()]]
    return tuple(dict.fromkeys([*fresh, *(value for value in tried if value is not None)]))[:_MOST_NEXT]


def _written(value: float, x: Parameter) -> Value:
    """Four significant digits; a whole number where all values are; one that others have been tried with, if close."""
    near = [known for known in x.values if isinstance(known, float) and math.isclose(known, value, rel_tol=_CLOSE)]
    if near:
        return near[0]
    if all(type(known) is int for known in x.values if known is not None):
        return round(value)
    return written(value)
