"""When a search ends: by what was spent, or because another trial is not expected to better the best by much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from kgen.analysis.belief import Belief
from kgen.analysis.evidence import Evidence, Kind
from kgen.analysis.text import number, plural
from kgen.analysis.tried import Tried
from kgen.search.bisection import belief_of, line_of, place_of
from kgen.search.plain import every
from kgen.search.space import Group, Space
from kgen.sweep.sweepspec import Search

_LENGTH: Final = 0.2
"""Share of an axis over which trials are alike, where nothing else is known."""
_NOISE: Final = 0.17
"""Of a single trial, in decades of time."""
_MOST: Final = 4096
"""Points that are looked at."""
_FEWEST: Final = 4
"""Trials of a group before anything is expected of another one."""

Floats = npt.NDArray[np.float64]


def spent(search: Search, tried: Sequence[Tried]) -> str | None:
    """Why nothing more may be asked for, in words; ``None`` while there is something left to spend."""
    steps = sum(one.spent_steps for one in tried)
    seconds = sum(one.spent_seconds for one in tried)
    if search.steps is not None and steps >= search.steps:
        return f"{plural(steps, 'training step')}, of {search.steps:,}"
    if search.seconds is not None and seconds >= search.seconds:
        return f"{number(seconds)} counted seconds, of {number(search.seconds)}"
    return None


def no_gain(search: Search, group: Group, seen: Sequence[Evidence], cap: float) -> str | None:
    """Why another trial is not worth it, in words; ``None`` where it is, or where no bound is asked for."""
    if search.improvement is None or len(seen) < _FEWEST or not any(one.kind is Kind.REACHED for one in seen):
        return None
    gain = expected_gain(group, seen, cap)
    if gain >= search.improvement:
        return None
    return f"another trial is expected to better the best by {100 * gain:.2g} %, below {100 * search.improvement:.2g} %"


def expected_gain(group: Group, seen: Sequence[Evidence], cap: float) -> float:
    """By what share of it the best is expected to be bettered by another trial, at the most.

    With one number on a logarithmic scale: the expected regret of the value that would be recommended (A. Makarova et
    al. (2022), "Automatic termination for hyperparameter optimization", AutoML). Else the largest expected improvement
    under a Gaussian process (D. R. Jones, M. Schonlau, W. J. Welch (1998), "Efficient global optimization of expensive
    black-box functions", J. Global Optim. 13), in logarithms of time.
    """
    found = line_of(group)
    if found is not None:
        axis = found[1]
        places = np.array([place_of(axis, one.tried.parameters) for one in seen if one.kind is Kind.REACHED])
        return _regret(belief_of(axis, seen, cap), places)
    return float(1 - 10 ** -max((_improvement(space, seen) for space in group.spaces), default=0.0))


def _regret(belief: Belief, places: Floats) -> float:
    return belief.regret(float(places[int(np.argmin(belief.cost(places)))]))


def _improvement(space: Space, seen: Sequence[Evidence]) -> float:
    """Largest expected improvement over the points of a space, in decades."""
    placed = [(place, one.at) for one in seen if (place := space.positions(one.tried.parameters)) is not None]
    best = min(one.at for one in seen)
    if not placed or not space.axes:
        return 0.0
    at, values = np.array([place for place, _ in placed]), np.array([value for _, value in placed])
    points = [place for point, _ in zip(every(space), range(_MOST), strict=False)
              if (place := space.positions(point)) is not None]  # fmt: skip
    mean, spread = _process(at, values, np.array(points))
    gain = best - mean
    return float(np.max(gain * norm.cdf(gain / spread) + spread * norm.pdf(gain / spread)))


def _process(at: Floats, values: Floats, points: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of a Gaussian process at the points."""
    scale = max(float(values.std()), _NOISE)
    alike = _alike(at, at) + (_NOISE / scale) ** 2 * np.eye(len(at))
    to = _alike(points, at)
    solved = np.linalg.solve(alike, np.column_stack([values - values.mean(), to.T]))
    spread = np.sqrt(np.maximum(1 - np.sum(to * solved[:, 1:].T, axis=1), 1e-9)) * scale
    return np.asarray(values.mean() + to @ solved[:, 0]), np.asarray(spread)


def _alike(left: Floats, right: Floats) -> Floats:
    """Matérn's covariance of order 5/2."""
    apart = np.sqrt(5 * np.sum((left[:, None] - right[None]) ** 2, axis=2)) / _LENGTH
    return np.asarray((1 + apart + apart**2 / 3) * np.exp(-apart))
