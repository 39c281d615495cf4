"""What each trial tells about its parameters, those that missed the target too: in which direction to go, and how far.

Times to a target are compared by their logarithm. A trial that spent its budget has shown a learning curve, and is
taken for one that needs longer by how far it came: accuracy nears a target as 1 - exp(-t / T) does, so that a share p
of the way was made in a share -ln(1 - p) / STRETCH of the time that the whole of it needs. While a rate is too low,
time needed and rate are inverse, so this is a distance in decades, too. A curve that rose at once and then stayed
where it was comes from a rate that is too high; so does a trial that diverged or died. A metric is made such a time by
its distance from the best value seen.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kgen.analysis.outcomes import Status
from kgen.analysis.tried import Tried
from kgen.spec import SECONDS_TO_TARGET, Budget, Direction, Goal, Objective, Target

STRETCH: Final = 9.0
"""So many time constants of an exponential curve is the target away: it is reached in the curve's last thousandth."""
_LEAST: Final = 0.003
"""Share of the time below which it can't be told any more: nothing was learned."""
_CLOSE: Final = 0.97
"""A trial that came this far may have missed the target by bad luck."""
_SLOW_PART: Final = 0.93
"""Of the way: where the time that it took is read off for a trial that came close."""
_EARLY: Final = 0.06
"""Share of the budget: half of what it learned in less than this, and then no target, is a rate that is too high."""
_ABOVE: Final = 0.2
"""How far a trial that diverged stands above one that learned nothing, in decades."""
_BETTER: Final = 0.02
"""The value that a metric may still come to: better than the best by this share of the distance to the worst."""


class Kind(enum.Enum):
    """What a trial says."""

    REACHED = "reached"
    """The target, at a time that is known; of a metric: a value."""
    SHORT = "short"
    """It would have needed about this much."""
    CLOSE = "close"
    """It would have needed more than this."""
    ABOVE = "above"
    """Its rate is above the best one."""
    DIVERGED = "diverged"
    """Its rate is far above the best one."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One trial."""

    tried: Tried
    kind: Kind
    at: float
    """Logarithm to base 10 of a time, smaller being better; of one that diverged a number above all others."""
    flat: bool = False
    """It learned hardly anything, and did not diverge: its rate is far too low."""


def evidence(tried: Sequence[Tried], budget: Budget, objective: Objective) -> tuple[Evidence, ...]:
    """Of trials with a result, in their order; the others say nothing about their parameters, nor do range tests."""
    complete = [one for one in tried if one.complete and not one.is_range_test]
    if not complete:
        return ()
    return _of_times(complete, budget, objective) if objective.is_time else _of_values(complete, objective)


def _of_times(complete: Sequence[Tried], budget: Budget, objective: Objective) -> tuple[Evidence, ...]:
    caps = [_cap(one, budget, objective) for one in complete]
    top = max(caps) - math.log10(_LEAST) + _ABOVE
    ways = _ways(complete, budget.target)
    return tuple(_of_time(*each, top) for each in zip(complete, caps, ways, strict=True))


def _of_time(one: Tried, cap: float, way: Sequence[float], top: float) -> Evidence:
    """``way``: the share of the way to the target at each check."""
    if one.status is Status.DIVERGED:
        return Evidence(one, Kind.DIVERGED, top)
    if one.status is Status.REACHED and one.value is not None and one.value > 0:
        return Evidence(one, Kind.REACHED, math.log10(one.value))
    best = max(way, default=0.0)
    if best > _CLOSE:
        needed = cap + math.log10(_first(way, _SLOW_PART)) - math.log10(_share(_SLOW_PART))
        return Evidence(one, Kind.SHORT, needed) if needed > cap else Evidence(one, Kind.CLOSE, cap)
    needed = cap - math.log10(_share(best))
    if best > 0.3 and len(way) > 1 and _first(way, best / 2) < _EARLY:
        return Evidence(one, Kind.ABOVE, needed)
    return Evidence(one, Kind.SHORT, needed, flat=_share(best) <= _LEAST)


def _share(way: float) -> float:
    """Of the time that the whole way needs, for this share of it."""
    return min(max(-math.log(max(1 - way, 1e-9)) / STRETCH, _LEAST), 1.0)


def _first(way: Sequence[float], wanted: float) -> float:
    """Share of the checks until one has come so far."""
    return next((i + 1 for i, share in enumerate(way) if share >= wanted), len(way)) / max(len(way), 1)


def _cap(one: Tried, budget: Budget, objective: Objective) -> float:
    """Logarithm of what a trial that missed the target has certainly spent."""
    if objective.metric == SECONDS_TO_TARGET:
        return math.log10(max(one.spent_seconds or budget.seconds or 1.0, 1e-6))
    return math.log10(max(one.steps_budget or budget.steps or one.spent_steps, 1))


def _ways(tried: Sequence[Tried], target: Target | None) -> list[list[float]]:
    """How far each trial was on the way from the start to the target, at each check.

    The start is the worst first value that any of them saw: that of a network that has learned nothing yet.
    """
    if target is None:
        return [[] for _ in tried]
    sign = 1.0 if target.direction is Direction.AT_LEAST else -1.0
    curves = [_curve(one, target, sign) for one in tried]
    firsts = [curve[0] for curve in curves if curve]
    start, goal = min(firsts, default=0.0), sign * target.value
    if start >= goal:
        return [[1.0] * len(curve) for curve in curves]
    return [[min(max((value - start) / (goal - start), 0.0), 1.0) for value in curve] for curve in curves]


def _curve(one: Tried, target: Target, sign: float) -> list[float]:
    seen = [sign * value for _, value in one.curve.get(target.metric, ()) if math.isfinite(value)]
    if not seen and one.metric is not None and math.isfinite(one.metric):
        return [sign * one.metric]
    return seen


def _of_values(complete: Sequence[Tried], objective: Objective) -> tuple[Evidence, ...]:
    sign = -1.0 if objective.goal is Goal.MAXIMIZE else 1.0
    values = [math.nan if one.value is None or one.status is Status.DIVERGED else sign * one.value for one in complete]
    firsts = [sign * points[0][1] for one in complete if (points := one.curve.get(objective.metric))]
    finite = np.array([value for value in [*values, *firsts] if math.isfinite(value)])
    top = -math.log10(_LEAST) + _ABOVE
    if not len(finite):
        return tuple(Evidence(one, Kind.DIVERGED, top) for one in complete)
    # A single bad value must not make all others look alike: the worst is that of most bad ones.
    worst, best = float(np.median(firsts)) if firsts else float(finite.max()), float(np.nanmin(values))
    ideal = best - _BETTER * (worst - best)
    out = []
    for one, value in zip(complete, values, strict=True):
        if not math.isfinite(value):
            out.append(Evidence(one, Kind.DIVERGED, top))
        else:
            share = _share((worst - value) / (worst - ideal)) if worst > ideal else 1.0
            out.append(Evidence(one, Kind.REACHED, -math.log10(share), flat=share <= _LEAST and worst > ideal))
    return tuple(out)


def cap_of(seen: Sequence[Evidence], steps: int | None) -> float:
    """Logarithm of the budget: of the file, or what the slowest trial took."""
    if steps is not None and any(one.kind is not Kind.REACHED for one in seen):
        return math.log10(steps)
    return max((one.at for one in seen if one.kind is not Kind.DIVERGED), default=0.0)
