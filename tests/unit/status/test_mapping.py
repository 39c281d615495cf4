"""What counts more than what: rows, the Job's word, the newest pod, the index."""

from __future__ import annotations

from typing import Any

import pytest

from kgen.status import UNREAD, Reason, Row, State, status_of
from tests.unit.status.made import JOB, TRIAL, ended, event, job, pod, unschedulable, waiting
from tests.unit.status.recordings import names, recording, status

REACHED = Row("complete", "reached")


def of(made: Any, *pods: Any, row: Any = None, index: int | None = None, deleted: bool = False) -> tuple[Any, Any, str]:
    found = status_of(TRIAL, made, pods, (), row, index=index, deleted=deleted)
    return found.state, found.reason, found.message


# -- rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names())
def test_a_trial_with_its_result_is_done_whatever_becomes_of_its_job(name: str) -> None:
    found = status(name, row=REACHED)
    assert (found.state, found.reason, found.outcome) == (State.SUCCEEDED, Reason.NONE, "reached")


def test_a_result_without_a_job() -> None:
    found = status_of(TRIAL, None, (), (), REACHED)
    assert (found.state, found.outcome, found.address) == (State.SUCCEEDED, "reached", None)


def test_results_that_can_not_be_read_are_not_results_that_are_not_there() -> None:
    complete = job({"type": "Complete"}, succeeded=1)
    assert of(complete, row=UNREAD) == (
        State.SUCCEEDED,
        Reason.ROWS_UNCHECKED,
        "its Job is complete; rows unchecked",
    )
    assert of(complete)[:2] == (State.SUCCEEDED, Reason.NO_ROW)
    assert of(complete, row=Row("failed", reason="x")) == (
        State.SUCCEEDED,
        Reason.NO_ROW,
        "its Job is complete, but the results hold only a row of it that says failed",
    )


def test_a_failed_row_says_why() -> None:
    failed = job({"type": "Failed", "reason": "BackoffLimitExceeded"}, failed=3)
    row = Row("failed", reason="ValueError: no such optimizer")
    assert of(failed, pod(phase="Failed", state=ended(1)), row=row) == (
        State.FAILED,
        Reason.CRASH,
        "the trainer crashed (exit code 1) at attempt 3: ValueError: no such optimizer",
    )
    assert of(failed, row=row) == (
        State.FAILED,
        Reason.CRASH,
        "the trainer failed at attempt 3: ValueError: no such optimizer",
    )
    killed = ended(137, reason="OOMKilled")
    assert of(failed, pod(phase="Failed", state=killed), row=row)[1:] == (
        Reason.OUT_OF_MEMORY,
        "killed for using more than its memory at attempt 3",
    )


def test_rows_without_a_job() -> None:
    assert of(None, row=Row("failed", reason="OSError")) == (
        State.FAILED,
        Reason.CRASH,
        "it failed: OSError; it has no Job",
    )
    assert of(None, row=Row("interrupted")) == (
        State.MISSING,
        Reason.NONE,
        "it has no Job; its last attempt was interrupted",
    )


def test_no_job() -> None:
    assert of(None) == of(None, row=UNREAD) == (State.MISSING, Reason.NONE, "it has no Job")
    assert of(None, deleted=True) == (State.MISSING, Reason.DELETED, "its Job was deleted")
    orphan = pod(phase="Running", state={"running": {"startedAt": "2026-01-01T00:00:00Z"}})
    assert of(None, orphan) == (State.RUNNING, Reason.NONE, "its pod runs on; its Job is gone")


# -- the Job ------------------------------------------------------------------------------------------------------


def test_a_job_that_will_fail_or_be_complete_has_its_end_before_its_pods_are_gone() -> None:
    running = pod(phase="Running")
    assert of(job({"type": "FailureTarget", "reason": "DeadlineExceeded"}), running)[:2] == (
        State.FAILED,
        Reason.DEADLINE,
    )
    assert of(job({"type": "SuccessCriteriaMet"}), running)[0] is State.SUCCEEDED


