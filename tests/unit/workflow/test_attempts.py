"""What a cluster's objects tell of attempts, for collections: from recordings of a real control plane."""

from __future__ import annotations

from typing import Any

import pytest

from kgen.names import LABEL_TRIAL
from kgen.pack_message import Failure
from kgen.results.pods import BY_THE_CLUSTER, DISRUPTIONS, PodSeen, PodState
from kgen.status import Reason
from kgen.workflow.attempts import attempts_of
from tests.unit.status.made import ended, pod
from tests.unit.status.packed import BACKOFF, TRIALS, failed, pack_job, says
from tests.unit.status.recordings import TRIAL, recording


def seen(name: str) -> list[PodSeen]:
    taken = recording(name)
    for item in (taken["job"], *taken["pods"]):
        if item:
            item["metadata"].setdefault("labels", {})[LABEL_TRIAL] = TRIAL
            item["metadata"]["uid"] = f"uid of {item['metadata']['name']}"  # which recordings leave out
    return attempts_of([taken["job"]] if taken["job"] else [], taken["pods"])


@pytest.mark.parametrize(
    ("name", "reason", "words", "code"),
    [
        ("out_of_memory", "OutOfMemory", "killed for using more than its memory", 137),
        ("pod_deadline", "DeadlineExceeded", "ran longer than its pod may", None),
        ("evicted_failed", "Evicted", "evicted", None),
        ("crash", "Crash", "the trainer crashed", 1),
        ("bad_parameters", "BadParameters", "refuses its parameters", 64),
    ],
)
def test_a_pod_that_failed(name: str, reason: str, words: str, code: int | None) -> None:
    taken = recording(name)
    last = [each for each in seen(name) if each.state is PodState.FAILED][-1]
    assert last.reason == reason
    assert words in last.message
    assert code is None or last.exit_code == code
    assert last.pod in {each["metadata"]["name"] for each in taken["pods"]}
    assert last.attempt == f"uid of {last.pod}"
    assert last.node
    assert last.created is not None


def test_a_pod_that_succeeded() -> None:
    (one,) = seen("succeeded")
    assert one.state is PodState.SUCCEEDED
    assert (one.reason, one.message, one.exit_code) == ("", "", 0)
    assert one.started is not None
    assert one.ended is not None


@pytest.mark.parametrize(
    ("said", "digest"),
    [
        ("registry.example/trainer@sha256:12", "sha256:12"),
        ("docker-pullable://registry.example/trainer@sha256:12", "sha256:12"),
        ("sha256:12", "sha256:12"),
        ("", ""),
    ],
)
def test_nodes_say_digests_in_several_ways(said: str, digest: str) -> None:
    made = pod(phase="Succeeded", state=ended(0))
    made["metadata"]["uid"] = "u"
    made["status"]["containerStatuses"][0]["imageID"] = said
    made["status"]["containerStatuses"].insert(0, {"name": "sidecar", "imageID": "sha256:other"})
    assert [each.image_digest for each in attempts_of([], [made])] == [digest]


def test_a_failed_job_tells_what_its_pods_no_longer_can() -> None:
    (one,) = seen("bad_parameters_pods_gone")
    assert (one.state, one.reason, one.exit_code) == (PodState.FAILED, "BadParameters", 64)
    assert one.attempt == f"uid of {recording('bad_parameters_pods_gone')['job']['metadata']['name']}"


@pytest.mark.parametrize("name", ["running", "suspended", "image_pull", "job_gone", "succeeded"])
def test_nothing_else_has_failed(name: str) -> None:
    assert not [each for each in seen(name) if each.state is PodState.FAILED]


def test_what_has_no_trial_is_no_attempt() -> None:
    made: dict[str, Any] = pod(phase="Failed", state=ended(1))
    made["metadata"]["labels"] = {"kgen.dev/sweep": "first"}
    assert attempts_of([], [made]) == []


def test_what_results_know_of_reasons_are_reasons() -> None:
    """They lie below the enum, so they have its words by themselves."""
    assert set(Reason) >= DISRUPTIONS | BY_THE_CLUSTER


def test_a_packs_pod_is_an_attempt_of_each_of_its_trials() -> None:
    made = failed(143, says(Failure(TRIALS[1], 64, "no such optimizer"), left=TRIALS[2:3]))
    made["metadata"]["uid"] = "u"
    found = {each.trial: each for each in attempts_of([], [made])}
    assert list(found) == list(TRIALS)
    assert {each.attempt for each in found.values()} == {"u"}
    assert (found[TRIALS[1]].reason, found[TRIALS[1]].exit_code) == ("BadParameters", 64)
    assert found[TRIALS[1]].message == "the trainer refuses its parameters (exit code 64): no such optimizer"
    assert (found[TRIALS[2]].reason, found[TRIALS[2]].exit_code) == ("Interrupted", 143)


def test_a_failed_pack_without_pods_tells_of_each_trial() -> None:
    made = pack_job(BACKOFF, failed=1)
    made["metadata"]["uid"] = "j"
    assert [(each.trial, each.attempt, each.reason) for each in attempts_of([made], [])] == [
        (trial, "j", "Unknown") for trial in TRIALS
    ]
