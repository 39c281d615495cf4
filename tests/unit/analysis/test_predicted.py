"""Seconds that were not measured are predicted, under their own name, with an error that was."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from kgen.analysis import Analysis, analyse
from kgen.results.alone import seconds_per_step
from kgen.spec import Budget, Objective, Target
from tests.unit.analysis.synthetic import NO_CURVES, STEPS, capped, diverged, reached, table

BUDGET = Budget(target=Target("train_accuracy", 0.97), steps=2000)


def fused(outcome: dict[str, Any], *, alone: float | None = None, steps: int | None = None) -> dict[str, Any]:
    """A trial of a fused program; with its counted seconds (and other steps) alone, where it was timed too."""
    known: dict[str, Any] = {"alone_seconds": alone, "alone_steps": None, "alone_device": None}
    if alone is not None:
        known |= {"alone_steps": steps or outcome["steps"], "alone_device": "Tesla K80"}
    return {**outcome, "timing": "shared", "seconds_to_target": None, **known}


def predicted(trials: pd.DataFrame) -> pd.DataFrame:
    """As a collection leaves it."""
    steps = trials["steps_to_target"].astype("Float64").astype(float)
    return trials.assign(predicted_seconds_to_target=steps * seconds_per_step(trials))


def sweep(**changes: Any) -> pd.DataFrame:
    outcomes = {
        "adam": [fused(capped(), alone=4.0), fused(reached(500), alone=1.1), fused(reached(300)), fused(diverged())],
        "sgd": [fused(capped(), alone=2.0), fused(reached(1000), **changes), fused(reached(800)), fused(capped())],
    }
    return predicted(
        table([({"optimizer": o, "rate": 10.0**n}, each) for o, row in outcomes.items() for n, each in enumerate(row)])
    )


def analysis_of(trials: pd.DataFrame, objective: Objective = STEPS) -> Analysis:
    return analyse(trials, NO_CURVES, name="s", objective=objective, budget=BUDGET)


def test_predicted_seconds_stand_beside_the_steps_under_their_own_name() -> None:
    found = analysis_of(sweep())
    assert [measure.column for measure in found.measures] == ["steps_to_target", "predicted_seconds_to_target"]
    assert found.measures[1].label == "predicted seconds to train_accuracy >= 0.97"
    summary = found.summary.set_index("optimizer")
    assert "seconds_to_target" not in summary
    # adam: the median of 0.002 and 0.0022 seconds a step; sgd: 0.001.
    assert summary["predicted_seconds_to_target"].to_dict() == pytest.approx({"adam": 300 * 0.0021, "sgd": 0.8})


def test_every_figure_says_which_clock_it_shows() -> None:
    figures = {figure.name: figure for figure in analysis_of(sweep()).figures}
    assert "the same on every machine" in figures["steps_to_target"].caption
    for name in ("predicted_seconds_to_target", "predicted_seconds_to_target_extremes"):
        assert "predicted, not measured: steps × the median of seconds per step of 3 trials" in figures[name].caption
        assert figures[name].y.label.startswith("predicted seconds")
    alone = analysis_of(table([({"rate": 10.0**n}, reached(100)) for n in range(3)])).figures
    assert [f.name for f in alone if "measured, each trial alone on its device" in f.caption] == ["seconds_to_target"]


def test_a_capped_trial_is_censored_at_what_its_steps_would_take() -> None:
    at = {"rate": 0.1}
    outcomes = [fused(reached(400)), fused(capped(), alone=2.0), fused(capped())]
    trials = predicted(table([(at, outcome) for outcome in outcomes], seeds=[1, 2, 3]))
    grid = analysis_of(trials)
    points = analyse(trials, NO_CURVES, name="s", objective=STEPS, budget=BUDGET).points
    assert points[["measured", "capped"]].values.tolist() == [[1, 2]]
    figure = next(f for f in grid.figures if f.name == "predicted_seconds_to_target")
    assert [dot.y for dot in figure.series[0].dots] == [pytest.approx(0.4), None, None]


def test_the_error_is_that_of_predicting_each_timed_trial_from_the_others() -> None:
    found = analysis_of(sweep()).prediction
    assert found is not None
    # adam's 2,000 steps from 0.0022: 4.4 for 4; its 500 from 0.002: 1.0 for 1.1. sgd's only one from all of adam's.
    errors = sorted([0.1, 0.1 / 1.1, (2000 * 0.0021 - 2) / 2])
    assert (found.trials, found.by, found.device) == (3, ("optimizer",), "Tesla K80")
    assert [found.median_error, found.worst_error] == pytest.approx(errors[1:])
    assert "off by 10 % in the median and 110 % at worst (3 trials)." in found.said


def test_steps_that_a_trial_took_alone_count_in_its_error() -> None:
    found = analysis_of(sweep(alone=2.0, steps=2000)).prediction
    assert found is not None
    assert found.other_steps == 1
    # 1,000 steps in company make one second of the two that it took.
    assert found.worst_error == 0.5
    assert "(4 trials, of which 1 took other steps alone)" in found.error


def test_one_timed_trial_predicts_and_has_no_error() -> None:
    trials = predicted(table([({"rate": 1.0}, fused(reached(100))), ({"rate": 2.0}, fused(capped(), alone=2.0))]))
    found = analysis_of(trials).prediction
    assert found is not None
    assert (found.median_error, found.worst_error) == (None, None)
    assert "can't be told from a single trial" in found.said


def test_without_timed_trials_there_is_no_prediction() -> None:
    shared = {"timing": "shared", "seconds_to_target": None}
    found = analysis_of(table([({"rate": 10.0**n}, {**reached(100), **shared}) for n in range(3)]))
    assert found.prediction is None
    assert [measure.column for measure in found.measures] == ["steps_to_target"]
    assert not any("predicted" in remark for remark in found.remarks)
