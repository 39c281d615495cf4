"""When failures stop a sweep."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kgen.status import FIRST_FAILURES, fingerprint
from kgen.trial.channel import Ended
from kgen.workflow.fuse import Fuse
from tests.unit.sweep.sweeps import trials


def ended(state: str, reason: str = "") -> Ended:
    return Ended("t", state, None, reason, 0, 0, None, None, 0, 0, {}, "", 0)


def blow(fuse: Fuse, *events: tuple[str, str]) -> list[str | None]:
    return [fuse.blow(ended(*event)) for event in events]


def test_five_failures_of_one_cause_before_any_result_stop_a_sweep() -> None:
    found = blow(Fuse(), *[("failed", f"OSError: no file '/tmp/{i}'") for i in range(FIRST_FAILURES)])
    assert found == [None] * 4 + ["the first 5 trials failed for one cause: OSError: no file '/tmp/0'"]


def test_not_if_their_causes_differ() -> None:
    assert blow(Fuse(), *[("failed", cause * 3) for cause in "abcdefgh"]) == [None] * 8


def test_not_after_a_result() -> None:
    assert blow(Fuse(), ("complete", ""), *[("failed", "same")] * 20) == [None] * 21


def test_of_a_whole_grid_in_one_program_those_with_bad_parameters_come_first() -> None:
    """That they fail before any other has ended says nothing of those: it takes as many as train on."""
    fuse = Fuse()
    bad = replace(ended("failed", "BadParametersError: no such optimizer"), exit_code=64)
    assert [fuse.blow(bad, beside=60 - i) for i in range(29)] == [None] * 29
    assert (
        fuse.blow(bad, beside=30) == "the first 30 trials failed for one cause: BadParametersError: no such optimizer"
    )


def test_one_misspelt_value_does_not_stop_those_that_wait_with_others() -> None:
    """Though none of these has begun; where the value is that of all, there is nothing to wait for."""
    fuse, bad = Fuse(), replace(ended("failed", "BadParametersError: optimizer is 'adamm'"), exit_code=64)
    grid = trials(parameters="{optimizer: [adamm, sgd], learning_rate: [1, 2, 3, 4, 5, 6]}")
    assert [fuse.blow(bad, trial=grid[i], left=grid[i + 1 :]) for i in range(6)] == [None] * 6
    assert fuse.blow(bad, trial=grid[6], left=grid[7:]) is not None  # it is not the optimizer
    fuse = Fuse()
    said = [fuse.blow(bad, trial=grid[i], left=grid[i + 1 : 6]) for i in range(5)]
    assert [bool(reason) for reason in said] == [*[False] * 4, True]


def test_crashes_count_however_many_train_on() -> None:
    fuse = Fuse()
    assert [bool(fuse.blow(replace(ended("failed", "x"), exit_code=1), beside=200)) for _ in range(5)] == [
        *[False] * 4, True,
    ]  # fmt: skip


def test_interruptions_are_no_failures() -> None:
    assert blow(Fuse(), *[("interrupted", "SIGTERM")] * 20) == [None] * 20
    assert blow(Fuse(2), *[("interrupted", "SIGTERM")] * 20) == [None] * 20


def test_a_limit_counts_all_failures_whatever_else_there_was() -> None:
    fuse = Fuse(3)
    assert blow(fuse, ("failed", "a 1"), ("complete", ""), ("failed", "b")) == [None] * 3
    assert blow(fuse, ("failed", "a 2")) == ["3 trials failed, 2 of them with: a 1"]


def test_one_failure_can_be_enough() -> None:
    assert blow(Fuse(1), ("failed", "x")) == ["1 trials failed, 1 of them with: x"]


def test_no_limit_never_stops() -> None:
    assert blow(Fuse(0), *[("failed", "same")] * 50) == [None] * 50


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ValueError: x is 1e-6", "ValueError: x is 0.5"),
        ("<object at 0x7f01>", "<object at 0x55aa>"),
        ("KeyError: 'adam'", "KeyError: 'sgd'"),
        ('no "a" here', 'no "b" here'),
        ("line -3", "line 17"),
    ],
)
def test_a_cause_is_the_reason_without_what_differs(one: str, other: str) -> None:
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) != fingerprint("something else")
