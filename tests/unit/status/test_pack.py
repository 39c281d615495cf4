"""Where a trial stands that shares its Job: as the Job does, unless more is known of itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgen.names import ANNOTATION_TRIALS, LABEL_TRIAL
from kgen.pack_message import Failure, PackMessage
from kgen.status import FIRST_FAILURES, UNREAD, Fuse, Row, State, TrialStatus, Unread, explain, status_of, trials_of
from kgen.status.group import group_by_trial
from tests.unit.status.made import JOB, at, ended, event, job, pod, unschedulable, waiting
from tests.unit.status.packed import (
    BACKOFF,
    BY_POLICY,
    TRIALS,
    failed,
    failed_row,
    pack_job,
    running,
    says,
    shared,
    statuses,
)
from tests.unit.status.recordings import names, recording
from tests.unit.status.recordings import status as recorded_status

A, B, C, D = TRIALS
REACHED = Row("complete", "reached")


def words(found: dict[str, TrialStatus]) -> list[str]:
    return [f"{status.state}:{status.reason}".removesuffix(":") for status in found.values()]


# -- whose they are -----------------------------------------------------------------------------------------------


def test_a_packs_objects_belong_to_each_of_its_trials() -> None:
    made, first = pack_job(), running()
    single = job(labels={LABEL_TRIAL: "eeeeeeeeee"})
    single["metadata"]["name"] = "optimizers-eeeeeeeeee"
    about = [event("SuccessfulCreate"), event("Pulled", pod="a"), event("Killing", pod="gone")]
    found = group_by_trial([made, single], [first], about)
    assert list(found) == [*TRIALS, "eeeeeeeeee"]
    assert all(found[trial].job is made and found[trial].pods == [first] for trial in TRIALS)
    assert all(found[trial].events == about for trial in TRIALS)
    assert (found["eeeeeeeeee"].job, found["eeeeeeeeee"].pods) == (single, [])


def test_what_is_no_trials_id_is_none() -> None:
    assert trials_of(shared(job(), ["aaaaaaaaaa", "", "AAAAAAAAAA", "b", "aaaaaaaaaa", "bbbbbbbbbb"])) == (A, B)
    lost = shared(job())
    del lost["metadata"]["annotations"]
    assert trials_of(lost) == ()
    assert trials_of({"metadata": {"annotations": {ANNOTATION_TRIALS: A}}}) == ()


# -- while it goes on ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "pods", "word"),
    [
        (pack_job(suspend=True), [], "Queued:Suspended"),
        (pack_job(), [shared(unschedulable("0/2 nodes are available: 2 Insufficient cpu."))], "Pending:Unschedulable"),
        (pack_job(), [shared(pod(state=waiting("ImagePullBackOff")))], "Pending:ImagePull"),
        (pack_job(), [running()], "Running"),
        (pack_job(), [failed(1, says(Failure(A, 1, "x")))], "Pending:Retrying"),
    ],
)
@pytest.mark.parametrize("rows", [UNREAD, {}])
def test_all_stand_as_their_job_does(made: Any, pods: list[Any], word: str, rows: Any) -> None:
    found = statuses(made, *pods, rows=rows)
    assert words(found) == [word] * 4
    assert all(status.of_pack for status in found.values())
    assert {str(status.address) for status in found.values()} == {JOB}


def test_a_result_counts_while_the_others_are_trained() -> None:
    found = statuses(pack_job(), running(), rows={A: REACHED, B: failed_row(), C: failed_row(64, "no such optimizer")})
    assert words(found) == ["Succeeded", "Running", "Failed:BadParameters", "Running"]
    assert found[B].message == "failed there, and is tried again in its pod's next attempt: ValueError: no"
    assert found[C].message == "the trainer refuses its parameters (exit code 64): no such optimizer"
    assert (found[C].exit_code, found[C].ended) == (64, failed_row().ended)
    assert [status.of_pack for status in found.values()] == [False, True, False, True]


def test_a_row_of_the_job_that_was_replaced_says_nothing_of_this_one() -> None:
    retried = pack_job()
    retried["metadata"]["creationTimestamp"] = at(45)
    found = statuses(retried, running(created=46), rows={A: failed_row(64, seconds=44), B: failed_row(64, seconds=45)})
    assert words(found) == ["Running", "Failed:BadParameters", "Running", "Running"]


def test_nor_does_it_say_why_this_one_failed() -> None:
    retried = pack_job(BACKOFF, failed=1)
    retried["metadata"]["creationTimestamp"] = at(45)
    found = statuses(retried, failed(1, at_second=59), rows={A: failed_row(1, "an earlier one", seconds=44)})
    assert {status.message for status in found.values()} == {"the trainer crashed (exit code 1)"}


# -- when it has ended --------------------------------------------------------------------------------------------


def test_a_complete_job_where_rows_are_read_and_where_not() -> None:
    complete = pack_job({"type": "Complete"}, succeeded=1)
    assert words(statuses(complete, rows=UNREAD)) == ["Succeeded:RowsUnchecked"] * 4
    found = statuses(complete, rows=dict.fromkeys(TRIALS[:3], REACHED))
    assert words(found) == ["Succeeded"] * 3 + ["Succeeded:NoRow"]


def test_a_failed_job_with_rows() -> None:
    made = pack_job(BACKOFF, failed=1)
    rows = {A: REACHED, B: failed_row(1, "ValueError: no"), C: Row("interrupted", "", "SIGTERM", 143)}
    found = statuses(made, failed(137), rows=rows)
    assert words(found) == ["Succeeded", "Failed:Crash", "Failed:Crash", "Failed:Crash"]
    assert [status.message for status in found.values()] == [
        "reached",
        "the trainer crashed (exit code 1): ValueError: no",
        "the trainer was killed (exit code 137)",
        "the trainer was killed (exit code 137)",
    ]
    assert [status.exit_code for status in found.values()] == [None, 1, 137, 137]
    assert [status.of_pack for status in found.values()] == [False, False, True, True]


def test_a_failed_job_whose_rows_can_not_be_read_tells_in_its_last_message() -> None:
    message = says(Failure(B, 64, "no such optimizer"), left=[C])
    found = statuses(pack_job(BACKOFF, failed=1), failed(143, message), rows=UNREAD)
    done = "Succeeded:RowsUnchecked"
    assert words(found) == [done, "Failed:BadParameters", "Failed:Interrupted", done]
    assert found[B].message == "the trainer refuses its parameters (exit code 64): no such optimizer"
    assert found[C].message == "interrupted: its pod was told to end (exit code 143): 2 of 4 trials have a result"
    assert explain(found[A]) == "`kgen collect` reads the results and tells."


def test_without_a_message_all_failed_as_the_job_did() -> None:
    killed = shared(pod("a", "Failed", state=ended(137, reason="OOMKilled")))
    assert words(statuses(pack_job(BACKOFF, failed=1), killed, rows=UNREAD)) == ["Failed:OutOfMemory"] * 4
    assert words(statuses(pack_job(BY_POLICY, failed=1), rows=UNREAD)) == ["Failed:Unknown"] * 4
    deadline = {"type": "Failed", "reason": "DeadlineExceeded"}
    assert words(statuses(pack_job(deadline, failed=1), rows=UNREAD)) == ["Failed:DeadlineExceeded"] * 4


def test_a_result_of_an_earlier_pod_stays_one_and_a_failure_there_was_tried_again() -> None:
    before = failed(1, says(Failure(A, 64, "never"), Failure(B, 1, "x"), Failure(C, 1, "y")), at_second=20)
    killed = shared(pod("b", "Failed", created=30, state=ended(137, 50, reason="OOMKilled")))
    found = statuses(pack_job(BACKOFF, failed=2), before, killed, rows=UNREAD)
    assert words(found) == [
        "Failed:BadParameters",
        "Failed:OutOfMemory",
        "Failed:OutOfMemory",
        "Succeeded:RowsUnchecked",
    ]
    last = failed(1, says(Failure(C, 1, "z")), at_second=55, name="c")
    found = statuses(pack_job(BACKOFF, failed=3), before, killed, last, rows=UNREAD)
    assert words(found) == ["Succeeded:RowsUnchecked"] * 2 + ["Failed:Crash", "Succeeded:RowsUnchecked"]
    assert found[C].message == "the trainer crashed (exit code 1): z"


def test_what_the_message_had_no_room_for_is_as_the_job() -> None:
    found = statuses(pack_job(BACKOFF, failed=1), failed(1, PackMessage(1, 4, (Failure(A, 1, "x"),))), rows=UNREAD)
    assert words(found) == ["Failed:Crash"] * 4
    assert [status.of_pack for status in found.values()] == [False, True, True, True]


def test_a_deleted_job_leaves_what_rows_say() -> None:
    found = statuses(None, shared(pod("a", "Running", deleted=True)), rows={A: REACHED, B: failed_row()})
    assert words(found) == ["Succeeded", "Pending:Terminating", "Pending:Terminating", "Pending:Terminating"]


# -- any -----------------------------------------------------------------------------------------------------------

ROWS = st.sampled_from(
    [
        None,
        REACHED,
        failed_row(1),
        failed_row(64),
        failed_row(0),
        failed_row(1, seconds=0),
        Row("interrupted"),
        Row("?"),
    ]
)
JOBS = st.sampled_from(
    [
        None,
        pack_job(),
        pack_job(suspend=True),
        pack_job({"type": "Complete"}, succeeded=1),
        pack_job(BACKOFF, failed=2),
        pack_job(BY_POLICY, failed=1),
        pack_job({"type": "FailureTarget", "reason": "DeadlineExceeded"}),
    ]
)
MESSAGES = st.one_of(
    st.none(),
    st.builds(
        lambda parts, trials: PackMessage(
            parts.count(0),
            trials,
            tuple(
                Failure(trial, 1 if part == 1 else 64, "x")
                for trial, part in zip(TRIALS, parts, strict=True)
                if 0 < part < 3
            ),
            tuple(trial for trial, part in zip(TRIALS, parts, strict=True) if part == 3),
        ),
        st.lists(st.integers(0, 3), min_size=4, max_size=4),
        st.sampled_from([4, 4, 9]),
    ),
)
PODS = st.lists(
    st.one_of(
        st.builds(running, st.sampled_from("xy"), st.integers(1, 50)),
        st.builds(
            lambda code, message, second, name: failed(code, message, at_second=second, name=name),
            st.sampled_from([0, 1, 64, 137, 143]), MESSAGES, st.integers(11, 59), st.sampled_from("abc"),
        ),
    ),
    max_size=3,
)  # fmt: skip


@given(JOBS, PODS, st.dictionaries(st.sampled_from(TRIALS), ROWS) | st.just(UNREAD))
def test_every_trial_has_a_state_whatever_is_there(made: Any, pods: list[Any], rows: Any) -> None:
    if made is None and not pods:
        return
    found = statuses(made, *pods, rows=rows)
    assert Counter(status.state for status in found.values()).total() == len(TRIALS)
    for trial, status in found.items():
        row = None if isinstance(rows, Unread) else rows.get(trial)
        assert (row is not None and row.state == "complete") <= (status.state is State.SUCCEEDED)
        assert status.message.isprintable()
        assert explain(status) or status.state in (State.RUNNING, State.SUCCEEDED)
    as_job = {(status.state, status.reason, status.exit_code) for status in found.values() if status.of_pack}
    # Trials of which nothing is known stand alike, but for a complete Job's that have a row or not.
    assert len({each[:2] for each in as_job if each[0] not in (State.SUCCEEDED, State.FAILED, State.MISSING)}) <= 1
    Fuse().see(found.values(), 0)


@given(JOBS, st.lists(st.builds(running, st.sampled_from("xy"), st.integers(1, 50)), max_size=2))
def test_where_nothing_is_known_of_itself_it_stands_as_if_alone(made: Any, pods: list[Any]) -> None:
    if made is None and not pods:
        return

    def alone(item: dict[str, Any]) -> dict[str, Any]:
        return {**item, "metadata": {**item["metadata"], "labels": {LABEL_TRIAL: A}}}

    (single,) = statuses(made and alone(made), *map(alone, pods), rows={}, trials=[A]).values()
    for status in statuses(made, *pods, rows={}).values():
        assert (status.state, status.reason, status.message) == (single.state, single.reason, single.message)


@pytest.mark.parametrize("name", names())
def test_each_recorded_state_is_that_of_all_its_trials(name: str) -> None:
    taken, alone = recording(name), recorded_status(name)
    made = shared(taken["job"]) if taken["job"] else None
    seen = group_by_trial([made] if made else [], map(shared, taken["pods"]), taken["events"])
    for trial in TRIALS[:2] if seen else ():
        found = status_of(trial, seen[trial].job, seen[trial].pods, seen[trial].events, None)
        assert (found.state, found.reason, found.message) == (alone.state, alone.reason, alone.message)
        assert (found.attempts, found.exit_code, found.hopeless) == (alone.attempts, alone.exit_code, alone.hopeless)
        assert (found.pod, found.node, found.address) == (alone.pod, alone.node, alone.address)


# -- the fuse -----------------------------------------------------------------------------------------------------


def packs(number: int, *pods_of: Any, rows: Any = UNREAD) -> list[TrialStatus]:
    """That many Jobs of four trials that failed alike."""
    found: list[TrialStatus] = []
    for each in range(number):
        made, *pods = (dict(item) for item in (pack_job(BACKOFF, failed=1), *pods_of))
        made["metadata"] = {**made["metadata"], "name": f"optimizers-{each}"}
        found += [replace(status, trial=f"{each}{trial}") for trial, status in statuses(made, *pods, rows=rows).items()]
    return found


def test_a_job_that_fails_for_all_its_trials_is_one_failure() -> None:
    killed = shared(pod("a", "Failed", state=ended(137, reason="OOMKilled")))
    assert not Fuse().see(packs(FIRST_FAILURES - 1, killed), 0).stop
    assert Fuse().see(packs(FIRST_FAILURES, killed), 0).stop == (
        "the first 5 Jobs failed, for one cause: killed for using more than its memory"
    )
    assert not Fuse(3).see(packs(2, killed), 0).stop
    assert Fuse(3).see(packs(3, killed), 0).stop.startswith("3 Jobs failed, 3 of them: killed")


def test_packs_that_end_alike_have_one_cause_whatever_their_trials_are_called() -> None:
    left = [failed(143, says(left=TRIALS)), failed(143, says(Failure(A, 1, "x"), left=TRIALS[1:]))]
    told = [statuses(pack_job(BACKOFF), each, rows={})[D].message for each in left]
    assert told == ["interrupted: its pod was told to end (exit code 143): 0 of 4 trials have a result"] * 2


def test_trials_that_fail_one_by_one_are_counted_one_by_one() -> None:
    rows = dict.fromkeys(TRIALS, failed_row(1, "ValueError: no"))
    assert not Fuse().see(packs(1, failed(1), rows=rows), 0).stop
    assert Fuse().see(packs(2, failed(1), rows=rows), 0).stop == (
        "the first 8 trials failed, for one cause: the trainer crashed (exit code 1): ValueError: no"
    )


def test_packs_that_can_not_start_are_given_up_whole_and_counted_once() -> None:
    stuck = shared(pod(state=waiting("ImagePullBackOff", "not found")))
    fuse = Fuse()
    made = []
    for each in range(FIRST_FAILURES):
        one = pack_job()
        one["metadata"]["name"] = f"optimizers-{each}"
        made += [replace(status, trial=f"{each}{trial}") for trial, status in statuses(one, stuck, rows={}).items()]
    fuse.see(made, 0)
    four = fuse.see(made[:-4], 400)
    assert len(four.give_up) == 16
    assert not four.stop
    assert fuse.see(made, 400).stop.startswith("the first 5 Jobs can't start, for one cause: image")
