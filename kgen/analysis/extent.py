"""How far what works reaches, in sentences: which values on x, and whether the best of them lie inside or at an end."""

from __future__ import annotations

import math
from typing import Final

from kgen.analysis.points import Grid
from kgen.analysis.roles import Scale
from kgen.analysis.text import listing
from kgen.analysis.valley import Valley

_PAIR: Final = 2


def coverage(grid: Grid, found: tuple[Valley, ...]) -> list[str]:
    """How many values on x work, and how many of those that all groups have a result of work for all."""
    x = grid.roles.x
    if x is None or not grid.measure.is_time or not any(valley.working for valley in found):
        return []
    planned = {code: points for code, points in grid.columns().items() if x.values[code] is not None}
    columns = {code: known for code, points in planned.items() if (known := [p for p in points if p.estimate])}
    some = [x.labels[code] for code, points in columns.items() if any(point.works for point in points)]
    ends = f" ({some[0]} to {some[-1]})" if len(some) > 1 and grid.scale is not Scale.CATEGORY else ""
    of = "" if len(columns) == len(planned) else " that have a result"
    said = f"{len(some)} of the {len(columns)} values of {x.name}{of} work"
    if grid.roles.group is None:
        return [f"{said}{ends}."]
    shared = {code: points for code, points in columns.items() if len(points) == len(found)}
    every = [x.labels[code] for code, points in shared.items() if all(point.works for point in points)]
    everyone = "both" if len(found) == _PAIR else f"all {len(found)}"
    universal = f"{len(every)} for {everyone} ({listing(every)})" if every else f"none works for {everyone}"
    if not shared:
        universal = f"none has a result of {everyone}"
    elif len(shared) < len(columns):
        universal += f", of {len(shared)} with a result of {everyone}"
    return [f"{said} for at least one {grid.roles.group.name}{ends}; {universal}."]


def ties(grid: Grid, order: tuple[Valley, ...]) -> list[str]:
    """Groups in which another value does as well as the one that is named."""
    tied = [f"{valley.label} ({valley.tied} more)" for valley in order if valley.tied]
    if not tied or grid.roles.x is None:
        return []
    middle = "first" if grid.scale is Scale.CATEGORY else "one nearest the middle of the working band"
    return [f"Several values of {grid.roles.x.name} do equally well for {listing(tied)}; the {middle} is named."]


def edges(grid: Grid, order: tuple[Valley, ...]) -> list[str]:
    """Bests that are risky, because the next value does not work, or unfinished, because none further has a result."""
    risky: list[str] = []
    last: list[str] = []
    for valley in order:
        best, band = valley.best, valley.band
        if best is None or band is None or best.x not in (band.low, band.high) or len(valley.points) == 1:
            continue
        name = f"{valley.label} ({grid.x_labels[best.x]})" if grid.roles.group is not None else grid.x_labels[best.x]
        placed = [point for point in valley.points if math.isfinite(point.position)]
        at = placed.index(best)
        beyond = [side for side, end in ((placed[:at][::-1], band.low), (placed[at + 1 :], band.high)) if best.x == end]
        if not all(any(point.estimate for point in side) for side in beyond):
            last.append(name)
        elif any(side[0].estimate for side in beyond):
            risky.append(name)
    said = [f"The best lies at the edge of the working band, one step from failure: {listing(risky)}."] if risky else []
    return said + (
        [f"The best is the outermost value with a result, better ones may lie beyond: {listing(last)}."] if last else []
    )
