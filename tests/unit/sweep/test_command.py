"""The command line of a trial: values as they were written, flags, braces."""

from __future__ import annotations

import pytest

from kgen.sweep.command import command_line, is_same_for_all, places_in
from tests.unit.sweep.sweeps import trials


def line(command: list[str], parameters: str, *, flags: bool = False, seed: str = "7") -> list[str]:
    (trial,) = trials(parameters=parameters, seed=seed)
    return command_line(command, trial.parameters, trial.seed, flags=flags)


@pytest.mark.parametrize(
    ("written", "text"),
    [("1e-6", "1e-6"), ("1E6", "1E6"), (".5", ".5"), ("017", "17"), ("true", "true"), ("yes", "yes"), ("'1'", "1"),
     ("12345678901234567890", "12345678901234567890"), ("'a b; rm -rf /'", "a b; rm -rf /"), ("-0.0", "-0.0"),
     ("''", "")],
)  # fmt: skip
def test_a_value_reaches_a_program_as_it_was_written(written: str, text: str) -> None:
    assert line(["run", "{a}", "--x={a}"], f"{{a: {written}}}") == ["run", text, f"--x={text}"]
    assert line(["run"], f"{{a: {written}}}", flags=True) == ["run", f"--a={text}"]


def test_a_grid_that_ends_in_a_whole_number_writes_it_as_the_file_does() -> None:
    made = trials(parameters="{a: {log: {start: 1e-1, stop: 10, per_decade: 1}}}")
    assert [command_line(["{a}"], t.parameters, 0, flags=False) for t in made] == [["1e-1"], ["1.0"], ["10"]]


def test_flags_come_in_the_order_of_the_file_after_the_command() -> None:
    assert line(["python", "t.py"], "{b: 1, a-b: x}", flags=True) == ["python", "t.py", "--b=1", "--a-b=x"]


def test_braces_that_are_no_places_stay() -> None:
    command = ["{{a}}", '{"lr": {a}}', "{}", "{1}", "${HOME}", "{seed}", "{{{a}}}"]
    assert line(command, "{a: 5, HOME: x}") == ["{a}", '{"lr": 5}', "{}", "{1}", "$x", "7", "{5}"]


def test_a_value_that_looks_like_a_place_is_not_filled_again() -> None:
    assert line(["{a}", "{b}"], "{a: '{b}', b: '{{'}") == ["{b}", "{{"]


def test_places_are_found_where_they_are_filled() -> None:
    assert places_in("x{a}{{b}}{c-d}{} {1}") == ["a", "c-d"]


@pytest.mark.parametrize(
    ("command", "flags", "same"),
    [
        (["run"], False, True),
        (["run", "{{x}}"], False, True),
        (["run"], True, False),
        (["run", "{seed}"], False, False),
    ],
)
def test_one_process_can_take_all_trials_if_their_command_is_the_same(
    command: list[str], flags: bool, same: bool
) -> None:
    assert is_same_for_all(command, flags=flags) is same
