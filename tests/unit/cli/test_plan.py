"""``kgen plan``: the forecast as text, JSON, YAML and names; with and without results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from kgen.plan import Action
from kgen.results.folder import FolderStore
from kgen.results.rows import State
from kgen.spec import Timing
from kgen.sweep import expand, load
from kgen.workflow.stages import Course
from kgen.workflow.timing import timing_sample
from tests.unit.cli.ran import Kgen
from tests.unit.plan.rows import leave, leave_failed
from tests.unit.sweep.sweeps import foreign as text
from tests.unit.workflow import staged


def snapshot(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in folder.rglob("*")
    }


def yaml(content: str, version: tuple[int, int]) -> Any:
    reader = YAML(typ="safe", pure=True)
    reader.version = version
    return reader.load(content)


# -- text ---------------------------------------------------------------------------------------------------------


def test_a_new_sweep(sweep_file: Path, kgen: Kgen) -> None:
    ids = [trial.id for trial in expand(load(sweep_file))]
    assert (
        kgen("plan", sweep_file).ok().out
        == f"""\
sweep sweep: 8 trials, 1 at a time

  optimizer  sgd, adam
  rate       0.001, 0.01, 0.1, 1

  {ids[0]}  create  optimizer=sgd rate=0.001
  {ids[1]}  create  optimizer=sgd rate=0.01
  {ids[2]}  create  optimizer=sgd rate=0.1
  …
  {ids[5]}  create  optimizer=adam rate=0.01
  {ids[6]}  create  optimizer=adam rate=0.1
  {ids[7]}  create  optimizer=adam rate=1

