from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import pytest

from kgen.analysis import analyse_stages
from kgen.analysis.choose import choose
from kgen.choice import Choice
from kgen.spec import TrialSpec, Value, text_of
from kgen.sweep import expand
from tests.unit.analysis.synthetic import NO_CURVES, capped, diverged, failed, finished, missing, reached, table
from tests.unit.sweep.staged import loaded

Made = Callable[[TrialSpec], Mapping[str, Any]]

RATES = "{log: {start: 1e-4, stop: 1, per_decade: 3}}"
GRID = f"""\
- name: grid
  parameters: {{optimizer: [sgd, adam], learning_rate: {RATES}}}
  budget: {{steps: 2000, target: {{train_accuracy: 0.97}}}}
"""
BOTTOMS = {"sgd": 9, "adam": 5}
"""Which of the 13 rates is best."""


def trials_of(made: Made, grid: str = GRID) -> pd.DataFrame:
    """The table of every trial of the stage ``grid``."""
    trials = expand(loaded(grid).parts[0])
    frame = table([(trial.parameters, made(trial)) for trial in trials], [trial.seed for trial in trials])
    return frame.assign(trial=[trial.id for trial in trials], stage="grid")


def place(trial: TrialSpec) -> int:
    """Of its rate among the 13."""
    rates = list(dict.fromkeys(float(one.parameters["learning_rate"]) for one in expand(loaded(GRID).parts[0])))
    return rates.index(float(trial.parameters["learning_rate"]))


def valley(trial: TrialSpec) -> Mapping[str, Any]:
    away = abs(place(trial) - BOTTOMS[str(trial.parameters["optimizer"])])
    return reached(200 + 150 * away**2 + 10 * (trial.seed % 2)) if away < 4 else capped()


def chosen(source: str, made: Made = valley, grid: str = GRID, beside: str = "") -> Choice:
    """What a second stage with these keys of ``from`` gets."""
    keys = f"{{from: {{stage: grid{source}}}{beside}}}"
    later = f"- name: later\n  parameters: {keys}\n  budget: {{steps: 100}}\n  objective: {{metric: loss}}\n"
    spec = loaded(grid, later)
    return choose(spec.stages[1], spec.parts[0], trials_of(made, grid), NO_CURVES)


def rates(choice: Choice, group: int = 0) -> list[str]:
    return [text_of(point["learning_rate"]) for point in choice.chosen[group].points]


def test_one_best_point_per_group_with_what_was_measured_there() -> None:
    choice = chosen(", per: optimizer")
    sgd, adam = choice.chosen
    assert (choice.stage, choice.source, choice.without, choice.missing) == ("later", "grid", {}, ())
    assert (sgd.group, adam.group) == ({"optimizer": "sgd"}, {"optimizer": "adam"})
    assert list(sgd.best) == ["optimizer", "learning_rate"]
    assert sgd.best["learning_rate"] == pytest.approx(0.1)
    assert adam.best["learning_rate"] == pytest.approx(10 ** (-7 / 3))
    assert sgd.points == (sgd.best,)
    assert sgd.value == pytest.approx(205, rel=0.2)
    assert len(sgd.trials) == 2
    known = {trial.id: trial for trial in expand(loaded(GRID).parts[0])}
    assert all(known[trial].parameters == sgd.best for trial in sgd.trials)


def test_it_is_what_the_page_recommends() -> None:
    spec = loaded(GRID)
    (page,) = analyse_stages(spec.parts, trials_of(valley), NO_CURVES)
    choice = chosen(", per: optimizer")
    for one, other in zip(page.recommendations, choice.chosen, strict=True):
        assert (one.at, one.value, one.low, one.high) == (
            other.best["learning_rate"], other.value, other.low, other.high,
        )  # fmt: skip


def test_a_choice_survives_its_own_file_with_the_numbers_as_their_owner_wrote_them() -> None:
    grid = GRID.replace(RATES, "[1e-3, .01, 0.10, 1.]")
    choice = chosen(
        ", per: optimizer, neighbours: 1",
        lambda t: reached(100 if t.parameters["learning_rate"] == 0.01 else 300),
        grid,
    )
    assert rates(choice) == ["1e-3", ".01", "0.10"]
    again = Choice.from_json(choice.to_json())
    assert again.chosen[0].points == choice.chosen[0].points


def test_neighbours_are_values_of_the_earlier_stage_and_end_where_it_ends() -> None:
    ends = {"sgd": 12, "adam": 0}

    def to_the_end(trial: TrialSpec) -> Mapping[str, Any]:
        return reached(200 + 150 * abs(place(trial) - ends[str(trial.parameters["optimizer"])]))

    choice = chosen(", per: optimizer, neighbours: 2", to_the_end)
    assert [float(rate) for rate in rates(choice, 0)] == pytest.approx([10 ** (-2 / 3), 10 ** (-1 / 3), 1])
    assert [float(rate) for rate in rates(choice, 1)] == pytest.approx([1e-4, 10 ** (-11 / 3), 10 ** (-10 / 3)])


