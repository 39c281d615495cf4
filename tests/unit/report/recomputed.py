"""The numbers of a report's tables once more, from the row files alone, by plain pandas: nothing of kgen is used here.

Not recomputed: what the smoothing spline gives (its own tests do that), which :data:`SMOOTHED` names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

SMOOTHED = ("recommended_", "smoothed", "safe_", "sure")
"""Beginnings of the columns that come of the smoothing spline."""
_NORMAL = 1.959963984540054
"""Quantile 0.975 of the normal distribution."""
_STUDENT = {1: 12.706204736, 2: 4.30265273, 3: 3.182446305, 4: 2.776445105, 5: 2.570581836, 6: 2.446911851}
"""Quantile 0.975 of Student's t by degrees of freedom."""
_GOT_THERE, _SHORT, _LOST = "reached", "capped", "diverged"
_COMPLETE = ("reached", "capped", "diverged", "finished")


def read(results: Path) -> pd.DataFrame:
    """One line per trial: of its complete rows the one that ended first, else the last."""
    files = sorted((results / "rows").glob("*.parquet"))
    rows: pd.DataFrame = pd.concat([pq.read_table(file).to_pandas() for file in files], ignore_index=True)
    rows["incomplete"] = rows["state"] != "complete"
    rows = rows.sort_values(["incomplete", "ended", "attempt"]).drop_duplicates("trial").reset_index(drop=True)
    for name in dict.fromkeys(key for text in rows["parameters"] for key in json.loads(text)):
        rows[name] = [json.loads(text).get(name) for text in rows["parameters"]]
    rows["status"] = rows["outcome"].where(rows["state"] == "complete", rows["state"])
    for part in ("final", "max"):
        values: list[Any] = [{m["metric"]: m[part] for m in metrics} for metrics in rows["metrics"]]
        rows[part] = pd.Series(values, dtype=object)
    return rows


# -- estimates of a few trials ----------------------------------------------------------------------------------


def kaplan_meier(times: Sequence[float], got_there: Sequence[bool]) -> tuple[Any, Any, Any, list[tuple[float, float]]]:
    """Median, the ends of its 95 % interval (log-log), and the steps of the survival curve."""
    events = sorted({time for time, there in zip(times, got_there, strict=True) if there})
    survival, greenwood = 1.0, 0.0
    median = low = high = None
    curve = []
    for time in events:
        at_risk = sum(other >= time for other in times)
        ended = sum(other == time and there for other, there in zip(times, got_there, strict=True))
        survival *= 1 - ended / at_risk
        greenwood += ended / (at_risk * (at_risk - ended)) if at_risk > ended else math.inf
        curve.append((time, survival))
        if median is None and survival <= 0.5 + 1e-12:
            median = time
        if len(times) == 1:
            continue
        lower, upper = 0.0, math.nan
        if 0 < survival < 1:
            wide = _NORMAL * math.sqrt(greenwood) / abs(math.log(survival))
            lower, upper = survival ** math.exp(wide), survival ** math.exp(-wide)
        low = time if low is None and lower <= 0.5 + 1e-12 else low
        high = time if high is None and upper <= 0.5 + 1e-12 else high
    return median, low, high, curve


def restricted_mean(curve: list[tuple[float, float]], horizon: float) -> float:
    """Area below the survival curve up to the horizon."""
    area, before, height = 0.0, 0.0, 1.0
    for time, survival in curve:
        if time < horizon:
            area, before, height = area + height * (time - before), time, survival
    return area + height * (horizon - before)


@dataclass(frozen=True)
class Kind:
    """What a stage compares its trials by."""

    column: str
    cap: float | None = None
    metric: str = ""
    """Of the highest value, where it is not a time to the target."""


def point(runs: pd.DataFrame, kind: Kind) -> dict[str, Any]:
    """What several trials of one point come to."""
    counted = runs[runs["status"].isin(_COMPLETE)]
    if kind.metric:
        values = [-one[kind.metric] for one in counted["max"]]
        median, low, high, _ = kaplan_meier(values, [True] * len(values))
        found = {"median": None if median is None else -median}
        return found | {"low": None if high is None else -high, "high": None if low is None else -low, "curve": []}
    there = (counted["status"] == _GOT_THERE).tolist()
    spent = "steps" if kind.column.startswith("steps") else "seconds"
    known = counted[kind.column].where(counted["status"] == _GOT_THERE, counted[spent]).astype(float)
    stopped: list[float] = known.mask(counted["status"] == _LOST, math.inf).tolist()
    median, low, high, curve = kaplan_meier(stopped, there)
    return {"median": median, "low": low, "high": high, "curve": curve}


