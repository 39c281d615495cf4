"""Resamples of a few seeds, and the 95 % interval that they give.

Up to five seeds, all resamples that there are are gone through with their probabilities, so that nothing is left to
chance (N. I. Fisher, P. Hall (1991), "Bootstrap algorithms for small samples", J. Stat. Plan. Inference 27, 157-169);
beyond that they are drawn.

Percentiles of so few are too close to what was found, for what no seed shows is in no resample. So they are taken
farther from it, by what resamples of n seeds lie too close together: their variance is (n - 1) / n of what it should
be, and Student's quantile stands for the normal one (T. C. Hesterberg (2015), "What Teachers Should Know About the
Bootstrap", Amer. Statistician 69, 371-386; he takes percentiles that lie farther out, but of three seeds even the
outermost hold 75 % only). Of resamples that are normal it is Student's interval with the bootstrap's standard error.
"""

from __future__ import annotations

import math
from itertools import combinations_with_replacement
from typing import Final

import numpy as np
from scipy.stats import norm, t

from kgen.analysis.smooth import Floats

DRAWN: Final = 200
"""Resamples, where not all of them are gone through."""
EXACT: Final = 5
"""Seeds up to which they are: 126 resamples."""
_ENDS: Final = (0.025, 0.975)


def multiplicities(seeds: int, draws: int = DRAWN) -> tuple[list[Floats], Floats]:
    """How often each seed is in each resample, and the resample's probability. With fewer ``draws`` than usual so many
    are drawn, however few the seeds."""
    if seeds > EXACT or draws < DRAWN:
        drawn = np.random.default_rng(0).multinomial(seeds, np.full(seeds, 1 / seeds), draws).astype(float)
        return list(drawn), np.full(draws, 1 / draws)
    counts = [
        np.bincount(chosen, minlength=seeds).astype(float)
        for chosen in combinations_with_replacement(range(seeds), seeds)
    ]
    ways = [math.factorial(seeds) / math.prod(math.factorial(int(n)) for n in times) for times in counts]
    return counts, np.array(ways) / seeds**seeds


def widening(seeds: int) -> float:
    """Factor by which resamples of so few seeds lie too close to what was found; infinite of one."""
    if seeds == 1:
        return math.inf
    return float(t.ppf(_ENDS[1], seeds - 1) / norm.ppf(_ENDS[1])) * math.sqrt(seeds / (seeds - 1))


def interval(
    found: float, resampled: Floats, chances: Floats, wider: float = 1.0, *, log: bool
) -> tuple[float | None, float | None]:
    """Ends of the 95 % interval around what was ``found``, where the resamples bound it.

    ``resampled`` has no NaN, and is infinite where a resample sets no bound. Distances are of logarithms with ``log``.
    """
    order = np.argsort(resampled, kind="stable")
    reach = np.cumsum(chances[order])
    places = [min(int(np.searchsorted(reach, share)), len(order) - 1) for share in _ENDS]
    low, high = (_end(found, float(resampled[order][place]), wider, log=log) for place in places)
    return low, high


def _end(found: float, end: float, wider: float, *, log: bool) -> float | None:
    if not math.isfinite(end) or math.isinf(wider):
        return None
    if wider == 1:
        return end
    with np.errstate(over="ignore"):
        far = float(found * np.power(end / found, wider)) if log else found + wider * (end - found)
    return far if math.isfinite(far) else None