def test_a_factor_makes_new_values_around_the_best_with_four_digits() -> None:
    choice = chosen(", per: optimizer, around: {factor: 4, num: 5}")
    best = text_of(choice.chosen[0].best["learning_rate"])
    assert rates(choice) == ["0.025", "0.05", best, "0.2", "0.4"]
    assert [float(rate) for rate in rates(choice, 1)] == pytest.approx(
        [0.00116, 0.00232, 0.00464, 0.00928, 0.01857], rel=1e-2
    )


def test_the_best_of_all_where_no_groups_are_asked_for() -> None:
    def adam_is_faster(trial: TrialSpec) -> Mapping[str, Any]:
        return reached(100 if trial.parameters["optimizer"] == "adam" and place(trial) == 5 else 900)

    (only,) = chosen("", adam_is_faster).chosen
    assert (only.group, only.best["optimizer"]) == ({}, "adam")


def test_top_takes_the_best_groups_and_says_what_became_of_the_others() -> None:
    choice = chosen(", per: optimizer, top: 1", lambda t: reached(100 if t.parameters["optimizer"] == "adam" else 200))
    assert [one.group["optimizer"] for one in choice.chosen] == ["adam"]
    assert list(choice.without) == ["sgd"]
    assert choice.without["sgd"].startswith("number 2 by steps to train_accuracy >= 0.97")


def test_a_group_in_which_nothing_works_gives_nothing_and_says_why() -> None:
    def sgd_dies(trial: TrialSpec) -> Mapping[str, Any]:
        if trial.parameters["optimizer"] == "adam":
            return valley(trial)
        return diverged() if place(trial) > 6 else capped()

    choice = chosen(", per: optimizer", sgd_dies)
    assert [one.group["optimizer"] for one in choice.chosen] == ["adam"]
    assert choice.without == {"sgd": "no value of learning_rate works, of 13 points: 14 capped and 12 diverged"}


def test_nothing_works_at_all() -> None:
    choice = chosen(", per: optimizer", lambda trial: failed())
    assert choice.chosen == ()
    assert list(choice.without) == ["sgd", "adam"]
    assert len(choice.missing) == 52


def test_trials_without_a_result_are_named() -> None:
    def one_is_missing(trial: TrialSpec) -> Mapping[str, Any]:
        return missing() if trial.seed == 8 and place(trial) == 0 else valley(trial)

    choice = chosen(", per: optimizer", one_is_missing)
    known = {trial.id: trial for trial in expand(loaded(GRID).parts[0])}
    assert [(known[trial].seed, place(known[trial])) for trial in choice.missing] == [(8, 0), (8, 0)]


def test_any_metric_by_its_goal() -> None:
    def accuracy(trial: TrialSpec) -> Mapping[str, Any]:
        away = abs(place(trial) - BOTTOMS[str(trial.parameters["optimizer"])])
        return finished(val_accuracy=0.95 - 0.01 * away**2 if away < 9 else 0.1)

    choice = chosen(", per: optimizer, best: val_accuracy, goal: maximize, at: best", accuracy)
    assert [one.best["learning_rate"] for one in choice.chosen] == pytest.approx([0.1, 10 ** (-7 / 3)])
    assert choice.chosen[0].value == pytest.approx(0.96, abs=0.01)
    assert choice.asked["objective"] == {"metric": "val_accuracy", "goal": "maximize", "at": "best"}
    assert choice.rule.startswith("the greatest best val_accuracy over 2 seeds, smoothed along learning_rate")


def test_only_the_groups_that_are_asked_for() -> None:
    choice = chosen(", per: optimizer, where: {optimizer: [adam]}")
    assert [one.group["optimizer"] for one in choice.chosen] == ["adam"]
    assert choice.without == {}


def test_other_parameters_of_a_group_are_chosen_as_well() -> None:
    """Per optimizer, not per batch size: the better of both is taken, and neighbours keep it."""
    grid = GRID.replace("optimizer: [sgd, adam]", "optimizer: [sgd, adam], batch: [10, 20]")

    def made(trial: TrialSpec) -> Mapping[str, Any]:
        away = abs(place(trial) - BOTTOMS[str(trial.parameters["optimizer"])])
        return reached(200 + 100 * away**2 + 5 * int(trial.parameters["batch"])) if away < 3 else capped()

    choice = chosen(", per: optimizer, neighbours: 1", made, grid)
    points: list[Mapping[str, Value]] = [point for one in choice.chosen for point in one.points]
    assert [point["batch"] for point in points] == [10] * 6
    assert list(points[0]) == ["optimizer", "batch", "learning_rate"]


def test_categories_alone_are_chosen_by_their_medians() -> None:
    grid = GRID.replace(RATES, "[0.1]")
    choice = chosen("", lambda t: reached(100 if t.parameters["optimizer"] == "adam" else 90 + t.seed), grid)
    (only,) = choice.chosen
    assert only.best == {"optimizer": "sgd", "learning_rate": 0.1}
    assert choice.rule == "the smallest median of steps to train_accuracy >= 0.97 over 2 seeds"
