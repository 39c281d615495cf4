"""The words for where a trial stands and why: closed sets, and the one value that commands show."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Object = Mapping[str, Any]
"""An object of the Kubernetes API as its JSON says."""


class State(enum.StrEnum):
    """Where a trial stands."""

    QUEUED = "Queued"
    """Its Job is there, but no pod may be: suspended, in a queue, or over a quota."""
    PENDING = "Pending"
    """It has a pod whose program does not run yet, or is about to get its next one."""
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    """No more attempts will be made."""
    MISSING = "Missing"
    """It has no Job, and no result that is known of."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self in (State.SUCCEEDED, State.FAILED, State.MISSING)


class Reason(enum.StrEnum):
    """Why a trial stands there."""

    NONE = ""
    # queued
    SUSPENDED = "Suspended"
    QUEUE = "WaitingForQueue"
    QUOTA = "QuotaExceeded"
    REFUSED = "PodRefused"
    """Admission does not let its pod in."""
    # pending
    NO_POD_YET = "PodNotCreated"
    SCHEDULING = "Scheduling"
    UNSCHEDULABLE = "Unschedulable"
    CREATING = "ContainerCreating"
    IMAGE_PULL = "ImagePull"
    CONFIG_ERROR = "ConfigError"
    VOLUME = "VolumeMount"
    RETRYING = "Retrying"
    TERMINATING = "Terminating"
    # failed, and why an attempt failed
    BAD_PARAMETERS = "BadParameters"
    NO_DEVICE = "NoDevice"
    NO_DATA = "NoData"
    OUT_OF_MEMORY = "OutOfMemory"
    DEADLINE = "DeadlineExceeded"
    EVICTED = "Evicted"
    PREEMPTED = "Preempted"
    NODE_LOST = "NodeLost"
    INTERRUPTED = "Interrupted"
    CRASH = "Crash"
    UNKNOWN = "Unknown"
    # succeeded
    NO_ROW = "NoRow"
    """Its Job is complete, but the results hold no row of it."""
    ROWS_UNCHECKED = "RowsUnchecked"
    """Its Job is complete; the results can't be read from here."""
    # missing
    DELETED = "Deleted"
    """Somebody deleted its Job, of which there are traces; one that was never created has no reason."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the results say of a trial."""

    state: str
    """complete, failed or interrupted."""
    outcome: str = ""
    """Of a complete one: reached, capped, diverged, finished."""
    reason: str = ""
    exit_code: int | None = None
    """What its program ended with, or would have had it trained nothing else."""
    ended: datetime | None = None


class Unread(enum.Enum):
    """That the results can't be read from here; not the same as their holding nothing."""

    UNREAD = enum.auto()


UNREAD = Unread.UNREAD


@dataclass(frozen=True, slots=True)
class Address:
    """What runs a trial: a Job, or one index of an indexed Job."""

    job: str
    index: int | None = None

    def __str__(self) -> str:
        return self.job if self.index is None else f"{self.job}[{self.index}]"


@dataclass(frozen=True, slots=True)
class Finding:
    """A state and why, before the facts that every state has are added."""

    state: State
    reason: Reason = Reason.NONE
    message: str = ""
    exit_code: int | None = None
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class TrialStatus:
    """Everything that the commands show of a trial."""

    trial: str
    state: State
    reason: Reason = Reason.NONE
    message: str = ""
    """The reason in words, one line: what, where, how many nodes."""
    address: Address | None = None
    attempts: int = 0
    """Pods that were started for it, as far as is known."""
    outcome: str = ""
    pod: str = ""
    """The newest one."""
    node: str = ""
    exit_code: int | None = None
    """Of the newest pod's trainer that ended."""
    created: datetime | None = None
    started: datetime | None = None
    """When the newest pod's trainer began."""
    ended: datetime | None = None
    hopeless: bool = False
    """Of an unschedulable one: no node that there is could ever take it, however long it waits."""
    of_pack: bool = False
    """Whether all of this is said of the Job that it shares with other trials, and nothing of itself."""
