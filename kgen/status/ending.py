"""Why an attempt ended without a result: from its pod, from the Job's word about it, or from what events remember."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kgen import pack_message
from kgen.errors import TrialExit
from kgen.status import read
from kgen.status.model import Object, Reason
from kgen.status.pods import Container, Pod
from kgen.status.starting import config_words

DISRUPTIONS: Final = (Reason.PREEMPTED, Reason.EVICTED, Reason.NODE_LOST)
"""Ends that are nobody's fault: kgen's Jobs do not count such attempts."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How one attempt ended."""

    reason: Reason
    words: str
    exit_code: int | None = None
    detail: str = ""
    """What the program said last, if that is known."""
    at: datetime = read.LONG_AGO

    def __str__(self) -> str:
        return f"{self.words}: {self.detail}" if self.detail else self.words


_BY_CODE: Final = {
    TrialExit.BAD_PARAMETERS: (Reason.BAD_PARAMETERS, "the trainer refuses its parameters"),
    TrialExit.NO_DEVICE: (Reason.NO_DEVICE, "the trainer sees no GPU"),
    TrialExit.NO_DATA: (Reason.NO_DATA, "the data or the result store can't be used"),
}
_DISRUPTED: Final = {
    "PreemptionByScheduler": (Reason.PREEMPTED, "preempted by a pod of higher priority"),
    "EvictionByEvictionAPI": (Reason.EVICTED, "evicted: its node is drained or scaled down"),
    "DeletionByTaintManager": (Reason.EVICTED, "evicted: its node got a taint that it does not tolerate"),
    "DeletionByPodGC": (Reason.NODE_LOST, "its node is gone"),
    "TerminationByKubelet": (Reason.EVICTED, "ended by its node"),
}
_BY_POD: Final = {
    "Evicted": (Reason.EVICTED, "evicted by its node"),
    "Preempting": (Reason.PREEMPTED, "preempted by a system pod on its node"),
    "NodeLost": (Reason.NODE_LOST, "its node does not answer"),
    "Terminated": (Reason.NODE_LOST, "its node was shut down"),
    "NodeShutdown": (Reason.NODE_LOST, "its node was shut down"),
    "Shutdown": (Reason.NODE_LOST, "its node was shut down"),
    "DeadlineExceeded": (Reason.DEADLINE, "ran longer than its pod may"),
}
_BY_EVENT: Final = {
    "Preempted": _DISRUPTED["PreemptionByScheduler"],
    "TaintManagerEviction": _DISRUPTED["DeletionByTaintManager"],
    "Evicted": _BY_POD["Evicted"],
    "Preempting": _BY_POD["Preempting"],
    "NodeShutdown": _BY_POD["NodeShutdown"],
}
# What a shell, and Linux by way of 128 + signal, says of a program.
_CRASHES: Final = {
    126: "the trainer's program can't be executed",
    127: "the trainer's program is not in the image",
    132: "the trainer crashed: illegal instruction",
    134: "the trainer crashed: aborted",
    135: "the trainer crashed: bus error",
    136: "the trainer crashed: arithmetic error",
    137: "the trainer was killed",
    139: "the trainer crashed: segmentation fault",
}
_TURNED_AWAY: Final = re.compile(r"UnexpectedAdmissionError|OutOf.+|NodeAffinity|NodePorts|.*AdmissionError")
_LOW_ON: Final = re.compile(
    r"(?:The node was low on resource: |Usage of EmptyDir volume |[Pp]od ephemeral |Container )\S.*"
)
_METRICS: Final = re.compile(r"\s*\{.*\}\s*")
_BY_POLICY: Final = re.compile(r"Container (\S+) for pod \S+ failed with exit code (\d+) ")


def why_ended(pod: Pod, said: str = "") -> Ending:
    """Why a pod that ended gave no result. ``said``: the reason in the row that it left, if it left one."""
    container = pod.trainer
    code = container.exit_code if container else None
    known = _BY_CODE.get(TrialExit(code)) if code in _BY_CODE else None
    reason, words = known or disruption(pod) or _container_end(pod)
    own = container is not None and (known is not None or reason in (Reason.CRASH, Reason.INTERRUPTED))
    detail = (read.line(said) or _last_words(container)) if own else ""
    return Ending(reason, words if code is None or not own else f"{words} (exit code {code})", code, detail, pod.ended)


