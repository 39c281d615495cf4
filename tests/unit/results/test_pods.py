"""What pods say beside rows: digests, and the ends that left no row; kept when the pods are gone."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from kgen.cli.collect import certificate_lines
from kgen.results.certificate import TrialFile
from kgen.results.collect import Results, collect
from kgen.results.folder import FolderStore
from kgen.results.pods import PODS, PodSeen, PodState, merged, pods_from_bytes, pods_to_bytes
from kgen.results.rows import State
from tests.unit.results.made import START, expected, row, write

KILLED = "killed for using more than its memory (1Gi)"


def pod(
    trial: str = "t0", attempt: str = "a", state: PodState = PodState.FAILED, at: float = 0, **more: Any
) -> PodSeen:
    """One that was created so many seconds after noon and ended a second later, out of memory if it failed."""
    moment = START + dt.timedelta(seconds=at)
    end = moment + dt.timedelta(seconds=1)
    values: dict[str, Any] = {"pod": f"pod-{attempt}", "node": "n1", "image_digest": "sha256:1", "created": moment}
    if state is PodState.FAILED:
        values |= {"reason": "OutOfMemory", "message": KILLED, "exit_code": 137, "started": moment, "ended": end}
    return PodSeen(trial, attempt, state, **(values | more))


def gather(root: Path, count: int, *pods: PodSeen) -> Results:
    return collect(FolderStore(root), expected(count), pods)


def line(results: Results, trial: str = "t0") -> dict[str, Any]:
    (found,) = results.trials[results.trials["trial"] == trial].to_dict("records")
    return {str(name): value for name, value in found.items()}


def test_an_attempt_that_left_no_row_failed_for_its_pods_reason(tmp_path: Path) -> None:
    write(tmp_path, row("t0"))
    results = gather(tmp_path, 3, pod("t1", "b"))
    certificate = results.certificate
    assert certificate.failed == (TrialFile("t1", "", f"OutOfMemory: {KILLED}"),)
    assert certificate.missing == ("t2",)
    assert certificate.expected == certificate.accepted + len(certificate.failed) + len(certificate.missing) == 3
    shown = line(results, "t1")
    assert (shown["status"], shown["exit_reason"], shown["exit_code"]) == ("failed", f"OutOfMemory: {KILLED}", 137)
    assert (shown["node"], shown["attempt"], shown["image_digest"]) == ("n1", "b", "sha256:1")
    assert shown["started"] == pd.Timestamp(START)
    assert pd.isna(shown["steps"])  # no row is invented
    assert f"failed: t1 (OutOfMemory: {KILLED}; no row)" in certificate_lines(certificate)
    assert line(results, "t2")["status"] == "missing"


def test_a_result_counts_whatever_other_pods_came_to(tmp_path: Path) -> None:
    write(tmp_path, row("t0", "a"))
    results = gather(tmp_path, 1, pod("t0", "b", at=60), pod("t0", "a", PodState.SUCCEEDED))
    assert results.certificate.complete
    assert not results.certificate.failed
    assert (line(results)["status"], line(results)["exit_reason"]) == ("reached", "a ended")


@pytest.mark.parametrize("state", [PodState.PENDING, PodState.RUNNING])
def test_what_runs_again_has_not_failed(tmp_path: Path, state: PodState) -> None:
    results = gather(tmp_path, 1, pod(attempt="b"), pod(attempt="a", state=state, at=60))
    assert results.certificate.missing == ("t0",)
    assert not results.certificate.failed


def test_the_last_thing_known_of_a_trial_counts(tmp_path: Path) -> None:
    """A row that an attempt left, against a pod that left none."""
    write(tmp_path, row("t0", "a", State.FAILED, ended=30))
    assert line(gather(tmp_path, 1, pod(attempt="b", at=60)))["exit_code"] == 137
    write(tmp_path, row("t0", "c", State.FAILED, ended=120))
    results = gather(tmp_path, 1)
    assert line(results)["exit_reason"] == "c ended"
    assert results.certificate.failed == (TrialFile("t0", "t0.c.parquet", "c ended"),)


def test_a_pods_own_row_says_it_better(tmp_path: Path) -> None:
    write(tmp_path, row("t0", "a", State.FAILED, ended=0.5))
    results = gather(tmp_path, 1, pod(attempt="a", reason="Crash", message="the trainer crashed"))
    assert line(results)["exit_reason"] == "a ended"


def test_a_whole_job_that_failed_says_no_more_than_a_row(tmp_path: Path) -> None:
    """Once its pods are gone; a Job's time is later than that of its last row."""
    write(tmp_path, row("t0", "a", State.FAILED, ended=30))
    job = pod("t0", "job-uid", at=60, pod="", reason="Crash", message="its Job failed")
    results = gather(tmp_path, 2, job, replace(job, trial="t1", attempt="other-uid"))
    assert line(results)["exit_reason"] == "a ended"
    assert line(results, "t1")["exit_reason"] == "Crash: its Job failed"


