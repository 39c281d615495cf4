"""Desired × observed → one action per trial, and what the rest comes to."""

from __future__ import annotations

import dataclasses

import pytest

from kgen.plan import Action, Plan, Seen, plan, ranges
from kgen.spec import Budget, TrialSpec
from tests.unit.sweep.sweeps import trials

TRIALS = trials(parameters="{a: [1, 2, 3, 4, 5]}")
SEEN = {
    TRIALS[0].id: (Seen.DONE, "target"),
    TRIALS[2].id: (Seen.FAILED, "out of memory"),
    TRIALS[3].id: (Seen.INTERRUPTED, "SIGTERM"),
    "somebodyelse": (Seen.DONE, ""),
}


def planned(seen: dict[str, tuple[Seen, str]] | None = None, *, workers: int = 2, **budget: float) -> Plan:
    limits: dict[str, int | float] = {"steps": 10, **budget}
    return plan(
        "sweep",
        TRIALS,
        SEEN if seen is None else seen,
        budget=dataclasses.replace(Budget(), **limits),  # type: ignore[arg-type]  # names and types of the test's own
        workers=workers,
    )


def test_every_trial_gets_one_action_in_the_order_of_the_sweep() -> None:
    made = planned()
    assert [(item.trial, item.action, item.reason) for item in made.planned] == [
        (TRIALS[0], Action.DONE, ""),
        (TRIALS[1], Action.CREATE, ""),
        (TRIALS[2], Action.RETRY, "failed: out of memory"),
        (TRIALS[3], Action.RETRY, "interrupted: SIGTERM"),
        (TRIALS[4], Action.CREATE, ""),
    ]


def test_counts_name_every_action_and_pending_is_what_is_not_done() -> None:
    made = planned()
    none = dict.fromkeys(Action, 0)
    assert made.counts == {**none, Action.CREATE: 2, Action.DONE: 1, Action.RETRY: 2}
    assert made.pending == TRIALS[1:]
    assert planned({}).counts == {**none, Action.CREATE: 5}


def test_the_worst_case_is_that_no_pending_trial_stops_early() -> None:
    assert planned().worst_steps == 40
    assert planned().worst_seconds is None
    assert planned(seconds=60.0).worst_seconds == 120  # four trials, two at a time
    assert planned(seconds=60.0, workers=3).worst_seconds == 120  # the second round is not full
    assert planned({t.id: (Seen.DONE, "") for t in TRIALS}, seconds=60.0).worst_seconds == 0


def test_without_a_cap_there_is_no_worst_case() -> None:
    made = dataclasses.replace(planned(), budget=Budget(seconds=5.0))
    assert (made.worst_steps, made.worst_seconds) == (None, 10)


def test_the_expectation_comes_from_what_is_done() -> None:
    assert planned().expected_seconds is None
    assert dataclasses.replace(planned(), seconds_per_trial=30.0).expected_seconds == 60


# -- ranges -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "shown"),
    [
        ("[sgd, adam]", "sgd, adam"),
        ("[1e-3, .5, 1]", "1e-3, .5, 1"),
        ("{int: {start: 1, stop: 8}}", "1, 2, 3, 4, 5, 6, 7, 8"),
        ("{int: {start: 1, stop: 9}}", "9 values from 1 to 9"),
        ("{int: {start: 9, stop: 1, step: -1}}", "9 values from 1 to 9"),
        ("{int: {start: 1, stop: 2000}}", "2,000 values from 1 to 2000"),
        ("{log: {start: 1e-6, stop: 100, per_decade: 6}}", "49 values from 1e-6 to 100"),
        ("[a, b, c, d, e, f, g, h, i]", "9 values: a … i"),
        ("[1, 2, 3, 4, 5, 6, 7, 8, auto]", "9 values: 1 … auto"),
        ("[true, 1, 'true']", "true, 1, true"),
    ],
)
def test_a_parameter_is_shown_whole_or_by_its_range(parameter: str, shown: str) -> None:
    assert ranges(trials(parameters=f"{{a: {parameter}}}")) == {"a": shown}


def test_values_of_all_alternatives_are_shown_once() -> None:
    made: tuple[TrialSpec, ...] = trials(parameters="[{a: [1, 2], b: [x]}, {a: [2, 3]}, {c: [true]}]")
    assert ranges(made) == {"a": "1, 2, 3", "b": "x", "c": "true"}
