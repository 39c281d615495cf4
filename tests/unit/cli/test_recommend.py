"""``kgen recommend``: what is printed, in all formats."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from kgen.results.rows import CurvePoint, MetricSummary, Outcome
from kgen.sweep import SweepSpec, expand, loads
from kgen.workflow.stages import Course
from kgen.workflow.store import store_of
from tests.unit.cli.ran import Kgen
from tests.unit.plan.rows import leave
from tests.unit.workflow.staged import BEST, GRID, HEAD, file, train

CONFIRM = """\
  - name: confirm
    parameters: {from: {stage: grid, per: optimizer, neighbours: 1}}
    repeats: 3
    budget: {steps: 1000, target: {accuracy: 0.9}}
"""


def go_on(spec: SweepSpec) -> None:
    part = Course(spec, store_of(spec)).next()
    assert part is not None
    done = {name.name.split(".")[0] for name in store_of(spec).row_files()}
    train(part, [trial for trial in expand(part) if trial.id not in done])


@pytest.fixture
def searched(tmp_path: Path) -> SweepSpec:
    """Of one seed."""
    spec = file(tmp_path, f"{HEAD}stages:\n{GRID}{CONFIRM}")
    go_on(spec)
    return spec


@pytest.fixture
def confirmed(searched: SweepSpec) -> SweepSpec:
    """Of three."""
    go_on(searched)
    return searched


def test_one_seed_can_not_decide_and_that_is_said(searched: SweepSpec, kgen: Kgen) -> None:
    out = kgen("recommend", searched.file).ok().out
    header = out.splitlines()[2]
    assert header.split("  ")[0] == "optimizer"
    for column in ("rate", "safe band", "steps to accuracy >= 0.9", "95 % interval", "sure"):
        assert column in header
    assert "by single runs" in out
    assert "- One seed can't decide it" in out
    assert "- From 8 trials of stage grid, with 1 seed a point." in out
    assert "- Stage confirm: its trials are chosen when stage grid is complete." in out
    assert "trials that would tell most" in out


def test_with_repeats_it_says_how_sure_it_is(confirmed: SweepSpec, kgen: Kgen) -> None:
    out = kgen("recommend", confirmed.file).ok().out
    assert "One seed" not in out
    assert "100 %, very sure" in out
    assert "- From 20 trials of stages grid, confirm, with up to 3 seeds a point." in out


def test_the_answer_is_the_first_line(tmp_path: Path, kgen: Kgen) -> None:
    spec = file(tmp_path, f"{HEAD}repeats: 2\nstages:\n{GRID}")
    known = spec.parts[0]
    for trial in expand(known):
        rate, is_b = float(trial.parameters["rate"]), trial.parameters["optimizer"] == "b"
        steps = round(100 * (1 + abs(rate - 1e-2)) * (3 if is_b else 1)) + trial.seed
        leave(known, trial, steps=steps, steps_to_target=steps, outcome=Outcome.REACHED)
    lines = kgen("recommend", spec.file).ok().lines
    assert lines[0].startswith("Use a at rate 0.01: ")
    assert "steps to accuracy >= 0.9 (95 %: " in lines[0]
    assert "- a is the fastest of the 2: 100 %, very sure." in lines


def test_groups_that_seeds_can_not_tell_apart_are_not_decided(tmp_path: Path, kgen: Kgen) -> None:
    spec = file(tmp_path, f"{HEAD}repeats: 2\nstages:\n{GRID}")
    for trial in expand(spec):
        wins = (trial.parameters["optimizer"] == "a") == (trial.seed == 1)
        steps = round(100 * (1 + abs(float(trial.parameters["rate"]) - 1e-2))) + (0 if wins else 50)
        leave(spec.parts[0], trial, steps=steps, steps_to_target=steps, outcome=Outcome.REACHED)
    lines = kgen("recommend", spec.file).ok().lines
    assert "- Which one is the fastest of the 2 is not decided: a 50 %, b 50 %." in lines


def test_as_yaml_it_can_be_pasted_into_a_sweep_file(confirmed: SweepSpec, kgen: Kgen) -> None:
    out = kgen("recommend", confirmed.file, "-o", "yaml").ok().out
    comments = [line for line in out.splitlines() if line.startswith("#")]
    assert comments[0] == "# kgen recommend"
    assert any("Use " in line for line in comments)
    pasted = loads(f"{HEAD}{out}budget: {{steps: 10, target: {{accuracy: 0.9}}}}\n")
    assert [dict(trial.parameters) for trial in expand(pasted)] in (
        [{"optimizer": "a", "rate": 1e-2}, {"optimizer": "b", "rate": 1e-1}],
        [{"optimizer": "b", "rate": 1e-1}, {"optimizer": "a", "rate": 1e-2}],
    )
    assert "rate: [1e-2]" in out, "as the file has it"
    assert "safe from" in out


def test_what_yaml_could_take_for_something_else_is_quoted(tmp_path: Path, kgen: Kgen) -> None:
    spec = file(tmp_path, HEAD + 'parameters: {"on": ["1e3", "a: b"]}\nbudget: {steps: 10, target: {accuracy: 0.9}}\n')
    for trial, steps in zip(expand(spec), (5, 6), strict=True):
        leave(spec, trial, steps=steps, steps_to_target=steps, outcome=Outcome.REACHED)
    out = kgen("recommend", spec.file, "-o", "yaml").ok().out
    (trial,) = expand(loads(f"{HEAD}{out}budget: {{steps: 10, target: {{accuracy: 0.9}}}}\n"))
    assert trial.parameters == {"on": "1e3"}


def test_as_json_it_has_everything(confirmed: SweepSpec, kgen: Kgen) -> None:
    ran = kgen("recommend", confirmed.file, "-o", "json").ok()
    found = json.loads(ran.out)
    assert (found["sweep"], found["main"]) == ("toy", 0)
    (question,) = found["questions"]
    assert (question["stages"], question["x"], question["resampled"]) == (["grid", "confirm"], "rate", "repeats")
    group = next(group for group in question["groups"] if group["group"] == {"optimizer": "a"})
    assert group["parameters"] == {"optimizer": "a", "rate": 0.01}
    assert group["safe_band"][0] <= 0.01 <= group["safe_band"][1]
    assert group["interval"][0] <= group["value"] <= group["interval"][1]
    assert (group["sure"], group["seeds_at_best"], group["within"]) == (1.0, 3, 0.25)
    assert question["best"] in [each["parameters"] for each in question["groups"]]
    assert question["sentences"]


def test_as_names_it_is_what_where_takes(confirmed: SweepSpec, kgen: Kgen) -> None:
    lines = kgen("recommend", confirmed.file, "-o", "name").ok().lines
    assert sorted(lines) == ["optimizer=a,rate=1e-2", "optimizer=b,rate=1e-1"]


def test_another_question_is_named_and_asked_for(tmp_path: Path, kgen: Kgen) -> None:
    spec = file(tmp_path, f"{HEAD}stages:\n{GRID}{BEST}")
    go_on(spec)
    go_on(spec)
    out = kgen("recommend", spec.file).ok().out
    assert "Other stages answer other questions: --stage best (final accuracy)" in " ".join(out.split())
    out = kgen("recommend", spec.file, "--stage", "best").ok().out
    assert "final accuracy 0.95" in out.splitlines()[0]
    wrong = kgen("recommend", spec.file, "--stage", "bset")
    assert (wrong.code, wrong.out) == (2, "")
    assert "--stage: found bset" in wrong.err


def test_an_objective_of_ones_own_is_followed(tmp_path: Path, kgen: Kgen) -> None:
    objective = "objective: {metric: error, goal: minimize, at: best}\n"
    spec = file(
        tmp_path,
        HEAD + objective + "parameters: {rate: {log: {start: 1e-5, stop: 10, per_decade: 1}}}\nbudget: {steps: 10}\n",
    )
    for trial in expand(spec):
        error = 0.1 + (math.log10(float(trial.parameters["rate"])) + 2) ** 2 / 10
        metrics = (MetricSummary("error", 1.0, error, 2.0),)
        leave(spec, trial, outcome=Outcome.FINISHED, metrics=metrics)
    out = kgen("recommend", spec.file).ok().out
    assert out.startswith("Use rate 0.01: best error 0.1")


def test_without_a_result_it_says_so_and_ends_with_1(tmp_path: Path, kgen: Kgen) -> None:
    spec = file(tmp_path, f"{HEAD}stages:\n{GRID}")
    ran = kgen("recommend", spec.file)
    assert ran.code == 1
    assert ran.out.startswith("Nothing can be recommended yet: there is no result of 8 trials that are known.")
    assert "nothing to recommend for sweep toy" in ran.err
    assert kgen("recommend", spec.file, "-o", "yaml").out == ""


def test_what_range_tests_hint_at_is_shown_as_that(tmp_path: Path, kgen: Kgen) -> None:
    text = """\
