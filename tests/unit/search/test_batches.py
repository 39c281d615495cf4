"""A batch that is under way is finished before limits are looked at: a search ends alike however often it is killed."""

from __future__ import annotations

import random

import pytest

from kgen.search import Ask, Done, Method, Tried, ask
from kgen.spec import text_of
from kgen.sweep.stages import rungs_ahead
from tests.unit.search.valleys import CAP, Valley, search_stage, searched

VALLEY = Valley({"": 0.003})
LEARNS = [Method.BISECTION, Method.TPE]
EVEN = [Method.RANDOM, Method.SOBOL]
SPENT = ["steps: 9000", "seconds: 60"]
LIMITED = [
    *((method, limit) for method in (*LEARNS, *EVEN, Method.HALVING) for limit in SPENT),
    *((method, "improvement: 0.1") for method in (*LEARNS, Method.SOBOL)),
]


def points(tried: list[Tried]) -> set[tuple[str, int | None]]:
    return {(text_of(one.parameters["learning_rate"]), one.steps_budget) for one in tried}


@pytest.mark.parametrize(("method", "limit"), LIMITED)
def test_killed_anywhere_it_ends_where_one_does_that_was_not(method: Method, limit: str) -> None:
    stage = search_stage(f"{{method: {method}, trials: 24, parallel: 4, {limit}}}")
    clean = searched(stage, VALLEY)
    most = sum(rung.points for rung in rungs_ahead(stage)) if method is Method.HALVING else 24
    assert len(clean) < most, "the limit ended it"
    for seed in range(4):
        chance = random.Random(seed)
        done: list[Tried] = []
        while isinstance(answer := ask(stage, done), Ask):
            kept = [point for point in answer.points if chance.random() < 0.5]  # the others were killed
            done += [VALLEY(point, 7, answer.steps or CAP) for point in kept]
        assert (len(done), points(done)) == (len(clean), points(clean))


@pytest.mark.parametrize("method", [*LEARNS, *EVEN])
def test_a_point_is_finished_before_the_limit_is_looked_at(method: Method) -> None:
    """Of three repeats one has spent all there was."""
    stage = search_stage(f"{{method: {method}, trials: 24, parallel: 1, steps: 500}}", more="repeats: 3\n")
    first = ask(stage, [])
    assert isinstance(first, Ask)
    (point,) = first.points
    one = Tried(point, 7, CAP, VALLEY(point, 7, CAP).status, None, spent_steps=600)
    others = [Tried(point, seed, CAP, one.status.MISSING, None) for seed in (8, 9)]
    assert ask(stage, [one], others) == Ask(())
    assert ask(stage, [one]) == Ask((point,))
    assert isinstance(ask(stage, [one, *(VALLEY(point, seed, CAP) for seed in (8, 9))]), Done)


@pytest.mark.parametrize("method", [*LEARNS, *EVEN])
def test_the_next_batch_waits_for_the_last_one(method: Method) -> None:
    stage = search_stage(f"{{method: {method}, trials: 12, parallel: 3}}")
    first = ask(stage, [])
    assert isinstance(first, Ask)
    done = [VALLEY(point, 7, CAP) for point in first.points[:2]]
    last = Tried(first.points[2], 7, CAP, done[0].status.MISSING, None)
    assert ask(stage, done, [last]) == Ask(())
    second = ask(stage, [*done, VALLEY(first.points[2], 7, CAP)])
    assert isinstance(second, Ask)
    assert len(second.points) == 3


@pytest.mark.parametrize("method", [Method.TPE, Method.RANDOM, Method.SOBOL])
def test_a_truth_value_is_no_number(method: Method) -> None:
    space = "{learning_rate: {log: {start: 1e-4, stop: 1}}, flag: [true, 1]}"
    stage = search_stage(f"{{method: {method}, per: flag, trials: 4}}", space)
    tried = searched(stage, VALLEY)
    flags = [one.parameters["flag"] for one in tried]
    assert sorted(map(repr, flags)) == ["1"] * 4 + ["True"] * 4
    only = search_stage(f"{{method: {method}, trials: 9}}", "{learning_rate: [0.1], flag: [true, 1, false, 0]}")
    asked = [repr(one.parameters["flag"]) for one in searched(only, VALLEY)]
    assert sorted(asked) == ["0", "1", "False", "True"]
