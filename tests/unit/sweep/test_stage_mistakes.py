"""Every mistake in stages and searches is found at once, at its place, in the words of its fields."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgen.errors import InputError
from kgen.spec import Target
from kgen.sweep import load, loads
from kgen.sweep.sweepspec import Method
from tests.unit.sweep.staged import BEST, GRID, HEAD, SCALE, searching, staged
from tests.unit.sweep.sweeps import messages, text
from tests.unit.sweep.test_mistakes import EDIT, found_in

METHODS = [str(method) for method in Method]
FROM = "{stage: grid, per: optimizer}"
RANGE = "{optimizer: [sgd, adam], learning_rate: {log: {start: 1e-4, stop: 10}}}"


def of_stages(*stages: str, head: str = HEAD) -> list[str]:
    """The messages without their places, which other tests look at."""
    return [message.partition(" ")[2] for message in messages(staged(*stages, head=head))]


def of_from(source: str, grid: str = GRID) -> list[str]:
    return of_stages(grid, BEST.replace(FROM, source))


def of_search(search: str, parameters: str = RANGE, **blocks: str) -> list[str]:
    return of_stages(searching(search, parameters, **blocks))


# -- everything at once ---------------------------------------------------------------------------------------------


def test_mistakes_of_all_stages_come_together_in_the_order_of_the_file() -> None:
    file = """\
version: 1
name: article
trainer: {config: {rate: .inf}, command: [train, "{scale}"]}
budget: {steps: 3}
stages:
  - name: Grid
    parameters: {optimizer: [sgd, sgd], learning_rate: {log: {start: 1e-3, stop: 1}}}
    budget: {steps: 1000, target: {train_accuracy: 95}}
  - name: best
    parameters: {from: {stage: scale, per: optimizer, num: 3}}
    budgt: {steps: 1000}
    repeats: 0
    objective: {metric: val_accuracy, goal: maximise, at: best}
    trainer: {config: {batch_size: .nan}, command: [x]}
    execution: {trials_per_pod: 3}
  - 7
  - name: scale
    parameters: {scale: [1, 2], "a b": [1]}
    budget: {steps: 0}
    objective: {metric: loss}
  - name: search
    parameters: {optimizer: [sgd], learning_rate: {log: {start: 0, stop: 0.1}}, dropout: {linear: {start: 1, stop: 1}}}
    search: {method: tpe, per: optimizer, seconds: 0, improvement: 5, reduction: 1, trails: 3}
    budget: {steps: 1000, target: {train_accuracy: 0.95}}
