"""Each state, brought about on a real cluster, is seen as what it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from kgen.status import status_of
from tests.cluster.client import Cluster
from tests.cluster.scene import TRIAL, Recording
from tests.cluster.states import CASES
from tests.unit.status.expected import EXPECTED

AT_ONCE = 6
"""Cases that are made at the same time: most of them wait for a controller."""
COUNTS_NODES = "nodes fits"
"""Of a message that depends on how many nodes other cases have added."""

Seen = Callable[[str], Recording]


@pytest.fixture(scope="module")
def seen(fake_cluster: Cluster) -> Iterator[Seen]:
    """Gives what the server says of a case. All are made from the start, several at once."""
    left = threading.Event()

    def record(name: str) -> Recording:
        if left.is_set():
            raise RuntimeError("the tests are over")
        with CASES[name].made(fake_cluster) as scene:
            return scene.record().with_fixed_names(scene)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        made: dict[str, Future[Recording]] = {name: pool.submit(record, name) for name, _ in EXPECTED}
        yield lambda name: made[name].result()
        left.set()


@pytest.mark.parametrize(("name", "index"), EXPECTED)
def test_a_state_is_seen(seen: Seen, name: str, index: int | None) -> None:
    recording, expected = seen(name), EXPECTED[name, index]
    found = status_of(TRIAL, recording.job, recording.pods, recording.events, None, index=index)
    assert (found.state, found.reason, found.attempts, found.exit_code) == (
        expected.state,
        expected.reason,
        expected.attempts,
        expected.exit_code,
    ), found.message
    if COUNTS_NODES in expected.message:
        assert COUNTS_NODES in found.message
    else:
        assert found.message == expected.message


def test_every_case_is_expected() -> None:
    assert {name for name, _ in EXPECTED} == set(CASES)
