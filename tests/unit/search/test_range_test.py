"""The learning-rate range test: what is run, and what it suggests."""

from __future__ import annotations

import math

import pytest

from kgen.analysis import Status
from kgen.errors import InputError
from kgen.search import Ask, Done, Tried, ask, suggested
from kgen.sweep.stages import RISES_TO
from tests.unit.search.valleys import TWO, search_stage

LOW, HIGH, CHECKS = -6.0, 2.0, 80


def rising(point: object, falls_at: float, *, explodes_at: float = 1.0) -> Tried:
    """A loss that falls around one rate and explodes at another, both as powers of ten."""
    assert isinstance(point, dict)
    losses, rates = [], []
    for i in range(CHECKS):
        place = LOW + (HIGH - LOW) * i / (CHECKS - 1)
        loss = 2.3 - 1.5 / (1 + math.exp(-(place - falls_at) / 0.15)) + max(0.0, 10 ** (place - explodes_at) - 1)
        losses.append((5 * (i + 1), loss))
        rates.append((5 * (i + 1), 10**place))
    curve = {"loss": losses, "learning_rate": rates}
    return Tried(point, 7, 400, Status.FINISHED, None, 400, 1.0, None, curve=curve)


def test_one_run_of_each_group_over_its_whole_range() -> None:
    stage = search_stage("{method: range-test, per: optimizer, min_steps: 400}", TWO)
    answer = ask(stage, [])
    assert isinstance(answer, Ask)
    assert (answer.steps, answer.range_test) == (400, True)
    assert [dict(point) for point in answer.points] == [
        {"optimizer": "sgd", "learning_rate": 1e-4, RISES_TO: 100.0},
        {"optimizer": "adam", "learning_rate": 1e-6, RISES_TO: 0.1},
    ]
    done = [rising(point, -2) for point in answer.points]
    assert ask(stage, done) == Done("the range test of each group")


@pytest.mark.parametrize("falls_at", [-4.0, -2.5, -1.0])
def test_the_rate_at_which_the_loss_falls_fastest_is_suggested(falls_at: float) -> None:
    stage = search_stage("{method: range-test}")
    answer = ask(stage, [])
    assert isinstance(answer, Ask)
    (found,) = suggested(stage, [rising(answer.points[0], falls_at)])
    assert math.log10(float(found["learning_rate"])) == pytest.approx(falls_at, abs=0.15)


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    stage = search_stage("{method: range-test}")
    answer = ask(stage, [])
    assert isinstance(answer, Ask)
    assert suggested(stage, [rising(answer.points[0], 9.0, explodes_at=-6.0)]) == ()


def test_a_failed_test_is_run_once_more() -> None:
    stage = search_stage("{method: range-test}")
    answer = ask(stage, [])
    assert isinstance(answer, Ask)
    failed = Tried(answer.points[0], 7, 300, Status.FAILED, None)
    again = ask(stage, [failed])
    assert again == Ask(answer.points, 300, range_test=True)
    assert isinstance(ask(stage, [failed, failed]), Done)


def test_other_parameters_can_not_be_range_tested() -> None:
    with pytest.raises(InputError, match="learning_rate"):
        ask(search_stage("{method: range-test}", "{batch: {log: {start: 1, stop: 100}}}"), [])
