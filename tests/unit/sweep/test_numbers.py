"""Every value keeps its bits, type and text on the way YAML → trial's JSON → row → Parquet."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import struct
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgen.results.rows import TrialRow, bytes_to_rows, rows_to_bytes
from kgen.spec import Budget, TrialSpec, Value, WrittenFloat, dump_json, load_json, text_of
from kgen.sweep import loads
from tests.unit.plan.rows import row
from tests.unit.sweep.sweeps import messages, quoted, text, trials, values


def bits(value: Any) -> bytes:
    assert isinstance(value, float)
    return struct.pack(">d", value)


def through_the_trial(trial: TrialSpec) -> tuple[TrialRow, pa.Table]:
    """The row as a reader of kgen gets it, and the table as any other reader of Parquet does."""
    received = TrialSpec.from_json(trial.to_json())
    assert received == trial
    data = rows_to_bytes([row(received)])
    (read,) = bytes_to_rows(data)
    return read, pq.read_table(io.BytesIO(data))


def one_trial(value: str) -> TrialSpec:
    (trial,) = trials(parameters=f"{{a: {value}}}")
    return trial


# -- doubles ------------------------------------------------------------------------------------------------------


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_keeps_its_bits_and_text(number: float) -> None:
    trial = one_trial(repr(number))
    read, table = through_the_trial(trial)
    found = [trial.parameters["a"], read.parameters["a"], table["param.a"][0].as_py()]
    assert [bits(value) for value in found] == [bits(number)] * 3
    assert text_of(trial.parameters["a"]) == text_of(read.parameters["a"]) == repr(number)
    assert table["parameters"][0].as_py() == f'{{"a":{number!r}}}'


EXTREMES = ["5e-324", "2.2250738585072014e-308", "1.7976931348623157e308", "-0.0", "0.1", "1e22", "1e23"]


@pytest.mark.parametrize("written", EXTREMES)
def test_extreme_doubles_keep_their_bits(written: str) -> None:
    read, table = through_the_trial(one_trial(written))
    assert bits(read.parameters["a"]) == bits(table["param.a"][0].as_py()) == bits(float(written))


@given(
    whole=st.from_regex(r"[0-9]{0,6}", fullmatch=True),
    fraction=st.none() | st.from_regex(r"[0-9]{0,6}", fullmatch=True),
    exponent=st.sampled_from(["", "e3", "E-7", "e+05"]),
    sign=st.sampled_from(["", "-", "+"]),
)
def test_every_spelling_of_a_float_gives_json_that_reads_back_as_the_same_float(
    whole: str, fraction: str | None, exponent: str, sign: str
) -> None:
    if not (whole or fraction):
        return
    written = WrittenFloat(f"{sign}{whole}{'' if fraction is None else '.' + fraction}{exponent}")
    sent = dump_json([written], written=True)
    assert bits(json.loads(sent, parse_int=lambda digits: pytest.fail(f"{digits} is no float"))[0]) == bits(written)
    (received,) = load_json(sent)
    assert bits(received) == bits(written)


def test_text_is_kept_where_json_allows_it_and_completed_where_it_does_not() -> None:
    assert dump_json([WrittenFloat(t) for t in ("1e-6", "1E6", "1.50", "-0.0")], written=True) == "[1e-6,1E6,1.50,-0.0]"
    assert dump_json([WrittenFloat(t) for t in (".5", "1.", "+1e3", "007.5", "100")], written=True) == (
        "[0.5,1.0,1e3,7.5,100.0]"
    )


def test_a_grid_that_ends_in_a_whole_number_stays_one_of_floats() -> None:
    for trial in trials(parameters="{a: {log: {start: 1, stop: 100, per_decade: 1}}}"):
        read, table = through_the_trial(trial)
        assert isinstance(read.parameters["a"], float)
        assert table["param.a"].type == pa.float64()


# -- spellings ----------------------------------------------------------------------------------------------------

SPELLINGS: list[tuple[str, Value]] = [
    ("1e-6", 1e-6),
    ("1E6", 1e6),
    (".5", 0.5),
    ("1.", 1.0),
    ("+1.5", 1.5),
    ("-.5e-3", -0.0005),
    ("017", 17),
    ("+1", 1),
    ("-0", 0),
    ("0x1F", 31),
    ("0o17", 15),
    ("12345678901234567890", 12345678901234567890),
    ("true", True),
    ("False", False),
    ("1_000", "1_000"),
    ("yes", "yes"),
    ("on", "on"),
    ("No", "No"),
    ("y", "y"),
    ("12:30:45", "12:30:45"),
    ("2001-01-01", "2001-01-01"),
    ("2001-01-01T12:00:00Z", "2001-01-01T12:00:00Z"),
    ("-0x1F", "-0x1F"),
    ("0b11", "0b11"),
    ("1e", "1e"),
    ("ünïcode-✓-漢字-😀", "ünïcode-✓-漢字-😀"),
    ("\N{FULLWIDTH DIGIT ONE}", "\N{FULLWIDTH DIGIT ONE}"),
    ("''", ""),
    ("'1'", "1"),
    ('"0x1F"', "0x1F"),
    ("'true'", "true"),
    ("'null'", "null"),
    ('"\\u00e9\\n\\ttab"', "é\n\ttab"),
    ("!!str 7", "7"),
    ("! 7", "7"),
    ("!!float 1", 1.0),
    ("!!int '5'", 5),
]


@pytest.mark.parametrize(("written", "meant"), SPELLINGS)
def test_a_spelling_means_what_yaml_1_2_says_on_the_whole_way(written: str, meant: Value) -> None:
    trial = one_trial(written)
    read, table = through_the_trial(trial)
    for found in (trial.parameters["a"], read.parameters["a"], table["param.a"][0].as_py()):
        assert found == meant
        assert isinstance(found, bool) == isinstance(meant, bool)
        assert isinstance(found, str) == isinstance(meant, str)
    assert isinstance(read.parameters["a"], float) == isinstance(meant, float)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
def test_quoted_text_is_never_anything_but_text(content: str) -> None:
    (value,) = values(f"[{quoted(content)}]")
    assert value == content
    read, table = through_the_trial(one_trial(quoted(content)))
    assert read.parameters["a"] == table["param.a"][0].as_py() == content


@given(st.integers(-(10**38) + 1, 10**38 - 1))
def test_every_integer_up_to_38_digits_keeps_its_digits(number: int) -> None:
    read, table = through_the_trial(one_trial(str(number)))
    assert read.parameters["a"] == number
    assert int(table["param.a"][0].as_py()) == number


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("9" * 39, "found a whole number of 39 digits, allowed at most 38 digits"),
        ("9" * 5000, "found a number of 5,000 characters, allowed at most 3,000"),
        ("0x" + "f" * 2990, "found a whole number of 3601 digits, allowed at most 38 digits"),
        ("1e400", "found 1e400, allowed a finite number"),
        ("1e-400", "found 1e-400, allowed a number that a double can tell from 0, at least 5e-324"),
        (f"1e-{'9' * 30}", f"found 1e-{'9' * 30}, allowed a number that a double can tell from 0, at least 5e-324"),
        (".inf", "found inf, allowed a finite number"),
        ("-.INF", "found -inf, allowed a finite number"),
        (".nan", "found nan, allowed a finite number"),
        ("~", "found nothing, allowed a number, text, true or false"),
    ],
)
def test_what_no_trial_could_keep_is_refused(written: str, message: str) -> None:
    (found,) = messages(text(parameters=f"{{a: [{written}]}}"))
    assert found == f"3:18 parameters.a[0]: {message}"


def test_config_and_budget_keep_their_numbers_too() -> None:
    (trial,) = trials(
        parameters="{a: 1}",
        budget="{seconds: 1.5e1, steps: 1e3, target: {accuracy: 9.7e-1}}",
        trainer="{config: {rate: 1e-3, nested: [{x: .5}, yes, 12345678901234567890], on: null}}",
    )
    received = TrialSpec.from_json(trial.to_json())
    assert received.budget == trial.budget
    assert isinstance(received.budget.steps, int)
    assert dataclasses.replace(received.budget, target=None) == Budget(steps=1000, seconds=15)
    assert received.config == {"rate": 0.001, "nested": [{"x": 0.5}, "yes", 12345678901234567890], "on": None}
    assert text_of(received.config["rate"]) == "1e-3"


def test_a_number_that_was_not_written_has_its_shortest_text() -> None:
    assert text_of(0.1 + 0.2) == "0.30000000000000004"
    assert math.isclose(0.3, float(text_of(0.1 + 0.2)))


def test_loading_does_not_depend_on_where_the_text_stands() -> None:
    """A float in a nested flow list of an alias is the same float."""
    spec = loads(text(parameters="{a: &x [1e-3, 1E-2], b: *x}"))
    (grid,) = spec.alternatives
    assert [text_of(v) for v in grid["a"]] == [text_of(v) for v in grid["b"]] == ["1e-3", "1E-2"]