0 done, 8 to run
at most 800 training steps
next: kgen run {sweep_file}
"""
    )


def test_a_small_sweep_is_shown_whole(tmp_path: Path, kgen: Kgen) -> None:
    file = tmp_path / "sweep.yaml"
    parameters, budget = "{batch_size: {int: {start: 1, stop: 6}}}", "{seconds: 90, target: {loss: 1}}"
    file.write_text(text(parameters=parameters, budget=budget))
    out = kgen("plan", file).ok().out
    assert out.count("  create  ") == 6
    assert "…" not in out
    assert "min" in out.split("at most ")[1].splitlines()[0]


def test_both_caps_make_the_worst_case(tmp_path: Path, kgen: Kgen) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(
        text(
            parameters="{batch_size: {int: {start: 1, stop: 200}}}",
            budget="{steps: 2000, seconds: 120, target: {loss: 1}}",
            local="{processes: 1}",
        )
    )
    assert "\nat most 400,000 training steps, 6 h 40 min of training\n" in kgen("plan", file).ok().out


def test_a_program_without_caps_takes_as_long_as_it_takes(tmp_path: Path, kgen: Kgen) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(text(budget="{target: {a: 1}}", trainer="{command: [train]}"))
    assert "\nat most as long as the trainer takes: the budget names neither steps nor seconds\n" in (
        kgen("plan", file).ok().out
    )


def test_values_that_would_break_a_line_are_quoted(tmp_path: Path, kgen: Kgen) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(text(parameters='{a: ["two words", "", "a\\nb", "\\e[31m", ünï]}'))
    out = kgen("plan", file).ok().out
    for shown in ('a="two words"', 'a=""', 'a="a\\nb"', 'a="\\u001b[31m"', "a=ünï"):
        assert f"  create  {shown}\n" in out


# -- stages -------------------------------------------------------------------------------------------------------


def test_stages_are_shown_as_far_as_they_can_be_known(tmp_path: Path, kgen: Kgen) -> None:
    spec = staged.file(tmp_path)
    assert (
        kgen("plan", spec.file)
        .ok()
        .out.endswith(
            "stage best: after stage grid: 2 points × 3 repeats, up to 6 trials\n\n"
            "stage scale: after stage best: 2 points × 1 repeat, up to 2 trials\n\n"
            "0 done, 8 to run, and up to 8 that are not known yet\n"
            f"at most {8 * 1000 + 6 * 500 + 2 * 2000:,} training steps\n"
            f"next: kgen run {spec.file}\n"
        )
    )
    staged.train(spec, expand(spec))
    Course(spec, FolderStore(spec.results)).next()
    out = kgen("plan", spec.file).ok().out
    assert out.startswith("sweep toy: 3 stages, up to 16 trials\n\nstage grid: 8 trials, 8 done, 0 to run, ")
    assert "\nstage best: 6 trials, 0 done, 6 to run, " in out
    assert f"\n8 done, 6 to run, and up to 2 that are not known yet\nat most {6 * 500 + 2 * 2000:,} training" in out
    made = json.loads(kgen("plan", spec.file, "-o", "json").ok().out)
    assert (made["sweep"], made["trials"]) == ("toy", 14)
    assert [(one["stage"], one["trials"], one["known"]) for one in made["stages"]] == [
        ("grid", 8, 8), ("best", 6, 6), ("scale", 2, 0),
    ]  # fmt: skip
    assert made["worst_case"]["steps"] == 6 * 500 + 2 * 2000
    assert len(kgen("plan", spec.file, "-o", "name").ok().out.splitlines()) == 14


def test_a_search_is_shown_by_its_limit(tmp_path: Path, kgen: Kgen) -> None:
    search = "{method: random, per: optimizer, trials: 12, parallel: 4}"
    budget = "budget: {steps: 1000, target: {accuracy: 0.9}}"
    space = "{optimizer: [a, b], rate: {log: {start: 1e-4, stop: 1}}}"
    spec = staged.file(tmp_path, f"{staged.HEAD}parameters: {space}\nsearch: {search}\n{budget}\n")
    out = kgen("plan", spec.file).ok().out
    assert out.splitlines()[:6] == [
        "sweep toy: up to 24 trials",
        "",
        "search (random): up to 24 trials, 4 points at a time",
        "  optimizer  a, b",
        "  rate       0.0001 to 1, logarithmic",
        "  for each optimizer: at most 12 trials",
    ]
    assert "\n0 done, 0 to run, and up to 24 that are not known yet\nat most 24,000 training steps\n" in out


def test_a_search_with_alternatives_shows_each_and_its_limits_also_as_json(tmp_path: Path, kgen: Kgen) -> None:
    search = "{method: sobol, steps: 9000, seconds: 90, improvement: 0.05}"
    budget = "budget: {steps: 1000, target: {accuracy: 0.9}}"
    spaces = "[{rate: {log: {start: 1e-4, stop: 1}}}, {rate: [1, 2.5], units: {int: {start: 2, stop: 8}}}]"
    spec = staged.file(tmp_path, f"{staged.HEAD}parameters: {spaces}\nsearch: {search}\n{budget}\n")
    assert [line for line in kgen("plan", spec.file).ok().lines if line.startswith("  ")] == [
        "  - rate 0.0001 to 1, logarithmic",
        "  - rate 1, 2.5; units 2 to 8, whole",
        "  in all: at most 12 trials, 9,000 training steps or 1 min 30 s of training, or when another trial would "
        "better the best by less than 5 %",
    ]
    made = json.loads(kgen("plan", spec.file, "-o", "json").ok().out)
    assert made["stages"][0]["search"] == {
        "method": "sobol",
        "spaces": [
            {"rate": {"log": {"start": 1e-4, "stop": 1.0}}},
            {"rate": [1.0, 2.5], "units": {"int": {"start": 2, "stop": 8}}},
        ],
        "per": [],
        "limits": {"trials": 12, "steps": 9000, "seconds": 90.0, "improvement": 0.05},
    }


def test_a_search_by_halving_is_shown_by_its_rungs(tmp_path: Path, kgen: Kgen) -> None:
    search = "{method: halving, per: optimizer, trials: 13, min_steps: 100}"
    budget = "budget: {steps: 900, target: {accuracy: 0.9}}"
    space = "{optimizer: [a, b], rate: {log: {start: 1e-4, stop: 1}}}"
    spec = staged.file(tmp_path, f"{staged.HEAD}parameters: {space}\nsearch: {search}\n{budget}\n")
    out = kgen("plan", spec.file).ok().out
    rungs = "9 for 100 steps for each optimizer, then 3 for 300, then 1 for 900"
    assert f"\n\nsearch (halving): up to 26 trials, {rungs}\n" in out
    assert f"that are not known yet\nat most {2 * (9 * 100 + 3 * 300 + 900):,} training steps\n" in out
    first = Course(spec, FolderStore(spec.results)).next()
    assert first is not None
    staged.train(spec, expand(first))
    out = kgen("plan", spec.file).ok().out
    assert f"and up to 8 that are not known yet\nat most {2 * (3 * 300 + 900):,} training steps\n" in out


def test_a_range_test_is_shown_by_its_steps(tmp_path: Path, kgen: Kgen) -> None:
    space = "{optimizer: [sgd, adam], learning_rate: {log: {start: 1e-4, stop: 1}}}"
    head = staged.HEAD.replace("trainer: {command: [python, train.py]}\n", "")
    text = f"parameters: {space}\nsearch: {{method: range-test, per: optimizer, min_steps: 200}}\n"
    spec = staged.file(tmp_path, f"{head}{text}budget: {{steps: 900, target: {{train_accuracy: 0.9}}}}\n")
    out = kgen("plan", spec.file).ok().out
    assert "\n\nsearch (range-test): up to 2 trials, each of 200 steps with a rising rate\n" in out
    assert "\nat most 400 training steps\n" in out


def test_a_choice_for_another_question_is_said_before_anything_else(tmp_path: Path, kgen: Kgen) -> None:
    spec = staged.file(tmp_path)
    staged.train(spec, expand(spec))
    Course(spec, FolderStore(spec.results)).next()
    staged.file(tmp_path, staged.STAGES.replace("per: optimizer}}", "per: optimizer, neighbours: 1}}", 1))
    for verb in (["plan"], ["run", "-q"], ["collect"]):
        done = kgen(*verb, spec.file)
        assert done.code == 2, done.err
        assert "stages[1].parameters.from: found neighbours 1, before 0: another question" in done.err
        assert "allowed what it was, or --rechoose best" in done.err


# -- against results ----------------------------------------------------------------------------------------------


def test_done_failed_and_interrupted_trials_are_told_from_new_ones(sweep_file: Path, kgen: Kgen) -> None:
    spec = load(sweep_file)
    made = expand(spec)
    leave(spec, made[0])
    leave_failed(spec, made[1], "MemoryError: 4 GB")
    leave(spec, made[2], state=State.INTERRUPTED, outcome=None, exit_reason="SIGTERM")
    out = kgen("plan", sweep_file).ok().out
    assert f"  {made[0].id}  done    optimizer=sgd rate=0.001\n" in out
    assert f"  {made[1].id}  retry   optimizer=sgd rate=0.01  (failed: MemoryError: 4 GB)\n" in out
    assert f"  {made[2].id}  retry   optimizer=sgd rate=0.1  (interrupted: SIGTERM)\n" in out
    assert out.endswith(
        "1 done, 7 to run (2 of them have run without a result)\n"
        "at most 700 training steps\n"
        "about 3 min 30 s, as fast as those that are done\n"
        f"next: kgen run {sweep_file}\n"
    )


def test_a_failed_trial_that_went_well_later_is_done(sweep_file: Path, kgen: Kgen) -> None:
    spec = load(sweep_file)
    first = expand(spec)[0]
    leave_failed(spec, first, "crash")
    leave(spec, first, attempt="2")
    assert f"{first.id}  done  " in kgen("plan", sweep_file).ok().out


def test_when_all_is_done_the_next_thing_is_the_report(sweep_file: Path, kgen: Kgen) -> None:
    spec = load(sweep_file)
    for trial in expand(spec):
        leave(spec, trial)
    assert kgen("plan", sweep_file).ok().out.endswith(f"8 done, 0 to run\nnext: kgen report {sweep_file}\n")


def test_an_edit_of_the_file_asks_only_for_what_is_new(sweep_file: Path, kgen: Kgen) -> None:
    spec = load(sweep_file)
    for trial in expand(spec):
        leave(spec, trial)
    sweep_file.write_text(sweep_file.read_text().replace("[sgd, adam]", "[adam, sgd, adagrad]"))
    assert "\n8 done, 4 to run\n" in kgen("plan", sweep_file).ok().out


@pytest.mark.parametrize("with_rows", [False, True])
@pytest.mark.parametrize("arguments", [[], ["-o", "json"]])
def test_it_changes_nothing_on_disk(with_rows: bool, arguments: list[str], sweep_file: Path, kgen: Kgen) -> None:
    spec = load(sweep_file)
    if with_rows:
        leave(spec, expand(spec)[0])
        leave_failed(spec, expand(spec)[1], "crash")
    before = snapshot(sweep_file.parent)
    kgen("plan", sweep_file, *arguments).ok()
    assert snapshot(sweep_file.parent) == before


def test_results_that_can_not_be_read_are_told_and_not_taken_for_none(tmp_path: Path, kgen: Kgen) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(text(results="x" * 300))
    ran = kgen("plan", file)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == f"kgen: {tmp_path / ('x' * 300) / 'sweep' / 'rows'}: can't be read: File name too long\n"


# -- for programs -------------------------------------------------------------------------------------------------


def test_names_are_one_a_line(sweep_file: Path, kgen: Kgen) -> None:
    assert kgen("plan", sweep_file, "-o", "name").ok().lines == [
        f"trial/{trial.id}" for trial in expand(load(sweep_file))
    ]


def test_json_has_every_trial_with_its_values(sweep_file: Path, kgen: Kgen) -> None:
    spec = load(sweep_file)
    made = expand(spec)
    leave(spec, made[0])
    leave_failed(spec, made[1], "crash")
    found = json.loads(kgen("plan", sweep_file, "--output", "json").ok().out)
    assert {key: found[key] for key in found if key != "plan"} == {
        "sweep": "sweep",
        "trials": 8,
        "counts": {**dict.fromkeys(map(str, Action), 0), "create": 6, "done": 1, "retry": 1},
        "parameters": {"optimizer": "sgd, adam", "rate": "1e-3, 1e-2, .1, 1"},
        "packing": "sequential",
        "workers": 1,
        "worst_case": {"steps": 700, "seconds": None},
        "expected_seconds": 210.0,
    }
    assert found["plan"][1] == {
        "trial": made[1].id,
        "stage": "main",
        "action": "retry",
        "reason": "failed: crash",
        "seed": 0,
        "parameters": {"optimizer": "sgd", "rate": 0.01},
    }
    assert [item["parameters"] for item in found["plan"]] == [dict(trial.parameters) for trial in made]


@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
def test_yaml_means_the_same_as_json_to_any_reader(version: tuple[int, int], tmp_path: Path, kgen: Kgen) -> None:
    file = tmp_path / "sweep.yaml"
    awkward = (
        '[1e-6, 1e22, -0.5, yes, "no", "1e3", "012", 12:30:45, "", "a\\tb", "\\u2028", ✓, "😀\\x7f", true, 3, "~"]'
    )
    file.write_text(text(parameters=f"{{on: {awkward}, 'y': [null-island]}}", name="'1'"))
    expected = json.loads(kgen("plan", file, "-o", "json").ok().out)
    assert yaml(kgen("plan", file, "-o", "yaml").ok().out, version) == expected
    assert len(expected["plan"]) == 16


# -- many trials in one program -----------------------------------------------------------------------------------


def test_fused_trials_have_no_pace_to_go_by(sweep_file: Path, kgen: Kgen) -> None:
    sweep_file.write_text(sweep_file.read_text() + "execution: {packing: fused, timing_sample: 3}\n")
    spec = load(sweep_file)
    leave(spec, expand(spec)[0])
    lines = kgen("plan", sweep_file).ok().lines
    assert lines[0] == "sweep sweep: 8 trials, fused in one process"
    assert lines[-4:] == [
        "1 done, 7 to run",
        "at most 700 training steps",
        "then 3 trials once more, each alone, to know its seconds",
        f"next: kgen run {sweep_file}",
    ]
    found = json.loads(kgen("plan", sweep_file, "-o", "json").ok().out)
    assert (found["packing"], found["workers"], found["expected_seconds"]) == ("fused", 1, None)


def test_what_is_still_to_be_timed_is_left_to_do(sweep_file: Path, kgen: Kgen) -> None:
    sweep_file.write_text(sweep_file.read_text() + "execution: {packing: fused, timing_sample: 3}\n")
    spec = load(sweep_file)
    for trial in expand(spec):
        leave(spec, trial, timing=Timing.SHARED)
    leave(spec, timing_sample(spec)[0], attempt="alone", timing=Timing.EXCLUSIVE, seconds=2.0)
    assert kgen("plan", sweep_file).ok().lines[-3:] == [
        "8 done, 0 to run",
        "then 2 trials once more, each alone, to know its seconds",
        f"next: kgen run {sweep_file}",
    ]


def test_stages_say_how_many_trials_they_time(tmp_path: Path, kgen: Kgen) -> None:
    head = f"{staged.HEAD}execution: {{packing: fused, timing_sample: 3}}\n"
    own = "    execution: {packing: sequential}\n"
    spec = staged.file(tmp_path, f"{head}stages:\n{staged.GRID}{staged.BEST}{own}{staged.SCALE}")
    assert kgen("plan", spec.file).ok().lines[-3:] == [
        f"at most {8 * 1000 + 6 * 500 + 2 * 2000:,} training steps",
        "then up to 5 trials once more, each alone, to know its seconds",  # 3 of the grid's 8, and both of scale
        f"next: kgen run {spec.file}",
    ]
    course = Course(spec, FolderStore(spec.results))
    while (part := course.next()) is not None:
        staged.train(spec, expand(part), timing=Timing.SHARED)
    assert kgen("plan", spec.file).ok().lines[-3:] == [
        "16 done, 0 to run",
        "then 5 trials once more, each alone, to know its seconds",
        f"next: kgen run {spec.file}",
    ]
    grid = next(part for part in course.known.parts if part.stage == "grid")
    for trial in timing_sample(grid)[:2]:
        leave(spec, trial, attempt="alone", timing=Timing.EXCLUSIVE, seconds=2.0)
    assert "\nthen 3 trials once more, each alone, to know its seconds\n" in kgen("plan", spec.file).ok().out


def test_a_search_that_says_no_packing_times_none(tmp_path: Path, kgen: Kgen) -> None:
    """A trainer that is not kgen's own is not taken for one that trains many at a time."""
    text = "parameters: {rate: {log: {start: 1e-4, stop: 1}}}\nsearch: {trials: 6}\nexecution: {timing_sample: 3}\n"
    spec = staged.file(tmp_path, f"{staged.HEAD}{text}budget: {{steps: 1000, target: {{accuracy: 0.9}}}}\n")
    assert "once more" not in kgen("plan", spec.file).ok().out
    spec.file.write_text(spec.file.read_text().replace("{timing_sample", "{packing: fused, timing_sample"))
    assert "\nthen up to 3 trials once more, each alone" in kgen("plan", spec.file).ok().out
