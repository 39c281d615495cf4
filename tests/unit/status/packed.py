"""Jobs and pods that several trials share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from kgen.names import ANNOTATION_TRIALS, LABEL_PACK, LABEL_TRIAL
from kgen.pack_message import Failure, PackMessage, write
from kgen.status import Object, Row, TrialStatus, Unread, group_by_trial, status_of
from tests.unit.status.made import at, ended, job, pod

TRIALS = ("aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc", "dddddddddd")
PACK = "k7q2m5xw3d"
RUNNING = {"running": {"startedAt": at(5)}}
BACKOFF = {"type": "Failed", "reason": "BackoffLimitExceeded"}
BY_POLICY = {"type": "Failed", "reason": "PodFailurePolicy"}


def shared(item: dict[str, Any], trials: Sequence[str] = TRIALS) -> dict[str, Any]:
    """The same object as a pack's."""
    labels = item["metadata"].setdefault("labels", {})
    labels.pop(LABEL_TRIAL, None)
    labels[LABEL_PACK] = PACK
    item["metadata"]["annotations"] = {ANNOTATION_TRIALS: ",".join(trials)}
    item["metadata"].setdefault("creationTimestamp", at(0))
    return item


def pack_job(*conditions: dict[str, str], **more: Any) -> dict[str, Any]:
    """Its Job."""
    return shared(job(*conditions, **more))


def running(name: str = "a", created: int = 1) -> dict[str, Any]:
    """A pod that trains."""
    return shared(pod(name, "Running", created=created, state=RUNNING))


def failed(code: int, message: PackMessage | None = None, *, at_second: int = 50, name: str = "a") -> dict[str, Any]:
    """A pod that has ended, and what it left."""
    said = "" if message is None else write(message)
    return shared(pod(name, "Failed", created=at_second - 10, state=ended(code, at_second, message=said)))


def says(*failures: Failure, left: Sequence[str] = ()) -> PackMessage:
    """That the others have a result."""
    return PackMessage(len(TRIALS) - len(failures) - len(left), len(TRIALS), failures, tuple(left))


def failed_row(code: int = 1, reason: str = "ValueError: no", seconds: int = 30) -> Row:
    """Of an attempt that ended so long after the Job was created."""
    return Row("failed", "", reason, code, datetime.fromisoformat(at(0)).astimezone(UTC).replace(second=seconds))


def statuses(
    made: Object | None, *pods: Object, rows: dict[str, Row] | Unread, trials: Sequence[str] = TRIALS
) -> dict[str, TrialStatus]:
    """Each trial of the pack as commands show it."""
    seen = group_by_trial([made] if made else [], pods)
    return {
        trial: status_of(
            trial, seen[trial].job, seen[trial].pods, (), rows if isinstance(rows, Unread) else rows.get(trial)
        )
        for trial in trials
    }
