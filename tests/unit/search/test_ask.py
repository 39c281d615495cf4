"""What every method of a search does, whatever it asks for."""

from __future__ import annotations

import math
import random
import subprocess
import sys

import pytest

from kgen.analysis import Status
from kgen.errors import MissingExtraError
from kgen.search import Ask, Done, Method, Tried, ask
from kgen.spec import WrittenFloat
from tests.unit.search.valleys import CAP, TWO, Valley, rates, recommended, search_stage, searched

LEARNS = [Method.BISECTION, Method.TPE]
SINGLE = [Method.BISECTION, Method.TPE, Method.RANDOM, Method.SOBOL]
ALL = [*SINGLE, Method.HALVING]
VALLEY = Valley({"": 0.003, "sgd": 0.5, "adam": 0.002})


@pytest.mark.parametrize("best", [2e-6, 3e-5, 0.002, 0.07, 1.3, 40])
def test_eight_trials_find_a_rate_among_eight_decades(best: float) -> None:
    valley = Valley({"": best})
    stage = search_stage("{trials: 8}")
    (found,) = recommended(stage, searched(stage, valley))
    assert valley.needed(found) <= 1.25 * valley.needed({"learning_rate": best})


@pytest.mark.parametrize("method", ALL)
def test_each_group_is_a_search_of_its_own_in_its_own_range(method: Method) -> None:
    stage = search_stage(f"{{method: {method}, per: optimizer, trials: 9, parallel: 3}}", TWO)
    tried = searched(stage, VALLEY)
    for optimizer, low, high in (("sgd", 1e-4, 100.0), ("adam", 1e-6, 0.1)):
        mine = [one for one in tried if one.parameters["optimizer"] == optimizer]
        assert 6 <= len(mine) <= 9
        assert all(low <= rate <= high for rate in rates(mine))
    assert [point["optimizer"] for point in recommended(stage, tried)] == ["sgd", "adam"]


def test_a_group_in_which_nothing_works_has_no_recommendation() -> None:
    stage = search_stage("{per: optimizer, trials: 8}", TWO)
    hopeless = Valley({"sgd": 0.5, "adam": 0.002}, fastest=400)

    def train(point: object, seed: int, steps: int) -> Tried:
        assert isinstance(point, dict)
        one = hopeless(point, seed, steps)
        return one if point["optimizer"] == "sgd" else Tried(point, seed, steps, Status.CAPPED, None, steps, 1.0, 0.1)

    assert [point["optimizer"] for point in recommended(stage, searched(stage, train))] == ["sgd"]


@pytest.mark.parametrize("method", [method for method in SINGLE if method is not Method.BISECTION])
def test_without_groups_the_alternatives_are_one_search(method: Method) -> None:
    stage = search_stage(f"{{method: {method}, trials: 10}}", TWO)
    tried = searched(stage, VALLEY)
    assert len(tried) == 10
    assert {str(one.parameters["optimizer"]) for one in tried} == {"sgd", "adam"}
    assert len(recommended(stage, tried)) == 1


@pytest.mark.parametrize("method", ALL)
def test_one_that_is_killed_anywhere_ends_with_the_trials_of_one_that_is_not(method: Method) -> None:
    stage = search_stage(f"{{method: {method}, per: optimizer, trials: 8, parallel: 3}}", TWO)
    clean = searched(stage, VALLEY)
    chance = random.Random(1)
    for _ in range(5):
        done: list[Tried] = []
        while isinstance(answer := ask(stage, done), Ask):
            kept = [point for point in answer.points if chance.random() < 0.5]  # the others were killed
            done += [VALLEY(point, 7, answer.steps or CAP) for point in kept]
            chance.shuffle(done)
        key = [(sorted(map(str, one.parameters.values())), one.steps_budget) for one in done]
        assert sorted(key) == sorted((sorted(map(str, one.parameters.values())), one.steps_budget) for one in clean)


