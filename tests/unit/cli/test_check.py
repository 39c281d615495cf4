"""``kgen check``: ok, or every mistake with its place, its line and a caret."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.ran import Kgen
from tests.unit.sweep.staged import BEST, GRID, HEAD, searching, staged
from tests.unit.sweep.sweeps import foreign as text

ROOT = Path(__file__).parents[3]
EXAMPLES = [path for path in sorted((ROOT / "examples").rglob("*.yaml")) if "results" not in path.parts]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_without_mistakes(path: Path, kgen: Kgen) -> None:
    ran = kgen("check", path).ok()
    assert ran.out.startswith(f"{path}: ok, ")
    assert ran.out.endswith(" trials\n")


def test_it_counts_trials(tmp_path: Path, kgen: Kgen) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(text(parameters="{a: 1}"))
    assert kgen("check", file).ok().out == f"{file}: ok, 1 trial\n"
    file.write_text(text(parameters="{a: {int: {start: 1, stop: 1200}}}"))
    assert kgen("check", file).ok().out == f"{file}: ok, 1,200 trials\n"


def test_of_stages_it_says_what_each_may_come_to(tmp_path: Path, kgen: Kgen) -> None:
    file = tmp_path / "staged.yaml"
    head = HEAD.replace("trainer: {", "trainer: {command: [train], ")
    file.write_text(staged(GRID, BEST, searching("{method: tpe, per: optimizer, trials: 8}"), head=head))
    assert kgen("check", file).ok().out == (
        f"{file}: ok, 3 stages\n"
        "  grid    12 trials\n"
        "  best    after grid: up to 10 trials\n"
        "  search  search tpe: up to 16 trials\n"
    )
    file.write_text(text(parameters="{a: {log: {start: 1, stop: 2}}}", search="{method: sobol}"))
    assert kgen("check", file).ok().out == f"{file}: ok, search sobol: up to 12 trials\n"


def test_without_a_name_it_checks_sweep_yaml_here(
    sweep_file: Path, kgen: Kgen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sweep_file.parent)
    assert kgen("check").ok().out == "sweep.yaml: ok, 8 trials\n"


def test_every_mistake_is_shown_with_its_line_and_a_caret(tmp_path: Path, kgen: Kgen) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text(name="Ä", parameters="{a: [1, 2, 1.0], b: *x}", budget="{stps: 10, target: {accuracy: 9}}"))
    ran = kgen("check", file)
    assert (ran.code, ran.out) == (2, "")
    assert (
        ran.err
        == f"""\
{file}:2:7: name: found the text 'Ä', allowed a DNS label of at most 40 characters: lower-case letters, digits and \
'-', beginning and ending with a letter or digit
    name: Ä
          ^
{file}:3:24: parameters.a[2]: found 1.0 again, allowed different values
    parameters: {{a: [1, 2, 1.0], b: *x}}
                           ^
{file}:3:33: parameters.b: found alias *x, allowed the name of an anchor before it
    parameters: {{a: [1, 2, 1.0], b: *x}}
                                    ^
{file}:4:10: budget.stps: found an unknown field 'stps', allowed target, steps, seconds, check_every_steps, \
evaluate_every_steps; did you mean steps?
    budget: {{stps: 10, target: {{accuracy: 9}}}}
             ^
{file}:4:39: budget.target.accuracy: found 9, allowed a share between 0 and 1, or {{at_least: …}} or {{at_most: …}} \
for other metrics
    budget: {{stps: 10, target: {{accuracy: 9}}}}
                                          ^
kgen: 5 mistakes
"""
    )


@pytest.mark.parametrize("command", ["check", "plan", "run", "collect", "report"])
def test_every_command_refuses_a_bad_file_in_the_same_way_and_writes_nothing(
    command: str, tmp_path: Path, kgen: Kgen
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text(seed="x"))
    ran = kgen(command, file)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (f"{file}:5:7: seed: found the text 'x', allowed a whole number\n    seed: x\n          ^\n")
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a: [", b"- 1", b"version: 1\n---\n", b"\x00"])
def test_whatever_the_file_holds_there_is_no_traceback(content: bytes, tmp_path: Path, kgen: Kgen) -> None:
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    ran = kgen("check", file)
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err
    assert ran.err.startswith(f"{file}")


def test_a_file_that_is_not_there_and_a_folder(tmp_path: Path, kgen: Kgen) -> None:
    gone = kgen("check", tmp_path / "gone.yaml")
    assert (gone.code, gone.out) == (2, "")
    assert gone.err == (
        f"{tmp_path / 'gone.yaml'}: the file: found no such file or directory, allowed a readable sweep file\n"
    )
    folder = kgen("check", tmp_path)
    assert (folder.code, folder.err) == (
        2,
        f"{tmp_path}: the file: found is a directory, allowed a readable sweep file\n",
    )
