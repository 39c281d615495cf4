"""Whatever the API, a webhook or a newer server puts into an object, there is an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgen.status import UNREAD, Fuse, Reason, Row, State, TrialStatus, explain, group_by_trial, status_of
from tests.unit.status.recordings import names, recording

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
WORDS = st.sampled_from(
    [
        "True",
        "False",
        "Failed",
        "Complete",
        "Unschedulable",
        "PodScheduled",
        "Pending",
        "Running",
        "0-3,7",
        "-",
        ",",
        "0/2 nodes are available: ",
        "0/2 nodes are available: 2 Insufficient a. preemption: ",
        "2026-11-24T19:43:42Z",
        "0001-01-01T00:00:00+23:59",
        "exceeded quota: a, requested: , used: =, limited: ,",
        "9" * 30,
        "\ud800\x1b[31m\n",
        "Container a for pod b failed with exit code 99999999999999999999 ",
        "FailedCreate",
        "ImagePullBackOff",
        "Evicted",
    ]
)
KEYS = st.sampled_from(
    [
        "metadata",
        "status",
        "spec",
        "conditions",
        "type",
        "reason",
        "message",
        "containerStatuses",
        "state",
        "waiting",
        "terminated",
        "running",
        "exitCode",
        "phase",
        "labels",
        "name",
        "creationTimestamp",
        "involvedObject",
        "kind",
        "kgen.dev/trial",
        "batch.kubernetes.io/job-completion-index",
        "failed",
        "active",
        "uncountedTerminatedPods",
    ]
)
ANYTHING = st.recursive(
    SCALARS | WORDS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=30
)
OBJECTS = st.dictionaries(KEYS, ANYTHING, max_size=6)
ROWS = st.sampled_from(
    [None, UNREAD, Row("complete", "reached"), Row("failed", reason="x"), Row("interrupted"), Row("?")]
)


def check(status: TrialStatus) -> None:
    """It is an answer, fit to be shown."""
    assert isinstance(status.state, State)
    assert isinstance(status.reason, Reason)
    assert status.message.isprintable()
    assert len(status.message) <= 600
    assert status.attempts >= 0
    for at in (status.created, status.started, status.ended):
        assert at is None or at.tzinfo is not None
    assert isinstance(explain(status), str)
    Fuse().see([status], 0)


@given(st.none() | OBJECTS, st.lists(OBJECTS, max_size=3), st.lists(OBJECTS, max_size=3), ROWS, st.none() | st.just(1))
def test_objects_of_any_shape(job: Any, pods: list[Any], events: list[Any], row: Any, index: int | None) -> None:
    check(status_of("t", job, pods, events, row, index=index))
    group_by_trial([job], pods, events)


def _paths(thing: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path][: len(path)]
    if isinstance(thing, dict):
        for key, value in thing.items():
            found += _paths(value, (*path, key))
    if isinstance(thing, list):
        for place, value in enumerate(thing):
            found += _paths(value, (*path, place))
    return found


@given(st.data())
def test_recorded_objects_with_anything_at_any_place(data: st.DataObject) -> None:
    taken = recording(data.draw(st.sampled_from(names())))
    where = data.draw(st.sampled_from(_paths(taken)))
    place = taken
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = data.draw(ANYTHING)
    job, pods, events = taken["job"], taken["pods"], taken["events"]
    pods = pods if isinstance(pods, list) else []
    events = events if isinstance(events, list) else []
    check(status_of("t", job, pods, events, data.draw(ROWS), index=data.draw(st.none() | st.just(0))))
    group_by_trial([job], pods, events)


@pytest.mark.parametrize("name", names())
def test_recorded_objects_without_one_field(name: str) -> None:
    taken = recording(name)
    for *way, last in _paths(taken):
        place: Any = taken
        for key in way:
            place = place[key]
        if way:
            removed = place.pop(last)
            check(status_of("t", taken["job"], taken["pods"], taken["events"]))
            if isinstance(place, list):
                place.insert(last, removed)
            else:
                place[last] = removed
    assert taken == recording(name)


def test_the_recordings_are_small() -> None:
    folder = Path(__file__).with_name("recorded")
    assert sum(file.stat().st_size for file in folder.iterdir()) < 400_000
