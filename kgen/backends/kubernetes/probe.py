"""A short-lived pod that tries out what trials will need: run to its end, and gone afterwards whatever happened."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kgen import names
from kgen.backends.kubernetes.objects import Kind, Object, list_events, path_of
from kgen.backends.kubernetes.short_pod import (
    HOPELESS_SECONDS,
    LOOK_SECONDS,
    create_pod,
    remove_ended_pods,
    remove_pod,
    see_pod,
    status_of_pod,
)
from kgen.errors import ClusterError
from kgen.interrupt import check_interrupt
from kgen.status import Reason, read
from kgen.status.pods import Pod
from kgen.status.starting import config_words

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

LIFE_SECONDS: Final = 900
"""The cluster ends the pod after this long, should nobody be there any more who deletes it."""
SECONDS: Final = 600.0
"""How long all of it may take: pulling a large image, and a check of less than a minute."""
PATIENCE: Final[Mapping[Reason, float]] = {
    Reason.NONE: 120.0,
    Reason.CONFIG_ERROR: 10.0,
    Reason.IMAGE_PULL: 20.0,
    Reason.VOLUME: 60.0,
    Reason.UNSCHEDULABLE: 60.0,
}
"""Seconds for which something of this kind may keep it from starting, or it may run; somebody waits for it."""
_NOT_STARTED: Final = ("StartError", "ContainerCannotRun")
_PULLED: Final = re.compile(r"Successfully pulled image .*? in ([0-9.hms]+)")


@dataclass(frozen=True, slots=True)
class Probed:
    """What became of the pod."""

    lines: tuple[str, ...]
    """What its program printed."""
    why: str
    """Why it did not end well; empty where it did."""
    reason: Reason
    """The same as one word; NONE where it ran."""
    image: str
    """``pulled in 12.3s``, or that it was there already; empty where the node does not say."""
    node: str
    ahead: tuple[float, float] | None
    """How many seconds the node's clock is ahead of this machine's, as bounds; None where it did not run."""
    hopeless: bool = False
    """Whether it would not start however long one waited."""


def run_probe(
    api: Api,
    spec: Mapping[str, Any],
    labels: Mapping[str, str],
    *,
    annotations: Mapping[str, str] | None = None,
    sweep: str = "",
    on_status: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Probed:
    """Create the pod, wait for its end, read what it printed, delete it. Raises ClusterError."""
    remove_ended_pods(api, names.COMPONENT_DOCTOR, sweep)
    name = f"{names.tool_name(names.COMPONENT_DOCTOR, sweep).rstrip('-')[:50]}-{secrets.token_hex(4)}"
    metadata = {
        "name": name,
        "namespace": api.namespace,
        "labels": dict(labels),
        "annotations": dict(annotations or {}),
    }
    pod = {**spec, "activeDeadlineSeconds": LIFE_SECONDS, "terminationGracePeriodSeconds": 2, "restartPolicy": "Never"}
    try:
        if failed := create_pod(api, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}):
            raise failed.error
        return _until_ended(api, name, on_status, clock)
    finally:
        if why := remove_pod(api, name):
            on_status(f"pod {name} is not deleted ({why}); it ends by itself within {LIFE_SECONDS // 60} min")


def _until_ended(api: Api, name: str, on_status: Callable[[str], None], clock: Callable[[], float]) -> Probed:
    began = since = clock()
    reason, said = Reason.NONE, ""
    while True:
        pod = see_pod(api, name)
        seen = time.time()
        if pod is None or pod.is_deleting:
            return Probed((), "somebody deleted it", Reason.DELETED, "", "", None)
        if pod.is_ended:
            return _ended(api, pod, seen)
        status, events = status_of_pod(api, pod)
        now = clock()
        if status.reason is not reason:
            reason, since = status.reason, now
        patience = HOPELESS_SECONDS if status.hopeless else PATIENCE.get(reason, SECONDS)
        if now - since > patience or now - began > SECONDS:
            running = f"it still runs after {now - since:.0f} s" if pod.phase == "Running" else ""
            why = running or status.message or f"it has not started after {now - began:.0f} s"
            return Probed((), why, reason, _pulled(events), pod.node, None, status.hopeless)
        if status.message and status.message != said:
            said = status.message
            on_status(said)
        check_interrupt()
        time.sleep(LOOK_SECONDS)


def _ended(api: Api, pod: Pod, seen: float) -> Probed:
    lines = tuple(_log(api, pod))
    why, reason = ("", Reason.NONE) if pod.phase == "Succeeded" else _ends(pod, lines)
    return Probed(lines, why, reason, _pulled(list_events(api, pod.name)), pod.node, _ahead(pod, seen))


def _ends(pod: Pod, lines: Sequence[str]) -> tuple[str, Reason]:
    """Why a pod failed, in the words of its node or of its program."""
    for container in pod.containers:
        ended = container.terminated
        if read.text(ended, "reason") in _NOT_STARTED:
            return config_words(read.text(ended, "message")), Reason.CONFIG_ERROR
        if container.exit_code:
            cause = read.text(ended, "reason")
            cause = "" if cause in ("", "Error") else f" ({cause})"
            said = next((read.line(line) for line in reversed(lines) if line.strip()), "")
            return f"it ended with exit code {container.exit_code}{cause}" + (f": {said}" if said else ""), Reason.CRASH
    words = [read.line(read.text(pod.object, "status", key)) for key in ("message", "reason")]
    return next(filter(None, words), "it failed, and its node does not say why"), Reason.UNKNOWN


def _ahead(pod: Pod, seen: float) -> tuple[float, float] | None:
    """From the order in which things must have happened, whatever the clocks say: the scheduler chose the node before
    the node began, and the container ended before that was seen here."""
    start = read.moment(pod.object, "status", "startTime")
    ends = [read.moment(each.terminated, "finishedAt") for each in pod.containers]
    scheduled = read.moment(read.condition(pod.object, "PodScheduled"), "lastTransitionTime")
    known = [end for end in ends if end is not None]
    if start is None or scheduled is None or not known:
        return None
    return max(known).timestamp() - seen, (start - scheduled).total_seconds() + 1


def _pulled(events: list[Object]) -> str:
    for event in events:
        if read.text(event, "reason") == "Pulled":
            message = read.text(event, "message")
            found = _PULLED.search(message)
            return f"pulled in {found[1]}" if found else "on the node already" if "already present" in message else ""
    return ""


def _log(api: Api, pod: Pod) -> list[str]:
    """Nothing where it can't be read, as from a node that keeps no logs."""
    if pod.trainer is None:
        return []
    try:
        with api.stream(f"{path_of(api, Kind.POD, pod.name)}/log", container=pod.trainer.name) as stream:
            return [line.decode(errors="replace") for line in stream]
    except ClusterError:
        return []
