"""Desired × observed on a cluster → one action per trial."""

from __future__ import annotations

import pytest

from kgen.names import job_name
from kgen.plan import Action, JobSeen, Plan, plan_jobs
from kgen.spec import Budget
from kgen.status import Reason, Row, State, TrialStatus
from tests.unit.sweep.sweeps import trials

(TRIAL,) = trials(parameters="{a: [1]}")
IMAGE = "registry.example/trainer:2"
OLDER = "registry.example/trainer:1"


def seen(
    state: State, reason: Reason = Reason.NONE, *, spec: str = "new", trial: str = TRIAL.id, image: str = IMAGE
) -> JobSeen:
    return JobSeen(spec, trial, image, TrialStatus(trial, state, reason, "in words"))


def plan(
    job: JobSeen | None = None, row: tuple[Row, str] | None = None, *, stale: bool = False, running: bool = False
) -> Plan:
    return plan_jobs(
        "sweep",
        [TRIAL],
        {TRIAL.id: "new"},
        {} if job is None else {job_name("sweep", TRIAL.id): job},
        {} if row is None else {TRIAL.id: row},
        budget=Budget(),
        image=IMAGE,
        rerun_stale=stale,
        replace_running=running,
    )


def action(*args: object, **options: object) -> Action:
    (item,) = plan(*args, **options).planned  # type: ignore[arg-type]  # passed on as they are
    return item.action


def test_what_is_not_there_is_created() -> None:
    assert action() is Action.CREATE


@pytest.mark.parametrize("state", [State.QUEUED, State.PENDING, State.RUNNING])
def test_what_waits_or_runs_is_kept(state: State) -> None:
    assert action(seen(state)) is Action.KEEP


@pytest.mark.parametrize(
    ("state", "expected"),
    [(State.QUEUED, Action.REPLACE), (State.PENDING, Action.REPLACE), (State.FAILED, Action.REPLACE)],
)
def test_after_an_edit_what_does_not_run_is_replaced(state: State, expected: Action) -> None:
    assert action(seen(state, spec="old")) is expected


def test_after_an_edit_what_runs_is_kept_unless_told_otherwise() -> None:
    job = seen(State.RUNNING, spec="old")
    assert action(job) is Action.KEEP
    assert action(job, running=True) is Action.REPLACE
    assert plan(job).planned[0].reason == "running with an older manifest"


def test_a_failed_job_stays_failed_with_its_reason() -> None:
    (item,) = plan(seen(State.FAILED, Reason.OUT_OF_MEMORY)).planned
    assert (item.action, item.reason) == (Action.FAILED, "in words")


def test_a_complete_job_is_done_when_rows_can_not_be_read_whatever_its_manifest() -> None:
    assert action(seen(State.SUCCEEDED, Reason.ROWS_UNCHECKED)) is Action.DONE
    assert action(seen(State.SUCCEEDED, Reason.ROWS_UNCHECKED, spec="old")) is Action.DONE


def test_a_complete_job_without_a_row_is_not_done() -> None:
    assert action(seen(State.SUCCEEDED, Reason.NO_ROW)) is Action.FAILED


def test_a_row_is_enough_without_a_job() -> None:
    assert action(None, (Row("complete"), IMAGE)) is Action.DONE
    assert action(None, (Row("complete"), "")) is Action.DONE
    assert action(None, (Row("failed"), IMAGE)) is Action.CREATE


@pytest.mark.parametrize("job", [None, seen(State.SUCCEEDED, spec="old", image=OLDER)])
def test_a_result_of_another_image_is_done_unless_told_otherwise(job: JobSeen | None) -> None:
    row = (Row("complete"), OLDER)
    assert action(job, row) is Action.DONE_OTHER_IMAGE
    assert action(job, row, stale=True) is (Action.CREATE if job is None else Action.REPLACE)
    assert action(seen(State.SUCCEEDED, image=OLDER)) is Action.DONE_OTHER_IMAGE


@pytest.mark.parametrize("state", list(State))
def test_something_that_kgen_did_not_make_is_a_conflict_and_never_touched(state: State) -> None:
    made = plan(seen(state, trial=""), stale=True, running=True)
    assert made.planned[0].action is Action.CONFLICT
    assert not made.pending


def test_jobs_that_the_file_does_not_ask_for_are_named_and_left_alone() -> None:
    made = plan_jobs(
        "sweep",
        [TRIAL],
        {TRIAL.id: "new"},
        {"sweep-zzzzzzzzzz": seen(State.RUNNING, trial="zzzzzzzzzz")},
        {},
        budget=Budget(),
        image=IMAGE,
    )
    assert made.orphans == ("sweep-zzzzzzzzzz",)
    assert [item.action for item in made.planned] == [Action.CREATE]
