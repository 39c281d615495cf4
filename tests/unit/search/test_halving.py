"""Rungs: who goes on, for how long, and who need not."""

from __future__ import annotations

import pytest

from kgen.analysis import Status
from kgen.search import Ask, Tried, ask
from kgen.sweep.rungs import Rung, rungs
from tests.unit.search.valleys import Valley, rates, search_stage, searched

SLOW = Valley({"": 0.003}, fastest=1900)


@pytest.mark.parametrize(
    ("search", "trials", "expected"),
    [
        ("{method: halving}", 13, [Rung(223, 9), Rung(669, 3), Rung(2000, 1)]),
        ("{method: halving, min_steps: 500, reduction: 2}", 14, [Rung(500, 8), Rung(1000, 4), Rung(2000, 2)]),
        ("{method: halving, min_steps: 500, reduction: 2}", 3, [Rung(500, 1), Rung(1000, 1), Rung(2000, 1)]),
        ("{method: halving, min_steps: 500, reduction: 10}", 12, [Rung(500, 11), Rung(2000, 1)]),
    ],
)
def test_rungs_grow_by_the_reduction_and_fit_the_trials(search: str, trials: int, expected: list[Rung]) -> None:
    found = search_stage(search).search
    assert found is not None
    assert [*rungs(found, 2000, trials)] == expected


def test_the_best_of_each_rung_go_on() -> None:
    stage = search_stage("{method: halving, trials: 14, reduction: 2, min_steps: 500}")
    tried = searched(stage, SLOW)
    by_steps = {steps: [one for one in tried if one.steps_budget == steps] for steps in (500, 1000, 2000)}
    assert [len(here) for here in by_steps.values()] == [8, 4, 2]
    near = sorted(by_steps[500], key=lambda one: SLOW.needed(one.parameters))
    assert set(rates(by_steps[1000])) == set(rates(near[:4]))
    assert set(rates(by_steps[2000])) == set(rates(near[:2]))


def test_one_that_has_reached_the_target_is_trained_no_more() -> None:
    fast = Valley({"": 0.003}, fastest=60)
    stage = search_stage("{method: halving, trials: 14, reduction: 2, min_steps: 500}")
    tried = searched(stage, fast)
    done = {rate for one, rate in zip(tried, rates(tried), strict=True) if one.status is Status.REACHED}
    assert done
    assert all(rates(tried).count(rate) == 1 for rate in done if fast.needed({"learning_rate": rate}) <= 500)
    assert min(fast.needed(one.parameters) for one in tried) <= 2 * fast.fastest


def test_a_rung_waits_for_the_one_before_it() -> None:
    stage = search_stage("{method: halving, trials: 7, reduction: 2, min_steps: 500}")
    first = ask(stage, [])
    assert isinstance(first, Ask)
    assert (len(first.points), first.steps) == (4, 500)
    done = [SLOW(point, 7, 500) for point in first.points[:3]]
    pending = [Tried(first.points[3], 7, 500, Status.MISSING, None)]
    assert ask(stage, done, pending) == Ask((), None)
    then = ask(stage, [*done, SLOW(first.points[3], 7, 500)])
    assert isinstance(then, Ask)
    assert (len(then.points), then.steps) == (2, 1000)
