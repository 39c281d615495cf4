"""Objects find the trial that they are about."""

from __future__ import annotations

from typing import Any

from kgen.names import LABEL_TRIAL
from kgen.status import group_by_trial, status_of
from tests.unit.status.made import event, job, pod
from tests.unit.status.recordings import TRIAL, names, recording


def named(made: dict[str, Any], trial: str, name: str) -> dict[str, Any]:
    made["metadata"]["labels"] = {LABEL_TRIAL: trial}
    made["metadata"]["name"] = name
    return made


def test_by_label_and_by_name() -> None:
    jobs = [named(job(), "a", "s-a"), named(job(), "b", "s-b")]
    pods = [named(pod(), "b", "s-b-x"), named(pod(), "b", "s-b-y"), named(pod(), "c", "s-c-x")]
    about = [("Job", "s-a"), ("Pod", "s-b-y"), ("Pod", "s-b-gone"), ("Pod", "other"), ("Node", "s-a")]
    events = [{"involvedObject": {"kind": kind, "name": name}} for kind, name in about]
    found = group_by_trial(jobs, pods, events)
    assert set(found) == {"a", "b", "c"}
    assert (found["a"].job, found["a"].pods, found["a"].events) == (jobs[0], [], events[:1])
    assert (found["b"].job, found["b"].pods, found["b"].events) == (jobs[1], pods[:2], events[1:3])
    assert (found["c"].job, found["c"].pods, found["c"].events) == (None, pods[2:], [])


def test_what_is_not_a_trials_is_passed_over() -> None:
    stranger = job()
    stranger["metadata"]["labels"] = {}
    assert group_by_trial([stranger], [stranger], [event("X")]) == {}


def test_of_two_jobs_of_a_trial_the_newer_counts() -> None:
    old, new = named(job(), "a", "s-a"), named(job(), "a", "t-a")
    old["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    new["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    for jobs in ([old, new], [new, old]):
        assert group_by_trial(jobs, [])["a"].job is new


def test_grouping_changes_no_answer() -> None:
    for name in names():
        taken = recording(name)
        seen = group_by_trial([taken["job"]] if taken["job"] else [], taken["pods"], taken["events"]).get(TRIAL)
        if seen is not None and taken["job"]:
            whole = status_of(TRIAL, taken["job"], taken["pods"], taken["events"])
            assert status_of(TRIAL, seen.job, seen.pods, seen.events) == whole


def test_events_of_an_earlier_job_of_that_name_are_passed_over() -> None:
    replaced = named(job(), "a", "s-a")
    replaced["metadata"] |= {"uid": "new", "creationTimestamp": "2026-01-02T00:00:00Z"}
    kept: list[dict[str, Any]] = [
        {"involvedObject": {"kind": "Job", "name": "s-a", "uid": "new"}},
        {"involvedObject": {"kind": "Pod", "name": "s-a-gone"}, "lastTimestamp": "2026-01-02T00:00:00Z"},
    ]
    earlier: list[dict[str, Any]] = [
        {"involvedObject": {"kind": "Job", "name": "s-a", "uid": "old"}},
        {"involvedObject": {"kind": "Pod", "name": "s-a-past"}, "lastTimestamp": "2026-01-01T23:59:59Z"},
    ]
    assert group_by_trial([replaced], [], [*earlier, *kept])["a"].events == kept
