from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kgen.analysis import Analysis, analyse
from kgen.spec import Goal, Objective
from tests.unit.analysis.synthetic import BUDGET, NO_CURVES, STEPS, article, capped, diverged, finished, reached, table

Trials = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]


def analysis_of(trials: Trials, objective: Objective = STEPS, seeds: Sequence[int] = ()) -> Analysis:
    return analyse(table(trials, seeds), NO_CURVES, name="s", objective=objective, budget=BUDGET)


def along(*outcomes: Mapping[str, Any], start: float = -24, per_decade: int = 6) -> Trials:
    return [({"rate": 10 ** ((start + place) / per_decade)}, outcome) for place, outcome in enumerate(outcomes)]


def steps(*times: int | None) -> list[dict[str, Any]]:
    return [capped() if time is None else reached(time) for time in times]


def test_the_lucky_rate_at_the_edge_is_named_as_the_fastest_and_another_one_recommended() -> None:
    """Adam's valley in the quickstart: 250 steps beside a rate at which nothing works."""
    found = analysis_of(along(*steps(None, 1650, 1200, 950, 650, 550, 400, 650, 250, None), start=-17))
    (one,) = found.recommendations
    assert one.at == 10 ** (-11 / 6)
    assert one.band == (10**-2.0, 10 ** (-10 / 6))
    assert found.summary["best_rate"].tolist() == [10 ** (-9 / 6)]
    assert found.summary["recommended_rate"].tolist() == [10 ** (-11 / 6)]
    assert (found.answer.rows[0].best, found.answer.rows[0].recommended) == ("0.0316", "0.0147")
    assert found.answer.rows[0].safe == "0.01 to 0.0215"
    assert found.answer.headline == (
        "Fastest: rate 0.0316, with train_accuracy >= 0.97 after 250 steps. Recommended, by the smoothed valley: "
        "rate 0.0147."
    )


def test_the_page_s_table_the_summary_and_the_recommendation_say_the_same() -> None:
    trials, curves = article(repeats=3)
    found = analyse(trials, curves, name="s", objective=STEPS, budget=BUDGET)
    summary = found.summary.set_index("optimizer")
    points = {(row["optimizer"], row["learning_rate"]): row for row in found.points.to_dict("records")}
    for one in found.recommendations:
        assert one.band is not None
        assert one.value is not None
        assert summary.loc[one.label, "recommended_learning_rate"] == one.at
        assert (summary.loc[one.label, "safe_low"], summary.loc[one.label, "safe_high"]) == one.band
        assert summary.loc[one.label, "sure"] == one.sure
        assert summary.loc[one.label, "smoothed_steps_to_target"] == one.value
        assert points[one.label, one.at]["smoothed"] == pytest.approx(one.value)
        assert points[one.label, one.at]["share"] >= 0.5
        (row,) = (row for row in found.answer.rows if row.group == one.label)
        assert (row.recommended_at, row.sure) == (one.at, one.sure)


def test_nothing_works() -> None:
    (one,) = analysis_of(along(*steps(None, None, None))).recommendations
    assert (one.works, one.at, one.value, one.band, one.sure, one.next) == (False, None, None, None, None, ())


def test_an_accuracy_is_safe_while_what_it_lacks_to_one_is_within_a_quarter() -> None:
    values = [0.5, 0.8, 0.9, 0.955, 0.96, 0.955, 0.9, 0.8]
    found = analysis_of(along(*(finished(acc=v) for v in values), diverged()), Objective("acc", Goal.MAXIMIZE))
    (one,) = found.recommendations
    assert one.at == 10 ** (-20 / 6)
    assert one.value == pytest.approx(0.957, abs=0.005)
    assert one.band == (10 ** (-21 / 6), 10 ** (-19 / 6))


def test_the_interval_of_a_metric_that_is_maximised_is_the_right_way_round() -> None:
    trials = [
        ({"rate": rate}, finished(acc=0.9 + rate / 1000 + seed / 100)) for rate in (1.0, 2, 3) for seed in range(3)
    ]
    (one,) = analysis_of(trials, Objective("acc", Goal.MAXIMIZE), seeds=[0, 1, 2] * 3).recommendations
    assert one.low is not None
    assert one.value is not None
    assert one.high is not None
    assert 0.85 < one.low < one.value < one.high < 1


def test_values_that_were_varied_by_steps_are_smoothed_as_such() -> None:
    trials = [({"depth": depth}, reached(100 + 20 * (depth - 6) ** 2)) for depth in range(1, 13)]
    (one,) = analysis_of(trials).recommendations
    assert one.at == 6
    assert one.band is not None
    assert one.band[0] in (4, 5)


def test_gaps_beside_the_best_are_worth_a_trial() -> None:
    (one,) = analysis_of(along(*steps(900, 300, 100, 300, 900), start=-4, per_decade=1)).recommendations
    assert one.at == 0.01
    assert [str(value) for value in one.next[:2]] == ["0.003162", "0.03162"]
    assert [getattr(value, "text", "") for value in one.next[:2]] == ["0.003162", "0.03162"]


def test_so_is_the_value_beyond_an_outermost_best_one() -> None:
    (one,) = analysis_of(along(*steps(900, 700, 500, 400, 300, 200, 100), start=-12)).recommendations
    assert one.at == 0.1
    assert one.next[0] == pytest.approx(10 ** (-5 / 6), rel=1e-3)


def test_a_value_that_another_group_has_tried_is_taken_as_it_is() -> None:
    """Not 0.03162 beside 0.031622776601683794: a sweep would train both."""
    rate = 10**-1.5
    coarse = [({"o": "a", "rate": 10.0**n}, reached(100 + 300 * abs(n + 2))) for n in range(-4, 1)]
    trials = [*coarse, *[({"o": "b", "rate": 10 ** (n / 2)}, reached(500)) for n in range(-8, 1)]]
    one, _ = analysis_of(trials).recommendations
    assert rate in one.next
    assert all(value == rate for value in one.next if math.isclose(float(value), rate, rel_tol=0.01))


def test_whole_numbers_stay_whole() -> None:
    (one,) = analysis_of([({"width": w}, reached(100 + abs(w - 64))) for w in (4, 16, 64, 256, 1024)]).recommendations
    assert one.at == 64
    assert all(type(value) is int for value in one.next)


def test_a_group_of_trials_that_do_not_have_the_parameter_has_no_value_to_recommend_but_works() -> None:
    trials: Trials = [*[({"o": "sgd", "rate": rate}, reached(300)) for rate in (0.1, 1.0, 10.0)],
                      ({"o": "adadelta"}, reached(250))]  # fmt: skip
    sgd, adadelta = analysis_of(trials).recommendations
    assert sgd.at is not None
    assert (adadelta.at, adadelta.works, adadelta.value, adadelta.band) == (None, True, 250.0, None)


def test_a_category_has_the_best_median_and_no_band() -> None:
    trials = [({"o": "a"}, reached(300)), ({"o": "b"}, reached(200)), ({"o": "c"}, capped())]
    (one,) = analysis_of(trials).recommendations
    assert (one.at, one.value, one.band, one.sure) == ("b", 200.0, None, None)


def test_fewer_repeats_that_work_than_half_are_not_recommended_however_fast() -> None:
    outcomes = [reached(10), capped(), capped(), *[reached(500)] * 3, *[reached(600)] * 3]
    trials = [({"rate": 10.0 ** (n // 3)}, outcome) for n, outcome in enumerate(outcomes)]
    (one,) = analysis_of(trials, seeds=[1, 2, 3] * 3).recommendations
    assert one.at == 10.0
