"""The rungs of successive halving: how many points are trained for how many steps, one rung after another."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kgen.sweep.sweepspec import Search


@dataclass(frozen=True, slots=True)
class Rung:
    """One round."""

    steps: int
    """Budget of each of its trials."""
    points: int


def rungs(search: Search, steps: int, points: int) -> tuple[Rung, ...]:
    """From the shortest to the one of the whole budget, with so many points in the first that all rungs together have
    at most ``points``; but at least one in each."""
    lengths = lengths_of(search.min_steps, search.reduction, steps)
    sizes = _sizes(1, len(lengths), search.reduction)
    for first in range(2, points + 1):
        more = _sizes(first, len(lengths), search.reduction)
        if sum(more) > points:
            break
        sizes = more
    return tuple(Rung(length, size) for length, size in zip(lengths, sizes, strict=True))


def lengths_of(min_steps: int | None, reduction: int, steps: int) -> list[int]:
    """Steps of each rung, up to ``steps``; ``min_steps`` None: those of the first are a share of these."""
    shortest = min_steps or max(math.ceil(steps / reduction**2), 1)
    lengths = [min(shortest, steps)]
    while lengths[-1] < steps:
        lengths.append(min(lengths[-1] * reduction, steps))
    return lengths


def _sizes(first: int, count: int, reduction: int) -> list[int]:
    sizes = [first]
    while len(sizes) < count:
        sizes.append(max(sizes[-1] // reduction, 1))
    return sizes
