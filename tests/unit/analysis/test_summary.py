from __future__ import annotations

import pandas as pd
import pytest

from kgen.analysis import analyse
from kgen.spec import Goal, Objective
from tests.unit.analysis.synthetic import (
    BUDGET,
    NO_CURVES,
    STEPS,
    article,
    capped,
    diverged,
    failed,
    finished,
    missing,
    reached,
    table,
)


def summary_of(trials: pd.DataFrame, objective: Objective = STEPS) -> pd.DataFrame:
    return analyse(trials, NO_CURVES, name="s", objective=objective, budget=BUDGET).summary


def test_the_article_s_table() -> None:
    """Counts and bands of experiment.md, which the synthetic trials were made after."""
    summary = summary_of(article()[0]).set_index("optimizer")

    assert summary["values_working"].to_dict() == {
        "sgd": 6, "momentum": 7, "adam": 15, "adagrad": 6, "adadelta": 13, "rmsprop": 4,
    }  # fmt: skip
    assert summary["band_low"].round(7).to_dict() == pytest.approx(
        {"sgd": 0.0464, "momentum": 0.0215, "adam": 0.0000464, "adagrad": 0.0215, "adadelta": 0.316,
         "rmsprop": 0.000316}, rel=5e-3)  # fmt: skip
    assert summary["band_high"].to_dict() == pytest.approx(
        {"sgd": 0.316, "momentum": 0.215, "adam": 0.01, "adagrad": 0.147, "adadelta": 46.4, "rmsprop": 0.00147},
        rel=5e-3)  # fmt: skip
    assert summary["band_holes"].to_dict()["rmsprop"] == 1
    assert summary["band_width"].to_dict()["adam"] == pytest.approx(14 / 6)
    assert (summary["trials"] == 48).all()
    assert summary.loc["sgd", "failed"] == 1
    assert summary.loc["adam", "missing"] == 1
    # Of the 47 that left a result.
    assert summary.loc["adam", "share_reached"] == 15 / 47
    assert summary.loc["sgd", "share_failed"] == 1 / 48


def test_the_group_is_called_what_the_sweep_calls_it_and_stands_in_its_order() -> None:
    trials = table([({"model": name, "width": width}, reached(100)) for name in "ba" for width in (1, 2)])
    summary = summary_of(trials)
    assert summary.columns[0] == "model"
    assert summary["model"].tolist() == ["b", "a"]
    assert "best_width" in summary.columns


def test_a_parameter_that_is_called_like_a_column_keeps_its_long_name() -> None:
    trials = table([({"trials": name, "width": width}, reached(100)) for name in "ab" for width in (1, 2)])
    summary = summary_of(trials)
    assert summary.columns[0] == "param.trials"
    assert summary["trials"].tolist() == [2, 2]


def test_one_line_and_no_group_column_where_there_is_no_group() -> None:
    summary = summary_of(table([({"width": width}, reached(100 * width)) for width in (1, 2, 3)]))
    assert len(summary) == 1
    assert summary.columns[0] == "best_width"
    assert summary["best_width"].tolist() == [1]
    assert summary["steps_to_target"].tolist() == [100.0]
    assert summary["seconds_to_target"].tolist() == [1.0]


def test_an_integer_stays_one_where_another_group_has_none() -> None:
    trials = table([
        ({"model": name, "width": width}, reached(100) if name == "a" else capped())
        for name in "ab" for width in (1, 2)
    ])  # fmt: skip
    best = summary_of(trials)["best_width"]
    assert best.isna().tolist() == [False, True]
    assert str(best.dtype) == "Int64"


def test_a_metric_has_its_own_column() -> None:
    trials = table([({"width": width}, finished(acc=width / 10)) for width in (1, 2, 3)])
    summary = summary_of(trials, Objective("acc", Goal.MAXIMIZE))
    assert summary["best_width"].tolist() == [3]
    assert summary["final.acc"].tolist() == [0.3]
    assert summary["finished"].tolist() == [3]


def test_an_interval_needs_repeats_and_not_other_settings() -> None:
    outcomes = [reached(100 * n) for n in (1, 2, 3, 4, 5)]
    repeats = summary_of(table([({}, outcome) for outcome in outcomes], seeds=[1, 2, 3, 4, 5]))
    assert repeats["steps_to_target"].tolist() == [300.0]
    assert repeats["steps_to_target_low"].tolist() == [100.0]

    spread = [({"a": a, "b": b, "c": float(c)}, reached(100 * c)) for a in "xy" for b in "pqr" for c in (1, 2, 3)]
    assert summary_of(table(spread))["steps_to_target_low"].isna().all()


def test_points_have_a_line_each_with_counts_and_the_restricted_mean() -> None:
    at = {"rate": 0.1}
    trials = table([(at, reached(400)), (at, capped()), (at, diverged()), (at, failed()), (at, missing()),
                    ({"rate": 50.0}, reached(100))], seeds=[1, 2, 3, 4, 5, 1])  # fmt: skip
    points = analyse(trials, NO_CURVES, name="s", objective=STEPS, budget=BUDGET).points

    assert points["rate"].tolist() == [0.1, 50.0]
    first = points.iloc[0]
    counts = [first[name] for name in ("trials", "measured", "capped", "diverged", "failed", "absent", "no_value")]
    assert counts == [5, 1, 1, 1, 1, 1, 0]
    assert pd.isna(first["steps_to_target"])
    # By hand: 1 up to step 400, then 2/3 up to the cap at 2000.
    assert first["restricted_mean"] == pytest.approx(400 + 2 / 3 * 1600)
