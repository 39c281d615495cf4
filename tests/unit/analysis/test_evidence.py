"""Trials that missed the target say in which direction to go."""

from __future__ import annotations

import pytest

from kgen.analysis import Status
from kgen.analysis.evidence import Evidence, Kind, evidence
from kgen.search import Tried
from kgen.spec import At, Budget, Direction, Goal, Objective, Target

BUDGET = Budget(Target("accuracy", 0.9), steps=2000)


def trial(status: Status, value: float | None = None, curve: list[float] | None = None, spent: int = 2000) -> Tried:
    values = curve or []
    points = [(int(spent * (i + 1) / len(values)), value) for i, value in enumerate(values)]
    return Tried({"learning_rate": 0.1}, 1, 2000, status, value, spent, 1.0, values[-1] if values else None,
                 curve={"accuracy": points})  # fmt: skip


START = trial(Status.CAPPED, curve=[0.1] * 40)


def judged(*tried: Tried, budget: Budget = BUDGET, objective: Objective | None = None) -> list[Evidence]:
    return list(evidence(tried, budget, objective or Objective()))


def test_reached_before_nearly_before_flat_before_diverged() -> None:
    order = judged(
        trial(Status.REACHED, 100.0, [0.1, 0.9]),
        trial(Status.REACHED, 1900.0, [0.1, 0.9]),
        trial(Status.CAPPED, curve=[0.1 + 0.7 * i / 39 for i in range(40)]),
        trial(Status.CAPPED, curve=[0.1 + 0.2 * i / 39 for i in range(40)]),
        START,
        trial(Status.DIVERGED, curve=[0.1, 0.1], spent=100),
    )
    values = [one.at for one in order]
    assert values == sorted(values)
    assert len(set(values)) == len(values)


def test_too_low_and_too_high_are_told_apart() -> None:
    slow = [0.1 + 0.7 * (i + 1) / 40 for i in range(40)]
    stuck = [0.1, *[0.6] * 39]
    flat, low, high, dead = judged(
        START, trial(Status.CAPPED, curve=slow), trial(Status.CAPPED, curve=stuck), trial(Status.DIVERGED, curve=[0.1])
    )
    assert (flat.kind, flat.flat) == (Kind.SHORT, True)
    assert (low.kind, low.flat) == (Kind.SHORT, False)
    assert high.kind is Kind.ABOVE
    assert (dead.kind, dead.flat) == (Kind.DIVERGED, False)


def test_half_way_needs_far_longer_than_nearly_there() -> None:
    _, half, nearly = judged(
        START,
        trial(Status.CAPPED, curve=[0.1 + 0.4 * (i + 1) / 40 for i in range(40)]),
        trial(Status.CAPPED, curve=[0.1 + 0.75 * (i + 1) / 40 for i in range(40)]),
    )
    assert 10**half.at > 3 * 10**nearly.at > 3 * 2000


def test_a_target_that_is_small_counts_downwards() -> None:
    budget = Budget(Target("accuracy", 0.1, Direction.AT_MOST), steps=2000)
    far, near = judged(
        trial(Status.CAPPED, curve=[2.3] * 40),
        trial(Status.CAPPED, curve=[2.3 - 2.0 * i / 39 for i in range(40)]),
        budget=budget,
    )
    assert far.flat
    assert near.at < far.at


def test_without_curves_the_last_value_says_how_far_it_came() -> None:
    bare = [
        Tried({"learning_rate": r}, 1, 2000, Status.CAPPED, None, 2000, 1.0, m) for r, m in ((0.1, 0.1), (0.2, 0.7))
    ]
    flat, near = judged(*bare)
    assert near.at < flat.at


@pytest.mark.parametrize(("goal", "values"), [(Goal.MAXIMIZE, [0.95, 0.9, 0.2]), (Goal.MINIMIZE, [0.1, 0.2, 2.3])])
def test_a_metric_is_ordered_by_its_goal(goal: Goal, values: list[float]) -> None:
    tried = [Tried({"learning_rate": v}, 1, None, Status.FINISHED, v, 10) for v in values]
    worse = Tried({"learning_rate": 1.0}, 1, None, Status.DIVERGED, None, 10)
    found = judged(*tried, worse, budget=Budget(steps=10), objective=Objective("loss", goal, At.FINAL))
    assert [one.at for one in found] == sorted(one.at for one in found)
    assert found[-1].kind is Kind.DIVERGED


def test_failed_trials_and_range_tests_say_nothing() -> None:
    failed = Tried({"learning_rate": 0.1}, 1, 2000, Status.FAILED, None)
    rising = Tried({"learning_rate": 1e-6, "learning_rate_stop": 10.0}, 1, 300, Status.FINISHED, None, 300)
    assert judged(failed, rising) == []
