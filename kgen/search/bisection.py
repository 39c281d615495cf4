"""Probabilistic bisection: the next rates split what is still possible into parts that are equally likely.

M. Horstein (1963), "Sequential transmission using noiseless feedback"; R. Waeber, P. I. Frazier, S. G. Henderson
(2013), "Bisection search with noisy responses", SIAM J. Control Optim. 51. Here an answer is not only left or right: it
is weighed by :class:`kgen.analysis.belief.Belief`. For spaces with one number on a logarithmic scale.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final

import numpy as np

from kgen.analysis.belief import Belief, Observation
from kgen.analysis.evidence import Evidence
from kgen.analysis.outcomes import Status
from kgen.analysis.tried import Tried
from kgen.search.space import Axis, Group, Key, Point, Space, key_of
from kgen.sweep.sweepspec import Spacing

_JITTER: Final = 0.3
"""How far the first points are moved by the seed, in shares of their distance."""


def line_of(group: Group) -> tuple[Space, Axis] | None:
    """The space and the axis of a group that has one number to choose, on a logarithmic scale, and nothing else."""
    if len(group.spaces) != 1 or len(group.spaces[0].axes) != 1:
        return None
    axis = group.spaces[0].axes[0]
    return (group.spaces[0], axis) if axis.spacing is Spacing.LOG else None


def place_of(axis: Axis, point: Point) -> float:
    """Logarithm to base 10 of the point's value on that axis."""
    return axis.low + axis.position(point[axis.name]) * axis.span


def belief_of(axis: Axis, seen: Sequence[Evidence], cap: float) -> Belief:
    """What the trials say of the best value on that axis; ``cap``: logarithm of the budget."""
    placed = [Observation(place_of(axis, one.tried.parameters), one.kind, one.at)
              for one in seen if axis.name in one.tried.parameters]  # fmt: skip
    return Belief.of(axis.low, axis.high, cap, [one for one in placed if np.isfinite(one.place)])


def bisection_points(
    group: Group, seen: Sequence[Evidence], others: Sequence[Tried], wanted: int, seed: int, cap: float
) -> list[Point]:
    """So many new points; fewer where no value is left. ``others`` have no result: pending ones, and those that failed.

    Raises ValueError for another space.
    """
    found = line_of(group)
    if found is None:
        raise ValueError("bisection needs one number on a logarithmic scale")
    space, axis = found
    belief = belief_of(axis, seen, cap)
    pending = [axis.position(one.parameters[axis.name]) for one in others if one.status is Status.MISSING]
    parts = wanted + len(pending)
    shares = (np.arange(parts) + 0.5) / parts
    if not seen:
        shares = shares + _JITTER * np.random.default_rng([seed, group.number]).uniform(-1, 1) / parts
    places = [(belief.quantile(share) - axis.low) / axis.span for share in shares.tolist()]
    for taken in pending:
        places.remove(min(places, key=lambda place: abs(place - taken)))
    known = {key_of(one.parameters) for one in [*(one.tried for one in seen), *others]}
    out: list[Point] = []
    for place in places:
        point = _nearest(space, axis, place, known)
        if point is not None:
            known.add(key_of(point))
            out.append(point)
    return out


def _nearest(space: Space, axis: Axis, place: float, known: Set[Key]) -> Point | None:
    wanted = space.point([min(max(place, 0.0), 1.0)])
    if key_of(wanted) not in known:
        return wanted
    choices = sorted(axis.choices, key=lambda value: abs(axis.position(value) - place))
    points = ({**space.fixed, axis.name: value} for value in choices)
    return next((point for point in points if key_of(point) not in known), None)
