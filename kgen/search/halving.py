"""Successive halving: many points for few steps, and of each rung the best go on from their checkpoints.

K. Jamieson, A. Talwalkar (2016), "Non-stochastic best arm identification and hyperparameter optimization", AISTATS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kgen.analysis.evidence import evidence
from kgen.analysis.outcomes import Status
from kgen.analysis.tried import Tried
from kgen.search.plain import fresh, sobol_points
from kgen.search.space import Group, Key, Point, key_of
from kgen.spec import Budget, Objective
from kgen.sweep.rungs import rungs
from kgen.sweep.sweepspec import Search


def halving_points(
    group: Group, search: Search, tried: Sequence[Tried], budget: Budget, objective: Objective, most: int, seed: int
) -> tuple[list[Point], int | None]:
    """All points of the rung that is under way, done or not, and its steps; no points when every rung is done."""
    assert budget.steps is not None, "checked before"
    points: list[Point] = []
    for number, rung in enumerate(rungs(search, budget.steps, most)):
        points = points[: rung.points] if number else fresh(sobol_points(group, seed), rung.points, (), group)
        done = [one for one in tried if one.steps_budget == rung.steps]
        keys = {key_of(one.parameters) for one in done}
        going = [point for point in points if not _arrived(point, tried, rung.steps)]
        if any(key_of(point) not in keys for point in going):
            return going, rung.steps
        points = _ranked(points, [one for one in tried if (one.steps_budget or 0) <= rung.steps], budget, objective)
    return [], None


def _arrived(point: Point, tried: Sequence[Tried], steps: int) -> bool:
    """Whether all its trials of an earlier rung reached the target or diverged: more steps would change nothing."""
    earlier = [one for one in tried if key_of(one.parameters) == key_of(point) and (one.steps_budget or 0) < steps]
    return bool(earlier) and all(one.status in (Status.REACHED, Status.DIVERGED) for one in latest(earlier))


def latest(tried: Sequence[Tried]) -> list[Tried]:
    """Of each point and seed the trial with the largest budget: the last one of its lineage."""
    found: dict[tuple[Key, int], Tried] = {}
    for one in tried:
        place = key_of(one.parameters), one.seed
        if place not in found or (one.steps_budget or 0) >= (found[place].steps_budget or 0):
            found[place] = one
    return list(found.values())


def _ranked(points: Sequence[Point], tried: Sequence[Tried], budget: Budget, objective: Objective) -> list[Point]:
    """The best first, by the mean over seeds."""
    found: dict[Key, list[float]] = {}
    for one in evidence(latest(tried), budget, objective):
        found.setdefault(key_of(one.tried.parameters), []).append(one.at)
    means = {key: sum(values) / len(values) for key, values in found.items()}
    return sorted(points, key=lambda point: means.get(key_of(point), math.inf))
