"""How fast, how high and how stably each group trains, from the curves of its trials.

Stability as in S. Chan, S. Fishman, J. Canny, A. Korattikara, S. Guadarrama (2020), "Measuring the Reliability of
Reinforcement Learning Algorithms", ICLR, arXiv:1912.05663, of the metric as it was evaluated:

- dispersion across time: the interquartile range of the changes from one evaluation to the next, which take the trend
  out; here over the second half of a training, where the curve has flattened, as a single window; median over runs.
- drawdown: how far the metric falls below its best so far, at the worst (their long-term risk, with all of the weight
  on the largest drop); median over runs.
- dispersion across runs: the interquartile range of the final values over repeats.

A run that diverged is not steady however smooth it was until then: its first two are infinite. And a flat line is no
merit of a group that does not learn: one whose median run misses the lower level has no rank of stability.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from kgen.analysis.curves import Curve, Curves
from kgen.analysis.outcomes import Mark
from kgen.analysis.points import Grid
from kgen.analysis.smooth import Floats
from kgen.analysis.summary import as_column
from kgen.analysis.survival import estimate
from kgen.analysis.text import number
from kgen.analysis.valley import Valley
from kgen.results.rows import PARAMETER_PREFIX

LEVELS: Final = (0.9, 0.95)
"""Of a share to be maximised, where a run gets to the first; of any other metric so much of the way from where
trainings begin to the best there is."""
_QUARTERS: Final = (25, 75)
_LEAST_CHANGES: Final = 3


def ranking(found: Curves, grid: Grid, valleys: tuple[Valley, ...]) -> pd.DataFrame | None:
    """A line per group, from first to last; ``None`` when no trial evaluated the metric twice.

    ``steps_to_<level>`` is the median over runs of the first evaluation at which the level is reached, censored where
    it is not, with its 95 % interval and the share of the runs that reached it; ``seconds_to_<level>`` the same in
    counted seconds, where they are valid. ``highest`` (``lowest``) and ``final`` are medians over runs. ``rank`` orders
    by the mean of three ranks: fast (the higher level, then the lower), high, and stable (dispersion across time). A
    group whose median run misses the lower level, diverged, or was evaluated too rarely has no ``rank_stable``, and in
    the mean the one behind all others.
    """
    groups = {valley.group: found.groups[valley.group] for valley in valleys if found.groups.get(valley.group)}
    if not any(len(curve.values) > 1 for curves in groups.values() for curve in curves):
        return None
    levels = _levels([curve for curves in groups.values() for curve in curves], found.sign)
    rows = [_row(curves, levels, found) for curves in groups.values()]
    best = "highest" if found.sign < 0 else "lowest"
    speed: list[Any] = [tuple(_last(row[f"steps_to_{name}"]) for name in reversed(levels)) for row in rows]
    by: dict[str, list[Any]] = {
        "rank_fast": speed,
        "rank_high": [_last(row[best], found.sign) for row in rows],
        "rank_stable": [_last(row["dispersion_across_time"] if _arrives(row, levels) else None) for row in rows],
    }
    for name, keys in by.items():
        for row, key in zip(rows, keys, strict=True):
            row[name] = 1 + sum(other < key for other in keys)
    means = [row["rank_fast"] + row["rank_high"] + row["rank_stable"] for row in rows]
    for row, mean, stable in zip(rows, means, by["rank_stable"], strict=True):
        row["rank"] = 1 + sum(other < mean for other in means)
        row["rank_stable"] = None if math.isinf(stable) else row["rank_stable"]
    keyed: list[dict[str, Any]] = [
        {**_keys(found, grid, group, row), **row} for group, row in zip(groups, rows, strict=True)
    ]
    keyed.sort(key=lambda row: (row["rank"], row["rank_high"], row["rank_fast"]))
    names = dict.fromkeys(name for row in keyed for name in row)
    return pd.DataFrame({name: as_column([row[name] for row in keyed]) for name in names})


def _arrives(row: Mapping[str, Any], levels: Mapping[str, float]) -> bool:
    return row[f"steps_to_{next(iter(levels))}"] is not None


def _keys(found: Curves, grid: Grid, group: int, row: Mapping[str, Any]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    if grid.roles.group is not None:
        keys[grid.roles.group.name] = grid.roles.group.values[group]
    if grid.roles.x is not None:
        keys[grid.roles.x.name] = grid.roles.x.values[found.picks[group].x]
    # A parameter may be called like one of the columns: it then keeps the name it has in the trials' table.
    return {PARAMETER_PREFIX + name if name in row else name: value for name, value in keys.items()}


def _levels(curves: Sequence[Curve], sign: float) -> dict[str, float]:
    """Name → value."""
    values = np.concatenate([curve.values for curve in curves])
    values = values[np.isfinite(values)]
    if values.size == 0 or (sign < 0 and values.min() >= 0 and LEVELS[0] <= values.max() <= 1):
        return {number(level): level for level in LEVELS}
    begin = float(np.median([curve.values[0] for curve in curves if np.isfinite(curve.values[0])] or values))
    best = sign * float((sign * values).min())
    return {number(begin + level * (best - begin)): begin + level * (best - begin) for level in LEVELS}


def _row(curves: Sequence[Curve], levels: dict[str, float], found: Curves) -> dict[str, Any]:
    row: dict[str, Any] = {"runs": len(curves)}
    for name, level in levels.items():
        row |= _reached([curve.steps for curve in curves], curves, level, found.sign, f"to_{name}", "steps")
        if found.timed:
            row |= _reached([curve.seconds for curve in curves], curves, level, found.sign, f"to_{name}", "seconds")
    finals = np.array([_worst_if_lost(curve, curve.values[-1], found.sign) for curve in curves])
    bests = np.array([_best(curve, found.sign) for curve in curves])
    row["highest" if found.sign < 0 else "lowest"] = _median(bests, found.sign)
    row["final"] = _median(finals, found.sign)
    row["dispersion_across_time"] = _median(np.array([_dispersion(curve) for curve in curves]))
    row["drawdown"] = _median(np.array([_drawdown(curve, found.sign) for curve in curves]))
    row["dispersion_across_runs"] = _spread(finals) if len(curves) > 1 else None
    return row


def _reached(
    clocks: Sequence[Floats], curves: Sequence[Curve], level: float, sign: float, name: str, unit: str
) -> dict[str, Any]:
    times: list[float] = []
    events: list[bool] = []
    for clock, curve in zip(clocks, curves, strict=True):
        there = np.flatnonzero(sign * curve.values <= sign * level)
        events.append(bool(there.size))
        never = math.inf if curve.mark is Mark.DIVERGED else float(clock[-1])
        times.append(float(clock[there[0]]) if there.size else never)
    known = estimate(np.array(times), np.array(events))
    return {
        f"{unit}_{name}": known.median,
        f"{unit}_{name}_low": known.low,
        f"{unit}_{name}_high": known.high,
        **({f"share_{name}": known.events / known.trials} if unit == "steps" else {}),
    }


def _worst_if_lost(curve: Curve, value: float, sign: float) -> float:
    return float(value) if np.isfinite(value) and curve.mark is not Mark.DIVERGED else sign * math.inf


def _best(curve: Curve, sign: float) -> float:
    values = curve.values[np.isfinite(curve.values)]
    return sign * float((sign * values).min()) if values.size else sign * math.inf


def _dispersion(curve: Curve) -> float:
    if curve.mark is Mark.DIVERGED:
        return math.inf
    changes = np.diff(curve.values)
    late = changes[len(changes) // 2 :]
    late = late[np.isfinite(late)]
    return _spread(late) or 0.0 if len(late) >= _LEAST_CHANGES else math.nan


def _drawdown(curve: Curve, sign: float) -> float:
    if curve.mark is Mark.DIVERGED:
        return math.inf
    costs = sign * curve.values[np.isfinite(curve.values)]
    return float((costs - np.minimum.accumulate(costs)).max()) if costs.size else math.nan


def _spread(values: Floats) -> float | None:
    if not np.isfinite(values).all():
        return None
    low, high = np.percentile(values, _QUARTERS)
    return float(high - low)


def _median(values: Floats, sign: float = 1.0) -> float | None:
    """Of two middle values the better one."""
    costs = np.sort(sign * values[~np.isnan(values)])
    middle = float(costs[(len(costs) - 1) // 2]) if costs.size else math.nan
    return sign * middle if math.isfinite(middle) else None


def _last(value: float | None, sign: float = 1.0) -> float:
    return math.inf if value is None else sign * value