def test_a_condition_that_is_not_true_says_nothing() -> None:
    assert of(job({"type": "Failed", "status": "False"}))[0] is State.PENDING
    assert of(job({"type": "Suspended", "status": "False"}))[:2] == (State.PENDING, Reason.NO_POD_YET)


def test_suspended_again_by_its_queue() -> None:
    queue = {"kueue.x-k8s.io/queue-name": "team-a"}
    suspended = job(suspend=True, labels=queue)
    assert of(suspended) == (State.QUEUED, Reason.QUEUE, "waits in queue team-a")
    assert of(suspended, pod(phase="Running", deleted=True)) == (
        State.QUEUED,
        Reason.QUEUE,
        "waits in queue team-a; its pod is still ending",
    )
    assert of(suspended, pod(phase="Running"))[0] is State.RUNNING


def test_a_failure_whose_rule_names_a_pod_that_is_gone() -> None:
    message = f"Container trainer for pod research/{JOB}-a failed with exit code 66 matching FailJob rule at index 0"
    failed = job({"type": "Failed", "reason": "PodFailurePolicy", "message": message}, failed=2)
    assert of(failed, pod("b", phase="Failed", state=ended(1)))[1:] == (
        Reason.NO_DATA,
        "the data or the result store can't be used (exit code 66) at attempt 2",
    )
    message = message.replace("66", "3")
    failed = job({"type": "Failed", "reason": "PodFailurePolicy", "message": message}, failed=1)
    assert of(failed)[1:] == (Reason.CRASH, "the trainer crashed (exit code 3)")
    newer = job({"type": "Failed", "reason": "SomethingNew", "message": "all is lost"}, failed=1)
    assert of(newer)[1:] == (Reason.UNKNOWN, "all is lost")


# -- several pods -------------------------------------------------------------------------------------------------


def test_the_newest_pod_that_lives_counts() -> None:
    old = pod("old", phase="Failed", created=0, state=ended(1, 5))
    going = pod("going", phase="Running", created=20, deleted=True)
    new = pod("new", phase="Running", created=10)
    found = status_of(TRIAL, job(), [new, going, old], (), None)
    assert found.state is State.RUNNING
    assert found.message == "attempt 3, after: the trainer crashed (exit code 1)"


def test_of_two_failures_the_one_that_ended_last_is_told() -> None:
    first = pod("z", phase="Failed", created=0, state=ended(64, 5))
    second = pod("a", phase="Failed", created=0, state=ended(65, 9))
    failed = job({"type": "Failed", "reason": "BackoffLimitExceeded"}, failed=2)
    for pods in ([first, second], [second, first]):
        assert of(failed, *pods)[1] is Reason.NO_DEVICE


def test_a_crash_after_a_preemption_is_the_last_end() -> None:
    preempted = event("Preempted", "Preempted by pod x on node gpu-0", pod="a", seconds=5)
    crashed = pod("b", phase="Failed", created=6, state=ended(1, 20))
    waits = unschedulable("0/2 nodes are available: 2 Insufficient nvidia.com/gpu.", name="c", created=30)
    found = status_of(TRIAL, job(failed=1), [crashed, waits], [preempted], None)
    assert found.reason is Reason.UNSCHEDULABLE
    assert found.message.endswith("; attempt 2, after: the trainer crashed (exit code 1)")
    preempted["lastTimestamp"] = "2026-11-24T19:01:00Z"
    assert status_of(TRIAL, job(failed=1), [crashed, waits], [preempted], None).reason is Reason.PREEMPTED


def test_of_two_disruptions_the_later_is_told() -> None:
    preempted = event("Preempted", pod="a", seconds=5)
    tainted = event("TaintManagerEviction", pod="b", seconds=9)
    for events in ([preempted, tainted], [tainted, preempted]):
        found = status_of(TRIAL, job(), [], events, None)
        assert (found.state, found.reason) == (State.PENDING, Reason.EVICTED)


