"""Where the best learning rate can lie, given the trials so far: a valley of unknown place, depth and shape.

Before any trial: the logarithm of the time to the target falls as the rate rises, by 0.4 to 1 decade a decade, bends
around the best rate, rises above it, and 0.25 to 1 decade above it training breaks down (Y. Bengio (2012), "Practical
recommendations for gradient-based training of deep architectures": the best rate is usually close to the largest that
does not diverge). All such valleys on a fine mesh are weighed by how well they explain the trials (Bayes).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_ndtr
from scipy.stats import qmc

from kgen.analysis.evidence import Kind

Floats = npt.NDArray[np.float64]

_MARGIN: Final = 0.3
"""Decades beyond each end of the range in which the best may lie."""
_PLACES: Final = 0.1
"""Decades between places of the mesh."""
_FLOORS: Final = 0.15
"""Decades of time between depths of the mesh."""
_DEPTH: Final = 1.5
"""Decades: how much shorter than the budget the best is expected to take at the most."""
_SHAPES: Final = 32
_SLOPE: Final = (0.4, 1.0)
"""Decades of time a decade of the rate, far below the best."""
_BEND: Final = (0.2, 0.8)
"""Decades below the best over which the slope sets in."""
_RISE: Final = (0.4, 2.4)
"""Decades of time a squared decade above the best."""
_EDGE: Final = (0.25, 1.0)
"""Decades above the best at which half of the trials diverge."""
_BLUR: Final = 0.1
"""Decades over which this goes from few to most."""
_NOISE: Final = 0.17
"""Standard deviation of a trial's logarithm of time."""
_GUESS: Final = 0.35
"""The same of a time that was guessed from a curve that stopped short."""
_STRANGE: Final = 0.03
"""What a trial that fits nothing weighs: no single one may rule out a valley."""
_MOST: Final = 3000
"""Valleys that count when values on x are compared."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one trial says, at its place."""

    place: float
    """Logarithm to base 10 of the rate."""
    kind: Kind
    at: float
    """As in :class:`kgen.analysis.evidence.Evidence`."""


@dataclass(frozen=True, slots=True, eq=False)
class _Mesh:
    """Valleys: arrays have an entry for each. Compared by identity: equal ones are made once."""

    centres: Floats
    """The places, each once, ascending."""
    best: Floats
    floor: Floats
    slope: Floats
    bend: Floats
    rise: Floats
    edge: Floats

    def only(self, which: npt.NDArray[np.intp] | int) -> _Mesh:
        """Some of its valleys, or one."""
        arrays = (self.best, self.floor, self.slope, self.bend, self.rise, self.edge)
        return _Mesh(self.centres, *(array[which] for array in arrays))