version: 1
name: rising
parameters: {optimizer: [sgd, adam], learning_rate: {log: {start: 1e-6, stop: 100}}}
search: {method: range-test, per: optimizer}
budget: {target: {train_accuracy: 0.9}, steps: 900}
"""
    spec = file(tmp_path, text)
    part = Course(spec, store_of(spec)).next()
    assert part is not None
    for trial in expand(part):
        slowest = 3.0 if trial.parameters["optimizer"] == "sgd" else 1.0
        curve, loss = [], 2.3
        for step in range(5, 301, 5):
            rate = 10 ** (-6 + 8 * (step - 5) / 295)
            loss += (-0.02 if rate < 0.01 * slowest else 0.5) * min(1.0, rate * 1e3)
            curve += [CurvePoint(step, 1.0, "loss", loss), CurvePoint(step, 1.0, "learning_rate", rate)]
        leave(spec, trial, steps=300, outcome=Outcome.DIVERGED, curve=tuple(curve))
    ran = kgen("recommend", spec.file)
    assert ran.code == 1, "a hint is no recommendation"
    assert ran.out.startswith("Nothing can be recommended yet: there are only range tests, one short run each.")
    assert "\nrange tests hint at these, by one short run each:\n  optimizer=sgd learning_rate=" in ran.out
    assert "tell most" not in ran.out
    out = kgen("recommend", spec.file, "-o", "yaml").out
    pasted = loads(f"{HEAD}{out}budget: {{steps: 9, target: {{accuracy: 0.9}}}}\n")
    assert [trial.parameters["optimizer"] for trial in expand(pasted)] == ["sgd", "adam"]


def test_all_parameters_of_the_recommended_point_are_in_the_table(tmp_path: Path, kgen: Kgen) -> None:
    """Whichever of them makes the axis."""
    parameters = "parameters: {optimizer: [a], rate: [1e-2], width: {int: {start: 1, stop: 5}}}\n"
    spec = file(tmp_path, f"{HEAD}{parameters}budget: {{steps: 1000, target: {{accuracy: 0.9}}}}\n")
    for trial in expand(spec):
        steps = 100 + 50 * abs(int(trial.parameters["width"]) - 3)
        leave(spec, trial, steps=steps, steps_to_target=steps, outcome=Outcome.REACHED)
    lines = kgen("recommend", spec.file).ok().lines
    header = next(line for line in lines if "sure" in line and "  " in line)
    assert "rate  width  safe band of width" in header
    assert (
        lines[lines.index(header) + 1].split()[:3] == ["a", "0.01", "3"] or "0.01  3" in lines[lines.index(header) + 1]
    )


def test_new_values_and_repeats_stand_under_words_of_their_own(searched: SweepSpec, kgen: Kgen) -> None:
    lines = kgen("recommend", searched.file).ok().lines
    new = lines.index("trials that would tell most, at values that nobody has tried:")
    tried = {str(trial.parameters["rate"]) for trial in expand(searched)}
    following = lines[new + 1 :]
    points = following[: following.index("")] if "" in following else following
    assert points
    assert not any(float(point.split("rate=")[1]) in map(float, tried) for point in points)
    found = json.loads(kgen("recommend", searched.file, "-o", "json").ok().out)["questions"][0]["groups"]
    for group in found:
        known = [point["rate"] in (1e-3, 1e-2, 1e-1, 1) for point in group["next"]]
        assert known == [False] * group["next_new"] + [True] * (len(known) - group["next_new"])


def test_what_run_recommend_has_made_is_pointed_at(tmp_path: Path, kgen: Kgen) -> None:
    spec = file(tmp_path, f"{HEAD}stages:\n{GRID}")
    assert "recommend.yaml" not in kgen("recommend", spec.file).err
    derived = spec.file.with_name("sweep.recommend.yaml")
    derived.write_text("")
    assert f"with results of its own: kgen recommend {derived}" in kgen("recommend", spec.file).err


def test_where_nothing_works_it_says_so(tmp_path: Path, kgen: Kgen) -> None:
    spec = file(tmp_path, f"{HEAD}stages:\n{GRID}")
    for trial in expand(spec):
        leave(spec, trial, steps=1000, metrics=(MetricSummary("accuracy", 0.5, 0.5, 0.5),))
    ran = kgen("recommend", spec.file)
    assert ran.code == 1
    assert ran.out.startswith("Nothing can be recommended: nothing works in 8 trials.")
    assert "- a: nothing works, of 4 values of rate tried." in ran.lines
