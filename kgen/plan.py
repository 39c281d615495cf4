"""Desired × observed → Plan: what ``kgen plan`` prints is the object that ``kgen run`` and ``kgen submit`` work off."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kgen.spec import Budget, Packing, TrialSpec, Value, text_of
from kgen.status import Reason, Row, State, TrialStatus


class Action(enum.StrEnum):
    """What will be done about one trial."""

    CREATE = "create"
    """It has never run, as far as is known."""
    KEEP = "keep"
    """It is running or waits its turn on the cluster."""
    DONE = "done"
    """It has a result."""
    DONE_OTHER_IMAGE = "done (other image)"
    """It has a result that another image made; counts as done unless told otherwise."""
    FAILED = "failed"
    """Its Job failed, and stays so until ``kgen retry``."""
    RETRY = "retry"
    """Its last attempt on this machine failed or was interrupted: it will run again."""
    REPLACE = "replace"
    """Its Job failed or has not started, and would look different now: deleted, then created anew."""
    CONFLICT = "conflict"
    """Something that kgen did not make has its Job's name."""

    @property
    def runs(self) -> bool:
        """Whether a trial will be started for it."""
        return self in (Action.CREATE, Action.RETRY, Action.REPLACE)


class Seen(enum.StrEnum):
    """What is known of a trial from its rows."""

    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """One trial and what will be done about it."""

    trial: TrialSpec
    action: Action
    reason: str = ""
    """Why its last attempt gave no result."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do."""

    name: str
    planned: tuple[PlannedTrial, ...]
    budget: Budget
    workers: int
    """Trials at the same time."""
    seconds_per_trial: float | None
    """Mean wall time of the trials that are done, if there are any."""
    orphans: tuple[str, ...] = ()
    """Jobs of this sweep on the cluster whose trials the file does not (or no longer) ask for. Never deleted by
    itself."""
    packing: Packing = Packing.SEQUENTIAL
    """Fused: each of the ``workers`` trains many at the same time."""
    at_most: int | None = None
    """Of a search: how many trials it may ask for, these and those before them; None: these are no search's."""
    asked: int = 0
    """Of a search: how many it asked for before these."""

    @property
    def counts(self) -> dict[Action, int]:
        """Trials per action; every action is there."""
        counted = Counter(item.action for item in self.planned)
        return {action: counted[action] for action in Action}

    @property
    def pending(self) -> tuple[TrialSpec, ...]:
        """The trials to run, in order."""
        return tuple(item.trial for item in self.planned if item.action.runs)

    @property
    def worst_steps(self) -> int | None:
        """Training steps if no pending trial stops early; None without a cap on steps."""
        return None if self.budget.steps is None else self.budget.steps * len(self.pending)

    @property
    def worst_seconds(self) -> float | None:
        """Wall seconds of counted training if no pending trial stops early; None without a cap on seconds."""
        if self.budget.seconds is None:
            return None
        return self.budget.seconds * -(-len(self.pending) // self.workers)

    @property
    def expected_seconds(self) -> float | None:
        """Wall seconds left, from the mean of what is done; None before anything is."""
        if self.seconds_per_trial is None:
            return None
        return self.seconds_per_trial * len(self.pending) / self.workers


def plan(
    name: str,
    trials: Sequence[TrialSpec],
    seen: Mapping[str, tuple[Seen, str]],
    *,
    budget: Budget,
    workers: int,
    seconds_per_trial: float | None = None,
    packing: Packing = Packing.SEQUENTIAL,
) -> Plan:
    """One action per trial. ``seen`` maps a trial's id to what its rows say and why."""
    planned = []
    for trial in trials:
        state, reason = seen.get(trial.id, (None, ""))
        if state is None:
            planned.append(PlannedTrial(trial, Action.CREATE))
        elif state is Seen.DONE:
            planned.append(PlannedTrial(trial, Action.DONE))
        else:
            planned.append(PlannedTrial(trial, Action.RETRY, f"{state}: {reason}"))
    return Plan(name, tuple(planned), budget, workers, seconds_per_trial, packing=packing)


@dataclass(frozen=True, slots=True)
class JobSeen:
    """What counts of a Job that is there already."""

    spec: str
    """Its label ``kgen.dev/spec``."""
    statuses: Mapping[str, TrialStatus]
    """Its trials, in its order, and where each stands; none where kgen did not make it."""
    image: str
    is_going: bool = False
    """Whether it is being deleted."""


@dataclass(frozen=True, slots=True)
class JobWanted:
    """The Job that a trial should have."""

    name: str
    spec: str
    """Hash of its manifest."""


def plan_jobs(
    name: str,
    trials: Sequence[TrialSpec],
    wanted: Mapping[str, JobWanted],
    jobs: Mapping[str, JobSeen],
    rows: Mapping[str, tuple[Row, str]],
    *,
    budget: Budget,
    image: str,
    rerun_stale: bool = False,
    replace_running: bool = False,
) -> Plan:
    """One action per trial for a cluster.

    ``wanted`` maps a trial to the Job that it should have, alone or with others, and lacks those that need none because
    they are done; ``jobs`` the names of Jobs that are there to what was seen of them, ``rows`` a trial to what the
    results say of it and the image that made it.
    """
    planned = []
    for trial in trials:
        mine = wanted.get(trial.id, JobWanted("", ""))
        job = jobs.get(mine.name)
        action, reason = _action(trial.id, mine.spec, job, rows.get(trial.id), image, replace_running)
        if action is Action.DONE_OTHER_IMAGE and rerun_stale:
            action = Action.CREATE if job is None else Action.REPLACE
        planned.append(PlannedTrial(trial, action, reason))
    orphans = tuple(sorted(jobs.keys() - {job.name for job in wanted.values()}))
    return Plan(name, tuple(planned), budget, 1, None, orphans)


def _action(
    trial: str, spec: str, job: JobSeen | None, seen: tuple[Row, str] | None, image: str, replace_running: bool
) -> tuple[Action, str]:
    if job is not None and trial not in job.statuses:
        return Action.CONFLICT, "a Job of its name is there that kgen did not make"
    if seen is not None and seen[0].state == "complete":
        return _done(seen[1], image)
    if job is None:
        return Action.CREATE, f"{seen[0].state}: {seen[0].reason}" if seen else ""
    if job.is_going:
        return Action.REPLACE, "its Job is being deleted"
    status = job.statuses[trial]
    same = job.spec == spec
    if status.state is State.SUCCEEDED:
        if status.reason is Reason.NO_ROW:
            return Action.FAILED, status.message
        return _done(job.image, image)
    if status.state is State.FAILED:
        others_run = any(other.state is State.RUNNING for other in job.statuses.values()) and not replace_running
        return (Action.FAILED if same or others_run else Action.REPLACE), status.message
    if same or (status.state is State.RUNNING and not replace_running):
        return Action.KEEP, "" if same else "running with an older manifest"
    return Action.REPLACE, "its manifest has changed"


def _done(made_with: str, image: str) -> tuple[Action, str]:
    if made_with and made_with != image:
        return Action.DONE_OTHER_IMAGE, f"made with {made_with}"
    return Action.DONE, ""


def ranges(trials: Sequence[TrialSpec], text: Callable[[Value], str] = text_of) -> dict[str, str]:
    """Each parameter with its values in short: all of them if few, else their number and range."""
    values: dict[str, dict[tuple[bool, Value], Value]] = {}  # true is not 1
    for trial in trials:
        for name, value in trial.parameters.items():
            values.setdefault(name, {}).setdefault((isinstance(value, bool), value), value)
    return {name: _range(list(found.values()), text) for name, found in values.items()}


def _range(values: list[Value], text: Callable[[Value], str]) -> str:
    if len(values) <= 8:
        return ", ".join(map(text, values))
    numbers: list[Any] = [v for v in values if isinstance(v, int | float)]
    if len(numbers) == len(values):
        return f"{len(values):,} values from {text(min(numbers))} to {text(max(numbers))}"
    return f"{len(values):,} values: {text(values[0])} … {text(values[-1])}"