@pytest.mark.parametrize("method", ALL)
def test_nothing_that_is_pending_is_asked_for(method: Method) -> None:
    stage = search_stage(f"{{method: {method}, trials: 9, parallel: 3}}")
    first = ask(stage, [])
    assert isinstance(first, Ask)
    assert len(first.points) >= 3
    pending = [Tried(point, 7, first.steps or CAP, Status.MISSING, None) for point in first.points]
    assert ask(stage, [], pending) == Ask(())
    one_ended = ask(stage, [VALLEY(first.points[0], 7, first.steps or CAP)], pending[1:])
    assert isinstance(one_ended, Ask)
    assert not {str(point) for point in one_ended.points} & {str(point) for point in first.points}


@pytest.mark.parametrize("method", SINGLE)
def test_no_more_are_trained_at_a_time_than_the_file_says(method: Method) -> None:
    before = searched(search_stage("{method: random, trials: 4}"), VALLEY)  # an edit of the file: no batch is under way
    stage = search_stage(f"{{method: {method}, trials: 12, parallel: 3}}")
    pending = [Tried({"learning_rate": rate}, 7, CAP, Status.MISSING, None) for rate in (0.002, 0.004)]
    answer = ask(stage, before, pending)
    assert isinstance(answer, Ask)
    (point,) = answer.points
    assert float(point["learning_rate"]) not in (0.002, 0.004)


@pytest.mark.parametrize("method", LEARNS)
def test_points_that_are_asked_for_together_lie_apart(method: Method) -> None:
    stage = search_stage(f"{{method: {method}, trials: 12, parallel: 4}}")
    answer = ask(stage, searched(search_stage(f"{{method: {method}, trials: 4, parallel: 4}}"), VALLEY))
    assert isinstance(answer, Ask)
    assert len({float(point["learning_rate"]) for point in answer.points}) == 4


@pytest.mark.parametrize("method", ALL)
def test_listed_values_are_held_to_and_each_is_tried_once(method: Method) -> None:
    listed = "{learning_rate: {log: {start: 1e-5, stop: 1, per_decade: 1}}}"
    stage = search_stage(f"{{method: {method}, trials: 50}}", listed)
    tried = [one for one in searched(stage, VALLEY) if one.steps_budget == CAP or method is not Method.HALVING]
    assert set(rates(tried)) <= {1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1}
    assert len(set(rates(tried))) == len(tried)
    if method is not Method.HALVING:
        assert len(tried) == 6
        assert ask(stage, tried) == Done("every combination was tried")


@pytest.mark.parametrize("method", ALL)
def test_a_value_that_is_made_up_can_be_read(method: Method) -> None:
    for one in searched(search_stage(f"{{method: {method}, trials: 12}}"), VALLEY):
        rate = one.parameters["learning_rate"]
        assert isinstance(rate, WrittenFloat)
        assert float(rate.text) == rate
        assert len(rate.text.split("e")[0].replace(".", "").lstrip("0")) <= 4


@pytest.mark.parametrize("method", ALL)
def test_repeats_count(method: Method) -> None:
    stage = search_stage(f"{{method: {method}, trials: 10, parallel: 1}}", more="repeats: 3\n")
    tried = searched(stage, VALLEY)
    assert 3 <= len(tried) <= 9  # a tenth would be a third of a point
    assert {one.seed for one in tried} == {7, 8, 9}


@pytest.mark.parametrize(
    ("limits", "why", "most"),
    [
        ("trials: 5", "5 trials", 5),
        ("trials: 100, steps: 9000", "training steps, of 9,000", 40),
        ("trials: 100, seconds: 60", "counted seconds, of 60", 40),
    ],
)
def test_it_ends_by_trials_steps_or_seconds_whichever_comes_first(limits: str, why: str, most: int) -> None:
    stage = search_stage(f"{{method: sobol, parallel: 1, {limits}}}")
    tried = searched(stage, VALLEY)
    answer = ask(stage, tried)
    assert isinstance(answer, Done)
    assert answer.why.endswith(why)
    assert len(tried) <= most
    assert not isinstance(ask(stage, tried[:-1]), Done)


