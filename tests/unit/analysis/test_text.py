from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgen.analysis.text import distinct, listing, number, percent, plural


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (450.0, "450"),
        (2000, "2,000"),
        (1234567, "1,234,567"),
        (12.4321, "12.43"),
        (4030.25, "4,030"),
        (123456.7, "123,457"),
        (0.0014677992676220691, "0.001468"),
        (1e-6, "1e-6"),
        (4.641588833612782e-05, "4.642e-5"),
        (1e20, "1e20"),
        (-0.25, "-0.25"),
        (-1234.5, "-1,234"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (10**40, f"{10**40:,}"),
    ],
)
def test_a_number_has_four_digits_and_no_needless_exponent(value: float | None, text: str) -> None:
    assert number(value) == text


@given(st.floats(1e-30, 1e30))
def test_a_number_is_never_further_off_than_its_digits(value: float) -> None:
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=6e-4)


def test_labels_get_as_many_digits_as_keep_them_apart() -> None:
    assert distinct([0.1, 0.14677992676220697, 0.21544346900318834]) == ("0.1", "0.147", "0.215")
    assert distinct([1.0001, 1.0002]) == ("1.0001", "1.0002")
    assert distinct([]) == ()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), unique=True, min_size=1))
def test_labels_of_different_numbers_differ(values: list[float]) -> None:
    assert len(set(distinct(values))) == len({value + 0.0 for value in values})


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 5, "0 %"), (5, 5, "100 %"), (51, 287, "18 %"), (1, 3000, "0.1 %"), (2999, 3000, "99.9 %"), (0, 0, "–")],
)
def test_a_share_is_0_or_100_per_cent_only_when_it_is(part: int, whole: int, text: str) -> None:
    assert percent(part, whole) == text


def test_words() -> None:
    assert plural(1, "trial") == "1 trial"
    assert plural(2, "trial") == "2 trials"
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing([str(n) for n in range(9)], most=3) == "0, 1, 2 and 6 more"
