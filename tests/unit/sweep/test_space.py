"""Grids: the ends as written, every point between them the double nearest to the true value."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgen.spec import Value, WrittenFloat, text_of
from kgen.sweep import load, space
from tests.unit.sweep.sweeps import messages, only_message, text, trials, values

ROOT = Path(__file__).parents[3]


def is_nearest_root(value: Value, power: Fraction, degree: int) -> bool:
    """Whether no other double is nearer to the root: the midpoints to its neighbours enclose it, in exact numbers."""
    assert isinstance(value, float)
    low = (Fraction(value) + Fraction(math.nextafter(value, 0))) / 2
    high = (Fraction(value) + Fraction(math.nextafter(value, math.inf))) / 2
    return low**degree <= power <= high**degree


# -- logarithmic --------------------------------------------------------------------------------------------------


def test_the_articles_rates_are_the_correctly_rounded_powers_of_ten() -> None:
    (grid,) = load(ROOT / "examples/quickstart.yaml").alternatives
    exponents = [k for k in range(-36, 13) if k != 0]
    assert len(grid["learning_rate"]) == 48
    for k, rate in zip(exponents, grid["learning_rate"], strict=True):
        assert is_nearest_root(rate, Fraction(10) ** k, 6), f"10**({k}/6) is not {rate!r}"


def test_doubles_alone_would_get_some_of_them_wrong() -> None:
    """The test above can fail: the obvious formula does not pass it."""
    assert not all(is_nearest_root(10 ** (k / 6), Fraction(10) ** k, 6) for k in range(-36, 13))


@given(
    start=st.floats(1e-12, 1e12).map(repr),
    stop=st.floats(1e-12, 1e12).map(repr),
    num=st.integers(2, 12),
)
def test_any_logarithmic_grid_is_correctly_rounded(start: str, stop: str, num: int) -> None:
    grid = space.log(WrittenFloat(start), WrittenFloat(stop), num=num)
    assert len(grid) == num
    for i, value in enumerate(grid):
        assert is_nearest_root(value, Fraction(start) ** (num - 1 - i) * Fraction(stop) ** i, num - 1)


@pytest.mark.parametrize("ends", ["{start: 1e-3, stop: 1e2, num: 6}", "{start: 1e-3, stop: 1e2, per_decade: 1}"])
def test_ends_keep_the_text_that_was_written(ends: str) -> None:
    grid = values(f"{{log: {ends}}}")
    assert [text_of(grid[0]), text_of(grid[-1])] == ["1e-3", "1e2"]
    assert grid == [0.001, 0.01, 0.1, 1, 10, 100]


def test_ends_between_powers_of_ten() -> None:
    assert values("{log: {start: 3e-3, stop: 30, per_decade: 1}}") == [0.003, 0.03, 0.3, 3, 30]


def test_a_stop_may_be_the_rounded_value_that_was_meant() -> None:
    """10**(1/3) has no decimal text; twelve digits of it are enough to say which point is meant."""
    grid = values("{log: {start: 1, stop: 2.154434690031884, per_decade: 3}}")
    assert [text_of(v) for v in grid] == ["1", "2.154434690031884"]


@pytest.mark.parametrize("kind", ["log: {start: 100, stop: 1, per_decade: 2}", "log: {start: 100, stop: 1, num: 5}"])
def test_a_logarithmic_grid_may_descend(kind: str) -> None:
    assert values(f"{{{kind}}}") == pytest.approx([100, 31.6227766, 10, 3.16227766, 1])


def test_a_stop_that_is_no_step_of_the_grid_is_refused_with_the_nearest_that_is() -> None:
    assert only_message(parameters="{a: {log: {start: 1, stop: 95, per_decade: 2}}}") == (
        "3:40 parameters.a.log.stop: found 95, allowed start times a power of 10**(1/2), such as 100.0"
    )


def test_both_ends_of_a_logarithmic_grid_are_checked() -> None:
    allowed = "allowed a number above 0, because the scale is logarithmic"
    assert messages(text(parameters="{a: {log: {start: 0, stop: -1, num: 3}}}")) == [
        f"3:31 parameters.a.log.start: found 0, {allowed}",
        f"3:40 parameters.a.log.stop: found -1, {allowed}",
    ]


def test_a_number_that_a_double_turns_into_zero_is_no_end_of_a_logarithmic_grid() -> None:
    assert only_message(parameters="{a: {log: {start: 1e-999999999, stop: 1, num: 3}}}") == (
        "3:31 parameters.a.log.start: found 1e-999999999, allowed a number that a double can tell from 0, "
        "at least 5e-324"
    )


def test_the_whole_range_of_doubles_can_be_a_grid_between_the_numbers_as_written() -> None:
    """The double nearest to 5e-324 is 4.94e-324; the grid starts from what stands in the file."""
    assert values("{log: {start: 5e-324, stop: 1e308, num: 3}}")[1] == pytest.approx(math.sqrt(5) * 1e-8, rel=1e-15)


# -- linear -------------------------------------------------------------------------------------------------------


@given(start=st.floats(-1e9, 1e9).map(repr), stop=st.floats(-1e9, 1e9).map(repr), num=st.integers(2, 40))
def test_any_linear_grid_is_correctly_rounded(start: str, stop: str, num: int) -> None:
    grid = space.linear(WrittenFloat(start), WrittenFloat(stop), num=num)
    width = Fraction(stop) - Fraction(start)
    assert grid == tuple(float(Fraction(start) + width * i / (num - 1)) for i in range(num))


def test_linear_steps_are_decimal() -> None:
    grid = values("{linear: {start: 0, stop: 1, step: 0.1}}")
    assert [repr(float(v)) for v in grid] == [f"{k / 10}" for k in range(11)]


def test_a_linear_grid_meets_zero_exactly() -> None:
    assert values("{linear: {start: -1, stop: 2, num: 10}}")[3] == 0


def test_zero_may_be_written_in_any_way() -> None:
    assert values(f"{{linear: {{start: 0e{'9' * 30}, stop: -0.0e-9, num: 1}}}}") == [0]


def test_a_linear_grid_may_descend() -> None:
    assert values("{linear: {start: 1, stop: 0, step: -0.25}}") == [1, 0.75, 0.5, 0.25, 0]


def test_linear_values_are_floats_however_the_ends_are_written() -> None:
    """A trainer sees one type, whatever num is."""
    for num in (2, 3, 4):
        assert {type(v) for v in values(f"{{linear: {{start: 1, stop: 3, num: {num}}}}}")} <= {float, WrittenFloat}


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ("start: 0, stop: 1, step: 0.3", "stop: found 1, allowed a whole number of steps from start, such as 0.9"),
        ("start: 1, stop: 0, step: -0.3", "stop: found 0, allowed a whole number of steps from start, such as 0.1"),
        ("start: 1, stop: 0, step: 0.5", "step: found 0.5, allowed a step that leads from 1 to 0"),
        ("start: 0, stop: 1, step: 0", "step: found 0, allowed a step that leads from 0 to 1"),
        ("start: 0, stop: 1, num: 1", "num: found 1, allowed at least 2, because start and stop are both among"),
    ],
)
def test_a_linear_grid_that_misses_its_end_is_refused(ends: str, message: str) -> None:
    assert message in only_message(parameters=f"{{a: {{linear: {{{ends}}}}}}}")


@pytest.mark.parametrize("kind", ["linear: {start: 2, stop: 2, num: 1}", "log: {start: 2, stop: 2, per_decade: 3}"])
def test_a_grid_of_one_value(kind: str) -> None:
    assert values(f"{{{kind}}}") == [2.0]


# -- whole numbers ------------------------------------------------------------------------------------------------


def test_whole_numbers_include_both_ends() -> None:
    assert values("{int: {start: 8, stop: 32, step: 8}}") == [8, 16, 24, 32]
    assert values("{int: {start: 3, stop: 1, step: -1}}") == [3, 2, 1]
    assert {type(v) for v in values("{int: {start: 1, stop: 3}}")} == {int}


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ("start: 0, stop: 10, step: 3", "stop: found 10, allowed a whole number of steps from start, such as 9"),
        ("start: 10, stop: 0, step: -3", "stop: found 0, allowed a whole number of steps from start, such as 1"),
        ("start: 3, stop: 1", "step: found 1, allowed a step that leads from 3 to 1"),
        ("start: 1, stop: 3, step: 0", "step: found 0, allowed a step that leads from 1 to 3"),
        ("start: 1, stop: 2.5", "stop: found 2.5, allowed a whole number"),
    ],
)
def test_whole_numbers_that_miss_their_end_are_refused(ends: str, message: str) -> None:
    assert message in only_message(parameters=f"{{a: {{int: {{{ends}}}}}}}")


# -- lists and exceptions -----------------------------------------------------------------------------------------


def test_whole_numbers_among_floats_are_floats_and_keep_their_text() -> None:
    found = values("[0.1, 1, 10]")
    assert {type(v) for v in found} == {WrittenFloat}
    assert [text_of(v) for v in found] == ["0.1", "1", "10"]


def test_a_long_whole_number_among_floats_keeps_its_digits() -> None:
    assert values("[0.5, 12345678901234567890]") == [0.5, 12345678901234567890]


def test_truth_values_and_text_stay_what_they_are() -> None:
    assert [(type(v), v) for v in values("[true, 1, 'true', x, 0.5]")] == [
        (bool, True),
        (WrittenFloat, 1.0),
        (str, "true"),
        (str, "x"),
        (WrittenFloat, 0.5),
    ]


def test_one_value_needs_no_list() -> None:
    assert [dict(t.parameters) for t in trials(parameters="{a: 3, b: x, c: true}")] == [{"a": 3, "b": "x", "c": True}]


def test_except_takes_values_out_in_any_spelling() -> None:
    assert values("{log: {start: 1e-2, stop: 100, per_decade: 1}, except: [1.0, 1e1]}") == [0.01, 0.1, 100]
    assert values("{values: [a, b, c], except: [b]}") == ["a", "c"]
    assert values("{values: [1, true, x], except: [true]}") == [1, "x"]


def test_every_exception_that_is_no_value_is_named_with_the_nearest() -> None:
    assert messages(text(parameters="{a: {int: {start: 1, stop: 9}, except: [2, 12, x, true]}}")) == [
        "3:56 parameters.a.except[1]: found 12, allowed a value of the grid, the nearest is 9",
        "3:60 parameters.a.except[2]: found x, allowed a value of the list: 1, 2, 3, 4, 5, 6, 7, 8, 9",
        "3:63 parameters.a.except[3]: found true, allowed a value of the list: 1, 2, 3, 4, 5, 6, 7, 8, 9",
    ]


def test_something_has_to_be_left() -> None:
    assert "found every value, allowed at least one value left" in only_message(
        parameters="{a: {values: [1], except: [1]}}"
    )


# -- order --------------------------------------------------------------------------------------------------------


def test_the_first_parameter_is_the_slowest_and_seeds_are_the_fastest() -> None:
    made = trials(parameters="{b: [x, y], a: [1, 2]}", seed="7", repeats="2")
    assert [(t.parameters["b"], t.parameters["a"], t.seed) for t in made] == [
        (b, a, seed) for b in "xy" for a in (1, 2) for seed in (7, 8)
    ]


def test_alternatives_come_in_the_order_of_the_file_each_with_its_own_parameters() -> None:
    made = trials(parameters="[{a: [3], c: [1]}, {a: [1, 2]}]")
    assert [dict(t.parameters) for t in made] == [{"a": 3, "c": 1}, {"a": 1}, {"a": 2}]
