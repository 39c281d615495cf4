"""A sweep stops when its trials fail for one cause, and what can't start is given up; a single failure does neither."""

from __future__ import annotations

import dataclasses

import pytest

from kgen.status import FIRST_FAILURES, PATIENCE, Fuse, Reason, State, TrialStatus, Verdict
from tests.unit.status.recordings import status

GO_ON = Verdict()


def several(like: TrialStatus, number: int, start: int = 0) -> list[TrialStatus]:
    return [dataclasses.replace(like, trial=f"trial{each}") for each in range(start, start + number)]


CRASHED = status("crash")
RUNNING = status("running")
NOT_PULLED = status("image_pull")
DONE = TrialStatus("done", State.SUCCEEDED)


# -- failures -----------------------------------------------------------------------------------------------------


def test_the_first_failures_of_one_cause_stop_it() -> None:
    assert Fuse().see(several(CRASHED, FIRST_FAILURES - 1), 0) == GO_ON
    assert Fuse().see(several(CRASHED, FIRST_FAILURES), 0) == Verdict(
        stop="the first 5 trials failed, for one cause: the trainer crashed (exit code 1) at attempt 2"
    )


def test_a_result_says_that_it_can_work() -> None:
    assert Fuse().see([*several(CRASHED, 50), DONE], 0) == GO_ON


def test_a_complete_job_without_its_row_is_no_result() -> None:
    assert Fuse().see([*several(CRASHED, FIRST_FAILURES), status("succeeded")], 0).stop


def test_failures_of_different_causes_are_not_counted_together() -> None:
    others = [status(name) for name in ("out_of_memory", "bad_parameters", "no_data", "segmentation_fault")]
    assert Fuse().see([*several(CRASHED, FIRST_FAILURES - 1), *others], 0) == GO_ON


def test_numbers_in_the_words_make_no_difference_but_the_exit_code_does() -> None:
    def crash(number: int, code: int) -> TrialStatus:
        message = f"the trainer crashed: ValueError: learning_rate={number}e-3 is too large"
        return dataclasses.replace(CRASHED, trial=f"t{number}", message=message, exit_code=code)

    assert Fuse().see([crash(number, 1) for number in range(5)], 0).stop
    assert Fuse().see([crash(number, number + 1) for number in range(5)], 0) == GO_ON


@pytest.mark.parametrize("name", ["preempted_failed", "pod_deleted"])
def test_what_is_done_to_trials_says_nothing_of_the_next(name: str) -> None:
    assert Fuse().see(several(status(name), 50), 0) == GO_ON


def test_a_limit_of_the_users() -> None:
    mixed = [*several(CRASHED, 2), status("out_of_memory"), DONE]
    assert Fuse(4).see(mixed, 0) == GO_ON
    assert Fuse(3).see(mixed, 0).stop == ("3 trials failed, 2 of them: the trainer crashed (exit code 1) at attempt 2")
    assert Fuse(0).see(several(CRASHED, 50), 0) == GO_ON


# -- trials that can't start --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("image_pull", Reason.IMAGE_PULL),
        ("config_error", Reason.CONFIG_ERROR),
        ("no_claim", Reason.VOLUME),
        ("too_many_gpus", Reason.UNSCHEDULABLE),
        ("selector", Reason.UNSCHEDULABLE),
        ("pod_security", Reason.REFUSED),
    ],
)
def test_each_cause_has_its_patience(name: str, reason: Reason) -> None:
    fuse, stuck = Fuse(), status(name)
    assert fuse.see([stuck], 1000) == GO_ON
    assert fuse.see([stuck], 1000 + PATIENCE[reason] - 1) == GO_ON
    verdict = fuse.see([stuck, RUNNING], 1000 + PATIENCE[reason])
    minutes = f"{PATIENCE[reason] / 60:.0f} min"
    assert verdict == Verdict({stuck.trial: f"could not start for {minutes}: {stuck.message}"})


@pytest.mark.parametrize("name", ["busy", "taint", "quota", "kueue", "suspended", "gated", "preempted", "retrying"])
def test_what_may_still_come_is_waited_for_for_ever(name: str) -> None:
    fuse = Fuse()
    assert fuse.see(several(status(name), 50), 0) == GO_ON
    assert fuse.see(several(status(name), 50), 1e9) == GO_ON


def test_the_time_begins_again_with_another_cause() -> None:
    fuse = Fuse()
    assert fuse.see([NOT_PULLED], 0) == GO_ON
    assert fuse.see([dataclasses.replace(NOT_PULLED, reason=Reason.CREATING)], 299) == GO_ON
    assert fuse.see([NOT_PULLED], 300) == GO_ON
    assert fuse.see([dataclasses.replace(NOT_PULLED, reason=Reason.VOLUME)], 500) == GO_ON
    assert fuse.see([NOT_PULLED], 1000) == GO_ON
    assert fuse.see([NOT_PULLED], 1300).give_up


def test_several_that_can_not_start_for_one_cause_stop_it() -> None:
    fuse, stuck = Fuse(), several(NOT_PULLED, FIRST_FAILURES)
    fuse.see(stuck, 0)
    verdict = fuse.see(stuck, 300)
    assert set(verdict.give_up) == {each.trial for each in stuck}
    assert verdict.stop == (
        "the first 5 trials can't start, for one cause: "
        "image registry.example/trainer:0.1.0 can't be pulled: it is not in its registry"
    )


def test_while_others_run_they_are_given_up_and_the_sweep_goes_on() -> None:
    fuse, seen = Fuse(), [*several(NOT_PULLED, 50), RUNNING]
    fuse.see(seen, 0)
    verdict = fuse.see(seen, 300)
    assert len(verdict.give_up) == 50
    assert not verdict.stop


def test_those_given_up_count_when_their_jobs_are_gone() -> None:
    fuse = Fuse()
    first, rest = several(NOT_PULLED, 4), several(NOT_PULLED, 1, start=4)
    fuse.see(first, 0)
    assert len(fuse.see(first, 300).give_up) == 4
    going = several(status("job_deleting"), 4)
    assert fuse.see([*going, *rest], 310) == GO_ON
    gone = several(status("deleted"), 4)
    verdict = fuse.see([*gone, *rest], 610)
    assert set(verdict.give_up) == {"trial4"}
    assert verdict.stop


def test_one_that_is_tried_again_no_longer_counts() -> None:
    fuse, stuck = Fuse(), several(NOT_PULLED, 4)
    fuse.see(stuck, 0)
    fuse.see(stuck, 300)
    fuse.see(several(RUNNING, 4), 310)
    gone = several(status("deleted"), 4)
    late = several(NOT_PULLED, 1, start=4)
    fuse.see([*gone, *late], 320)
    assert not fuse.see([*gone, *late], 620).stop


def test_the_pod_that_a_given_up_job_leaves_is_no_other_cause() -> None:
    fuse, first = Fuse(), several(NOT_PULLED, 4)
    fuse.see(first, 0)
    fuse.see(first, 300)
    left = [dataclasses.replace(each, message=f"{each.message}; its Job is gone") for each in first]
    late = several(NOT_PULLED, 1, start=4)
    fuse.see([*left, *late], 310)
    assert fuse.see([*left, *late], 620).stop
