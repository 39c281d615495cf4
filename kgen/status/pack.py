"""What is known of one trial of a pack beside its Job: from its own row, or from what the pack's pods left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final, TypeGuard

from kgen import pack_message
from kgen.errors import TrialExit
from kgen.pack_message import Failure, PackMessage
from kgen.status import read
from kgen.status.ending import Ending, by_code
from kgen.status.model import Finding, Object, Reason, Row, State, Unread
from kgen.status.pods import Pod

_FAILED: Final = "failed"


def of_its_own(trial: str, job: Object | None, pods: Sequence[Pod], row: Row | Unread | None) -> Finding | None:
    """How a trial stands that has no accepted row, where that is not how its Job stands.

    A failed trial is tried again in its pod's next attempt, so that it has failed only when the Job has, or with exit
    code 64. Of rows that can't be read the termination messages of the Job's pods tell, once it has failed.
    """
    if job is None:
        return None
    job_failed = bool(read.condition(job, "Failed", "FailureTarget"))
    if _is_failed_row(row, job) and (job_failed or row.exit_code == TrialExit.BAD_PARAMETERS):
        return _failure(by_code(row.exit_code, row.reason) if row.exit_code else _without_code(row.reason))
    if not job_failed:
        return None
    told = _told(trial, pods)
    if isinstance(told, Failure):
        return _failure(by_code(told.code, told.reason))
    if told and isinstance(row, Unread):
        return Finding(State.SUCCEEDED, Reason.ROWS_UNCHECKED, "its pod says that it has a result; rows unchecked")
    return None


def failed_meanwhile(finding: Finding, job: Object | None, row: Row | Unread | None) -> Finding:
    """The Job's state, and that the trial has failed in it once, where the Job goes on."""
    if finding.state.ended or job is None or not _is_failed_row(row, job):
        return finding
    failed = f"failed there, and is tried again in its pod's next attempt: {read.line(row.reason)}".removesuffix(": ")
    return replace(finding, message="; ".join(filter(None, [finding.message, failed])))


def _is_failed_row(row: Row | Unread | None, job: Object) -> TypeGuard[Row]:
    """Whether it says that the trial failed in this Job, and not in one that this one replaced."""
    if not isinstance(row, Row) or row.state != _FAILED:
        return False
    created = read.moment(job, "metadata", "creationTimestamp")
    return row.ended is None or created is None or row.ended >= created


def _told(trial: str, pods: Sequence[Pod]) -> bool | Failure:
    """Whether a pod says that the trial has a result; else how it failed in the last one, or for good in any."""
    ended = sorted((pod for pod in pods if pod.is_ended), key=lambda pod: (pod.ended, pod.created, pod.name))
    failure: Failure | None = None
    for place, pod in enumerate(reversed(ended)):
        message = _message(pod)
        if message is None:
            continue
        if message.has_result(trial):
            return True
        found = message.failure(trial)
        if found and failure is None and (place == 0 or found.code == TrialExit.BAD_PARAMETERS):
            failure = found
    return failure or False


def why_failed_there(trial: str, pod: Pod) -> Ending | None:
    """How the trial failed in that pod, as the pod says itself; None where it says nothing of that trial."""
    message = _message(pod)
    failure = message.failure(trial) if message else None
    return by_code(failure.code, failure.reason) if failure else None


def _message(pod: Pod) -> PackMessage | None:
    return _parse(read.text(pod.trainer.terminated, "message")) if pod.trainer else None


@lru_cache(maxsize=256)
def _parse(text: str) -> PackMessage | None:
    """Each message is asked for once per trial of its pack."""
    return pack_message.parse(text)


def _failure(ending: Ending) -> Finding:
    return Finding(State.FAILED, ending.reason, str(ending), ending.exit_code)


def _without_code(said: str) -> Ending:
    return Ending(Reason.CRASH, "the trainer failed", detail=read.line(said))
