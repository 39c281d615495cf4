"""How a measure grows with size: a straight line and, beside it, a power law, by scipy's least squares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import linregress, t

from kgen.analysis.survival import CONFIDENCE

_LEAST: Final = 3
"""Sizes that a line needs before it can miss any of them."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """One number of a fit, with its 95 % interval."""

    value: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether the interval does."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Fit:
    """A straight line through points, and a power law through the same ones."""

    points: int
    slope: Estimated
    """Of the measure, for each 1 more of size."""
    intercept: Estimated
    r2: float
    """Share of the variance that the line explains."""
    scatter: float | None
    """Root of the mean square by which points miss the line, as a share of it; ``None`` where it is not above zero."""
    exponent: Estimated | None
    """Of size in the power law ``measure = factor · size^exponent``; ``None`` where a value is not above zero."""
    power_r2: float | None
    """Share of the logarithm's variance that the power law explains."""

    def at(self, size: float) -> float:
        """The straight line's value."""
        return self.intercept.value + self.slope.value * size


def fit(sizes: Sequence[float], values: Sequence[float]) -> Fit | None:
    """Both fits by ordinary least squares, each point counting the same, the power law on logarithms.

    Intervals are those of Student's t with n - 2 degrees of freedom. ``None`` with fewer than three different sizes.
    """
    if len(set(sizes)) < _LEAST:
        return None
    xs, ys = np.asarray(sizes, float), np.asarray(values, float)
    slope, intercept, r2 = _line(xs, ys)
    expected = intercept.value + slope.value * xs
    above = bool((expected > 0).all())
    exponent, power_r2 = None, None
    if (xs > 0).all() and (ys > 0).all():
        exponent, _, power_r2 = _line(np.log(xs), np.log(ys))
    return Fit(
        points=len(xs),
        slope=slope,
        intercept=intercept,
        r2=r2,
        scatter=float(np.sqrt(np.mean((ys / expected - 1) ** 2))) if above else None,
        exponent=exponent,
        power_r2=power_r2,
    )


def _line(xs: np.typing.NDArray[np.float64], ys: np.typing.NDArray[np.float64]) -> tuple[Estimated, Estimated, float]:
    """Slope, intercept and r² of the line through the points."""
    found = linregress(xs, ys)
    quantile = float(t.ppf((1 + CONFIDENCE) / 2, len(xs) - 2))
    # Of points that are all the same, r is 0 / 0: a flat line misses none of them, and explains nothing.
    r2 = 0.0 if math.isnan(found.rvalue) else float(found.rvalue**2)
    return (
        _estimated(float(found.slope), quantile * float(found.stderr)),
        _estimated(float(found.intercept), quantile * float(found.intercept_stderr)),
        r2,
    )


def _estimated(value: float, by: float) -> Estimated:
    return Estimated(value, value - by, value + by)
