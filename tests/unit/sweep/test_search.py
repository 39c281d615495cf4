"""What a file with a search is: ranges, limits, and the trials of what is asked for."""

from __future__ import annotations

import pytest

from kgen.errors import InputError
from kgen.spec import Budget, Packing, Target, Value, text_of
from kgen.sweep import expand, loads
from kgen.sweep.stages import most, rungs_of
from kgen.sweep.sweepspec import DEFAULT_METHOD, Dimension, Method, Range, Search, Spacing
from tests.unit.sweep.staged import rung_of, search_stage
from tests.unit.sweep.sweeps import text

ONE = "{optimizer: [sgd, adam], learning_rate: {log: {start: 1e-4, stop: 10}}}"
SGD: dict[str, Value] = {"optimizer": "sgd", "learning_rate": 0.1}
ADAM: dict[str, Value] = {"optimizer": "adam", "learning_rate": 0.01}


def the_search(search: str, parameters: str = ONE) -> Search:
    found = search_stage(search, parameters).search
    assert found is not None
    return found


def test_a_search_has_ranges_and_limits() -> None:
    found = the_search(
        "{method: random, per: optimizer, trials: 8, steps: 20000, seconds: 600, improvement: 0.05, parallel: 2}"
    )
    assert found == Search(
        method=Method.RANDOM,
        spaces=({"optimizer": ("sgd", "adam"), "learning_rate": Range(Spacing.LOG, 1e-4, 10.0)},),
        per=("optimizer",), trials=8, steps=20000, seconds=600.0, improvement=0.05, parallel=2, reduction=3,
        min_steps=None,
    )  # fmt: skip


def test_what_is_not_said_has_a_default() -> None:
    found = the_search("{}", "{learning_rate: {log: {start: 1e-4, stop: 10}}}")
    assert (found.method, found.per, found.trials, found.parallel, found.reduction) == (DEFAULT_METHOD, (), 12, 1, 3)
    assert the_search("{parallel: 3}", "{learning_rate: {log: {start: 1e-4, stop: 10}}}").parallel == 3


RATE = "learning_rate: {log: {start: 1e-4, stop: 10}}"


@pytest.mark.parametrize(
    ("search", "parameters", "why"),
    [
        ("{per: optimizer}", ONE, ""),
        ("{per: optimizer}", f"[{{optimizer: [a, b], {RATE}}}, {{optimizer: c, {RATE}}}]", ""),
        ("{per: [a, b]}", f"{{a: [true, 1], b: [x, y], c: one, {RATE}}}", ""),
        ("{}", "{optimizer: [sgd], learning_rate: {log: {start: 0.01, stop: 1, num: 3}}}", ""),
        ("{}", ONE, "optimizer, learning_rate to choose"),
        ("{}", f"{{{RATE}, dropout: {{linear: {{start: 0, stop: 1}}}}}}", "learning_rate, dropout to choose"),
        ("{}", "{dropout: {linear: {start: 0, stop: 1}}}", "dropout, which has a linear range"),
        ("{}", "{units: {int: {start: 1, stop: 1000}}}", "units, which has whole numbers"),
        ("{}", "{units: [8, 16]}", "units, which has 2 values"),
        ("{}", "{activation: [relu, tanh]}", "activation, which has 2 values"),
        ("{per: optimizer}", "{optimizer: [sgd, adam]}", "nothing to choose"),
        ("{}", f"[{{optimizer: a, {RATE}}}, {{optimizer: b, {RATE}}}]", "several alternatives of one group"),
        (
            "{per: optimizer}", f"[{{optimizer: [a, b], {RATE}}}, {{optimizer: b, d: 1, {RATE}}}]",
            "several alternatives of one group",
        ),
    ],
)  # fmt: skip
def test_the_method_suits_the_parameters_or_is_refused(search: str, parameters: str, why: str) -> None:
    """What the file does not say is chosen by its parameters, and what it says is what is done."""
    found = the_search(search, parameters)
    assert (found.method, found.parallel) == ((Method.TPE, 4) if why else (Method.BISECTION, 1))
    said = f"{{method: bisection{', ' if search != '{}' else ''}{search.strip('{}')}}}"
    if not why:
        assert the_search(said, parameters) == found
        return
    with pytest.raises(InputError) as caught:
        the_search(said, parameters)
    (problem,) = caught.value.problems
    assert (problem.field, problem.found) == ("stages[0].search.method", f"bisection with {why}")
    assert problem.allowed == "one number on a logarithmic scale for each group; tpe and others take any"
    assert problem.source.strip().startswith("search: {method: bisection")


