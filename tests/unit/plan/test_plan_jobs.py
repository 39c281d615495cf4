"""Desired × observed on a cluster → one action per trial."""

from __future__ import annotations

import pytest

from kgen.names import job_name
from kgen.plan import Action, JobSeen, JobWanted, Plan, plan_jobs
from kgen.spec import Budget
from kgen.status import Reason, Row, State, TrialStatus
from tests.unit.sweep.sweeps import trials

(TRIAL,) = trials(parameters="{a: [1]}")
IMAGE = "registry.example/trainer:2"
WANTED = JobWanted(job_name("sweep", TRIAL.id), "new")
OLDER = "registry.example/trainer:1"


def seen(
    state: State, reason: Reason = Reason.NONE, *, spec: str = "new", trial: str = TRIAL.id, image: str = IMAGE
) -> JobSeen:
    return JobSeen(spec, {trial: TrialStatus(trial, state, reason, "in words")}, image)


def plan(
    job: JobSeen | None = None, row: tuple[Row, str] | None = None, *, stale: bool = False, running: bool = False
) -> Plan:
    return plan_jobs(
        "sweep",
        [TRIAL],
        {TRIAL.id: WANTED},
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
        {TRIAL.id: WANTED},
        {"sweep-zzzzzzzzzz": seen(State.RUNNING, trial="zzzzzzzzzz")},
        {},
        budget=Budget(),
        image=IMAGE,
    )
    assert made.orphans == ("sweep-zzzzzzzzzz",)
    assert [item.action for item in made.planned] == [Action.CREATE]


# -- Jobs of several trials -----------------------------------------------------------------------------------------

PACK = trials(parameters="{a: [1, 2, 3]}")


def plan_pack(
    *states: State, spec: str = "old", running: bool = False, rows: dict[str, str] | None = None
) -> list[Action]:
    """What is done about three trials of one Job, made from this manifest, that stand so."""
    statuses = {trial.id: TrialStatus(trial.id, state) for trial, state in zip(PACK, states, strict=True)}
    made = plan_jobs(
        "sweep",
        PACK,
        {trial.id: JobWanted("sweep-pack", "new") for trial in PACK},
        {"sweep-pack": JobSeen(spec, statuses, IMAGE)},
        {trial: (Row(state), IMAGE) for trial, state in (rows or {}).items()},
        budget=Budget(),
        image=IMAGE,
        replace_running=running,
    )
    assert made.orphans == ()
    return [item.action for item in made.planned]


def test_each_trial_of_a_job_has_its_own_action() -> None:
    found = plan_pack(State.RUNNING, State.RUNNING, State.FAILED, spec="new", rows={PACK[0].id: "complete"})
    assert found == [Action.DONE, Action.KEEP, Action.FAILED]
    assert plan_pack(State.FAILED, State.FAILED, State.FAILED, rows={PACK[0].id: "complete"}) == [
        Action.DONE, Action.REPLACE, Action.REPLACE
    ]  # fmt: skip


def test_a_failed_trial_does_not_end_a_job_that_trains_others() -> None:
    assert plan_pack(State.RUNNING, State.RUNNING, State.FAILED) == [Action.KEEP, Action.KEEP, Action.FAILED]
    assert plan_pack(State.RUNNING, State.RUNNING, State.FAILED, running=True) == [Action.REPLACE] * 3
    assert plan_pack(State.PENDING, State.PENDING, State.FAILED) == [Action.REPLACE] * 3


def test_what_is_done_needs_no_job() -> None:
    rows = {PACK[0].id: (Row("complete"), IMAGE), PACK[1].id: (Row("complete"), OLDER)}
    wanted = {PACK[2].id: JobWanted("sweep-pack", "new")}
    made = plan_jobs("sweep", PACK, wanted, {}, rows, budget=Budget(), image=IMAGE)
    assert [item.action for item in made.planned] == [Action.DONE, Action.DONE_OTHER_IMAGE, Action.CREATE]