# -- tables -----------------------------------------------------------------------------------------------------


def summary(stage: pd.DataFrame, group: str, x: str, kinds: Sequence[Kind], order: Sequence[Any]) -> pd.DataFrame:
    """The best value on x of each group, the band that works, and counts."""
    kind, lines = kinds[0], []
    everywhere = sorted(stage[x].unique())
    factors, steps = np.diff(np.log(everywhere)), np.diff(everywhere)
    log = everywhere[-1] / everywhere[0] >= 100
    if len(everywhere) > 2:
        log = np.std(factors) / np.mean(factors) < np.std(steps) / np.mean(steps)
    for value in order:
        mine = stage[stage[group] == value]
        points = {at: point(runs, kind) for at, runs in mine.groupby(x)}
        working = {at: one["median"] for at, one in points.items() if one["median"] is not None}
        along = {at: math.log10(at) if log else at for at in points}
        ends = (min(working), max(working))
        smallest = min(working.values()) if not kind.metric else max(working.values())
        tied = [at for at, median in working.items() if median == smallest]
        centre = (along[ends[0]] + along[ends[1]]) / 2
        best = min(tied, key=lambda at: abs(along[at] - centre))
        status = mine["status"].value_counts()
        complete = sum(status.get(name, 0) for name in _COMPLETE)
        line = {group: value, f"best_{x}": best, kind.column: smallest}
        line |= {f"{kind.column}_{end}": points[best][end] for end in ("low", "high")}
        for other in kinds[1:]:
            line[other.column] = point(mine[mine[x] == best], other)["median"]
        line |= {"tied": len(tied) - 1, "values_tried": len(points), "values_working": len(working)}
        line |= {"band_low": ends[0], "band_high": ends[1], "band_width": along[ends[1]] - along[ends[0]]}
        line["band_holes"] = sum(ends[0] < at < ends[1] and at not in working for at in points)
        line |= {"band_scale": "log" if log else "linear", "trials": len(mine)}
        for name in (*_COMPLETE, "failed", "interrupted", "missing"):
            line[name] = int(status.get(name, 0))
        for name in (_GOT_THERE, _SHORT, _LOST):
            line[f"share_{name}"] = status.get(name, 0) / complete
        line["share_failed"] = status.get("failed", 0) / len(mine)
        lines.append(line)
    return pd.DataFrame(lines)


def points_table(stage: pd.DataFrame, group: str, x: str, kind: Kind, order: Sequence[Any]) -> pd.DataFrame:
    """Every point."""
    lines = []
    for value in order:
        for at, runs in stage[stage[group] == value].groupby(x):
            found, status = point(runs, kind), runs["status"].value_counts()
            measured = len(runs) - status.get("failed", 0) if kind.metric else status.get(_GOT_THERE, 0)
            counted = len(runs) - status.get("failed", 0)
            line = {group: value, x: at, "trials": len(runs), "measured": measured, "absent": 0, "no_value": 0}
            line |= {name: status.get(name, 0) for name in ("capped", "diverged", "failed")}
            line |= {"share": measured / counted if counted else None, kind.column: found["median"]}
            line |= {f"{kind.column}_{end}": found[end] for end in ("low", "high")}
            if kind.cap is not None:
                line["restricted_mean"] = restricted_mean(found["curve"], kind.cap)
            lines.append(line)
    return pd.DataFrame(lines)