@pytest.mark.parametrize("method", SINGLE)
def test_it_ends_when_another_trial_would_not_better_the_best_by_much(method: Method) -> None:
    patient = searched(search_stage(f"{{method: {method}, trials: 60, parallel: 1, improvement: 0.02}}"), VALLEY)
    stage = search_stage(f"{{method: {method}, trials: 60, parallel: 1, improvement: 0.2}}")
    tried = searched(stage, VALLEY)
    assert len(tried) <= len(patient)
    assert len(tried) < 60
    answer = ask(stage, tried)
    assert isinstance(answer, Done)
    assert answer.why.startswith("another trial is expected to better the best by ")
    assert answer.why.endswith(" %, below 20 %")
    (found,) = recommended(stage, tried)
    assert VALLEY.needed(found) < 1.6 * VALLEY.fastest


def test_improvement_of_several_parameters() -> None:
    space = "{learning_rate: {log: {start: 1e-5, stop: 1}}, dropout: {linear: {start: 0, stop: 0.5}}}"
    stage = search_stage("{method: sobol, trials: 200, parallel: 1, improvement: 0.1}", space)
    assert 4 <= len(searched(stage, VALLEY)) < 200


@pytest.mark.parametrize("method", ALL)
def test_a_failed_trial_is_asked_for_once_more(method: Method) -> None:
    stage = search_stage(f"{{method: {method}, trials: 6, parallel: 1}}")
    first = ask(stage, [])
    assert isinstance(first, Ask)
    point, steps = first.points[0], first.steps
    failed = Tried(point, 7, steps or CAP, Status.FAILED, None)
    again = ask(stage, [failed])
    assert again == Ask((point,), steps)
    then = ask(stage, [failed, failed])
    assert isinstance(then, Ask)
    assert point not in then.points

    def broken(point: object, seed: int, steps: int) -> Tried:
        assert isinstance(point, dict)
        return Tried(point, seed, steps, Status.FAILED, None)

    assert len(searched(stage, broken)) <= 12
    assert recommended(stage, [failed]) == []


def test_a_metric_is_searched_as_a_time_is() -> None:
    stage = search_stage(
        "{trials: 8}", more="objective: {metric: val_accuracy, goal: maximize}\n", budget="{steps: 500}"
    )

    def train(point: object, seed: int, steps: int) -> Tried:
        assert isinstance(point, dict)
        above = math.log10(float(point["learning_rate"]) / 0.02)
        if above > 0.7:
            return Tried(point, seed, steps, Status.DIVERGED, None, 100)
        return Tried(
            point, seed, steps, Status.FINISHED, 0.1 + 0.85 * math.exp(-(above**2) / (2 if above < 0 else 0.4)), 500
        )

    (found,) = recommended(stage, searched(stage, train))
    assert 0.005 < float(found["learning_rate"]) < 0.05


def test_results_of_another_search_count_too() -> None:
    before = searched(search_stage("{method: random, trials: 10}"), VALLEY)
    stage = search_stage("{trials: 12, parallel: 3}")
    after = searched(stage, VALLEY, before)
    assert len(after) == 12
    (found,) = recommended(stage, after)
    assert VALLEY.needed(found) <= 1.25 * VALLEY.fastest


def test_tpe_without_optuna_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"the search method tpe needs an extra.*\[search\]"):
        ask(search_stage("{method: tpe}"), [])


def test_optuna_is_imported_for_tpe_only() -> None:
    code = """if True:
        import sys
        from kgen.search import ask
        from tests.unit.search.valleys import search_stage
        for method in ("bisection", "random", "sobol", "halving"):
            ask(search_stage(f"{{method: {method}}}"), [])
        print("optuna" in sys.modules)
    """
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "False\n"
