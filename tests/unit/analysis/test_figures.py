from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from kgen.analysis import FigureData, Mark, analyse
from kgen.analysis.figures import Series
from kgen.analysis.roles import Scale
from kgen.spec import Budget, Goal, Objective
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


def figures_of(
    trials: pd.DataFrame, objective: Objective = STEPS, budget: Budget = BUDGET, curves: pd.DataFrame = NO_CURVES
) -> dict[str, FigureData]:
    found = analyse(trials, curves, name="s", objective=objective, budget=budget).figures
    return {figure.name: figure for figure in found}


def lane(series: Series) -> list[tuple[float, str]]:
    return [(dot.x, str(dot.mark)) for dot in series.dots if dot.y is None]


def values(series: Series) -> list[tuple[float, float]]:
    return [(dot.x, dot.y) for dot in series.dots if dot.y is not None and not dot.single]


def lines(outcomes: Mapping[str, Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
    return table([
        ({"optimizer": name, "rate": 10.0**place}, outcome)
        for name, each in outcomes.items()
        for place, outcome in enumerate(each)
    ])  # fmt: skip


TWO = {
    "a": [reached(500), reached(300), capped(), reached(400), diverged()],
    "b": [capped(), reached(200), diverged(), failed(), missing()],
}


def test_a_line_joins_only_neighbours_that_both_got_there() -> None:
    a, b = figures_of(lines(TWO))["steps_to_target"].series

    assert a.segments == (((1.0, 500.0), (10.0, 300.0)),)
    assert b.segments == ()
    assert values(a) == [(1.0, 500.0), (10.0, 300.0), (1000.0, 400.0)]


def test_runs_that_did_not_get_there_stand_in_their_line_s_lane_and_have_no_value() -> None:
    a, b = figures_of(lines(TWO))["steps_to_target"].series

    assert lane(a) == [(100.0, "capped"), (10000.0, "diverged")]
    assert lane(b) == [(1.0, "capped"), (100.0, "diverged"), (1000.0, "failed"), (10000.0, "absent")]


def test_the_fastest_and_the_slowest_at_each_x() -> None:
    fastest, slowest = figures_of(lines(TWO))["steps_to_target_extremes"].series

    assert values(fastest) == [(1.0, 500.0), (10.0, 200.0), (1000.0, 400.0)]
    assert [dot.style for dot in fastest.dots if dot.y is not None] == [0, 1, 0]
    # At 100 nobody got there; at 10,000 one diverged and of the other nothing is known.
    assert lane(fastest) == [(100.0, "capped"), (10000.0, "diverged")]
    assert values(slowest) == [(10.0, 300.0), (1000.0, 400.0)]
    assert lane(slowest) == [(1.0, "capped"), (100.0, "diverged"), (10000.0, "diverged")]
    assert (fastest.label, slowest.label) == ("fastest", "slowest")


def test_every_trial_of_the_article_is_in_the_first_figure() -> None:
    trials, curves = article()
    found = figures_of(trials, curves=curves)

    assert list(found) == [
        "steps_to_target", "steps_to_target_extremes", "seconds_to_target", "seconds_to_target_extremes", "curves",
        "curves_seconds",
    ]  # fmt: skip
    for name in ("steps_to_target", "seconds_to_target"):
        dots = [dot for series in found[name].series for dot in series.dots]
        assert len(dots) == 288
        assert sum(dot.y is not None for dot in dots) == 51
        assert sum(dot.mark is Mark.FAILED for dot in dots) == 1
    first = found["steps_to_target"]
    assert (first.x.label, first.x.scale) == ("learning_rate", Scale.LOG)
    assert (first.y.label, first.y.low, first.y.high) == ("steps to train_accuracy >= 0.97", 0.0, 2000)
    assert first.lane_title == "without a time (cap: 2,000 steps)"


def test_a_cap_that_stopped_nobody_is_not_drawn() -> None:
    """Every capped trial of the article ran out of steps after 20 s: a line at 120 s would squeeze the rest."""
    seconds = figures_of(article()[0])["seconds_to_target"]
    assert seconds.y.high < 30
    assert seconds.lane_title == "without a time"


def test_single_runs_stay_visible_behind_their_median() -> None:
    at = {"rate": 0.1}
    trials = table([(at, reached(400)), (at, reached(600)), (at, capped()), ({"rate": 10.0}, reached(100))],
                   seeds=[1, 2, 3, 1])  # fmt: skip
    figure = figures_of(trials)["steps_to_target"]
    (only,) = figure.series
    assert [(dot.y, dot.single) for dot in only.dots if dot.y is not None] == [
        (400, True), (600, True), (600, False), (100, False),
    ]  # fmt: skip
    assert figure.notes == ("Every point spans 1 to 3 seeds.",)


def test_values_over_more_than_a_decade_and_a_half_get_a_log_axis() -> None:
    wide = figures_of(table([({"rate": rate}, finished(loss=rate)) for rate in (1.0, 10.0, 40.0)]), Objective("loss"))
    narrow = figures_of(table([({"rate": rate}, finished(loss=rate)) for rate in (1.0, 10.0, 20.0)]), Objective("loss"))
    assert wide["final.loss"].y.scale is Scale.LOG
    assert narrow["final.loss"].y.scale is Scale.LINEAR


def test_more_groups_than_can_be_told_apart_are_cut_to_the_best_and_it_is_said() -> None:
    trials = table(
        [({"model": f"m{n}", "rate": rate}, reached(1000 - 10 * n)) for n in range(20) for rate in (1.0, 2.0)]
    )
    found = figures_of(trials)
    figure = found["steps_to_target"]
    assert figure.groups == tuple(f"m{n}" for n in range(8, 20))
    assert figure.notes == ("The 12 best of 20 are shown; the tables have all of them.",)
    fastest, slowest = found["steps_to_target_extremes"].series
    assert values(fastest)[0][1] == 810
    assert values(slowest)[0][1] == 1000


def test_categories_stand_side_by_side_without_lines() -> None:
    trials = table([({"optimizer": o, "schedule": s}, reached(100)) for o in "abc" for s in "xy"])
    figure = figures_of(trials)["steps_to_target"]
    assert (figure.x.scale, figure.x.ticks) == (Scale.CATEGORY, ("a", "b", "c"))
    assert all(series.segments == () for series in figure.series)
    first, second = figure.series
    assert first.dots[0].x < 0 < second.dots[0].x


def test_a_metric_has_lanes_for_what_diverged_or_failed_only() -> None:
    outcomes = [finished(acc=0.5), capped() | {"final.acc": 0.6}, diverged(), failed()]
    trials = table([({"rate": 10.0**n}, outcome) for n, outcome in enumerate(outcomes)])
    figure = figures_of(trials, Objective("acc", Goal.MAXIMIZE))["final.acc"]
    (only,) = figure.series
    assert lane(only) == [(100.0, "diverged"), (1000.0, "failed")]
    assert values(only) == [(1.0, 0.5), (10.0, 0.6)]


def test_numbers_as_groups_are_ordered() -> None:
    trials = table([({"depth": d, "width": w}, reached(100)) for d in (1, 2) for w in (1, 2, 3)])
    figure = figures_of(trials)["steps_to_target"]
    assert figure.ordered
    assert figure.groups == ("depth = 1", "depth = 2")


def test_trials_that_can_not_be_placed_are_counted_below_the_figure() -> None:
    trials = table([*[({"optimizer": "sgd", "rate": rate}, reached(100)) for rate in (0.1, 1.0, 10.0)],
                    ({"optimizer": "adadelta"}, reached(250))])  # fmt: skip
    figure = figures_of(trials)["steps_to_target"]
    assert figure.notes == ("1 trial without rate can't be placed on the axis; the tables have them.",)
    assert figure.series[1].dots == ()


def test_a_metric_s_name_makes_a_file_name() -> None:
    trials = table([({}, {**finished(), "final.val/acc (%)": 1.0})])
    assert list(figures_of(trials, Objective("val/acc (%)"))) == ["final.val_acc_"]


# -- curves -----------------------------------------------------------------------------------------------------


def curve(trial: str, *points: float) -> list[dict[str, Any]]:
    return [
        {"trial": trial, "step": 50 * (n + 1), "seconds": 1.0, "metric": "train_accuracy", "value": value}
        for n, value in enumerate(points)
    ]


def test_the_curve_of_each_group_s_best_trial_is_drawn_and_cut_where_it_is_not_a_number() -> None:
    nan = float("nan")
    curves = pd.DataFrame([*curve("trial00000", 0.1, 0.2), *curve("trial00001", 0.5, 0.9, nan, 0.95, 0.98)])
    trials = table([({"rate": 1.0}, reached(500)), ({"rate": 2.0}, reached(250))])
    figure = figures_of(trials, curves=curves)["curves"]

    (only,) = figure.series
    assert only.segments == (((50.0, 0.5), (100.0, 0.9)), ((200.0, 0.95), (250.0, 0.98)))
    assert only.label == "all trials (rate 2)"
    assert figure.level == 0.97


def test_no_curves_no_figure() -> None:
    assert "curves" not in figures_of(table([({}, reached(100))]))
