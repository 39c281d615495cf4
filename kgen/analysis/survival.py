"""Statistics of a few trials of which some never got there: Kaplan and Meier's estimate, by scipy.

A trial that spends its budget short of the target is right-censored: its time is known to be longer, not known to be
the cap. E. L. Kaplan, P. Meier (1958), "Nonparametric estimation from incomplete observations", JASA 53, 457-481.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import CensoredData, ecdf

CONFIDENCE: Final = 0.95
_HALF: Final = 0.5 + 1e-12
"""Half, with room for the rounding of a product of fractions such as 5/6 · 4/5 · 3/4."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of a time from several trials, in the unit of the times."""

    trials: int
    """Measured and censored ones."""
    events: int
    """Measured ones."""
    median: float | None
    """First time by which at least half of the trials had got there; ``None``: not within their budgets."""
    low: float | None
    """Lower end of the median's confidence interval; ``None`` with a single trial."""
    high: float | None
    """Upper end; ``None`` where the trials set no bound (few trials, much censoring) and with a single one."""
    restricted_mean: float | None
    """Mean time up to the horizon, a trial that is still going counting with the horizon; ``None`` without one, or
    where trials were stopped before it."""


def estimate(times: Floats, events: npt.NDArray[np.bool_], horizon: float | None = None) -> Estimate:
    """Median, its 95 % interval and the restricted mean of one or more trials.

    ``times`` are those of the event where ``events`` is true, else of the last look without it (infinite: it is known
    that there never will be one). The median is the smallest t with S(t) <= 1/2, so that it is always a measured time
    (the lower of two middle ones). Interval: R. Brookmeyer, J. Crowley (1982), Biometrics 38, 29-41, from the log-log
    interval of S(t). Restricted mean: the area under S(t) up to ``horizon``.
    """
    never = float(np.max(times, where=np.isfinite(times), initial=horizon or 0.0))
    survival = ecdf(CensoredData(uncensored=times[events], right=np.minimum(times[~events], never))).sf
    steps, shares = np.asarray(survival.quantiles, float), np.asarray(survival.probabilities, float)
    low = high = None
    if len(times) > 1:
        with warnings.catch_warnings():
            # No interval exists where nobody, or everybody, got there; such points are passed over below.
            warnings.simplefilter("ignore", RuntimeWarning)
            interval = survival.confidence_interval(confidence_level=CONFIDENCE, method="log-log")
        low = _first_at_most_half(steps, np.where(shares > 0, interval.low.probabilities, 0.0))
        high = _first_at_most_half(steps, np.asarray(interval.high.probabilities, float))
    return Estimate(
        trials=len(times),
        events=int(events.sum()),
        median=_first_at_most_half(steps, shares),
        low=low,
        high=high,
        restricted_mean=None if horizon is None else _area(steps, shares, horizon),
    )


def _first_at_most_half(steps: Floats, shares: Floats) -> float | None:
    below = np.flatnonzero(shares <= _HALF)
    return float(steps[below[0]]) if below.size else None


def _area(steps: Floats, shares: Floats, horizon: float) -> float | None:
    if steps[-1] < horizon and shares[-1] > 0:
        return None
    inside = steps < horizon
    edges = np.concatenate([[0.0], steps[inside], [horizon]])
    heights = np.concatenate([[1.0], shares[inside]])
    return math.fsum(np.diff(edges) * heights)
