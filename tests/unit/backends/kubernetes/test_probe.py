"""What the pod of `kgen doctor` tells by what Kubernetes writes down of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kgen.backends.kubernetes import probe
from kgen.status.pods import Pod
from kgen.workflow.doctor.client import clock
from kgen.workflow.doctor.model import State

SCHEDULED = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


def ended(off: float) -> Pod:
    """A pod on a node whose clock is ahead by so many seconds: it ran from 1 to 20 seconds after it was scheduled."""

    def at(seconds: float, *, of_node: bool) -> str:
        return (SCHEDULED + timedelta(seconds=seconds + off * of_node)).replace(microsecond=0).isoformat()

    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(0, of_node=False)}
    state = {"terminated": {"exitCode": 0, "finishedAt": at(20, of_node=True)}}
    status: dict[str, Any] = {
        "phase": "Succeeded",
        "startTime": at(1, of_node=True),
        "conditions": [scheduled],
        "containerStatuses": [{"name": "trainer", "state": state}],
    }
    return Pod({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "trainer"}]}, "status": status})


@pytest.mark.parametrize(
    ("off", "state", "words"),
    [
        (0, State.OK, "less than"),
        (4, State.OK, "less than"),
        (-4, State.OK, "less than"),
        (300, State.WARNING, "s ahead of this machine's"),
        (-300, State.WARNING, "s behind this machine's"),
    ],
)
def test_a_nodes_clock_by_the_order_in_which_things_must_have_happened(off: float, state: State, words: str) -> None:
    seen = (SCHEDULED + timedelta(seconds=20.5)).timestamp()
    bounds = probe._ahead(ended(off), seen)
    assert bounds is not None
    assert bounds[0] <= off <= bounds[1]
    found = clock("node clock", "the clock of node a", bounds)
    assert (found.state, words in found.found) == (state, True)


def test_a_pod_that_did_not_run_tells_no_time() -> None:
    assert probe._ahead(Pod({"status": {"startTime": SCHEDULED.isoformat()}}), 0) is None


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ('Successfully pulled image "a/b:1" in 12.3s (12.3s including waiting). Image size: 5 B', "pulled in 12.3s"),
        ('Successfully pulled image "a/b:1" in 1m2.5s (2m3s including waiting)', "pulled in 1m2.5s"),
        ('Container image "a/b:1" already present on machine', "on the node already"),
        ('Container image "a/b:1" already present on machine and can be accessed by the pod', "on the node already"),
        ("something else", ""),
    ],
)  # fmt: skip
def test_how_the_image_came(message: str, said: str) -> None:
    assert probe._pulled([{"reason": "Scheduled"}, {"reason": "Pulled", "message": message}]) == said


@pytest.mark.parametrize(
    ("terminated", "lines", "words"),
    [
        ({"exitCode": 1, "reason": "Error"}, ["/bin/python: No module named kgen.trial", ""],
         "it ended with exit code 1: /bin/python: No module named kgen.trial"),
        ({"exitCode": 137, "reason": "OOMKilled"}, [], "it ended with exit code 137 (OOMKilled)"),
        ({"exitCode": 128, "reason": "StartError", "message": 'exec: "python": executable file not found in $PATH'}, [],
         "the image has no program python"),
    ],
)  # fmt: skip
def test_why_it_failed(terminated: dict[str, Any], lines: list[str], words: str) -> None:
    status = {"phase": "Failed", "containerStatuses": [{"name": "trainer", "state": {"terminated": terminated}}]}
    assert probe._ends(Pod({"status": status}), lines)[0] == words