def disruption(pod: Pod) -> tuple[Reason, str] | None:
    """What the cluster did to a pod, if it did: why in words."""
    cause = read.text(pod.object, "status", "reason")
    message = read.line(read.text(pod.object, "status", "message"))
    if cause == "Evicted" and (low := _LOW_ON.search(message)):
        return Reason.EVICTED, f"evicted: {_low_words(low.group().rstrip(' .'))}"
    if cause in _BY_POD:
        return _BY_POD[cause]
    disrupted = read.condition(pod.object, "DisruptionTarget")
    if found := _DISRUPTED.get(read.text(disrupted, "reason")):
        return found
    if disrupted:
        return Reason.EVICTED, f"disrupted: {read.line(read.text(disrupted, 'message')) or 'the cluster took its pod'}"
    if _TURNED_AWAY.fullmatch(cause):
        is_device = "gpu" in f"{cause} {message}".lower() or "device" in message.lower()
        reason = Reason.NO_DEVICE if is_device else Reason.UNKNOWN
        return reason, f"its node turned it away: {message or cause}".rstrip(" .")
    return None


def _low_words(message: str) -> str:
    message = message.replace("The node was low on resource: ", "its node was short of ")
    short, _, amounts = message.partition(". Threshold quantity: ")
    return (
        f"{short} (threshold {amounts})".replace("available: ", "available ").replace(". )", ")") if amounts else short
    )


def _container_end(pod: Pod) -> tuple[Reason, str]:
    """What its program did."""
    for before in pod.containers:
        if before.is_init and before.exit_code:
            return Reason.CRASH, f"init container {read.line(before.name)} ended with exit code {before.exit_code}"
    container = pod.trainer
    if container is None or not container.terminated:
        return Reason.UNKNOWN, "ended, and its node does not say why"
    cause = read.text(container.terminated, "reason")
    code = container.exit_code
    if cause == "OOMKilled":
        return Reason.OUT_OF_MEMORY, f"killed for using more than its memory{_memory_of(pod, container)}"
    if cause in ("StartError", "ContainerCannotRun"):
        return Reason.CONFIG_ERROR, config_words(read.text(container.terminated, "message"))
    if code == TrialExit.INTERRUPTED:
        return Reason.INTERRUPTED, "interrupted: its pod was told to end"
    if code == 0:
        return Reason.UNKNOWN, "the trainer ended well, its pod did not"
    return Reason.CRASH, _crash_words(code)


def _crash_words(code: int | None) -> str:
    return "the trainer crashed" if code is None else _CRASHES.get(code, "the trainer crashed")


def _memory_of(pod: Pod, container: Container) -> str:
    for each in read.items(pod.object, "spec", "containers"):
        if read.text(each, "name") == container.name:
            limit = read.line(read.text(each, "resources", "limits", "memory"), 30)
            return f" ({limit})" if limit else ""
    return ""


def _last_words(container: Container | None) -> str:
    """The last line of what it left as termination message: of a log, that is the error.

    Metrics are passed over: standard output and standard error get into a log in any order. Of a pack's trials, which
    differ from pack to pack, only the number is told.
    """
    said = read.text(container.terminated, "message") if container else ""
    if pack := pack_message.parse(said):
        return f"{pack.results} of {pack.trials} trials have a result"
    lines = [each for each in said[-8 * read.LONGEST :].splitlines() if each.strip()]
    words = [each for each in lines if not _METRICS.fullmatch(each)]
    return read.line((words or lines or [""])[-1])


def by_policy(condition: Mapping[str, Any], said: str = "") -> Ending | None:
    """What a Job remembers of the pod whose exit code ended it, also when the pod is gone."""
    found = _BY_POLICY.match(read.text(condition, "message"))
    if not found or len(found[2]) > 9:
        return None
    return by_code(int(found[2]), said)


def by_code(code: int, said: str = "") -> Ending:
    """What an exit code means, whoever remembers it. ``said``: why, in the trial's own words."""
    reason, words = _BY_CODE.get(code, (Reason.CRASH, _crash_words(code)))  # type: ignore[call-overload]
    return Ending(reason, f"{words} (exit code {code})", code, read.line(said))


def by_events(events: Sequence[Object], but: Pod | None) -> Ending | None:
    """The last disruption that events tell of, of another pod than this: pods that were deleted leave nothing else."""
    latest: Ending | None = None
    for event in events:
        found = _BY_EVENT.get(read.text(event, "reason"))
        if not found or read.text(event, "involvedObject", "kind") != "Pod":
            continue
        if but is not None and read.text(event, "involvedObject", "name") == but.name:
            continue
        at = read.event_time(event)
        if latest is None or at >= latest.at:
            latest = Ending(*found, at=at)
    return latest
