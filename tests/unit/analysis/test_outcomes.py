from __future__ import annotations

import math

import pandas as pd
import pytest

from kgen.analysis.measure import choose_measures
from kgen.analysis.outcomes import Mark, Status, observe
from kgen.spec import SECONDS_TO_TARGET, At, Budget, Goal, Objective
from tests.unit.analysis.synthetic import BUDGET, STEPS, capped, diverged, failed, finished, missing, reached, table

EVERYTHING = [reached(450), capped(), diverged(), finished(loss=0.5), failed(), {"status": "interrupted"}, missing()]


def marks(trials: pd.DataFrame, objective: Objective, budget: Budget = BUDGET) -> list[str]:
    return list(observe(trials, choose_measures(trials, objective, budget).measures[0])["mark"])


def test_every_status_has_its_mark_for_a_time() -> None:
    trials = table([({}, outcome) for outcome in EVERYTHING])
    assert {Status(status) for status in trials["status"]} == set(Status)
    assert marks(trials, STEPS) == ["measured", "capped", "diverged", "no value", "failed", "absent", "absent"]


def test_every_status_has_its_mark_for_a_metric() -> None:
    trials = table([({}, {**outcome, "final.loss": 0.5}) for outcome in EVERYTHING])
    found = marks(trials, Objective("loss"))
    assert found == ["measured", "measured", "diverged", "measured", "failed", "absent", "absent"]


def test_a_capped_trial_is_censored_where_it_stopped_and_a_diverged_one_never_gets_there() -> None:
    trials = table([({}, reached(450)), ({}, capped(1500)), ({}, diverged(50))])
    seen = observe(trials, choose_measures(trials, STEPS, BUDGET).measures[0])
    assert seen["stopped"].tolist() == [450, 1500, math.inf]
    assert seen["value"].isna().tolist() == [False, True, True]


def test_a_metric_that_is_not_a_finite_number_is_no_value() -> None:
    trials = table([({}, finished(loss=math.nan)), ({}, finished(loss=math.inf)), ({}, finished(loss=1.0))])
    assert marks(trials, Objective("loss")) == ["no value", "no value", "measured"]


def test_a_metric_that_nobody_reported_is_no_value() -> None:
    trials = table([({}, finished(loss=1.0))])
    assert marks(trials, Objective("accuracy")) == ["no value"]


@pytest.mark.parametrize(
    ("objective", "column", "label"),
    [
        (Objective("acc", Goal.MAXIMIZE), "final.acc", "final acc"),
        (Objective("acc", Goal.MAXIMIZE, At.BEST), "max.acc", "best acc"),
        (Objective("loss", Goal.MINIMIZE, At.BEST), "min.loss", "best loss"),
    ],
)
def test_a_metric_is_taken_at_the_end_or_at_its_best(objective: Objective, column: str, label: str) -> None:
    measure = choose_measures(table([({}, finished(acc=1.0))]), objective, BUDGET).measures[0]
    assert (measure.column, measure.label, measure.first) == (column, label, "best")


# -- seconds ----------------------------------------------------------------------------------------------------


def test_both_clocks_are_shown_where_seconds_are_valid() -> None:
    choice = choose_measures(table([({}, reached(450)), ({}, capped())]), STEPS, BUDGET)
    assert [measure.column for measure in choice.measures] == ["steps_to_target", "seconds_to_target"]
    assert [measure.label for measure in choice.measures] == [
        "steps to train_accuracy >= 0.97",
        "counted seconds to train_accuracy >= 0.97",
    ]
    assert choice.remarks == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"timing": "shared"}, "1 of 2 trials shared a program or a device with others"),
        ({"resumed_from_step": 100}, "1 went on from a checkpoint"),
        ({"device": "A100"}, "trials ran on 2 kinds of device (A100 and Tesla K80)"),
    ],
)
def test_seconds_are_left_out_and_the_page_says_why(change: dict[str, object], reason: str) -> None:
    trials = table([({}, reached(450)), ({}, {**capped(), **change})])
    choice = choose_measures(trials, STEPS, BUDGET)
    assert [measure.column for measure in choice.measures] == ["steps_to_target"]
    assert choice.remarks == (f"Seconds are not compared: {reason}. Steps are the same on every machine.",)


def test_an_objective_in_seconds_leaves_out_what_can_not_be_compared() -> None:
    shared = {"timing": "shared"}
    trials = table([({}, reached(450)), ({}, {**reached(100), **shared}), ({}, {**capped(), **shared})])
    objective = Objective(SECONDS_TO_TARGET)
    assert marks(trials, objective) == ["measured", "no value", "no value"]
    assert "2 of 3 trials shared a program or a device" in choose_measures(trials, objective, BUDGET).remarks[0]


def test_an_objective_in_seconds_falls_back_on_steps_when_no_seconds_are_comparable() -> None:
    trials = table([({}, {**reached(450), "timing": "shared"})])
    choice = choose_measures(trials, Objective(SECONDS_TO_TARGET), BUDGET)
    assert [measure.column for measure in choice.measures] == ["steps_to_target"]
    assert "steps are compared instead" in choice.remarks[0]


def test_failed_and_missing_trials_do_not_spoil_the_seconds() -> None:
    trials = table([({}, reached(450)), ({}, failed()), ({}, missing())])
    assert len(choose_measures(trials, STEPS, BUDGET).measures) == 2


def test_marks_are_a_closed_set() -> None:
    assert {str(mark) for mark in Mark} == {"measured", "capped", "diverged", "failed", "absent", "no value"}