def test_a_disruption_is_no_failure_of_its_trial(tmp_path: Path) -> None:
    results = gather(tmp_path, 1, pod("t0", "a", reason="NodeLost", message="its node went"))
    assert (line(results)["status"], results.certificate.failed) == ("interrupted", ())
    assert results.certificate.interrupted == (TrialFile("t0", "", "NodeLost: its node went"),)


def test_an_interrupted_row_is_told_what_was_behind_its_signal(tmp_path: Path) -> None:
    write(tmp_path, row("t0", "a", State.INTERRUPTED))
    write(tmp_path, row("t1", "b", State.INTERRUPTED))
    late = pod("t0", "a", reason="DeadlineExceeded", message="ran longer than its pod may")
    results = gather(tmp_path, 2, late, pod("t1", "b", reason="Interrupted", message="its pod was told to end"))
    assert line(results)["exit_reason"] == "a ended; DeadlineExceeded: ran longer than its pod may"
    assert line(results, "t1")["exit_reason"] == "b ended"
    assert [item.reason for item in results.certificate.interrupted] == [
        "a ended; DeadlineExceeded: ran longer than its pod may", "b ended",
    ]  # fmt: skip


@pytest.mark.parametrize("evicted", ["t0", "t1"])
def test_trials_of_one_pod_may_have_ended_for_different_reasons(tmp_path: Path, evicted: str) -> None:
    """One of them failed in it before, as its last message says."""
    (failed,) = {"t0", "t1"} - {evicted}
    write(tmp_path, row(evicted, "u", State.INTERRUPTED), row(failed, "u", State.FAILED), name=f"{evicted}.u.1.parquet")
    pods = [pod(evicted, "u", reason="Evicted", message="its node had no room"), pod(failed, "u", reason="Crash")]
    results = gather(tmp_path, 2, *pods)
    assert line(results, evicted)["exit_reason"] == "u ended; Evicted: its node had no room"
    assert line(results, failed)["exit_reason"] == "u ended"


def test_digests_of_images_are_told_and_mixed_ones_are_a_warning(tmp_path: Path) -> None:
    uid = "0" * 36
    write(tmp_path, row("t0", uid))
    write(tmp_path, row("t1", "b"))
    write(tmp_path, row("t2", f"{uid[:-1]}1-2"))  # a container that was started again in its pod
    done = PodState.SUCCEEDED
    pods = [pod("t0", uid, done), pod("t2", f"{uid[:-1]}1", done, image_digest="sha256:2")]
    results = gather(tmp_path, 3, *pods)
    assert list(results.trials["image_digest"].fillna("")) == ["sha256:1", "", "sha256:2"]
    assert results.certificate.digests == ("sha256:1", "sha256:2")
    assert "mixed image digests: sha256:1, sha256:2" in certificate_lines(results.certificate)
    assert pq.read_table(tmp_path / "collected/trials.parquet")["image_digest"].to_pylist() == [
        "sha256:1", None, "sha256:2",
    ]  # fmt: skip


def test_what_was_seen_is_not_lost_when_the_pods_are_gone(tmp_path: Path) -> None:
    write(tmp_path, row("t0", "a"))
    first = gather(tmp_path, 2, pod("t0", "a", PodState.SUCCEEDED), pod("t1", "b"))
    again = gather(tmp_path, 2)
    assert again.certificate == first.certificate
    assert again.trials.equals(first.trials)
    third = gather(tmp_path, 2, pod("t1", "c", PodState.RUNNING, at=99))
    assert third.certificate.missing == ("t1",)
    assert {seen.attempt for seen in pods_from_bytes((tmp_path / PODS).read_bytes())} == {"a", "b", "c"}