@pytest.mark.parametrize(
    ("parameter", "dimension"),
    [
        ("{log: {start: 1e-4, stop: 10}}", Range(Spacing.LOG, 1e-4, 10.0)),
        ("{linear: {start: 0, stop: 1}}", Range(Spacing.LINEAR, 0.0, 1.0)),
        ("{int: {start: 8, stop: 64}}", Range(Spacing.INT, 8, 64)),
        ("{int: {start: 8, stop: 24, step: 8}}", (8, 16, 24)),
        ("{int: {start: 1, stop: 3}, except: [2]}", (1, 3)),
        ("{log: {start: 0.01, stop: 1, num: 3}}", (0.01, 0.1, 1.0)),
        ("{linear: {start: 0, stop: 1, step: 0.5}, except: [0.5]}", (0.0, 1.0)),
        ("[relu, tanh]", ("relu", "tanh")),
        ("7", (7,)),
    ],
)
def test_a_range_without_a_number_of_values_is_all_of_it(parameter: str, dimension: Dimension) -> None:
    (space,) = the_search("{}", f"{{a: {parameter}}}").spaces
    assert space["a"] == dimension
    if isinstance(dimension, tuple):
        assert [isinstance(value, float) for value in dimension] == [isinstance(v, float) for v in listed(space["a"])]


def listed(dimension: Dimension) -> tuple[Value, ...]:
    assert isinstance(dimension, tuple)
    return dimension


def test_ends_of_a_range_are_as_written() -> None:
    (space,) = the_search("{}").spaces
    rates = space["learning_rate"]
    assert isinstance(rates, Range)
    assert [text_of(rates.start), text_of(rates.stop)] == ["1e-4", "10"]
    assert isinstance(rates.stop, float)


def test_a_file_without_stages_may_search_too() -> None:
    spec = loads(text(parameters=ONE, search="{per: optimizer}"))
    (stage,) = spec.stages
    assert (stage.name, spec.stage, spec.parts, spec.size) == ("main", "main", (), 0)
    assert expand(spec) == ()
    assert spec.parameters == ("optimizer", "learning_rate")
    rung = rung_of(stage, [SGD], None)
    plain = loads(text(parameters="{optimizer: sgd, learning_rate: 0.1}"))
    assert [trial.id for trial in expand(rung)] == [trial.id for trial in expand(plain)]


def test_points_that_are_asked_for_are_trials_with_every_seed() -> None:
    stage = search_stage("{method: tpe, per: optimizer}")
    part = rung_of(stage, [SGD, ADAM, SGD], None)
    assert [(dict(trial.parameters), trial.seed) for trial in expand(part)] == [
        (SGD, 7), (SGD, 8), (ADAM, 7), (ADAM, 8),
    ]  # fmt: skip
    assert part.size == 4
    assert part.budget == stage.base.budget
    assert {trial.lineage for trial in expand(part)} == {""}


def test_rungs_of_halving_are_one_lineage_and_different_trials() -> None:
    stage = search_stage("{method: halving, per: optimizer}")
    short, long = (expand(rung_of(stage, [SGD, ADAM], steps)) for steps in (100, 300))
    assert [trial.budget.steps for trial in (*short, *long)] == [100] * 4 + [300] * 4
    assert [trial.lineage for trial in short] == [trial.lineage for trial in long]
    assert len({trial.lineage for trial in short}) == 4
    assert not {trial.id for trial in short} & {trial.id for trial in long}
    assert not {trial.lineage for trial in short} & {trial.id for trial in (*short, *long)}


def test_the_last_rung_has_the_ids_of_any_other_trial_of_these_steps() -> None:
    stage = search_stage("{method: halving, per: optimizer}")
    plain = search_stage("{method: tpe, per: optimizer}")
    assert [t.id for t in expand(rung_of(stage, [SGD], 900))] == [t.id for t in expand(rung_of(plain, [SGD], None))]


def test_lineage_depends_on_all_that_is_trained() -> None:
    def lineage(search: str, parameters: str = ONE) -> str:
        return expand(rung_of(search_stage(search, parameters), [SGD], 100))[0].lineage

    here = lineage("{method: halving}")
    assert lineage("{method: halving, reduction: 2, trials: 40}") == here
    assert expand(rung_of(search_stage("{method: halving}"), [ADAM], 100))[0].lineage != here


# -- range tests ----------------------------------------------------------------------------------------------------