"""
    with pytest.raises(InputError) as caught:
        loads(file)
    assert [(p.line, p.column, p.field, p.found) for p in caught.value.problems] == [
        (3, 26, "trainer.config.rate", "inf"),
        (3, 50, "trainer.command[1]", "the place {scale}"),
        (6, 11, "stages[0].name", "the text 'Grid'"),
        (7, 35, "stages[0].parameters.optimizer[1]", "the text 'sgd' again"),
        (8, 52, "stages[0].budget.target.train_accuracy", "95"),
        (10, 32, "stages[1].parameters.from.stage", "scale, which comes later"),
        (10, 55, "stages[1].parameters.from.num", "an unknown field 'num'"),
        (11, 5, "stages[1].budgt", "an unknown field 'budgt'"),
        (12, 14, "stages[1].repeats", "0"),
        (13, 45, "stages[1].objective.goal", "the text 'maximise'"),
        (14, 36, "stages[1].trainer.config.batch_size", "nan"),
        (14, 43, "stages[1].trainer.command", "an unknown field 'command'"),
        (15, 17, "stages[1].execution.trials_per_pod", "an unknown field 'trials_per_pod'"),
        (16, 5, "stages[2]", "7"),
        (18, 33, "stages[3].parameters.a b", "the text 'a b'"),
        (19, 21, "stages[3].budget.steps", "0"),
        (22, 65, "stages[4].parameters.learning_rate.log.start", "0"),
        (22, 116, "stages[4].parameters.dropout.linear.stop", "1"),
        (23, 52, "stages[4].search.seconds", "0"),
        (23, 68, "stages[4].search.improvement", "5"),
        (23, 82, "stages[4].search.reduction", "1"),
        (23, 85, "stages[4].search.trails", "an unknown field 'trails'"),
    ]
    sources = file.splitlines()
    assert all(p.source == sources[p.line - 1] for p in caught.value.problems)


@pytest.mark.parametrize(
    "stages",
    [
        [
            GRID.replace("name: grid", "name: Grid"),
            BEST.replace("stage: grid", "stage: Grid"),
        ],  # not also: no stage Grid
        [GRID.replace("name: grid", "nmae: grid")],  # not also: a name is missing
        [GRID.replace("name: grid", "- x")],  # not also: name is missing
        [GRID.replace("[sgd, adam]", "[sgd, *b]"), BEST],  # not also: no parameter optimizer
        [GRID.replace("[sgd, adam]", "[sgd, sgd]"), BEST],
        [GRID, BEST.replace("per: optimizer", "per: 7, top: 3")],  # not also: top without per
        [GRID, BEST.replace("per: optimizer", "along: learning_rate, around: {factor: 0}")],  # not also: along without
        [GRID, BEST.replace("per: optimizer", "best: accuracy, goal: maximise")],  # not also: no goal
        [GRID, BEST.replace("budget: {steps: 200}", "budget: {stps: 200}")],  # not also: it never ends
        [searching("{per: 8, method: halving}", RANGE)],
        [searching("{metod: halving, reduction: 3}", RANGE)],  # not also: reduction with tpe
        [searching("{}", RANGE).replace("search: {}", "serach: {}")],  # not also: a range without values
    ],
)
def test_a_mistake_is_told_once_and_not_what_follows_from_it(stages: list[str]) -> None:
    (message,) = of_stages(*stages)
    assert message


# -- which blocks there may be --------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", ["parameters: {a: [1]}", "search: {trials: 3}"])
def test_what_each_stage_has_stands_in_no_other_place(block: str) -> None:
    name = block.partition(":")[0]
    assert of_stages(GRID, head=f"{HEAD}{block}\n") == [
        f"{name}: found {name} beside stages, allowed {name} in each stage"
    ]


def test_without_stages_parameters_are_required() -> None:
    assert messages(text(parameters=None)) == ["1:1 parameters: found nothing, allowed a value, it is required"]
    assert messages(text(parameters=None, search="{}")) == [
        "1:1 parameters: found nothing, allowed a value, it is required"
    ]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("[]", "stages: found an empty list, allowed at least one"),
        ("{a: 1}", "stages: found a mapping with a, allowed a list"),
        ("3", "stages: found 3, allowed a list"),
    ],
)
def test_stages_are_a_list(stages: str, message: str) -> None:
    assert message in messages(text(parameters=None, budget=None, stages=stages))[-1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("main", "found the text 'main', allowed another name: main is the stage of a file without stages"),
        ("Grid", "found the text 'Grid', allowed a DNS label of at most 63 characters"),
        ("a" * 64, "allowed a DNS label of at most 63 characters"),
        ("7", 'found 7, allowed text: "7"'),
    ],
)
def test_a_stage_has_a_name_that_kubernetes_takes(name: str, message: str) -> None:
    (found,) = of_stages(GRID.replace("name: grid", f"name: {name}"))
    assert found.startswith("stages[0].name: ")
    assert message in found


def test_each_name_stands_once() -> None:
    assert of_stages(GRID, SCALE, GRID) == [
        "stages[2].name: found grid again, allowed each name once (first in stages[0])"
    ]


def test_a_stage_needs_something_to_compare_by() -> None:
    assert of_stages(GRID, BEST.replace("  objective: {metric: val_accuracy, goal: maximize, at: best}\n", "")) == [
        "stages[1].budget.target: found nothing, and no objective, allowed target: {train_accuracy: 0.97} in budget, "
        "to compare trials by the steps to it; or objective: {metric: val_accuracy, goal: maximize} beside budget, to "
        "compare them by what they report"
    ]
    head = HEAD + "objective: {metric: steps_to_target}\n"
    assert of_stages(GRID, "- {name: b, parameters: {a: [1]}, budget: {steps: 3}}\n", head=head) == [
        "stages[1].objective.metric: found steps_to_target, allowed a reported metric, or a budget.target to count to"
    ]


def test_a_list_without_stages_is_one_mistake() -> None:
    assert messages("version: 1\nname: a\nstages: []\n") == ["3:9 stages: found an empty list, allowed at least one"]


def test_the_budget_of_the_file_is_that_of_stages_without_one() -> None:
    """One of its own takes its place as a whole."""
    own = GRID.replace("name: grid", "name: own").replace("steps: 100", "check_every_steps: 5, seconds: 9")
    given = GRID.replace("  budget: {steps: 100, target: {accuracy: 0.9}}\n", "")
    spec = loads(staged(given, own, head=HEAD + "budget: {steps: 70, target: {accuracy: 0.8}}\n"))
    first, second = (stage.base.budget for stage in spec.stages)
    assert (first.steps, first.check_every_steps, first.target) == (70, 50, Target("accuracy", 0.8))
    assert (second.steps, second.seconds, second.check_every_steps) == (None, 9, 5)


def test_a_mistake_in_the_budget_of_the_file_is_said_once_at_its_place() -> None:
    given = GRID.replace("  budget: {steps: 100, target: {accuracy: 0.9}}\n", "")
    both = (given, given.replace("name: grid", "name: two"))
    head = HEAD + "budget: {steps: 0, target: {accuracy: 0.9}}\n"
    assert of_stages(*both, head=head) == ["budget.steps: found 0, allowed a whole number from 1"]
    assert of_stages(*both, head=HEAD + "budget: {target: {accuracy: 0.9}}\n") == [
        "budget: found neither steps nor seconds, allowed at least one of them, so that every trial ends"
    ]


def test_every_trial_ends() -> None:
    assert of_stages(GRID.replace("steps: 100, ", "")) == [
        "stages[0].budget: found neither steps nor seconds, allowed at least one of them, so that every trial ends"
    ]


def test_a_place_in_the_command_has_to_be_a_parameter_of_every_stage() -> None:
    head = HEAD.replace("trainer: {", 'trainer: {command: [train, "{learning_rate}", "{scale}"], ')
    allowed = "{seed} or a parameter that every trial has: optimizer, learning_rate; write {{ for a brace"
    assert of_stages(GRID, BEST, SCALE, head=head) == [
        f"trainer.command[2]: found the place {{scale}}, allowed {allowed}"
    ]


# -- what stages share, and what they do not ------------------------------------------------------------------------


def test_packing_is_judged_by_the_stage_that_it_is_for() -> None:
    seconds = "{metric: seconds_to_target}"
    fused = GRID + f"  objective: {seconds}\n"
    assert of_stages(GRID, fused.replace("name: grid", "name: b"), head=HEAD + "execution: {packing: fused}\n") == [
        "execution.packing: found fused, allowed auto or sequential, because the objective is in seconds and fused "
        "trials have none of their own"
    ]
    own = fused.replace("name: grid", "name: b") + "  execution: {packing: sequential}\n"
    loads(staged(GRID, own, head=HEAD + "execution: {packing: fused}\n"))
    assert of_stages(GRID, fused.replace("name: grid", "name: b") + "  execution: {packing: fused}\n") == [
        "stages[1].execution.packing: found fused, allowed auto or sequential, because the objective is in seconds and "
        "fused trials have none of their own"
    ]


def test_twins_in_a_stage_are_named_there() -> None:
    grid = "- {name: a, parameters: [{x: [1]}, {x: [1]}], budget: {steps: 1, target: {a: 1}}}\n"
    assert of_stages(grid) == [
        "stages[0].parameters[1]: found x=1 a second time, allowed each trial once (first in stages[0].parameters[0])"
    ]


def test_all_stages_together_are_not_too_many() -> None:
    million = "{a: {int: {start: 1, stop: 1000}}, b: {int: {start: 1, stop: 600}}}"
    stage = f"parameters: {million}, budget: {{steps: 1, target: {{a: 1}}}}}}\n"
    head = HEAD.replace("repeats: 2", "repeats: 1")
    assert of_stages(f"- {{name: a, {stage}", f"- {{name: b, {stage}", head=head) == [
        "stages: found up to 1,200,000 trials, allowed at most 1,000,000 trials"
    ]
    assert of_stages(f"- {{name: a, {stage}") == [
        "stages[0].parameters: found 1,200,000 trials, allowed at most 1,000,000 trials"
    ]


def test_neither_a_search_nor_a_choice_may_come_to_too_many() -> None:
    assert of_search("{per: optimizer, trials: 600000}") == [
        "stages[0].search.trials: found up to 1,200,000 trials, allowed at most 1,000,000 trials"
    ]
    beside = SCALE.replace("{linear: {start: 1, stop: 10, num: 10}}", "{int: {start: 1, stop: 90000}}")
    assert of_stages(GRID, beside) == [
        "stages[1].parameters: found up to 1,080,000 trials, allowed at most 1,000,000 trials"
    ]


def test_seeds_of_a_stage_are_counted_to_their_end() -> None:
    assert of_stages(GRID + "  seed: 9223372036854775807\n") == [
        "stages[0].seed: found 9223372036854775807, allowed at most 9223372036854775807 with all repeats"
    ]


@pytest.mark.parametrize("file", [text() + '"\\ud800": 1\n', staged(GRID + '  "\\ud800": 1\n')])
def test_a_key_that_is_no_text_is_said_and_nothing_else(file: str) -> None:
    (message,) = messages(file)
    assert "the character U+D800" in message


def test_a_template_that_is_not_there_is_said_once(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    head = HEAD.replace("trainer: {", "trainer: {command: [train], ")
    file.write_text(staged(GRID, BEST, head=head + "kubernetes: {template: gone.j2}\n"))
    with pytest.raises(InputError) as caught:
        load(file)
    assert [problem.field for problem in caught.value.problems] == ["kubernetes.template"]


# -- from -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{stage: gird}", "stage: found gird, allowed a stage before this one: grid; did you mean grid?"),
        ("{stage: best}", "stage: found best, which is this stage itself, allowed a stage before this one: grid"),
        ("{}", "stage: found nothing, allowed a value, it is required"),
        ("{stage: 7}", 'stage: found 7, allowed text: "7"'),
        (
            "{stage: grid, per: optimiser}",
            "per: found optimiser, allowed a parameter of every trial of grid: optimizer, learning_rate; "
            "did you mean optimizer?",
        ),
        (
            "{stage: grid, per: [optimizer, scale]}",
            "per[1]: found scale, allowed a parameter of every trial of grid: optimizer, learning_rate",
        ),
        ("{stage: grid, per: [optimizer, optimizer]}", "per[1]: found optimizer again, allowed each parameter once"),
        ("{stage: grid, per: []}", "per: found an empty list, allowed at least one"),
        ("{stage: grid, per: {a: 1}}", "per: found a mapping with a, allowed a list"),
        (
            "{stage: grid, where: {optimiser: adam}}",
            "where.optimiser: found optimiser, allowed a parameter of every trial of grid: optimizer, learning_rate; "
            "did you mean optimizer?",
        ),
        (
            "{stage: grid, where: {optimizer: [sgd, adm]}}",
            "where.optimizer[1]: found the text 'adm', allowed values of optimizer in grid: sgd, adam; "
            "did you mean adam?",
        ),
        (
            "{stage: grid, where: {learning_rate: 7}}",
            "where.learning_rate: found 7, allowed values of learning_rate in grid: 0.01, 0.1, 1",
        ),
        ("{stage: grid, where: {}}", "where: found an empty mapping, allowed at least one"),
        (
            "{stage: grid, along: rate, neighbours: 1}",
            "along: found rate, allowed a parameter of every trial of grid: optimizer, learning_rate",
        ),
        (
            "{stage: grid, along: optimizer, neighbours: 1}",
            "along: found optimizer, whose values are not numbers, allowed a parameter with numbers",
        ),
        (
            "{stage: grid, per: learning_rate, along: learning_rate, neighbours: 1}",
            "along: found learning_rate, of which per takes each value, allowed another parameter",
        ),
        (
            "{stage: grid, along: learning_rate}",
            "along: found learning_rate with neither neighbours nor around, allowed neighbours or around beside it, "
            "which have it as their line",
        ),
        (
            "{stage: grid, per: learning_rate, neighbours: 1}",
            "neighbours: found neighbours without a line, allowed a parameter of grid with numbers, which per does not "
            "name",
        ),
        ("{stage: grid, neighbours: -1}", "neighbours: found -1, allowed a whole number from 0"),
        ("{stage: grid, neighbours: 1, around: {factor: 2}}", "around: found around beside neighbours, allowed one of"),
        ("{stage: grid, around: {factor: 1}}", "around.factor: found 1, allowed a number above 1"),
        ("{stage: grid, around: {factor: .inf}}", "around.factor: found inf, allowed a number above 1"),
        ("{stage: grid, around: {factor: 2, num: 4}}", "around.num: found 4, allowed an odd number from 3 to 999, so"),
        ("{stage: grid, around: {num: 5}}", "around.factor: found nothing, allowed a value, it is required"),
        (
            "{stage: grid, around: {factor: 2, nmu: 5}}",
            "around.nmu: found an unknown field 'nmu', allowed factor, num; ",
        ),
        (
            "{stage: grid, top: 2}",
            "top: found 2 without per, allowed per beside it: the best is one, and neighbours or around give more",
        ),
        ("{stage: grid, per: optimizer, top: 0}", "top: found 0, allowed a whole number from 1"),
        ("{stage: grid, goal: minimize}", "goal: found goal without best, allowed best beside it, a metric"),
        (
            "{stage: grid, best: steps_to_traget}",
            "best: found steps_to_traget, allowed steps_to_target or seconds_to_target, or a metric that the trainer "
            "reports; did you mean steps_to_target?",
        ),
        (
            "{stage: grid, best: val_accuracy}",
            "best: found val_accuracy without a goal, allowed goal: maximize or goal: minimize beside it",
        ),
        (
            "{stage: grid, best: steps_to_target, goal: maximize}",
            "goal: found maximize, allowed minimize, because the metric is a time",
        ),
        (
            "{stage: grid, neighbors: 1}",
            "neighbors: found an unknown field 'neighbors', allowed stage, best, goal, at, per, where, top, along, "
            "neighbours, around; did you mean neighbours?",
        ),
    ],
)
def test_what_can_not_be_taken_from_an_earlier_stage_is_refused(source: str, message: str) -> None:
    (found,) = of_from(source)
    assert found.startswith(f"stages[1].parameters.from.{message}")


def test_the_first_stage_follows_none() -> None:
    assert of_stages(BEST) == [
        "stages[0].parameters.from.stage: found grid, allowed a stage before this one, and there is none"
    ]


def test_a_later_stage_is_no_source() -> None:
    assert of_stages(GRID, BEST.replace("stage: grid", "stage: scale"), SCALE) == [
        "stages[1].parameters.from.stage: found scale, which comes later, allowed a stage before this one: grid"
    ]


def test_a_time_to_a_target_needs_one_in_the_earlier_stage() -> None:
    grid = GRID.replace(", target: {accuracy: 0.9}", "") + "  objective: {metric: loss}\n"
    assert of_from("{stage: grid, best: steps_to_target}", grid) == [
        "stages[1].parameters.from.best: found steps_to_target, to which grid has no target, allowed a metric that its "
        "trials report, or a budget.target in grid"
    ]


def test_fused_trials_have_no_seconds_to_choose_by() -> None:
    source = "{stage: grid, best: seconds_to_target}"
    assert of_from(source) == [
        "stages[1].parameters.from.best: found seconds_to_target of trials that are fused, allowed steps_to_target, or "
        "grid with packing: sequential"
    ]
    loads(staged(GRID + "  execution: {packing: sequential}\n", BEST.replace(FROM, source)))


def test_a_factor_needs_numbers_above_zero() -> None:
    grid = GRID.replace("[0.01, 0.1, 1]", "[0, 0.1, 1]")
    assert of_from("{stage: grid, along: learning_rate, around: {factor: 2}}", grid) == [
        "stages[1].parameters.from.around: found around, and values of learning_rate that are 0 or less, allowed "
        "neighbours: a factor needs numbers above 0"
    ]


def test_what_stands_beside_is_new() -> None:
    assert of_stages(GRID, SCALE.replace("scale: {linear", "optimizer: [sgd]\n    scale: {linear")) == [
        "stages[1].parameters.optimizer: found optimizer, which comes from there, allowed parameters that trials of "
        "grid do not have"
    ]
    assert of_stages(GRID, SCALE.replace("scale: {linear: {start: 1, stop: 10, num: 10}}", "1x: [1]")) == [
        "stages[1].parameters.1x: found the text '1x', allowed a name of letters, digits, '_' and '-', beginning with "
        "a letter, at most 63 long"
    ]


def test_a_range_test_has_no_trials_that_could_be_taken() -> None:
    (message,) = of_stages(
        searching("{method: range-test, per: optimizer}"), BEST.replace(FROM, "{stage: search, per: optimizer}")
    )
    assert "found search, a range test, allowed a stage of trials, or of a search by random, sobol," in message


def test_from_stands_in_a_stage_only() -> None:
    expected = "found from an earlier stage, allowed parameters: {from: …} in a stage only"
    assert messages(text(parameters="{from: {stage: grid}}")) == [f"3:14 parameters.from: {expected}"]
    assert of_stages(GRID, BEST.replace("{from: {stage: grid, per: optimizer}}", "[{from: {stage: grid}}]")) == [
        f"stages[1].parameters[0].from: {expected}"
    ]


def test_from_has_no_search() -> None:
    assert of_stages(GRID, BEST + "  search: {trials: 5}\n") == [
        "stages[1].search: found a search beside from, allowed one of them: a search has ranges"
    ]


def test_a_range_of_a_search_makes_no_groups() -> None:
    after = BEST.replace(FROM, "{stage: search, per: [optimizer, learning_rate]}")
    assert of_stages(searching("{per: optimizer}", RANGE), after) == [
        "stages[1].parameters.from.per[1]: found learning_rate, allowed a parameter of every trial of search: optimizer"
    ]


# -- search ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("{method: grid}", f"method: found the text 'grid', allowed {', '.join(METHODS[:-1])} or {METHODS[-1]}"),
        ("{trials: 1}", "trials: found 1, allowed at least 2, the repeats of one point"),
        ("{trials: 0}", "trials: found 0, allowed a whole number from 1"),
        ("{steps: 0}", "steps: found 0, allowed a whole number from 1"),
        ("{seconds: 0}", "seconds: found 0, allowed a number above 0"),
        ("{improvement: 0}", "improvement: found 0, allowed a share above 0 and at most 1, such as 0.05"),
        ("{improvement: 5}", "improvement: found 5, allowed a share above 0 and at most 1, such as 0.05"),
        ("{parallel: 0}", "parallel: found 0, allowed a whole number from 1"),
        ("{method: tpe, reduction: 3}", "reduction: found reduction with tpe, allowed reduction with halving only"),
        (
            "{method: random, min_steps: 30}",
            "min_steps: found min_steps with random, allowed min_steps with halving or range-test only",
        ),
        (
            "{method: halving, improvement: 0.1}",
            "improvement: found improvement with halving, allowed improvement with "
            f"{' or '.join(m for m in METHODS if m not in ('halving', 'range-test'))} only",
        ),
        (
            "{method: range-test, per: optimizer, parallel: 2}",
            "parallel: found parallel with range-test, allowed parallel with "
            f"{' or '.join(m for m in METHODS if m not in ('halving', 'range-test'))} only",
        ),
        (
            "{method: range-test, per: optimizer, trials: 8}",
            "trials: found trials with range-test, allowed trials with "
            f"{' or '.join(m for m in METHODS if m != 'range-test')} only",
        ),
        (
            "{method: halving, parallel: 2}",
            "parallel: found parallel with halving, allowed parallel with "
            f"{' or '.join(m for m in METHODS if m not in ('halving', 'range-test'))} only",
        ),
        ("{method: halving, trials: 5}", "trials: found 5, allowed at least 6, for 3 rungs of 2 repeats"),
        (
            "{method: halving, trials: 11, min_steps: 20, reduction: 2}",
            "trials: found 11, allowed at least 14, for 7 rungs of 2 repeats",
        ),
        ("{method: halving, reduction: 1}", "reduction: found 1, allowed a whole number from 2"),
        (
            "{method: halving, min_steps: 900}",
            "min_steps: found 900, allowed less than budget.steps, which is 900: the last rung",
        ),
        (
            "{method: range-test, per: optimizer, min_steps: 5}",
            "min_steps: found 5, allowed more than 5: the rate rises every 5 steps",
        ),
        (
            "{per: optimiser}",
            "per: found optimiser, allowed a parameter with listed values in every alternative: optimizer; "
            "did you mean optimizer?",
        ),
        (
            "{per: [optimizer, learning_rate]}",
            "per[1]: found learning_rate, which has a range, allowed a parameter with listed values in every "
            "alternative: optimizer",
        ),
        (
            "{paralel: 3}",
            "paralel: found an unknown field 'paralel', allowed method, per, trials, steps, seconds, improvement, "
            "parallel, reduction, min_steps; did you mean parallel?",
        ),
    ],
)
def test_a_search_that_can_not_be_made_is_refused(search: str, message: str) -> None:
    assert of_search(search) == [f"stages[0].search.{message}"]
    (alone,) = messages(text(parameters=RANGE, search=search, budget="{steps: 900, target: {a: 1}}", repeats="2"))
    assert alone.partition(" ")[2] == f"search.{message}"


def test_rungs_are_parts_of_a_number_of_steps() -> None:
    assert of_search("{method: halving}", budget="{seconds: 60, target: {a: 1}}") == [
        "stages[0].budget.steps: found nothing, allowed a number of steps, of which the rungs of halving are parts"
    ]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("{a: {log: {start: 0, stop: 1}}}", "a.log.start: found 0, allowed a number above 0, because the scale is log"),
        ("{a: {log: {start: 1, stop: 0.1}}}", "a.log.stop: found 0.1, allowed more than start, which is 1"),
        ("{a: {linear: {start: 1, stop: 1}}}", "a.linear.stop: found 1, allowed more than start, which is 1"),
        (
            "{a: {linear: {start: 1, stop: 2}, except: [1]}}",
            "a.except: found except in a range without values, allowed",
        ),
        (
            "{a: {log: {start: 1, stop: 9, num: 2, per_decade: 3}}}",
            "a.log: found num and per_decade, allowed exactly one",
        ),
        ("{a: {linear: {start: .nan, stop: 9}}}", "a.linear.start: found nan, allowed a finite number"),
    ],
)
def test_a_range_that_has_no_numbers_is_refused(parameters: str, message: str) -> None:
    (found,) = of_search("{}", parameters)
    assert found.startswith(f"stages[0].parameters.{message}")


@pytest.mark.parametrize(
    ("parameter", "allowed"),
    [
        ("{log: {start: 1, stop: 9}}", "log: found no num or per_decade, allowed exactly one of num and per_decade"),
        ("{linear: {start: 1, stop: 9}}", "linear: found no num or step, allowed exactly one of num and step"),
    ],
)
def test_a_range_without_values_stands_beside_a_search_only(parameter: str, allowed: str) -> None:
    words = f"{allowed}, or a search beside the parameters"
    (plain,) = messages(text(parameters=f"{{a: {parameter}}}"))
    assert plain.partition(" ")[2] == f"parameters.a.{words}"
    stage = GRID.replace("[0.01, 0.1, 1]", parameter)
    assert of_stages(stage) == [f"stages[0].parameters.learning_rate.{words}"]
    beside = SCALE.replace("{linear: {start: 1, stop: 10, num: 10}}", parameter)
    assert of_stages(GRID, beside) == [f"stages[1].parameters.scale.{words}"]


@pytest.mark.parametrize(
    ("parameters", "messages_"),
    [
        (
            "{optimizer: [sgd], learning_rate: [0.1, 1]}",
            [".learning_rate: found 2 values"],
        ),
        (
            "{optimizer: [sgd], learning_rate: {linear: {start: 1, stop: 2}}, dropout: {linear: {start: 0, stop: 1}}}",
            [".learning_rate: found a linear range", ".dropout: found a range"],
        ),
        (
            "[{optimizer: [sgd], learning_rate: {log: {start: 1, stop: 2}}}, {optimizer: [adam]}]",
            ["[1]: found no learning_rate"],
        ),
        (
            "{optimizer: [sgd, adam], learning_rate: {log: {start: 1, stop: 2}}, dropout: [0.1, 0.5, 0.9]}",
            [".dropout: found 3 values"],
        ),
        (
            "[{optimizer: [sgd, adam], learning_rate: {log: {start: 1, stop: 2}}}, "
            "{optimizer: [rmsprop, adam], learning_rate: {log: {start: 2, stop: 9}}}]",
            ["[1]: found optimizer=the text 'adam' again"],
        ),
    ],
)
def test_a_range_test_has_one_range_of_rates(parameters: str, messages_: list[str]) -> None:
    found = of_search("{method: range-test, per: optimizer}", parameters)
    assert [message.partition(", allowed")[0] for message in found] == [f"stages[0].parameters{m}" for m in messages_]


def test_only_kgens_own_trainer_makes_range_tests() -> None:
    head = HEAD.replace("trainer: {config: {", "trainer: {command: [python, train.py], config: {learning_rate: 3, ")
    assert of_stages(searching("{method: range-test, per: optimizer}", RANGE), head=head) == [
        "trainer.config.learning_rate: found learning_rate with range-test, allowed no rate beside that which rises",
        "stages[0].search.method: found range-test with the text 'python train.py', allowed kgen's own trainer, which "
        "can let the rate rise in a run; another method for others",
    ]


# -- whatever stands there ------------------------------------------------------------------------------------------


@given(st.lists(EDIT, min_size=1, max_size=6))
def test_no_edit_of_a_file_of_stages_makes_anything_but_a_sweep_or_mistakes(edits: list[tuple[int, int, str]]) -> None:
    file = staged(GRID, BEST, SCALE, searching("{method: halving, per: optimizer, reduction: 2}", RANGE))
    for place, length, snippet in edits:
        at = place % len(file)
        file = file[:at] + snippet + file[at + length :]
    found_in(file)
