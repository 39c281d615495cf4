"""A sweep's attempts as its pods and Jobs tell of them, for the collection to join with rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from kgen.backends.kubernetes.objects import Kind, list_objects
from kgen.results.pods import PodSeen, PodState
from kgen.status import Object, Seen, State, group_by_trial, is_pack, read, status_of
from kgen.status.ending import why_ended
from kgen.status.pack import why_failed_there
from kgen.status.pods import Pod
from kgen.workflow.stored import trials_selector

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

_STATES: Final = {
    "Pending": PodState.PENDING,
    "Running": PodState.RUNNING,
    "Succeeded": PodState.SUCCEEDED,
    "Failed": PodState.FAILED,
}


def seen_attempts(api: Api, sweep: str) -> list[PodSeen]:
    """What the cluster knows now of the sweep's attempts; none where it has no such sweep. Raises ClusterError."""
    chosen = trials_selector(sweep)
    return attempts_of(list_objects(api, Kind.JOB, chosen)[0], list_objects(api, Kind.POD, chosen)[0])


def attempts_of(jobs: Iterable[Object], pods: Iterable[Object]) -> list[PodSeen]:
    """One for each trial of a pod, and one for each trial of a failed Job that has none left which failed."""
    return [seen for trial, group in group_by_trial(jobs, pods).items() for seen in _of_trial(trial, group)]


def _of_trial(trial: str, group: Seen) -> Iterator[PodSeen]:
    found = [_of_pod(trial, Pod(pod), is_shared=is_pack(pod)) for pod in group.pods]
    yield from found
    if group.job is not None and not any(pod.state is PodState.FAILED for pod in found):
        yield from _of_job(trial, group.job, group.pods)


def _of_pod(trial: str, pod: Pod, *, is_shared: bool) -> PodSeen:
    state = _STATES.get(pod.phase, PodState.RUNNING)
    trainer = pod.trainer
    ran = [read.moment(trainer.terminated, "startedAt"), read.moment(trainer.running, "startedAt")] if trainer else []
    why = None
    if state is PodState.FAILED:
        why = (is_shared and why_failed_there(trial, pod)) or why_ended(pod)
    return PodSeen(
        trial=trial,
        attempt=read.text(pod.object, "metadata", "uid"),
        state=state,
        pod=pod.name,
        node=pod.node,
        image_digest=_digest(pod),
        exit_code=why.exit_code if why else trainer.exit_code if trainer else None,
        reason=str(why.reason) if why else "",
        message=str(why) if why else "",
        created=read.moment(pod.object, "metadata", "creationTimestamp"),
        started=next((at for at in ran if at), None),
        ended=read.moment(trainer.terminated, "finishedAt") if trainer else None,
    )


def _of_job(trial: str, job: Object, pods: Sequence[Object]) -> Iterator[PodSeen]:
    status = status_of(trial, job, pods)
    if status.state is State.FAILED:
        yield PodSeen(
            trial=trial,
            attempt=read.text(job, "metadata", "uid"),
            state=PodState.FAILED,
            exit_code=status.exit_code,
            reason=str(status.reason),
            message=status.message,
            created=status.ended or status.created,  # after the pods that were seen while they ran
            ended=status.ended,
        )


def _digest(pod: Pod) -> str:
    """Of the image that its trainer ran: the node says it as ``repository@sha256:…`` or ``sha256:…``."""
    for status in read.items(pod.object, "status", "containerStatuses"):
        if pod.trainer is not None and read.text(status, "name") == pod.trainer.name:
            return read.text(status, "imageID").rpartition("@")[2]
    return ""
