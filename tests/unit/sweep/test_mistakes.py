"""Every mistake in a sweep file is found at once, at its place, in the words of its fields."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgen.errors import InputError, Problem
from kgen.sweep import expand, load, loads
from tests.unit.sweep.sweeps import messages, only_message, problems, text

TOP = (
    "version, name, seed, repeats, objective, trainer, parameters, search, budget, stages, results, local, kubernetes, "
    "execution, report"
)
ROOT = Path(__file__).parents[3]


def test_the_shortest_valid_file() -> None:
    assert len(expand(loads(text()))) == 2


# -- everything at once -------------------------------------------------------------------------------------------


def test_mistakes_of_all_kinds_come_together_in_the_order_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(
        """\
version: 2
name: My_Sweep
sede: 3
parameters:
  a: [1, 2, 2.0]
  b: {log: {start: 0, stop: 10, num: 5}}
  c: []
  a: [3]
budget: {steps: -1, target: {accuracy: 97}}
trainer:
  files: [gone.py]
  command: [python, "{d}"]
  env: {1X: .nan}
  config: {rate: .inf}
objective: {metric: ""}
local: {processes: none}
results: ftp://bucket/x
""",
        encoding="utf-8",
    )
    with pytest.raises(InputError) as caught:
        load(tmp_path / "sweep.yaml")
    found = [(p.line, p.column, p.field, p.found) for p in caught.value.problems]
    assert found == [
        (1, 10, "version", "2"),
        (2, 7, "name", "the text 'My_Sweep'"),
        (3, 1, "sede", "an unknown field 'sede'"),
        (5, 13, "parameters.a[2]", "2.0 again"),
        (6, 20, "parameters.b.log.start", "0"),
        (7, 6, "parameters.c", "an empty list"),
        (8, 3, "parameters.a", "the key again"),
        (9, 17, "budget.steps", "-1"),
        (9, 40, "budget.target.accuracy", "97"),
        (11, 11, "trainer.files[0]", "gone.py: no such file or directory"),
        (12, 21, "trainer.command[1]", "the place {d}"),
        (13, 9, "trainer.env.1X", "the text '1X'"),
        (13, 13, "trainer.env.1X", "nan"),
        (14, 18, "trainer.config.rate", "inf"),
        (15, 21, "objective.metric", "the text ''"),
        (16, 20, "local.processes", "the text 'none'"),
        (17, 10, "results", "the text 'ftp://bucket/x'"),
    ]
    sources = (tmp_path / "sweep.yaml").read_text(encoding="utf-8").splitlines()
    assert all(p.source == sources[p.line - 1] for p in caught.value.problems)


def test_what_several_fields_show_comes_together_with_what_single_fields_show() -> None:
    """A wrong seed hides neither the twin trials, nor the place without a parameter, nor the lacking target."""
    assert messages(
        text(
            parameters="[{a: [1]}, {a: [1]}]",
            seed="x",
            budget="{steps: 3}",
            trainer="{command: [run, '{b}'], metrics: maybe}",
        )
    ) == [
        "3:24 parameters[1]: found a=1 a second time, allowed each trial once (first in parameters[0])",
        "4:9 budget.target: found nothing, and no objective, allowed target: {METRIC: 0.97} in budget, to compare "
        "trials by the steps to it; or objective: {metric: METRIC} beside budget, to compare them by what they report",
        "5:7 seed: found the text 'x', allowed a whole number",
        "6:26 trainer.command[1]: found the place {b}, allowed {seed} or a parameter that every trial has: a; "
        "write {{ for a brace",
        "6:43 trainer.metrics: found the text 'maybe', allowed report, file or stdout",
    ]


@pytest.mark.parametrize(
    "blocks",
    [
        {"budget": "{step: 10, target: {accuracy: 0.9}}"},  # not also: neither steps nor seconds
        {"budget": None, "bugdet": "{steps: 3, target: {a: 0.5}}"},  # not also: no target, no cap
        {"parameters": "{a: *b}", "trainer": "{command: [run, '{a}']}"},  # not also: no such parameter
        {"budget": "{steps: 1, target: *gone}"},  # not also: no target
        {"trainer": "{comand: [run]}", "budget": "{target: {a: 0.5}}"},  # not also: the default command never ends
        {"objective": "{metric: '', goal: maximize}"},  # not also: the metric is missing
    ],
)
def test_a_mistake_is_told_once_and_not_what_follows_from_it(blocks: dict[str, str | None]) -> None:
    assert len(messages(text(**blocks))) == 1


# -- unknown keys -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"sed": "1"}, f"sed: found an unknown field 'sed', allowed {TOP}; did you mean seed?"),
        ({"stage": "[]"}, f"stage: found an unknown field 'stage', allowed {TOP}; did you mean stages?"),
        ({"ключ": "1"}, f"ключ: found an unknown field 'ключ', allowed {TOP}"),
        (
            {"local": "{proceses: 3}"},
            "local.proceses: found an unknown field 'proceses', allowed processes, gpus; did you mean processes?",
        ),
        (
            {"report": "{publish: article}"},
            "report.publish: found an unknown field 'publish', allowed published; did you mean published?",
        ),
        (
            {"trainer": "{comand: [a]}"},
            "trainer.comand: found an unknown field 'comand', allowed image, command, arguments, metrics, files, "
            "config, env, revision; did you mean command?",
        ),
        (
            {"objective": "{metric: a, gaol: minimize}"},
            "objective.gaol: found an unknown field 'gaol', allowed metric, goal, at; did you mean goal?",
        ),
        (
            {"budget": "{steps: 1, secs: 10, target: {a: 1}}"},
            "budget.secs: found an unknown field 'secs', allowed target, steps, seconds, check_every_steps, "
            "evaluate_every_steps; did you mean seconds?",
        ),
        (
            {"budget": "{steps: 1, target: {a: {atleast: 3}}}"},
            "budget.target.a.atleast: found an unknown field 'atleast', allowed at_least, at_most; "
            "did you mean at_least?",
        ),
        (
            {"parameters": "{a: {log: {start: 1, stop: 10, num: 3, nmu: 3}}}"},
            "parameters.a.log.nmu: found an unknown field 'nmu', allowed start, stop, num, per_decade; "
            "did you mean num?",
        ),
        (
            {"parameters": "{a: {linear: {start: 1, stop: 10, num: 3, stepp: 3}}}"},
            "parameters.a.linear.stepp: found an unknown field 'stepp', allowed start, stop, num, step; "
            "did you mean step?",
        ),
        (
            {"parameters": "[{a: [1]}, {a: {int: {start: 2, stop: 3, stepp: 1}}}]"},
            "parameters[1].a.int.stepp: found an unknown field 'stepp', allowed start, stop, step; did you mean step?",
        ),
        (
            {"parameters": "{a: {log: {start: 1, stop: 10, num: 3}, excpet: [1]}}"},
            "parameters.a.excpet: found an unknown field 'excpet', allowed values, linear, log, int, except; "
            "did you mean except?",
        ),
        (
            {"parameters": "{a: {lgo: {start: 1, stop: 10, num: 3}}}"},
            "parameters.a.lgo: found an unknown field 'lgo', allowed a list of values, or one of values, linear, "
            "log, int; did you mean log?",
        ),
        (
            {"parameters": "{log: {values: [1], foo: 1}}"},
            "parameters.log.foo: found an unknown field 'foo', allowed values, linear, log, int, except",
        ),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_right_word(blocks: dict[str, str], message: str) -> None:
    (problem,) = problems(text(**blocks))
    assert str(problem) == f"sweep.yaml:{problem.line}:{problem.column}: {message}"
    key = problem.field.rpartition(".")[2]
    assert problem.source[problem.column - 1 :].startswith(f"{key}:")


def test_a_missing_key_is_placed_at_its_block() -> None:
    assert messages(text(version=None, name=None, objective="{goal: minimize}")) == [
        "1:1 name: found nothing, allowed a value, it is required",
        "1:1 version: found nothing, allowed a value, it is required",
        "3:1 objective.metric: found nothing, allowed a value, it is required",
    ]


# -- wrong types --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"version": "one"}, "1:10 version: found the text 'one', allowed 1, the only version"),
        ({"version": "'1'"}, "1:10 version: found the text '1', allowed 1, the only version"),
        ({"version": "true"}, "1:10 version: found true, allowed 1, the only version"),
        ({"version": "2"}, "1:10 version: found 2, allowed 1, the only version"),
        ({"name": "7"}, '2:7 name: found 7, allowed text: "7"'),
        ({"name": "1e3"}, '2:7 name: found 1e3, allowed text: "1e3"'),
        ({"name": "true"}, '2:7 name: found true, allowed text: "true"'),
        ({"name": "[a]"}, "2:7 name: found a list of 1, allowed text"),
        ({"parameters": "3"}, "3:13 parameters: found 3, allowed a mapping from name to values, or a list of such"),
        ({"parameters": ""}, "3:1 parameters: found nothing, allowed a mapping from name to values"),
        ({"parameters": "[3]"}, "3:14 parameters[0]: found 3, allowed a mapping"),
        ({"parameters": "{a: }"}, "3:14 parameters.a: found nothing, allowed a list of values, or one of values"),
        ({"parameters": "{a: [[1]]}"}, "3:18 parameters.a[0]: found a list of 1, allowed a number, text, true or"),
        ({"parameters": "{a: [{b: 1}]}"}, "3:18 parameters.a[0]: found a mapping with b, allowed a number, text"),
        ({"parameters": "{a: {log: 3}}"}, "3:23 parameters.a.log: found 3, allowed a mapping"),
        ({"parameters": "{a: {log: {start: x, stop: 1, num: 2}}}"}, "log.start: found the text 'x', allowed a number"),
        ({"parameters": "{a: {log: {start: 1_000, stop: 1, num: 2}}}"}, "allowed a number (write 1000)"),
        ({"parameters": "{a: {log: {start: true, stop: 1, num: 2}}}"}, "log.start: found true, allowed a number"),
        ({"parameters": "{a: {log: {start: 1, stop: 2, num: 2.5}}}"}, "log.num: found 2.5, allowed a whole number"),
        ({"parameters": "{a: {log: {start: 1, stop: 2, num: 0}}}"}, "log.num: found 0, allowed a whole number from 1"),
        ({"budget": "[1]"}, "4:9 budget: found a list of 1, allowed a mapping"),
        ({"seed": "x"}, "5:7 seed: found the text 'x', allowed a whole number"),
        ({"seed": "-1"}, "5:7 seed: found -1, allowed a whole number from 0"),
        ({"seed": "9223372036854775808"}, "5:7 seed: found 9223372036854775808, allowed at most 9,223,372,036,854,"),
        ({"seed": "9223372036854775807", "repeats": "2"}, "allowed at most 9223372036854775807 with all repeats"),
        ({"repeats": "1.5"}, "5:10 repeats: found 1.5, allowed a whole number"),
        ({"repeats": "0"}, "5:10 repeats: found 0, allowed a whole number from 1"),
        ({"trainer": "no"}, "5:10 trainer: found the text 'no', allowed a mapping"),
        ({"trainer": "{command: python x.py}"}, "5:20 trainer.command: found the text 'python x.py', allowed a list"),
        ({"trainer": "{command: []}"}, "5:20 trainer.command: found an empty list, allowed at least one"),
        ({"trainer": "{command: ['']}"}, "5:21 trainer.command[0]: found no program, allowed a program and its"),
        ({"trainer": "{command: [python, 3]}"}, '5:29 trainer.command[1]: found 3, allowed text: "3"'),
        ({"trainer": "{arguments: flag}"}, "5:22 trainer.arguments: found the text 'flag', allowed none or flags"),
        ({"trainer": "{metrics: std}"}, "5:20 trainer.metrics: found the text 'std', allowed report, file or stdout"),
        ({"trainer": "{revision: 7}"}, '5:21 trainer.revision: found 7, allowed text: "7"'),
        ({"trainer": "{files: train.py}"}, "5:18 trainer.files: found the text 'train.py', allowed a list"),
        ({"trainer": "{env: {A: [1]}}"}, "5:20 trainer.env.A: found a list of 1, allowed a number, text, true or"),
        ({"trainer": "{env: {1B: 2}}"}, "5:17 trainer.env.1B: found the text '1B', allowed letters, digits and '_'"),
        ({"trainer": "{env: {KGEN_X: 2}}"}, "5:17 trainer.env.KGEN_X: found the text 'KGEN_X', allowed a name that"),
        ({"local": "{processes: 0}"}, "5:20 local.processes: found 0, allowed auto, or a whole number from 1 to 4096"),
        ({"local": "{gpus: -1}"}, "5:15 local.gpus: found -1, allowed a whole number from 0"),
        ({"results": "5"}, '5:10 results: found 5, allowed text: "5"'),
        ({"results": "''"}, "5:10 results: found the text '', allowed a folder, pvc://claim/path, s3://bucket/"),
        ({"results": "~/results"}, "5:10 results: found the text '~/results', allowed a folder"),
        ({"results": "ftp://a/b"}, "5:10 results: found the text 'ftp://a/b', allowed a folder, pvc://claim/path"),
        ({"results": "s3://Lab/x"}, "5:10 results: found the bucket 'Lab', allowed a bucket of 3 to 63 lower-case"),
        ({"results": "s3://ab"}, "5:10 results: found the bucket 'ab', allowed a bucket of 3 to 63 lower-case"),
        ({"results": "s3://a_bucket"}, "5:10 results: found the bucket 'a_bucket', allowed a bucket of 3 to 63"),
        ({"results": "s3://10.0.0.1/x"}, "5:10 results: found the bucket '10.0.0.1', allowed a bucket of 3 to 63"),
        ({"results": "'s3://'"}, "5:10 results: found the bucket '', allowed a bucket of 3 to 63"),
        ({"results": "'s3://lab/a b'"}, "5:10 results: found the prefix 'a b', allowed at most 512 letters, digits"),
        ({"results": "pvc://Claim"}, "5:10 results: found the claim 'Claim', allowed the name of a claim"),
        ({"results": "{endpoint: 'https://x'}"}, "5:1 results.url: found nothing, allowed a value, it is required"),
        ({"results": "{url: s3://ab}"}, "5:16 results.url: found the bucket 'ab', allowed a bucket of 3 to 63"),
        ({"results": "{url: out, endpoint: 'https://x'}"}, "5:31 results.endpoint: found an endpoint with a folder, "),
        (
            {"results": "{url: pvc://a, region: b}"},
            "5:33 results.region: found a region with a claim, allowed a region",
        ),
        (
            {"results": "{url: s3://lab, endpoint: minio}"},
            "5:36 results.endpoint: found the text 'minio', allowed a UR",
        ),
        ({"results": "{url: s3://lab, endpoint: 'https://a:b@c'}"}, "5:36 results.endpoint: found a URL with a user i"),
        (
            {"results": "{url: s3://lab, region: 'eu 1'}"},
            "5:34 results.region: found the text 'eu 1', allowed a region",
        ),
        (
            {"results": "{url: s3://lab, regoin: a}"},
            "5:26 results.regoin: found an unknown field 'regoin', allowed url, ",
        ),
        ({"results": "s3://b/../c"}, "5:10 results: found the text 's3://b/../c', allowed a folder, pvc://claim/path"),
        ({"objective": "accuracy"}, "5:12 objective: found the text 'accuracy', allowed a mapping"),
        ({"objective": "{metric: a, goal: minimise}"}, "5:30 objective.goal: found the text 'minimise', allowed min"),
        ({"objective": "{metric: a, at: last}"}, "5:28 objective.at: found the text 'last', allowed final or best"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(blocks: dict[str, str], message: str) -> None:
    assert message in only_message(**blocks)


# -- parameters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "place"),
    [
        ("{a: []}", "3:17 parameters.a: found an empty list"),
        ("{a: {values: []}}", "3:26 parameters.a.values: found an empty list"),
        ("{}", "3:13 parameters: found an empty mapping"),
        ("[]", "3:13 parameters: found an empty list"),
        ("[{}]", "3:14 parameters[0]: found an empty mapping"),
    ],
)
def test_an_empty_grid_is_refused(parameters: str, place: str) -> None:
    assert only_message(parameters=parameters) == f"{place}, allowed at least one"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("{log: {start: 1, stop: 9}}", "3:23 parameters.a.log: found no num or per_decade, allowed exactly one of"),
        ("{log: {start: 1, stop: 9, num: 2, per_decade: 3}}", "found num and per_decade, allowed exactly one of"),
        ("{linear: {start: 1, stop: 9, num: 2, step: 3}}", "found num and step, allowed exactly one of num and step"),
        ("{log: {start: 1, stop: 9, num: 2}, values: [1]}", "found values and log, allowed exactly one of values, lin"),
        ("{except: [1]}", "3:17 parameters.a: found a mapping with except, allowed a list of values, or one of"),
        ("{log: {stop: 9, num: 2}}", "3:18 parameters.a.log.start: found nothing, allowed a value, it is required"),
        ("{linear: {start: .nan, stop: 1, num: 2}}", "parameters.a.linear.start: found nan, allowed a finite number"),
        ("{linear: {start: 1, stop: 1, num: 3}}", "3:26 parameters.a.linear: found 1 twice, allowed different values"),
        ("{linear: {start: 1, stop: 1.0000000000000002, num: 9}}", "parameters.a.linear: found 1 twice"),
    ],
)
def test_a_grid_that_can_not_be_made_is_refused(parameters: str, message: str) -> None:
    assert message in only_message(parameters=f"{{a: {parameters}}}")


@pytest.mark.parametrize("name", ["'a b'", "1x", "ü", "'a.b'", "''", "a" * 64, '"a\\n"', "-a"])
def test_a_parameter_name_that_is_no_flag_and_no_column_is_refused(name: str) -> None:
    assert "allowed a name of letters, digits, '_' and '-'" in only_message(parameters=f"{{{name}: [1]}}")


def test_kinds_and_tags_may_be_names_of_parameters_metrics_and_variables() -> None:
    """The names of pydantic's union members are not cut out of the user's own names."""
    blocks = {
        "parameters": "{list: [[1]], grid: [1], values: {log: {start: 0, stop: 1, num: 2}}, scalar: [~]}",
        "budget": "{steps: 1, target: {bound: {at_least: x}}}",
        "trainer": "{env: {float: ~, share: ~}}",
    }
    assert [(p.field, p.column) for p in problems(text(**blocks))] == [
        ("parameters.list[0]", 21),
        ("parameters.values.log.start", 60),
        ("parameters.scalar[0]", 91),
        ("budget.target.bound.at_least", 47),
        ("trainer.env.float", 24),
        ("trainer.env.share", 34),
    ]


# -- two trials with one identity ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "again"),
    [
        ("[1, 2, 1]", "1"),
        ("[1, 1.0]", "1.0"),
        ("[1e-3, 0.001]", "0.001"),
        ("[0, -0.0]", "-0.0"),
        ("[1e22, 1" + "0" * 22 + "]", "1" + "0" * 22),
        ("[x, 'x']", "the text 'x'"),
        ("[true, True]", "true"),
    ],
)
def test_two_values_of_a_list_that_mean_the_same_are_refused(parameter: str, again: str) -> None:
    assert f": found {again} again, allowed different values" in only_message(parameters=f"{{a: {parameter}}}")


def test_every_value_that_stands_twice_is_named() -> None:
    assert [p.field for p in problems(text(parameters="{a: [1, 2, 1, 2, 3, 1]}"))] == [
        "parameters.a[2]", "parameters.a[3]", "parameters.a[5]"]  # fmt: skip


def test_values_that_only_look_the_same_are_different() -> None:
    assert len(expand(loads(text(parameters="{a: [1, true, '1', 'true', '1.0', yes]}")))) == 6


def test_alternatives_that_meet_are_refused_each_with_an_example_and_a_count() -> None:
    assert messages(text(parameters="[{a: [1, 2], b: [x]}, {b: [x, y], a: [3, 2.0]}, {a: [1, 2, 9], b: [x]}]")) == [
        "3:35 parameters[1]: found b=the text 'x', a=2.0 a second time, allowed each trial once (first in "
        "parameters[0])",
        "3:61 parameters[2]: found a=1, b=the text 'x' and 1 more a second time, allowed each trial once (first in "
        "parameters[0])",
    ]


def test_alternatives_with_other_parameters_never_meet() -> None:
    assert len(expand(loads(text(parameters="[{a: [1]}, {a: [1], b: [1]}, {b: [1]}]")))) == 3


# -- budget, objective, command -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ("{steps: 1, target: {a: 97}}", "found 97, allowed a share between 0 and 1, or {at_least: …} or {at_most: …}"),
        ("{steps: 1, target: {a: -0.1}}", "found -0.1, allowed a share between 0 and 1"),
        ("{steps: 1, target: {a: 1.0000000000000002}}", "found 1.0000000000000002, allowed a share between 0 and 1"),
        ("{steps: 1, target: {a: .nan}}", "found nan, allowed a finite number"),
        ("{steps: 1, target: {a: '0.9'}}", "found the text '0.9', allowed a number"),
        ("{steps: 1, target: {a: 1, b: 1}}", "budget.target: found a mapping with a, b, allowed at most 1"),
        ("{steps: 1, target: {}}", "budget.target: found an empty mapping, allowed at least one"),
        ("{steps: 1, target: 0.9}", "budget.target: found 0.9, allowed a mapping"),
        ("{steps: 1, target: {a: {}}}", "found no at_least or at_most, allowed exactly one of at_least and at_most"),
        ("{steps: 1, target: {a: {at_least: 1, at_most: 2}}}", "found at_least and at_most, allowed exactly one"),
        ("{steps: 1, target: {a: {at_most: .inf}}}", "budget.target.a.at_most: found inf, allowed a finite number"),
        ("{steps: -1, target: {a: 1}}", "budget.steps: found -1, allowed a whole number from 1"),
        ("{steps: 0.5, target: {a: 1}}", "budget.steps: found 0.5, allowed a whole number"),
        ("{seconds: 0, target: {a: 1}}", "budget.seconds: found 0, allowed a number above 0"),
        ("{seconds: -2, target: {a: 1}}", "budget.seconds: found -2, allowed a number above 0"),
        ("{seconds: .inf, target: {a: 1}}", "budget.seconds: found inf, allowed a finite number"),
        ("{steps: 1, check_every_steps: 0, target: {a: 1}}", "budget.check_every_steps: found 0, allowed a whole"),
        ("{steps: 1, evaluate_every_steps: -3, target: {a: 1}}", "budget.evaluate_every_steps: found -3, allowed a"),
        ("{target: {a: 1}}", "4:9 budget: found neither steps nor seconds, allowed at least one of them"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(budget: str, message: str) -> None:
    assert message in only_message(budget=budget)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (
            {"objective": "{metric: steps_to_target, goal: maximize}"},
            "objective.goal: found maximize, allowed minimize",
        ),
        ({"objective": "{metric: seconds_to_target}", "budget": "{steps: 1}"}, "a reported metric, or a budget.target"),
        (
            {"budget": "{steps: 1}"},
            "4:9 budget.target: found nothing, and no objective, allowed target: {train_accuracy",
        ),
    ],
)
def test_an_objective_that_no_trial_can_meet_is_refused(blocks: dict[str, str], message: str) -> None:
    assert message in only_message(**blocks)


def test_a_place_has_to_be_a_parameter_of_every_trial() -> None:
    assert messages(
        text(
            parameters="[{lr: [1], a: [1]}, {lr: [1], b: [1]}]",
            trainer="""{command: [x, "{lr}", "{a}", "{l_r}", "{seed}", "{{b}}", '{"json": 1}', "{}"]}""",
        )
    ) == [
        "5:32 trainer.command[2]: found the place {a}, allowed {seed} or a parameter that every trial has: lr; "
        "write {{ for a brace",
        "5:39 trainer.command[3]: found the place {l_r}, allowed {seed} or a parameter that every trial has: lr; "
        "did you mean lr?; write {{ for a brace",
    ]


# -- names and files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["My_Sweep", "-a", "a-", "a" * 41, "é", "a.b", "a b", '""', '"a\\n"', "UPPER", "'1e3 '"]
)
def test_a_name_that_kubernetes_would_refuse_is_refused(name: str) -> None:
    assert "allowed a DNS label of at most 40 characters" in only_message(name=name)


@pytest.mark.parametrize("name", ["a", "0", "a-b", "a" * 40, "'7'"])
def test_a_name_that_kubernetes_accepts_is_accepted(name: str) -> None:
    if name != "0":
        assert loads(text(name=name)).name == name.strip("'")


def test_files_have_to_lie_beside_the_sweep_file(tmp_path: Path) -> None:
    (tmp_path / "ok.py").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "big.bin").write_bytes(b"x" * 1_000_000)
    file = tmp_path / "sweep.yaml"
    names = "[ok.py, gone.py, /etc/passwd, ../up.py, ok.py, folder, '', big.bin, 'a\\..\\b']"
    file.write_text(text(trainer=f"{{command: [python, ok.py], files: {names}}}"))
    with pytest.raises(InputError) as caught:
        load(file)
    assert [(p.field, p.found) for p in caught.value.problems] == [
        ("trainer.files[1]", "gone.py: no such file or directory"),
        ("trainer.files[2]", "the text '/etc/passwd'"),
        ("trainer.files[3]", "the text '../up.py'"),
        ("trainer.files[4]", "ok.py again"),
        ("trainer.files[5]", "folder: is a directory"),
        ("trainer.files[6]", "the text ''"),
        ("trainer.files[7]", "900,001 bytes up to here"),
        ("trainer.files[8]", "the text 'a\\\\..\\\\b'"),
    ]


# -- whatever stands there ----------------------------------------------------------------------------------------

SNIPPETS = [
    *"{}[]:,-#&*!|>'\"%@`?~\n\t ",
    *(
        "\n  ",
        ": ",
        "- ",
        "<<: ",
        "*a",
        "&a ",
        "!!int ",
        "---\n",
        "null",
        "1e999",
        '"\\ud800"',
        '"\\0"',
        "{a: 1}",
        "[]",
    ),
    *(".nan", "\x00", "\x1b[31m", "\u2028", "9" * 400, "parameters", "budget: ", "target"),
]
EDIT = st.tuples(st.integers(0, 10_000), st.integers(0, 30), st.sampled_from(SNIPPETS))


def found_in(file: str) -> tuple[Problem, ...]:
    try:
        expand(loads(file))
    except InputError as error:
        return error.problems
    return ()


@given(st.lists(EDIT, min_size=1, max_size=6))
def test_no_edit_of_a_file_makes_anything_but_a_sweep_or_mistakes(edits: list[tuple[int, int, str]]) -> None:
    file = (ROOT / "kgen/sweep/init.yaml").read_text(encoding="utf-8")
    for place, length, snippet in edits:
        at = place % len(file)
        file = file[:at] + snippet + file[at + length :]
    for problem in found_in(file):
        assert problem.field
        assert problem.found
        assert problem.allowed
        assert problem.line >= 1
        assert problem.column >= 1
