"""What it costs to keep, on larger models, what was best on the smallest one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from kgen.analysis.measure import Measure
from kgen.analysis.outcomes import COUNTED, Mark
from kgen.analysis.points import Point
from kgen.analysis.survival import CONFIDENCE

_RESAMPLES: Final = 2000
_SEED: Final = 20
_LEAST_RUNS: Final = 3
"""Repeats of a point that a resample can be drawn from."""
_LEAST_SIZES: Final = 4


@dataclass(frozen=True, slots=True)
class AtSize:
    """One size: what was best there, and what the choice came to."""

    size: float
    best: int | None
    """Code of the line; ``None`` where none got there."""
    best_value: float | None
    chosen_value: float | None
    """``None``: the choice did not get there."""
    regret: float | None
    """Of a time the share by which the choice took longer, of a metric how far it stayed behind; ``None`` where it did
    not get there, or nothing did."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The choice, kept at every size."""

    choice: int
    """Code of its line."""
    source: str
    """Stage that it was made in; empty where it is the best of the smallest size."""
    smallest: float
    at: tuple[AtSize, ...]
    """By ascending size, the smallest first."""
    mean: float | None
    """Over the larger sizes where it has a regret; ``None`` where there are none."""
    low: float | None
    """95 % interval of the mean, from resampled repeats; ``None`` without three repeats or more."""
    high: float | None
    best_at: Mapping[int, int]
    """At how many sizes each line is best."""
    drift: float | None
    """Spearman's rank correlation between size and the best line's value; ``None`` where there are too few sizes or the
    best is always the same."""
    drift_p: float | None

    @property
    def larger(self) -> tuple[AtSize, ...]:
        """All sizes but the smallest at which anything got there."""
        return tuple(here for here in self.at if here.size > self.smallest and here.best is not None)

    @property
    def lost(self) -> tuple[AtSize, ...]:
        """Larger sizes at which the choice did not get there and another one did."""
        return tuple(here for here in self.larger if here.regret is None)

    @property
    def worst(self) -> AtSize | None:
        """Where it costs most; ``None`` where nothing was kept."""
        costs = [here for here in self.larger if here.regret is not None]
        return max(costs, key=lambda here: here.regret or 0.0, default=None)


def keep(
    lines: Mapping[int, Sequence[Point]], measure: Measure, chosen: int | None = None, source: str = ""
) -> Kept | None:
    """Keep the line ``chosen`` in the stage ``source``, else the best of the smallest size; ``None`` with one line, one
    size, or nothing that got there at the smallest.

    Of lines that do equally well the middle one is chosen at the smallest size; elsewhere the choice counts as the best
    if it is one of them, else the nearest to it.
    """
    placed = {code: {p.position: p for p in points if math.isfinite(p.position)} for code, points in lines.items()}
    sizes = sorted({size for points in placed.values() for size in points})
    if len(lines) < 2 or len(sizes) < 2:
        return None
    tied = _best(placed, sizes[0], measure)
    if not tied:
        return None
    choice = tied[(len(tied) - 1) // 2] if chosen is None else chosen
    at = tuple(_at(placed, size, choice, measure) for size in sizes)
    regrets = [here.regret for here in at[1:] if here.regret is not None]
    low, high = _interval(placed, [here.size for here in at[1:] if here.regret is not None], choice, measure)
    drift, p = _drift(at)
    return Kept(
        choice=choice,
        source="" if chosen is None else source,
        smallest=sizes[0],
        at=at,
        mean=math.fsum(regrets) / len(regrets) if regrets else None,
        low=low,
        high=high,
        best_at=Counter(here.best for here in at if here.best is not None),
        drift=drift,
        drift_p=p,
    )


def _best(placed: Mapping[int, Mapping[float, Point]], size: float, measure: Measure) -> list[int]:
    """The lines that do best there, in their order."""
    medians = {code: points[size].median for code, points in placed.items() if size in points}
    values = {code: measure.sign * median for code, median in medians.items() if median is not None}
    return [code for code, value in values.items() if value == min(values.values())]


def _at(placed: Mapping[int, Mapping[float, Point]], size: float, choice: int, measure: Measure) -> AtSize:
    tied = _best(placed, size, measure)
    if not tied:
        return AtSize(size, None, None, None, None)
    codes = list(placed)
    best = min(tied, key=lambda code: abs(codes.index(code) - codes.index(choice)))
    value = placed[best][size].median
    kept = placed[choice].get(size)
    chosen = None if kept is None else kept.median
    assert value is not None
    return AtSize(size, best, value, chosen, None if chosen is None else _regret(chosen, value, measure))


def _regret(chosen: Any, best: Any, measure: Measure) -> Any:
    return chosen / best - 1 if measure.is_time else measure.sign * (chosen - best)


def _interval(
    placed: Mapping[int, Mapping[float, Point]], sizes: Sequence[float], choice: int, measure: Measure
) -> tuple[float | None, float | None]:
    """Percentiles of the mean regret over resamples of each point's repeats, the choice staying the same."""
    points = {(code, size): placed[code][size] for code in placed for size in sizes if size in placed[code]}
    counted = {key: [run for run in point.runs if run.mark in COUNTED] for key, point in points.items()}
    counted = {key: runs for key, runs in counted.items() if runs}
    if not sizes or min(map(len, counted.values()), default=0) < _LEAST_RUNS:
        return None, None
    random = np.random.default_rng(_SEED)
    drawn: dict[tuple[int, float], npt.NDArray[np.float64]] = {}
    for key, runs in counted.items():
        values = np.array([run.stopped if run.mark is Mark.MEASURED else np.inf for run in runs])
        picked = np.sort(values[random.integers(0, len(values), (_RESAMPLES, len(values)))], axis=1)
        # The first time by which at least half had got there; of a metric the ordinary median.
        drawn[key] = picked[:, (len(values) - 1) // 2] if measure.is_time else np.median(picked, axis=1)
    means = []
    for size in sizes:
        here = np.stack([drawn[key] for key in drawn if key[1] == size])
        best, chosen = here.min(axis=0), drawn[choice, size]
        with np.errstate(invalid="ignore"):
            means.append(chosen / best - 1 if measure.is_time else chosen - best)
    mean = np.mean(means, axis=0)
    mean = mean[~np.isnan(mean)]
    if not len(mean):
        return None, None
    ends = np.quantile(mean, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], method="nearest")
    low, high = (float(end) if math.isfinite(end) else None for end in ends)
    return low, high


def _drift(at: Sequence[AtSize]) -> tuple[float | None, float | None]:
    known = [(here.size, here.best) for here in at if here.best is not None]
    if len(known) < _LEAST_SIZES or len({best for _, best in known}) == 1:
        return None, None
    found = spearmanr([size for size, _ in known], [best for _, best in known])
    return float(found.statistic), float(found.pvalue)