def test_a_range_test_rises_through_its_groups_range() -> None:
    stage = search_stage("{method: range-test, per: optimizer}")
    sgd, adam = rungs_of(stage, [{"optimizer": "sgd"}, {"optimizer": "adam"}], None)
    assert sgd.trainer.config == {
        "dataset": "digits", "batch_size": 100, "range_test": {"start": 1e-4, "stop": 10.0},
    }  # fmt: skip
    assert adam.trainer.config["range_test"] == {"start": 1e-6, "stop": 0.1}
    assert [dict(trial.parameters) for trial in expand(sgd)] == [{"optimizer": "sgd"}] * 2
    assert sgd.budget == Budget(steps=300, check_every_steps=5)
    assert sgd.packing is Packing.SEQUENTIAL
    assert not {trial.id for trial in expand(sgd)} & {trial.id for trial in expand(adam)}


def test_a_range_test_is_as_long_as_said() -> None:
    stage = search_stage("{method: range-test, per: optimizer, min_steps: 60}")
    assert rung_of(stage, [{"optimizer": "sgd"}], None).budget.steps == 60
    assert rung_of(stage, [{"optimizer": "sgd"}], 90).budget.steps == 90


def test_a_range_test_of_one_range_is_one_part() -> None:
    stage = search_stage("{method: range-test, per: optimizer}", ONE)
    part = rung_of(stage, [{"optimizer": "sgd"}, {"optimizer": "adam"}], None)
    assert part.size == 4


def test_points_may_say_their_own_range() -> None:
    stage = search_stage("{method: range-test, per: optimizer}", ONE)
    point: dict[str, Value] = {"optimizer": "sgd", "learning_rate": 1e-3, "learning_rate_stop": 1.0}
    part = rung_of(stage, [point], None)
    assert part.trainer.config["range_test"] == {"start": 1e-3, "stop": 1.0}
    assert [dict(trial.parameters) for trial in expand(part)] == [{"optimizer": "sgd"}] * 2


def test_a_range_test_has_no_target() -> None:
    stage = search_stage("{method: range-test, per: optimizer}")
    assert stage.base.budget.target == Target("accuracy", 0.9)
    assert rung_of(stage, [{"optimizer": "sgd"}], None).budget.target is None


def test_nothing_asked_for_is_no_part() -> None:
    assert rungs_of(search_stage("{method: tpe}"), [], None) == ()
    assert rungs_of(search_stage("{method: range-test, per: optimizer}"), [], None) == ()


# -- how many, and how packed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("{method: tpe, per: optimizer}", 24),
        ("{method: tpe}", 12),
        ("{method: halving, per: optimizer, trials: 30}", 60),
        ("{method: halving, trials: 15}", 14),  # of each seed five, one, one
        ("{method: range-test, per: optimizer}", 4),
    ],
)
def test_how_many_trials_a_search_may_ask_for(search: str, expected: int) -> None:
    stage = search_stage(search)
    assert most(stage, [stage]) == expected


@pytest.mark.parametrize(
    ("search", "parameters", "packing"),
    [
        ("{per: optimizer, parallel: 4}", ONE, Packing.FUSED),  # eight at a time
        ("{per: optimizer, parallel: 2}", ONE, Packing.SEQUENTIAL),
        ("{parallel: 4}", ONE, Packing.SEQUENTIAL),
        ("{parallel: 6}", ONE, Packing.FUSED),
        ("{parallel: 6}", "{learning_rate: {log: {start: 1, stop: 2}}, dropout: 0.5}", Packing.FUSED),
        ("{parallel: 6}", "{learning_rate: {log: {start: 1, stop: 2}}, dropout: [0.1, 0.5]}", Packing.SEQUENTIAL),
        ("{parallel: 6}", "{batch_size: {int: {start: 1, stop: 200}}}", Packing.SEQUENTIAL),
        ("{method: range-test, per: optimizer}", ONE, Packing.SEQUENTIAL),
        ("{method: halving, trials: 24}", ONE, Packing.FUSED),  # the first rung has nine
        ("{method: halving, trials: 12}", ONE, Packing.SEQUENTIAL),  # and here four
    ],
)
def test_the_packing_of_a_search_is_that_of_the_points_of_one_answer(
    search: str, parameters: str, packing: Packing
) -> None:
    assert search_stage(search, parameters).base.packing is packing


def test_the_packing_of_a_search_does_not_depend_on_how_many_points_came() -> None:
    stage = search_stage("{per: optimizer, parallel: 4}", ONE)
    assert rung_of(stage, [SGD], None).packing is Packing.FUSED