def test_the_same_rows_and_pods_give_the_same_bytes(tmp_path: Path) -> None:
    pods = [pod("t1", "b"), pod("t0", "a", PodState.SUCCEEDED), pod("t1", "c", at=5)]
    contents = []
    for name, order in (("one", pods), ("two", pods[::-1])):
        root = tmp_path / name
        write(root, row("t0", "a"))
        for _ in range(2):
            gather(root, 2, *order)
        contents.append({path.name: path.read_bytes() for path in (root / "collected").iterdir()})
    one, two = contents
    assert one.keys() == two.keys() == {"pods.parquet", "rows.parquet", "trials.parquet", "curves.parquet"}
    one.pop("rows.parquet"), two.pop("rows.parquet")  # which has the files' times
    assert one == two


def test_a_sweep_that_never_was_on_a_cluster_has_no_file_of_pods(tmp_path: Path) -> None:
    write(tmp_path, row("t0"))
    assert pd.isna(line(gather(tmp_path, 1))["image_digest"])
    assert not (tmp_path / PODS).exists()


def test_a_damaged_file_of_pods_is_named_and_made_anew(tmp_path: Path) -> None:
    gather(tmp_path, 1, pod())
    data = bytearray((tmp_path / PODS).read_bytes())
    data[20] ^= 1
    (tmp_path / PODS).write_bytes(data)
    certificate = gather(tmp_path, 1).certificate
    assert [item.file for item in certificate.damaged] == [PODS]
    assert certificate.missing == ("t0",)
    assert gather(tmp_path, 1, pod()).certificate.failed


def test_an_end_that_was_seen_is_never_taken_back(tmp_path: Path) -> None:
    ended, stale = pod(), pod(state=PodState.RUNNING, image_digest="")
    assert merged([ended], [stale]) == (ended,)
    (both,) = merged([stale], [pod(image_digest="")])
    assert both.state is PodState.FAILED
    (both,) = merged([pod(state=PodState.RUNNING)], [pod(image_digest="", node="")])
    assert (both.image_digest, both.node) == ("sha256:1", "n1")


def test_bytes_and_back() -> None:
    pods = (pod(), PodSeen("t1", "b", PodState.PENDING))
    assert pods_from_bytes(pods_to_bytes(pods)) == pods
    with pytest.raises(ValueError, match="not a whole Parquet file"):
        pods_from_bytes(b"something else")


def test_a_pod_of_several_trials_counts_for_each_that_left_no_row(tmp_path: Path) -> None:
    write(
        tmp_path, row("t0", "u"), row("t1", "u", State.FAILED), row("t2", "u", State.INTERRUPTED), name="t0.u.1.parquet"
    )
    shared = [pod(f"t{number}", "u", at=60) for number in range(4)]
    certificate = gather(tmp_path, 5, *shared).certificate
    assert certificate.accepted == 1
    assert [(each.trial, each.file) for each in certificate.failed] == [("t1", "t0.u.1.parquet"), ("t3", "")]
    assert [each.trial for each in certificate.interrupted] == ["t2"]
    assert certificate.missing == ("t4",)
    assert certificate.digests == ("sha256:1",)
    again = gather(tmp_path, 5, *shared)
    assert again.certificate == certificate
    assert line(again, "t3")["attempt"] == "u"
    assert [(each.trial, each.attempt) for each in pods_from_bytes((tmp_path / PODS).read_bytes())] == [
        (f"t{number}", "u") for number in range(4)
    ]


def test_a_later_pod_of_several_says_nothing_of_a_trial_that_failed_before(tmp_path: Path) -> None:
    write(tmp_path, row("t0", "a", State.FAILED), row("t1", "a", State.INTERRUPTED), name="t0.a.1.parquet")
    before = [pod(f"t{number}", "a", at=0) for number in range(2)]
    later = [pod(f"t{number}", "b", at=60) for number in range(2)]
    certificate = gather(tmp_path, 2, *before, *later).certificate
    assert [(each.trial, each.file) for each in certificate.failed] == [("t0", "t0.a.1.parquet"), ("t1", "")]