def test_times_always_have_a_zone() -> None:
    made = job()
    made["metadata"]["creationTimestamp"] = "2026-11-24T19:00:00"
    created = status_of(TRIAL, made, []).created
    assert created is not None
    assert created.isoformat() == "2026-11-24T19:00:00+00:00"


def test_a_deleted_pod_says_what_took_it() -> None:
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    assert of(job(), pod(phase="Running", deleted=True, conditions=[disrupted])) == (
        State.PENDING,
        Reason.TERMINATING,
        "preempted by a pod of higher priority; it is still ending",
    )


def test_a_pod_that_a_queue_took_back_is_no_eviction() -> None:
    events = [
        event("SuccessfulCreate", f"Created pod: {JOB}-a", seconds=1),
        event("SuccessfulDelete", f"Deleted pod: {JOB}-a", seconds=2),
    ]
    found = status_of(TRIAL, job(), [], events, None)
    assert (found.reason, found.attempts) == (Reason.NO_POD_YET, 0)
    found = status_of(TRIAL, job(), [], events[:1], None)
    assert (found.reason, found.attempts) == (Reason.EVICTED, 1)


def test_a_refusal_counts_until_a_pod_is_let_in() -> None:
    refused = event("FailedCreate", 'Error creating: pods "x" is forbidden: because', seconds=5)
    let_in = event("SuccessfulCreate", f"Created pod: {JOB}-a", seconds=6)
    assert status_of(TRIAL, job(), [], [let_in, refused]).state is State.PENDING
    assert status_of(TRIAL, job(), [pod(state=waiting("ContainerCreating"))], [refused]).state is State.PENDING
    refused["lastTimestamp"] = "2026-11-24T19:00:07Z"
    assert status_of(TRIAL, job(), [], [let_in, refused]).state is State.QUEUED


def test_a_program_that_has_ended_well_runs_until_its_job_knows() -> None:
    assert of(job(), pod(phase="Succeeded", state=ended(0))) == (
        State.RUNNING,
        Reason.NONE,
        "its program has ended, its Job is about to",
    )


def test_attempts_that_no_pod_shows_any_more() -> None:
    counted = job(failed=1, active=1, uncountedTerminatedPods={"failed": ["x"]})
    assert status_of(TRIAL, counted, [pod(phase="Running")]).attempts == 3


# -- indexed Jobs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "state"),
    [(0, State.SUCCEEDED), (3, State.SUCCEEDED), (4, State.PENDING), (7, State.FAILED), (70, State.PENDING)],
)
def test_the_jobs_word_about_an_index(index: int, state: State) -> None:
    assert of(job(completedIndexes="0-3,9", failedIndexes="7"), index=index)[0] is state


def test_only_pods_of_the_index_count() -> None:
    one, two = pod("1-a", phase="Running", index=1), pod("2-a", phase="Failed", index=2, state=ended(1))
    assert of(job(), one, two, index=1) == (State.RUNNING, Reason.NONE, "")
    assert of(job(), one, two, index=2)[:2] == (State.PENDING, Reason.RETRYING)
    assert of(job(), one, two, index=3)[:2] == (State.PENDING, Reason.NO_POD_YET)


def test_an_index_by_its_annotation_and_what_failed_before() -> None:
    made = pod("1-a", phase="Running")
    made["metadata"]["annotations"] = {
        "batch.kubernetes.io/job-completion-index": "1",
        "batch.kubernetes.io/job-index-failure-count": "2",
        "batch.kubernetes.io/job-index-ignored-failure-count": "1",
    }
    found = status_of(TRIAL, job(), [made], index=1)
    assert (found.state, found.attempts) == (State.RUNNING, 4)
    assert found.address is not None
    assert (found.address.job, found.address.index) == (JOB, 1)


def test_nothing_is_changed() -> None:
    for name in names():
        taken = recording(name)
        status_of(TRIAL, taken["job"], taken["pods"], taken["events"])
        assert taken == recording(name)
