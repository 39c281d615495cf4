"""Runs a Job in which kgen itself works: begins it, shows what it prints, says how it ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kgen import names
from kgen.backends.kubernetes.api import Stream, backoff
from kgen.backends.kubernetes.create import create
from kgen.backends.kubernetes.failure import ApiError
from kgen.backends.kubernetes.objects import Kind, Object, list_events, path_of
from kgen.backends.kubernetes.remove import GONE_SECONDS, delete, wait_until_gone
from kgen.backends.kubernetes.watch import Mirror
from kgen.errors import ClusterError, TimedOutError
from kgen.render.manifest import Manifest
from kgen.render.tools import tool_selector
from kgen.status import Fuse, State, TrialStatus, read, status_of
from kgen.status.pods import Pod, last_ended, newest

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

_LOOK_SECONDS: Final = 1.0
_LOG_SECONDS: Final = 20.0
"""How long the rest of a log may take to come once its pod has ended."""
_LOG_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Begun:
    """A Job that is there now."""

    job: Object
    outcome: str
    """``created``, ``replaced`` (an ended one of its name) or ``unchanged``: one is at work already."""


@dataclass(frozen=True, slots=True)
class ToolEnded:
    """How such a Job ended."""

    code: int | None
    """Exit code of its program; None where none is known."""
    why: str
    """In words, where it is not known or not 0."""


def begin(api: Api, manifest: Manifest) -> Begun:
    """Create a Job of kgen's own; one that has ended makes room for it, one that has not is taken for it.

    Raises ClusterError, also where something that kgen did not make has its name.
    """
    found = find(api, manifest.name)
    if found is not None and not is_tool(found, manifest.object()["metadata"]["labels"][names.LABEL_COMPONENT]):
        raise ClusterError(f"Job {manifest.name} can't be created: it is there, but kgen did not make it")
    if found is not None and not has_ended(found) and "deletionTimestamp" not in found["metadata"]:
        return Begun(found, "unchanged")
    if found is not None:
        end(api, found)
    made = create(api, [manifest])
    if made.error is not None:
        raise made.error
    if made.interrupted:
        raise KeyboardInterrupt
    job = find(api, manifest.name)
    if job is None:
        raise ClusterError(f"Job {manifest.name} was deleted by somebody else as soon as it was there")
    return Begun(job, "unchanged" if made.conflicts or made.unchanged else "created" if found is None else "replaced")


def find(api: Api, name: str) -> Object | None:
    """The Job of that name; None where there is none. Raises ClusterError."""
    try:
        return {"apiVersion": "batch/v1", "kind": "Job", **api.get(path_of(api, Kind.JOB, name))}
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def end(api: Api, job: Object) -> None:
    """Delete a Job and wait until it and its pod are gone. Raises ClusterError."""
    gone = delete(api, [job], foreground=True)
    if gone.error is not None:
        raise gone.error
    if gone.interrupted:
        raise KeyboardInterrupt
    labels = job["metadata"]["labels"]
    chosen = tool_selector(labels[names.LABEL_COMPONENT], labels.get(names.LABEL_SWEEP, ""))
    try:
        wait_until_gone(api, [job], chosen, timeout=GONE_SECONDS)
    except TimedOutError as error:
        raise ClusterError(f"Job {job['metadata']['name']} is deleted and does not go: {error}") from error


def has_ended(job: Object) -> bool:
    """Whether it is complete or has failed."""
    return bool(read.condition(job, "Complete", "Failed"))


def is_tool(job: Object, component: str) -> bool:
    """Whether it is one in which kgen works at that; the name may be another's."""
    labels = read.mapping(job, "metadata", "labels")
    wanted = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, names.LABEL_COMPONENT: component}
    return all(labels.get(name) == value for name, value in wanted.items())


