"""Choosing trials by their parameters."""

from __future__ import annotations

import pytest

from kgen.errors import InputError
from kgen.spec import Value, WrittenFloat
from kgen.where import check_names, where

TRIAL: dict[str, Value] = {"optimizer": "adam", "learning_rate": WrittenFloat("1e-3"), "units": 8, "bias": True}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("optimizer=adam", True),
        ("optimizer==adam", True),
        ("optimizer!=adam", False),
        ("optimizer=sgd", False),
        ("learning_rate=0.001", True),
        ("learning_rate=1e-3", True),
        ("learning_rate<1e-3", False),
        ("learning_rate<=1e-3", True),
        ("learning_rate>.0001", True),
        ("units>=8", True),
        ("units<10", True),  # by number, not by text
        ("units=eight", False),
        ("units!=eight", True),
        ("bias=true", True),
        ("bias=1", False),
        ("optimizer=adam,units=8", True),
        ("optimizer=adam, units=9", False),
        ("dropout=0.5", False),
        ("dropout!=0.5", True),
        ("optimizer=", False),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    assert all(condition.holds_for(TRIAL) for condition in where(text)) is holds


@pytest.mark.parametrize("text", ["", "adam", "optimizer~adam", "=adam", "optimizer=adam,", "a b=c"])
def test_what_is_no_condition_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(InputError, match=r"--where: found .*, allowed parameter=value"):
        where(text)


def test_a_parameter_that_no_trial_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"--where: found optimiser, allowed a parameter: optimizer, learning_rate"):
        check_names(where("optimiser=adam"), TRIAL)
