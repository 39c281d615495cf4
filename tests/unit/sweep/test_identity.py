"""What makes a trial the same trial, and what does not. ``tests/golden`` pins the ids themselves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgen.names import TRIAL_ID_PATTERN
from kgen.spec import WrittenFloat
from kgen.sweep import expand, load, loads
from kgen.sweep.expand import canonical
from tests.unit.sweep.sweeps import ids, text

BASE = """\
version: 1
name: base
seed: 3
repeats: 2
objective: {metric: accuracy, goal: maximize, at: best}
parameters:
  optimizer: [sgd, adam]
  rate: [1e-3, 100]
budget: {target: {accuracy: 0.9}, steps: 200, seconds: 60, check_every_steps: 20, evaluate_every_steps: 100}
trainer:
  command: [python, "-c", "pass", "{rate}"]
  arguments: flags
  metrics: stdout
  image: registry.example/a:1
  config: {data: digits, batch: 100, nested: {x: 1, y: [2, 3.0]}}
  env: {A: 1, B: two}
  revision: r1
results: results/
local: {processes: 2}
"""


def changed(*edits: tuple[str, str]) -> list[str]:
    file = BASE
    for old, new in edits:
        assert file.count(old) == 1, f"{old!r} stands {file.count(old)} times"
        file = file.replace(old, new)
    return ids(file)


def test_ids_are_ten_characters_that_kubernetes_takes_and_all_different() -> None:
    made = ids(BASE)
    assert len(set(made)) == len(made) == 8
    assert all(TRIAL_ID_PATTERN.fullmatch(trial) for trial in made)


@pytest.mark.parametrize(
    "edits",
    [
        [("name: base", "name: other")],
        [("objective: {metric: accuracy, goal: maximize, at: best}\n", "")],
        [("at: best", "at: final")],
        [("results: results/", "results: /somewhere/else")],
        [("local: {processes: 2}\n", "")],
        [("processes: 2", "processes: auto, gpus: 0")],
        [("metrics: stdout", "metrics: file")],
        [("registry.example/a:1", "registry.example/b:2")],
        [("  image: registry.example/a:1\n", "")],
        [("version: 1\n", "# a comment\nversion: 1   # and another\n\n")],
        [("version: 1\nname: base\nseed: 3\n", ""), ("local:", "seed: 3\nname: base\nversion: 1\nlocal:")],
        [("  optimizer: [sgd, adam]\n  rate: [1e-3, 100]\n", "  rate: [1e-3, 100]\n  optimizer: [sgd, adam]\n")],
        [("target: {accuracy: 0.9}, steps: 200,", "steps: 200, target: {accuracy: 0.9},")],
        [("data: digits, batch: 100,", "batch: 100, data: digits,")],
        [("A: 1, B: two", "B: two, A: 1")],
        [("[sgd, adam]", "[adam, sgd]"), ("[1e-3, 100]", "[100, 1e-3]")],
        [("[1e-3, 100]", "{values: [1e-3, 100]}")],
        [("[1e-3, 100]", "{values: [1e-3, 7, 100], except: [7]}")],
        [("[1e-3, 100]", "{log: {start: 1e-3, stop: 100, num: 2}}")],
        [("  optimizer: [sgd, adam]\n  rate: [1e-3, 100]\n", "- optimizer: [sgd]\n  rate: [1e-3, 100]\n"
          "- {rate: [1e-3, 100], optimizer: adam}\n")],
        *([("1e-3", spelling)] for spelling in ("0.001", "1.0e-3", "1E-03", ".001", "+1e-3", "10e-4")),
        *([(", 100]", f", {spelling}]")] for spelling in ("100.0", "1e2", "1E+2", "0x64", "0100", "+100.", "100.00")),
        [("batch: 100", "batch: 1.0e2")],
        [("3.0]", "3]")],
        [("steps: 200,", "steps: 2e2,"), ("seconds: 60", "seconds: 60.0"), ("0.9}", "9.0E-1}")],
        [("{accuracy: 0.9}", "{accuracy: {at_least: 0.9}}")],
        [("seed: 3", "seed: 3.0")],
        [("A: 1,", "A: '1',")],
    ],
)  # fmt: skip
def test_what_is_not_trained_differently_is_the_same_trial(edits: list[tuple[str, str]]) -> None:
    assert sorted(changed(*edits)) == sorted(ids(BASE))


@pytest.mark.parametrize(
    "edits",
    [
        [("{accuracy: 0.9}", "{accuracy: 0.91}")],
        [("{accuracy: 0.9}", "{accuracy: {at_most: 0.9}}")],
        [("{accuracy: 0.9}", "{loss: 0.9}")],
        [("target: {accuracy: 0.9}, ", "")],
        [("steps: 200,", "steps: 201,")],
        [("steps: 200, seconds", "seconds")],
        [("seconds: 60", "seconds: 60.5")],
        [("seconds: 60, ", "")],
        [("check_every_steps: 20", "check_every_steps: 50")],
        [("evaluate_every_steps: 100", "evaluate_every_steps: 50")],
        [(", evaluate_every_steps: 100", "")],
        [('"pass"', '"pass "')],
        [('"{rate}"]', '"{rate}", x]')],
        [('  command: [python, "-c", "pass", "{rate}"]\n', "")],
        [("arguments: flags", "arguments: none")],
        [("batch: 100", "batch: 101")],
        [("batch: 100", "batch: '100'")],
        [("batch: 100, ", "")],
        [("[2, 3.0]", "[3.0, 2]")],
        [("A: 1,", "A: 2,")],
        [("A: 1,", "A: 1.0,")],
        [("A: 1,", "")],
        [("revision: r1", "revision: r2")],
        [("  revision: r1\n", "")],
        [("seed: 3", "seed: 5")],
    ],
)
def test_a_part_that_all_trials_share_changes_all_of_them(edits: list[tuple[str, str]]) -> None:
    assert not set(changed(*edits)) & set(ids(BASE))


@pytest.mark.parametrize(
    ("edits", "kept"),
    [
        ([("[sgd, adam]", "[sgd, adagrad]")], 4),
        ([("[sgd, adam]", "[sgd, adam, adagrad]")], 8),
        ([("[1e-3, 100]", "[1e-3, 101]")], 4),
        ([("[1e-3, 100]", "[1e-3, '100']")], 4),
        ([("[1e-3, 100]", "[1.0000000000000002e-3, 100]")], 4),
        ([("repeats: 2", "repeats: 3")], 8),
        ([("seed: 3", "seed: 4")], 4),
        ([("  optimizer: [sgd, adam]\n", "  other: [sgd, adam]\n")], 0),
        ([("  rate: [1e-3, 100]\n", "  rate: [1e-3, 100]\n  extra: 1\n")], 0),
    ],
)
def test_a_part_of_a_trials_own_changes_exactly_its_own(edits: list[tuple[str, str]], kept: int) -> None:
    assert len(set(changed(*edits)) & set(ids(BASE))) == kept


def test_the_stage_counts() -> None:
    spec = loads(BASE)
    assert not {t.id for t in expand(dataclasses.replace(spec, stage="best"))} & {t.id for t in expand(spec)}


def test_the_content_of_a_file_counts_and_so_does_its_name(tmp_path: Path) -> None:
    def made(name: str, content: str) -> list[str]:
        (tmp_path / name).write_text(content)
        (tmp_path / "sweep.yaml").write_text(text(trainer=f"{{command: [python, {name}], files: [{name}]}}"))
        return [trial.id for trial in expand(load(tmp_path / "sweep.yaml"))]

    first = made("train.py", "x = 1\n")
    assert made("train.py", "x = 1\n") == first
    assert not set(made("train.py", "x = 2\n")) & set(first)
    assert not set(made("other.py", "x = 1\n")) & set(first)
    assert not set(ids(text())) & set(first)


DEFAULTS = {
    "seed": "0",
    "repeats": "1",
    "objective": "{metric: steps_to_target, goal: minimize, at: final}",
    "budget": "{steps: 10, target: {accuracy: 0.9}, seconds: null, check_every_steps: 50, evaluate_every_steps: null}",
    "trainer": "{command: [python, -m, kgen_trainer], arguments: none, metrics: report, files: [], config: {}, "
    "env: {}, revision: null, image: null}",
    "results": "results/",
    "local": "{processes: auto, gpus: null}",
}


@pytest.mark.parametrize("block", DEFAULTS)
def test_a_default_that_is_written_is_the_default_that_is_not(block: str) -> None:
    plain = text()
    written = text(**{block: DEFAULTS[block]})
    assert ids(written) == ids(plain)
    assert loads(written).objective == loads(plain).objective
    assert loads(written).local == loads(plain).local


def test_an_empty_revision_is_none() -> None:
    assert ids(text(trainer="{revision: ''}")) == ids(text())


# -- numbers ------------------------------------------------------------------------------------------------------

NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)


@given(NUMBERS, NUMBERS)
def test_numbers_have_one_identity_exactly_if_they_are_equal(a: float, b: float) -> None:
    assert (repr(canonical(a)) == repr(canonical(b))) == (a == b)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_written_float_has_the_identity_of_its_value(number: float) -> None:
    assert repr(canonical(WrittenFloat(repr(number)))) == repr(canonical(number))


def test_zero_has_no_sign_but_large_numbers_have_all_their_digits() -> None:
    """-0.0 equals 0.0: one trial, as 1 and 1.0 are one; which of them is written is kept and trained with."""
    assert ids(text(parameters="{a: -0.0}")) == ids(text(parameters="{a: 0}")) == ids(text(parameters="{a: 0.0}"))
    assert ids(text(parameters="{a: 1e22}")) == ids(text(parameters=f"{{a: 1{'0' * 22}}}"))
    assert ids(text(parameters="{a: 1e23}")) != ids(text(parameters=f"{{a: 1{'0' * 23}}}"))
    assert ids(text(parameters="{a: 9007199254740993}")) != ids(text(parameters="{a: 9007199254740992}"))


def test_a_truth_value_is_neither_a_number_nor_text() -> None:
    made = [*ids(text(parameters="{a: true}")), *ids(text(parameters="{a: 1}")), *ids(text(parameters="{a: 'true'}"))]
    assert len(set(made)) == 3
