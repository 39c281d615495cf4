"""A valley without its noise: the one smooth of kgen, used by figures, recommendations, choices and the search.

A natural cubic smoothing spline through the runs, on the logarithm of both the parameter and the measure: it minimises
Σ (y - f)² + λ ∫ f″², by :class:`scipy.interpolate.RBFInterpolator`, whose cubic kernel with a linear tail is that
spline in one dimension, for any number of points from two on (G. Wahba (1990), "Spline Models for Observational Data",
SIAM). λ is fixed, so that a fit does not jump when one more run is there: with n runs a decade it averages as a kernel
of width (λ / n)^¼ decades does (B. W. Silverman (1984), Annals of Statistics 12, 898-916), 0.2 for six single runs.

A run that never got there is not a slow one, and not left out either, which would make rates look good of which only
lucky runs count: it stands in the fit with the value expected of a run that is known to lie beyond the cap, given the
fit, until both agree (J. Schmee, G. J. Hahn (1979), "A simple method for regression analysis with censored data",
Technometrics 21, 417-432).

Why: of 6 optimizers × 48 rates × 5 seeds each, a rate is chosen from one seed and judged by the other four. λ and the
noise were set by what came out on digits: in the mean such a rate takes 11 % more steps than the best one by the other
seeds, and is within 25 % of it in 93 % of the cases; the fastest single run's rate 21 % and 77 %. On mnist10k, which
had no part in that, it is 9 % and 87 % against 11 % and 83 %; without the failed runs in the fit 23 % and 57 %. The
price: a sharp bottom is rounded off, and the smoothed value there is up to a quarter too large.

Of a search by bisection a dozen runs are all there is, and what it believes of the valley (:mod:`kgen.analysis.belief`)
says more than a spline through them: their mean is better than either (docs/search.md).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RBFInterpolator
from scipy.special import log_ndtr

WITHIN: Final = 0.25
"""A value on x is safe while the smoothed measure there is at most this share above the best."""
STIFFNESS: Final = 0.01
"""λ, in decades cubed."""
NOISE: Final = 0.14
"""Standard deviation of a single run's log10."""
_BEYOND: Final = 1
"""Positions to each side of those that work that take part in the fit: they say that the valley ends there."""
_HALF: Final = 0.5 - 1e-12
_ROUNDS: Final = 50
_CLOSE: Final = 1e-3
_MOST_LEVERAGE: Final = 0.9
_MOST_TICKS: Final = 128
"""More positions than these are put into as many bins: a spline's cost grows with their number cubed."""
LEAN_RUNS: Final = 8
"""As many runs as what is believed of a line counts for."""

Floats = npt.NDArray[np.float64]
Lean = Callable[[Floats], Floats]
"""Positions → log10 of the value that something else than the runs' own values makes one expect there."""


@dataclass(frozen=True, slots=True)
class SmoothedValley:
    """One line, smoothed. All arrays have an entry per position, ascending."""

    positions: Floats
    """Each once, as they were given: log10 of the parameter on a logarithmic axis."""
    runs: Floats
    """How many count there."""
    share: Floats
    """Of these: those with a value."""
    fitted: Floats
    """In the unit of the values; NaN where fewer than half of the runs have one."""
    best: int | None
    """Where the fit is smallest among the positions that work; ``None`` when none does."""
    band: tuple[int, int] | None
    """The safe band around it, both ends included: every position in it works, and the fit is at most ``limit``."""
    limit: float | None
    """The largest fitted value that is safe."""
    spline: tuple[Floats, Floats, Floats] | None = field(default=None, repr=False, compare=False)
    """What the fit goes through: positions, means, weights."""
    log: bool = True
    """Whether it is of the logarithm of the values."""
    lean: Lean | None = field(default=None, repr=False, compare=False)
    """What else the fit is a mean of."""

    @property
    def works(self) -> npt.NDArray[np.bool_]:
        """Where at least half of the runs have a value."""
        return self.share >= _HALF

    def line(self, positions: Floats) -> Floats:
        """The fit at any positions; NaN beyond the outermost ones that work."""
        if self.spline is None:
            return np.full(len(positions), math.nan)
        ends = self.positions[self.works][[0, -1]]
        fitted = _unscaled(_leaning(_spline(*self.spline, positions), positions, self.lean, self.runs), self.log)
        return np.where((positions >= ends[0]) & (positions <= ends[1]), fitted, math.nan)


