from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kgen.analysis.measure import choose_measures
from kgen.analysis.points import Grid, lay_out
from kgen.analysis.roles import assign_roles
from kgen.analysis.valley import Valley, neighbours, ranked, valleys
from kgen.spec import Goal, Objective
from tests.unit.analysis.synthetic import BUDGET, STEPS, capped, diverged, failed, finished, missing, reached, table

Trials = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]


def grid_of(trials: Trials, objective: Objective = STEPS, seeds: Sequence[int] = ()) -> Grid:
    frame = table(trials, seeds)
    return lay_out(frame, assign_roles(frame), choose_measures(frame, objective, BUDGET).measures[0])


def valley_of(trials: Trials, objective: Objective = STEPS, seeds: Sequence[int] = ()) -> tuple[Grid, Valley]:
    grid = grid_of(trials, objective, seeds)
    (only,) = valleys(grid)
    return grid, only


def along(*outcomes: Mapping[str, Any], start: int = -4) -> Trials:
    return [({"rate": 10.0 ** (start + place)}, outcome) for place, outcome in enumerate(outcomes)]


def best(grid: Grid, valley: Valley) -> Any:
    assert valley.best is not None
    assert grid.roles.x is not None
    return grid.roles.x.values[valley.best.x]


def test_a_band_with_a_hole() -> None:
    """As RMSProp's in the published data: one value between two that work does not."""
    grid, valley = valley_of(along(capped(), reached(800), reached(600), capped(), reached(900), diverged()))

    assert valley.band is not None
    assert (grid.x_labels[valley.band.low], grid.x_labels[valley.band.high]) == ("0.001", "1")
    assert (valley.band.holes, valley.working) == (1, 3)
    assert valley.band.width == pytest.approx(3.0)
    assert best(grid, valley) == 0.01
    assert [(a.median, b.median) for a, b in neighbours(valley)] == [(800, 600)]


def test_a_place_of_which_nothing_is_known_is_no_hole() -> None:
    for unknown in (failed(), missing()):
        _, valley = valley_of(along(reached(800), unknown, reached(900)))
        assert valley.band is not None
        assert valley.band.holes == 0
        assert neighbours(valley) == []


def test_the_middle_of_the_band_wins_a_tie() -> None:
    tie = reached(500)
    grid, valley = valley_of(along(tie, reached(700), tie, reached(900), reached(800)))
    assert best(grid, valley) == 0.01
    assert valley.tied == 1


def test_a_smaller_median_wins_wherever_it_is() -> None:
    grid, valley = valley_of(along(reached(450), reached(500), reached(500)))
    assert best(grid, valley) == 1e-4
    assert valley.tied == 0


def test_the_width_is_in_the_parameter_s_unit_where_the_axis_is_linear() -> None:
    trials = [({"depth": depth}, reached(100) if 2 <= depth <= 5 else capped()) for depth in range(1, 8)]
    _, valley = valley_of(trials)
    assert valley.band is not None
    assert valley.band.width == 3.0


def test_nothing_works() -> None:
    _, valley = valley_of(along(capped(), diverged(), failed(), missing()))
    assert (valley.best, valley.band, valley.working, valley.tied) == (None, None, 0, 0)


def test_a_category_has_no_band() -> None:
    grid, valley = valley_of([({"optimizer": name}, reached(100)) for name in ("sgd", "adam")])
    assert valley.band is None
    assert best(grid, valley) == "sgd"


def test_repeats_make_a_median_and_half_of_them_make_it_work() -> None:
    at = {"rate": 0.1}
    else_ = {"rate": 10.0}
    trials: Trials = [(at, reached(400)), (at, reached(600)), (at, capped()), (else_, reached(300)), (else_, capped()),
              (else_, diverged())]  # fmt: skip
    grid, valley = valley_of(trials, seeds=[1, 2, 3, 1, 2, 3])
    assert [point.median for point in valley.points] == [600, None]
    assert best(grid, valley) == 0.1


def test_a_failed_repeat_is_not_a_repeat_that_did_not_get_there() -> None:
    at = {"rate": 0.1}
    _, valley = valley_of([(at, reached(400)), (at, failed()), (at, missing())], seeds=[1, 2, 3])
    assert [point.median for point in valley.points] == [400]
    assert valley.points[0].estimate is not None
    assert valley.points[0].estimate.trials == 1


def test_a_metric_to_maximize_takes_the_greatest_and_a_diverged_repeat_counts_as_the_worst() -> None:
    objective = Objective("acc", Goal.MAXIMIZE)
    low, high = {"rate": 1.0}, {"rate": 200.0}
    trials = [(low, finished(acc=0.8)), (low, finished(acc=0.9)), (low, diverged()), (high, finished(acc=0.7)),
              (high, finished(acc=0.6)), (high, finished(acc=0.5))]  # fmt: skip
    grid, valley = valley_of(trials, objective, seeds=[1, 2, 3, 1, 2, 3])
    assert [point.median for point in valley.points] == [0.8, 0.6]
    assert best(grid, valley) == 1.0


def test_the_interval_of_a_metric_to_maximize_is_the_right_way_round() -> None:
    values = [0.1 * n for n in range(1, 10)]
    trials: Trials = [({}, finished(acc=value)) for value in values]
    _, up = valley_of(trials, Objective("acc", Goal.MAXIMIZE), seeds=list(range(9)))
    _, down = valley_of(trials, Objective("acc", Goal.MINIMIZE), seeds=list(range(9)))
    for valley in (up, down):
        assert valley.best is not None
        estimate = valley.best.estimate
        assert estimate is not None
        assert estimate.median == pytest.approx(0.5)
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low < 0.5 < estimate.high


def test_ranks_put_what_does_not_work_last() -> None:
    trials = [
        ({"optimizer": name, "rate": rate}, outcome if rate == 1.0 else capped())
        for name, outcome in {"a": capped(), "b": reached(900), "c": reached(100)}.items()
        for rate in (1.0, 100.0)
    ]
    assert [valley.label for valley in ranked(valleys(grid_of(trials)), 1.0)] == ["c", "b", "a"]


def test_trials_without_the_parameter_can_be_best_but_make_no_band() -> None:
    grid = grid_of([*[({"optimizer": "sgd", "rate": rate}, capped()) for rate in (0.1, 1.0, 10.0)],
                    ({"optimizer": "adadelta"}, reached(250))])  # fmt: skip
    sgd, adadelta = valleys(grid)
    assert sgd.best is None
    assert adadelta.best is not None
    assert math.isnan(adadelta.best.position)
    assert adadelta.band is None
