"""Small texts."""

from __future__ import annotations

import pytest

from kgen.cli.text import duration, parameters, short
from kgen.spec import WrittenFloat
from tests.unit.sweep.sweeps import trials


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (599, "9 min 59 s"),
        (601, "10 min"),
        (3599, "59 min"),
        (3599.6, "1 h"),
        (3660, "1 h 1 min"),
        (7200, "2 h"),
        (360_000, "100 h"),
        (36_000_000, "10,000 h"),
    ],
)
def test_durations_say_no_more_than_is_known(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "true"),
        (7, "7"),
        (WrittenFloat("1e-3"), "0.001"),
        (WrittenFloat("100"), "100"),
        (1.4677992676220696e-06, "1.4678e-6"),
        (0.25, "0.25"),
        (10.0, "10"),
        (0.1, "0.1"),
        (WrittenFloat(".1"), "0.1"),
        (WrittenFloat("1e-1"), "0.1"),
        ("adam", "adam"),
        ("two words", '"two words"'),
        ("", '""'),
        (" x", '" x"'),
        ("ü", "ü"),
        ("a\nb", '"a\\nb"'),
    ],
)
def test_a_value_in_a_line(value: bool | int | float | str, shown: str) -> None:
    assert short(value) == shown


def test_parameters_come_in_the_order_of_the_file() -> None:
    (trial,) = trials(parameters="{b: x, a: 1e-2}")
    assert parameters(trial) == "b=x a=0.01"