@dataclass(frozen=True, slots=True)
class Belief:
    """Weights of the valleys, given the trials."""

    mesh: _Mesh
    weights: Floats

    @classmethod
    def of(cls, low: float, high: float, cap: float, seen: Sequence[Observation]) -> Belief:
        """``low`` and ``high``: ends of the range; ``cap``: the budget; all of them logarithms to base 10."""
        reached = [one.at for one in seen if one.kind is Kind.REACHED]
        floor = min([cap - _DEPTH, *(at - _MARGIN for at in reached)])
        mesh = _mesh(low, high, round(cap, 3), round(floor, 1))
        total = np.zeros(len(mesh.best), np.float32)
        for one in seen:
            total += _log_likelihood(mesh, Observation(one.place, one.kind, round(one.at, 2)))
        weights = np.exp(total - total.max(), dtype=np.float64)
        return cls(mesh, weights / weights.sum())

    def quantile(self, share: float) -> float:
        """The place below which the best lies with this probability."""
        each = self.weights.reshape(len(self.mesh.centres), -1).sum(axis=1)
        return float(np.interp(share, np.cumsum(each) - each / 2, self.mesh.centres))

    def cost(self, places: Floats) -> Floats:
        """How many decades longer than the shortest training is expected to take there; at most one, which is also what
        breaking down costs."""
        _, above, breaks, weights = self._at(places)
        return np.asarray((np.minimum(above, 1.0) + breaks) @ weights)

    def regret(self, place: float) -> float:
        """By what share the best is expected to be shorter than the time at that place: at the most a further trial can
        better it by so much."""
        _, above, breaks, weights = self._at(np.array([place]))
        return float(((1 - 10 ** -(above + breaks)) @ weights)[0])

    def expected(self, places: Floats) -> Floats:
        """Logarithm of the time that training is expected to take there, breaking down counting as a decade more."""
        floors, above, breaks, weights = self._at(places)
        return np.asarray((floors + np.minimum(above, 1.0) + breaks) @ weights)

    def drawn(self, number: int) -> Iterator[Callable[[Floats], Floats]]:
        """So many valleys as likely as they are believed, each as :meth:`expected` is of all; always the same ones."""
        part, weights = self._weightiest()
        order = np.random.default_rng(0).permutation(number)
        chosen = np.searchsorted(np.cumsum(weights), (np.arange(number) + 0.5) / number)
        return (functools.partial(_alone, part, int(one)) for one in chosen[order])

    def _at(self, places: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Of the weightiest valleys: the floor of each, how far above it the places are, how likely training breaks
        down there, and its weight."""
        part, weights = self._weightiest()
        above = np.stack([_above(part, place) for place in places.tolist()])
        breaks = expit((places[:, None] - part.edge) / _BLUR)
        return part.floor, above, breaks, weights

    def _weightiest(self) -> tuple[_Mesh, Floats]:
        most = min(_MOST, len(self.weights) - 1)
        chosen = np.argpartition(-self.weights, most)[:most]
        return self.mesh.only(chosen), self.weights[chosen] / self.weights[chosen].sum()


@functools.lru_cache(maxsize=16)
def _mesh(low: float, high: float, cap: float, floor: float) -> _Mesh:
    ends = low - _MARGIN, high + _MARGIN
    centres = np.linspace(*ends, max(round((ends[1] - ends[0]) / _PLACES), 2) + 1)
    floors = np.linspace(floor, cap + _MARGIN, max(round((cap + _MARGIN - floor) / _FLOORS), 2) + 1)
    spread = qmc.Sobol(4, scramble=False).random(_SHAPES) + 0.5 / _SHAPES  # its first point is the corner
    slope = _SLOPE[0] + (_SLOPE[1] - _SLOPE[0]) * spread[:, 0]
    bend = _BEND[0] + (_BEND[1] - _BEND[0]) * spread[:, 1]
    rise = _RISE[0] * (_RISE[1] / _RISE[0]) ** spread[:, 2]
    edge = _EDGE[0] + (_EDGE[1] - _EDGE[0]) * spread[:, 3]
    numbers = np.arange(_SHAPES, dtype=np.float64)
    best, depth, number = (axis.ravel() for axis in np.meshgrid(centres, floors, numbers, indexing="ij"))
    shape = number.astype(np.int64)
    return _Mesh(centres, best, depth, slope[shape], bend[shape], rise[shape], best + edge[shape])


def _above(mesh: _Mesh, place: float | Floats) -> Floats:
    below = mesh.best - place
    low = mesh.slope * below**2 / (np.abs(below) + mesh.bend)
    return np.asarray(np.where(below > 0, low, mesh.rise * below**2))


def _alone(mesh: _Mesh, one: int, places: Floats) -> Floats:
    """The logarithm of time in one valley, as :meth:`Belief.expected` is of all of them."""
    valley = mesh.only(one)
    breaks = expit((places - valley.edge) / _BLUR)
    return np.asarray(valley.floor + np.minimum(_above(valley, places), 1.0) + breaks)


@functools.lru_cache(maxsize=256)
def _log_likelihood(mesh: _Mesh, one: Observation) -> npt.NDArray[np.float32]:
    """How well each valley explains a trial. Kept, because every answer of a search begins with the first trial."""
    return _explained(mesh, one).astype(np.float32)


def _explained(mesh: _Mesh, one: Observation) -> Floats:
    breaks = 0.02 + 0.96 * expit((one.place - mesh.edge) / _BLUR)
    if one.kind is Kind.DIVERGED:
        return np.asarray(np.log(breaks))
    if one.kind is Kind.ABOVE:
        return np.asarray(np.log(np.where(one.place > mesh.best + _BLUR, 0.9, 0.1)))
    expected = mesh.floor + _above(mesh, one.place)
    works = np.log(1 - breaks)
    if one.kind is Kind.REACHED:
        return np.asarray(works + np.log(np.exp(-0.5 * ((one.at - expected) / _NOISE) ** 2) + _STRANGE))
    if one.kind is Kind.SHORT:
        return np.asarray(works + np.log(np.exp(-0.5 * ((one.at - expected) / _GUESS) ** 2) + _STRANGE))
    later = np.exp(log_ndtr((expected - one.at + _BLUR) / (1.3 * _NOISE)))
    return np.asarray(works + np.log((1 - _STRANGE) * later + _STRANGE))