def smooth(
    positions: Floats,
    values: Floats,
    *,
    cap: Floats | float | None = None,
    log: bool = True,
    within: float = WITHIN,
    weights: Floats | None = None,
    lean: Lean | None = None,
) -> SmoothedValley:
    """Smooth one line: ``positions`` and ``values`` have an entry per run, in any order, repeats included.

    ``values`` are better when smaller: infinite for a run that was capped, diverged or died, NaN for one that says
    nothing (failed, missing), which is left out. ``cap``, of all runs or of each: what values without one are known to
    lie beyond, where that is finite; by default the largest value. With ``log`` (values are positive) the fit is of
    their logarithm and ``within`` is a share of the best; else it is a share of the distance from the best to the
    worst. ``weights``: how often each run counts, as in a resample. With ``lean``, which needs ``log``, the fit is the
    mean of the spline and of what ``lean`` says, which counts as much as eight runs: the more runs, the less of it is
    left. Deterministic; takes about 0.2 ms.
    """
    counts = np.ones(len(values)) if weights is None else weights
    known = ~np.isnan(values) & np.isfinite(positions) & (counts > 0)
    placed, found, counts = positions[known], values[known], counts[known]
    ticks, place = np.unique(placed, return_inverse=True)
    got = np.isfinite(found)
    runs = _sums(place, counts, len(ticks))
    share = _sums(place, counts * got, len(ticks)) / runs
    works = share >= _HALF
    if not works.any():
        return SmoothedValley(ticks, runs, share, np.full(len(ticks), math.nan), None, None, None)
    largest = float(found[got].max())
    bounds = np.full(len(values), largest if cap is None else cap, float)[known]
    bounds = np.where(np.isfinite(bounds), bounds, np.max(bounds, where=np.isfinite(bounds), initial=largest))
    first, last = np.flatnonzero(works)[[0, -1]]
    near = (place >= first - _BEYOND) & (place <= last + _BEYOND)
    spline = _fit(placed[near], _scaled(np.where(got, found, bounds)[near], log), got[near], counts[near], log=log)
    if len(spline[0]) < _MOST_TICKS:
        known_at = np.interp(ticks, spline[0], _influence(*_key(spline)) @ spline[1])
    else:
        known_at = _spline(*spline, ticks)
    fitted = np.where(works, _unscaled(_leaning(known_at, ticks, lean, runs), log), math.nan)
    best = int(np.nanargmin(fitted))
    limit = _limit(fitted, best, within, log=log)
    return SmoothedValley(ticks, runs, share, fitted, best, _band(fitted, best, limit), limit, spline, log, lean)


def _leaning(fitted: Floats, positions: Floats, lean: Lean | None, runs: Floats) -> Floats:
    """The mean of the spline and of what else is expected."""
    if lean is None:
        return fitted
    pull = LEAN_RUNS / (LEAN_RUNS + float(runs.sum()))
    return np.asarray((1 - pull) * fitted + pull * lean(positions))


def leverage(fit: SmoothedValley) -> Floats:
    """Of one run at each position: how far the fit there follows it. Zero where the fit is of medians."""
    out = np.zeros(len(fit.positions))
    if fit.spline is not None:
        ticks, _, weight = fit.spline
        own = np.diag(_influence(*_key(fit.spline))) / weight
        out = np.minimum(np.interp(fit.positions, ticks, own), _MOST_LEVERAGE)
    return out


