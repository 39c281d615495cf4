"""Points that ask nothing of earlier ones: random, and Sobol's evenly spread sequence."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from itertools import count
from typing import Final

import numpy as np
from scipy.stats import qmc

from kgen.search.space import Group, Key, Point, Space, key_of

_BLOCK: Final = 64
_TIRED: Final = 50
"""Blocks in a row without a new point after which a small space is listed instead."""


def random_points(group: Group, seed: int) -> Iterator[Point]:
    """Uniform on each axis, without end: the first so many of them are the same whenever they are asked for."""
    rng = np.random.default_rng([seed, group.number])
    weights = _weights(group)
    while True:
        space = group.spaces[int(rng.choice(len(group.spaces), p=weights))]
        yield space.point(rng.uniform(size=len(space.axes)).tolist())


def sobol_points(group: Group, seed: int) -> Iterator[Point]:
    """Sobol's sequence, scrambled by the seed; its first axis chooses the alternative where there are several."""
    several = len(group.spaces) > 1
    widest = max(len(space.axes) for space in group.spaces)
    sequence = qmc.Sobol(max(widest + several, 1), scramble=True, rng=np.random.default_rng([seed, group.number]))
    ends = np.cumsum(_weights(group))
    for _ in count():
        for row in sequence.random(_BLOCK):
            place = row.tolist()
            chosen = min(int(np.searchsorted(ends, place.pop(0), side="right")), len(ends) - 1) if several else 0
            space = group.spaces[chosen]
            yield space.point(place[: len(space.axes)])


def fresh(points: Iterator[Point], wanted: int, known: Collection[Key], group: Group) -> list[Point]:
    """The first so many that are not known yet; fewer where the space has no more."""
    seen = set(known)
    out: list[Point] = []
    idle = 0
    for point in points:
        if len(out) == wanted or idle > _TIRED * _BLOCK:
            break
        idle += 1
        if key_of(point) not in seen:
            seen.add(key_of(point))
            out.append(point)
            idle = 0
    if len(out) < wanted:
        left = (point for space in group.spaces for point in every(space) if key_of(point) not in seen)
        out += [point for point, _ in zip(left, range(wanted - len(out)), strict=False)]
    return out


def every(space: Space) -> Iterator[Point]:
    """All points of an alternative, in the order of its grid; of a continuous range a fine grid."""
    choices = [axis.choices for axis in space.axes]
    for number in range(math.prod(len(values) for values in choices)):
        point = dict(space.fixed)
        for axis, values in zip(reversed(space.axes), reversed(choices), strict=True):
            number, place = divmod(number, len(values))
            point[axis.name] = values[place]
        yield point


def _weights(group: Group) -> list[float]:
    """By their number of points where all have one, else alike."""
    sizes = [space.size for space in group.spaces]
    total = sum(sizes)
    return [size / total for size in sizes] if math.isfinite(total) else [1 / len(sizes)] * len(sizes)