def stay(
    api: Api,
    job: Object,
    on_line: Callable[[bytes], None],
    on_status: Callable[[str], None],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> ToolEnded:
    """Show what the Job's program prints, until the Job has ended.

    ``on_line`` hears each line, from another thread; ``on_status`` why it does not run yet, and what goes wrong. A Job
    that can't start is given up after the patience that trials have, and deleted. Raises ClusterError.
    """
    labels = job["metadata"]["labels"]
    chosen = tool_selector(labels[names.LABEL_COMPONENT], labels.get(names.LABEL_SWEEP, ""))
    uid, name = job["metadata"]["uid"], job["metadata"]["name"]
    fuse, said = Fuse(0), ""
    logs: dict[str, _Log] = {}
    with Mirror(api, chosen, on_trouble=on_status) as mirror:
        while True:
            found = [each for each in mirror.objects(Kind.JOB) if each["metadata"]["uid"] == uid]
            if not found:
                raise ClusterError(f"job.batch/{name} was deleted while it was waited for")
            pods = [each for each in mirror.objects(Kind.POD) if _is_of(each, uid)]
            _read_logs(api, logs, pods, on_line, on_status)
            if has_ended(found[0]):
                return _ending(found[0], pods)
            status = status_of_tool(api, found[0], pods)
            if (words := waiting(status)) and words != said:
                on_status(f"job.batch/{name}: {words}")
                said = words
            if verdict := fuse.see([status], clock()).give_up.get(""):
                delete(api, found)
                return ToolEnded(None, verdict)
            mirror.changes(_LOOK_SECONDS)


def _is_of(pod: Object, job: str) -> bool:
    return any(owner.get("uid") == job for owner in read.items(pod, "metadata", "ownerReferences"))


def status_of_tool(api: Api, job: Object, pods: Sequence[Object]) -> TrialStatus:
    """As a trial's; what keeps it from starting may be told by events only, which are read where it has not started.

    Raises ClusterError.
    """
    status = status_of("", job, pods)
    if status.state not in (State.QUEUED, State.PENDING):
        return status
    return status_of("", job, pods, list_events(api, str(job["metadata"]["name"])))


def waiting(status: TrialStatus) -> str:
    """Why it does not run, once there is something to be said of it."""
    word = ":".join(filter(None, (status.state, status.reason)))
    return f"{word}, {status.message}" if status.message and not status.state.ended else ""


def _ending(job: Object, pods: Sequence[Object]) -> ToolEnded:
    if read.condition(job, "Complete"):
        return ToolEnded(0, "")
    status = status_of("", job, pods)
    last = last_ended(map(Pod, pods))
    return ToolEnded(last.trainer.exit_code if last and last.trainer else None, status.message)


def _read_logs(
    api: Api,
    logs: dict[str, _Log],
    pods: Sequence[Object],
    on_line: Callable[[bytes], None],
    on_status: Callable[[str], None],
) -> None:
    """Begin with the log of the newest pod once it runs; end with it when that has ended."""
    latest = newest(map(Pod, pods))
    if latest is None or latest.phase not in ("Running", "Succeeded", "Failed"):
        return
    uid = read.text(latest.object, "metadata", "uid")
    if uid not in logs:
        for earlier in logs.values():
            earlier.finish()
        logs[uid] = _Log(api, latest.name, on_line, on_status)
        logs[uid].start()
    if latest.is_ended:
        logs[uid].finish()


class _Log(threading.Thread):
    """Follows the log of one pod; a connection that breaks is made anew, and no line comes twice."""

    def __init__(self, api: Api, pod: str, on_line: Callable[[bytes], None], on_status: Callable[[str], None]) -> None:
        super().__init__(name="log", daemon=True)
        self._api = api
        self._pod = pod
        self._on_line = on_line
        self._on_status = on_status
        self._stream: Stream | None = None
        self._over = threading.Event()
        self._lines = 0

    def run(self) -> None:
        """As a thread."""
        for attempt in range(_LOG_ATTEMPTS):
            try:
                self._follow()
                return
            except ClusterError as error:
                if attempt == _LOG_ATTEMPTS - 1:
                    self._on_status(f"the output of pod {self._pod} can't be read: {error}")
                    return
            self._over.wait(backoff(attempt))

    def _follow(self) -> None:
        path = f"{path_of(self._api, Kind.POD, self._pod)}/log"
        with self._api.stream(path, follow="true") as stream:
            self._stream = stream
            for number, line in enumerate(stream):
                if number >= self._lines:
                    self._lines = number + 1
                    self._on_line(line)

    def finish(self) -> None:
        """Wait for what is left of it: its pod has ended. A node that does not answer is not waited for."""
        self._over.set()
        self.join(_LOG_SECONDS)
        if self._stream is not None:
            self._stream.close()
