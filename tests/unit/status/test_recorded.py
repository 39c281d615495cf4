"""Each state that a real cluster was seen in has its words."""

from __future__ import annotations

import pytest

from kgen.status import Reason, State
from tests.unit.status.expected import EXPECTED
from tests.unit.status.expected_real import EXPECTED_REAL
from tests.unit.status.recordings import names, status


@pytest.mark.parametrize(("name", "index"), EXPECTED)
def test_what_is_shown(name: str, index: int | None) -> None:
    expected = EXPECTED[name, index]
    found = status(name, index=index)
    assert found.message == expected.message
    assert (found.state, found.reason) == (expected.state, expected.reason)
    assert (found.attempts, found.exit_code, found.hopeless) == (
        expected.attempts,
        expected.exit_code,
        expected.hopeless,
    )


@pytest.mark.parametrize("name", EXPECTED_REAL)
def test_what_is_shown_of_a_real_node(name: str) -> None:
    expected = EXPECTED_REAL[name]
    found = status(f"real/{name}")
    assert found.message == expected.message
    assert (found.state, found.reason) == (expected.state, expected.reason)
    assert (found.attempts, found.exit_code, found.hopeless) == (
        expected.attempts,
        expected.exit_code,
        expected.hopeless,
    )


def test_every_recording_is_expected() -> None:
    assert {name for name, _ in EXPECTED} == set(names())
    assert set(EXPECTED_REAL) == set(names("real"))


def test_every_state_was_seen() -> None:
    assert {expected.state for expected in EXPECTED.values()} == set(State)


def test_reasons_that_no_recording_has_are_tested_in_words() -> None:
    """Those need a real kubelet, a row, or a moment that can't be caught: see `test_words` and `test_mapping`."""
    elsewhere = {Reason.CREATING, Reason.NODE_LOST, Reason.INTERRUPTED, Reason.ROWS_UNCHECKED}
    assert {expected.reason for expected in EXPECTED.values()} == set(Reason) - elsewhere


def test_where_and_when() -> None:
    running = status("running")
    assert running.pod.startswith("optimizers-k7q2m5xw3d-")
    assert running.node in ("gpu-0", "gpu-1")
    assert str(running.address) == "optimizers-k7q2m5xw3d"
    assert running.created is not None
    assert running.started is not None
    assert running.created <= running.started
    assert running.ended is None
    done = status("succeeded")
    assert done.started is not None
    assert done.ended is not None
    assert done.started <= done.ended
    assert status("bad_parameters_pods_gone").ended is not None
    assert str(status("indexes_failed", index=2).address) == "optimizers-k7q2m5xw3d[2]"


def test_the_newest_pod_is_shown_of_several() -> None:
    retried = status("retried")
    assert retried.started is not None
    assert retried.created is not None
    assert retried.started > retried.created
    assert retried.ended is None
