"""The tables of an analysis: one line per group, and one line per point."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from kgen.analysis.line import Cost, cost_of
from kgen.analysis.outcomes import COMPLETE, Mark, Status
from kgen.analysis.points import Grid, Point
from kgen.analysis.recommend import Recommendation
from kgen.analysis.roles import Parameter, Scale
from kgen.analysis.valley import Valley
from kgen.results.rows import PARAMETER_PREFIX


def summarise(
    trials: pd.DataFrame,
    grids: tuple[Grid, ...],
    found: tuple[Valley, ...],
    recommended: tuple[Recommendation, ...],
) -> pd.DataFrame:
    """One line per group, for people and programs.

    The first column is named after the parameter that makes the groups (none, where nothing does). Counts are of the
    statuses; ``share_reached``, ``share_capped`` and ``share_diverged`` are of the trials that left a result,
    ``share_failed`` is of all. ``best_<x>`` has the smallest (or greatest) median, which stands in the column named
    after the measure with its interval beside it; the other measure, if there is one, is taken at the same place.
    ``band_width`` is in decades where ``band_scale`` is log, else in the parameter's unit. ``recommended_<x>`` is where
    the smoothed measure, which stands beside it with its interval, is best; ``safe_low`` and ``safe_high`` are the ends
    of the safe band around it, and ``sure`` is the share of the resamples in which it stays safe.
    """
    grid = grids[0]
    statuses = _statuses(trials, grid.roles.group)
    rows = [_row(grids, v, one, statuses[v.group]) for v, one in zip(found, recommended, strict=True)]
    return _table(_keyed(grid, [valley.group for valley in found]), rows, grid)


def point_table(grid: Grid, found: tuple[Valley, ...]) -> pd.DataFrame:
    """One line per point: what was tried there, what came of it, and the estimate over its trials.

    ``share`` is that of the counted trials which have a value; ``smoothed`` is the measure without its noise (see
    :mod:`kgen.analysis.smooth`), where at least half of them have.
    """
    cost, by_group = cost_of(grid), {valley.group: valley for valley in found}
    points = [point for line in grid.lines.values() for point in line]
    keys = _keyed(grid, [point.group for point in points])
    x = grid.roles.x
    if x is not None:
        keys[x.name] = [x.values[point.x] for point in points]
    return _table(keys, [_point_row(grid, point, by_group[point.group], cost) for point in points], grid)


def _table(keys: dict[str, list[Any]], rows: list[dict[str, Any]], grid: Grid) -> pd.DataFrame:
    columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    # A parameter may be called like one of these columns: it then keeps the name it has in the trials' table.
    named = {PARAMETER_PREFIX + name if name in columns else name: values for name, values in keys.items()}
    return pd.DataFrame({name: as_column(values) for name, values in {**named, **columns}.items()})


def _keyed(grid: Grid, groups: list[int]) -> dict[str, list[Any]]:
    group = grid.roles.group
    return {} if group is None else {group.name: [group.values[code] for code in groups]}


def as_column(values: list[Any]) -> pd.Series[Any]:
    """With integers kept as integers where some are missing."""
    present = [value for value in values if value is not None]
    if present and all(type(value) is int and abs(value) < 2**63 for value in present):
        return pd.Series(values, dtype="Int64")
    return pd.Series(values, dtype=None if present else "float64")


def _statuses(trials: pd.DataFrame, group: Parameter | None) -> dict[int, Counter[str]]:
    codes = [0] * len(trials) if group is None else group.codes(trials).tolist()
    counts: dict[int, Counter[str]] = {}
    for code, status in zip(codes, trials["status"], strict=True):
        counts.setdefault(code, Counter())[status] += 1
    return counts


def _row(grids: tuple[Grid, ...], valley: Valley, one: Recommendation, statuses: Counter[str]) -> dict[str, Any]:
    return {
        **_best(grids, valley),
        **_band(grids[0], valley),
        **_recommended(grids[0], one),
        **_counts(statuses),
    }


def _recommended(grid: Grid, one: Recommendation) -> dict[str, Any]:
    x, name = grid.roles.x, grid.measure.column
    if x is None:
        return {}
    low, high = one.band or (None, None)
    band = {} if grid.scale is Scale.CATEGORY else {"safe_low": low, "safe_high": high}
    return {
        f"recommended_{x.name}": one.at,
        f"smoothed_{name}": one.value,
        f"smoothed_{name}_low": one.low,
        f"smoothed_{name}_high": one.high,
        **band,
        "sure": one.sure,
    }


def _best(grids: tuple[Grid, ...], valley: Valley) -> dict[str, Any]:
    grid, x, best = grids[0], grids[0].roles.x, valley.best
    row: dict[str, Any] = {}
    if x is not None:
        row[f"best_{x.name}"] = None if best is None else x.values[best.x]
    row |= _estimated(grid, best)
    for other in grids[1:]:
        there = [p for p in other.lines.get(valley.group, ()) if best is not None and p.x == best.x]
        row[other.measure.column] = there[0].median if there else None
    row["tied"] = valley.tied
    return row


def _band(grid: Grid, valley: Valley) -> dict[str, Any]:
    x, band = grid.roles.x, valley.band
    row: dict[str, Any] = {"values_tried": len(valley.points), "values_working": valley.working}
    if x is not None and grid.scale is not Scale.CATEGORY:
        row["band_low"] = None if band is None else x.values[band.low]
        row["band_high"] = None if band is None else x.values[band.high]
        row["band_holes"] = None if band is None else band.holes
        row["band_width"] = None if band is None else band.width
        row["band_scale"] = str(grid.scale)
    return row


def _counts(statuses: Counter[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"trials": statuses.total(), **{str(status): statuses[status] for status in Status}}
    complete = sum(statuses[status] for status in COMPLETE)
    for status in (Status.REACHED, Status.CAPPED, Status.DIVERGED):
        row[f"share_{status}"] = _share(statuses[status], complete)
    row["share_failed"] = _share(statuses[Status.FAILED], statuses.total())
    return row


def _point_row(grid: Grid, point: Point, valley: Valley, cost: Cost) -> dict[str, Any]:
    row: dict[str, Any] = {"trials": len(point.runs)}
    row |= {mark.replace(" ", "_"): point.count(mark) for mark in Mark}
    row["share"] = point.share
    row |= _estimated(grid, point)
    row["smoothed"] = _smoothed(valley, point, cost)
    if grid.measure.is_time:
        row["restricted_mean"] = None if point.estimate is None else point.estimate.restricted_mean
    return row


def _smoothed(valley: Valley, point: Point, cost: Cost) -> float | None:
    fit = valley.smoothed
    at = [place for place, position in enumerate(fit.positions.tolist()) if valley.line.codes[position] == point.x]
    return cost.value(float(fit.fitted[at[0]])) if at and fit.works[at[0]] else None


def _estimated(grid: Grid, point: Point | None) -> dict[str, Any]:
    name, found = grid.measure.column, None if point is None else point.estimate
    # An interval needs repeats: over other settings that share a point it would mean nothing.
    interval = None if grid.roles.spread else found
    return {
        name: None if found is None else found.median,
        f"{name}_low": None if interval is None else interval.low,
        f"{name}_high": None if interval is None else interval.high,
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