def ranking(stage: pd.DataFrame, group: str, x: str, metric: str) -> pd.DataFrame:
    """How fast, how high and how stably each group trains."""
    lines: list[dict[str, Any]] = []
    for (value, at), runs in stage.groupby([group, x]):
        found: list[Any] = runs["curve"].tolist()
        curves: list[list[dict[str, Any]]] = [[p for p in curve if p["metric"] == metric] for curve in found]
        values = [np.array([p["value"] for p in curve]) for curve in curves]
        line: dict[str, Any] = {group: value, x: at, "runs": len(runs)}
        for level in ("0.9", "0.95"):
            for unit in ("step", "seconds"):
                first = [next((p[unit] for p in curve if p["value"] >= float(level)), None) for curve in curves]
                times = [curve[-1][unit] if f is None else f for f, curve in zip(first, curves, strict=True)]
                there = [f is not None for f in first]
                median, low, high, _ = kaplan_meier(times, there)
                name = f"{'steps' if unit == 'step' else unit}_to_{level}"
                line |= {name: median, f"{name}_low": low, f"{name}_high": high, f"share_to_{level}": np.mean(there)}
        line |= {"highest": np.median([v.max() for v in values]), "final": np.median([v[-1] for v in values])}
        late = [np.diff(v)[len(np.diff(v)) // 2 :] for v in values]
        line["dispersion_across_time"] = np.median([_quartiles(v) for v in late])
        line["drawdown"] = np.median([(np.maximum.accumulate(v) - v).max() for v in values])
        line["dispersion_across_runs"] = _quartiles(np.array([v[-1] for v in values]))
        lines.append(line)
    never = math.inf
    fast = [tuple(never if one[k] is None else one[k] for k in ("steps_to_0.95", "steps_to_0.9")) for one in lines]
    by: dict[str, list[Any]] = {"rank_fast": fast, "rank_high": [-one["highest"] for one in lines]}
    by |= {"rank_stable": [one["dispersion_across_time"] for one in lines]}
    for name, keys in by.items():
        for one, key in zip(lines, keys, strict=True):
            one[name] = 1 + sum(other < key for other in keys)
    sums = [sum(one[name] for name in by) for one in lines]
    for one, total in zip(lines, sums, strict=True):
        one["rank"] = 1 + sum(other < total for other in sums)
    lines.sort(key=lambda one: (one["rank"], one["rank_high"], one["rank_fast"]))
    return pd.DataFrame(lines)


def _quartiles(values: np.typing.NDArray[np.float64]) -> float:
    return float(np.quantile(values, 0.75) - np.quantile(values, 0.25))


def fits(stage: pd.DataFrame, kinds: Sequence[Kind]) -> pd.DataFrame:
    """Straight lines and power laws of each rate's medians against scale."""
    lines = []
    for kind in kinds:
        for rate, mine in stage.groupby("learning_rate"):
            medians: dict[Any, Any] = {size: point(runs, kind)["median"] for size, runs in mine.groupby("scale")}
            there = {size: median for size, median in medians.items() if median is not None}
            line = {"learning_rate": rate, "measure": kind.column, "sizes": len(medians)}
            line["not_reached"] = len(medians) - len(there)
            straight = least_squares(list(there), list(there.values()))
            power = least_squares([math.log(s) for s in there], [math.log(m) for m in there.values()])
            line |= {f"{name}{end}": straight[f"{name}{end}"] for name in ("slope", "intercept")
                     for end in ("", "_low", "_high")}  # fmt: skip
            line |= {"r2": straight["r2"], "power_r2": power["r2"], "exponent": power["slope"]}
            lines.append(line | {f"exponent_{end}": power[f"slope_{end}"] for end in ("low", "high")})
    return pd.DataFrame(lines)


def least_squares(xs: Iterable[float], ys: Iterable[float]) -> dict[str, float]:
    """Slope, intercept, their 95 % intervals, r²: by the textbook's formulas."""
    x, y = np.array([*xs], float), np.array([*ys], float)
    n, dx, dy = len(x), x - x.mean(), y - y.mean()
    slope = float((dx * dy).sum() / (dx**2).sum())
    intercept = float(y.mean() - slope * x.mean())
    residual = float(((y - intercept - slope * x) ** 2).sum())
    error = math.sqrt(residual / (n - 2) / float((dx**2).sum()))
    found = {"slope": slope, "intercept": intercept, "r2": 1 - residual / float((dy**2).sum())}
    wide = {"slope": error, "intercept": error * math.sqrt(float((x**2).mean()))}
    for name, by in wide.items():
        found |= {f"{name}_low": found[name] - _STUDENT[n - 2] * by, f"{name}_high": found[name] + _STUDENT[n - 2] * by}
    return found


def sizes(stage: pd.DataFrame, kind: Kind, kept: float) -> pd.DataFrame:
    """Weights, pace, the best rate and the regret of the one that was chosen, by scale."""
    lines: list[dict[str, Any]] = []
    for size, here in stage.groupby("scale"):
        medians = {rate: point(runs, kind)["median"] for rate, runs in here.groupby("learning_rate")}
        there = {rate: median for rate, median in medians.items() if median is not None}
        tied = [rate for rate, median in there.items() if median == min(there.values())]
        rates = list(medians)
        best = min(tied, key=lambda rate: abs(rates.index(rate) - rates.index(kept)))
        line = {"scale": size, "weights": here["final"].iloc[0]["weights"]}
        line |= {"seconds_per_step": (here["seconds"] / here["steps"]).median(), "best_learning_rate": best}
        line |= {f"best_{kind.column}": there[best], f"kept_{kind.column}": there.get(kept), "kept_learning_rate": kept}
        line["regret"] = there[kept] / there[best] - 1 if kept in there else None
        lines.append(line)
    return pd.DataFrame(lines)