def separate(
    positions: Floats, values: Floats, *, log: bool = True, within: float = WITHIN, weights: Floats | None = None
) -> SmoothedValley:
    """The same of positions whose neighbours mean nothing, such as categories: medians, and no band.

    Arguments as of :func:`smooth`. The median is the smallest value that at least half of the runs do not exceed.
    """
    counts = np.ones(len(values)) if weights is None else weights
    known = ~np.isnan(values) & np.isfinite(positions) & (counts > 0)
    placed, found, counts = positions[known], values[known], counts[known]
    ticks, place = np.unique(placed, return_inverse=True)
    runs = _sums(place, counts, len(ticks))
    share = _sums(place, counts * np.isfinite(found), len(ticks)) / runs
    order = np.argsort(found, kind="stable")
    medians = np.full(len(ticks), math.nan)
    for tick in np.flatnonzero(share >= _HALF):
        here = order[place[order] == tick]
        medians[tick] = found[here][np.searchsorted(np.cumsum(counts[here]) / runs[tick], _HALF)]
    if not (share >= _HALF).any():
        return SmoothedValley(ticks, runs, share, medians, None, None, None)
    best = int(np.nanargmin(medians))
    return SmoothedValley(ticks, runs, share, medians, best, None, _limit(medians, best, within, log=log), log=log)


def _limit(fitted: Floats, best: int, within: float, *, log: bool) -> float:
    least = float(fitted[best])
    return least * (1 + within) if log else least + within * (float(np.nanmax(fitted)) - least)


def _band(fitted: Floats, best: int, limit: float) -> tuple[int, int]:
    low = high = best
    while low > 0 and fitted[low - 1] <= limit:
        low -= 1
    while high + 1 < len(fitted) and fitted[high + 1] <= limit:
        high += 1
    return low, high


def _fit(
    placed: Floats, known: Floats, got: npt.NDArray[np.bool_], counts: Floats, *, log: bool
) -> tuple[Floats, Floats, Floats]:
    """What the spline goes through: ``known`` are values, or where not ``got`` what they lie beyond."""
    ticks, place = np.unique(placed, return_inverse=True)
    if len(ticks) > _MOST_TICKS:
        edges = np.linspace(ticks[0], ticks[-1], _MOST_TICKS + 1)[1:-1]
        _, place = np.unique(np.searchsorted(edges, placed), return_inverse=True)
        ticks = _sums(place, counts * placed) / _sums(place, counts)
    weight = _sums(place, counts)
    noise = NOISE if log else NOISE * float(np.ptp(known[got])) or 1.0
    lost, bounds = ~got, known[~got]
    filled = known + noise * lost
    means = _sums(place, counts * filled) / weight
    if not lost.any():
        return ticks, means, weight
    influence = _influence(*_key((ticks, means, weight)))
    for _ in range(_ROUNDS):
        expected = (influence @ means)[place[lost]]
        beyond = (bounds - expected) / noise
        # The mean of a normal variable that is known to be larger than its bound.
        mills = np.exp(-0.5 * beyond**2 - log_ndtr(-beyond)) / math.sqrt(2 * math.pi)
        better = expected + noise * mills
        moved = float(np.abs(better - filled[lost]).max())
        filled[lost] = better
        means = _sums(place, counts * filled) / weight
        if moved < _CLOSE * noise:
            break
    return ticks, means, weight


def _key(spline: tuple[Floats, Floats, Floats]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(spline[0].tolist()), tuple(spline[2].tolist())


@functools.lru_cache(maxsize=256)
def _influence(ticks: tuple[float, ...], weight: tuple[float, ...]) -> Floats:
    """The matrix that makes fitted values at the ticks of means there: a spline is linear in what it goes through."""
    return _spline(np.array(ticks), np.eye(len(ticks)), np.array(weight), np.array(ticks))


def _spline(ticks: Floats, means: Floats, weight: Floats, at: Floats) -> Floats:
    if len(ticks) == 1:
        return np.repeat(means, len(at), axis=0)
    # 12 λ: with the cubic kernel's coefficients a, the bending energy ∫ f″² is 12 aᵀKa.
    fit = RBFInterpolator(ticks[:, None], means, kernel="cubic", degree=1, smoothing=12 * STIFFNESS / weight)
    return np.asarray(fit(np.asarray(at, float)[:, None]), float)


def _sums(place: npt.NDArray[np.intp], of: Floats, places: int = 0) -> Floats:
    return np.bincount(place, of, places).astype(float)


def _scaled(values: Floats, log: bool) -> Floats:
    return np.log10(values) if log else values


def _unscaled(values: Floats, log: bool) -> Floats:
    return 10.0**values if log else values
