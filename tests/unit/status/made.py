"""Objects for what no cluster of ours can make: a real kubelet's words, older and newer servers."""

from __future__ import annotations

from typing import Any

from kgen.names import LABEL_TRIAL

TRIAL = "k7q2m5xw3d"
JOB = f"optimizers-{TRIAL}"
IMAGE = "registry.example/trainer:0.1.0"


def job(*conditions: dict[str, str], labels: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A Job; more: `suspend`, and fields of its status."""
    spec = {"suspend": more.pop("suspend")} if "suspend" in more else {}
    metadata = {"name": JOB, "labels": {LABEL_TRIAL: TRIAL} | (labels or {})}
    conditions_ = [{"status": "True"} | each for each in conditions]
    return {"kind": "Job", "metadata": metadata, "spec": spec, "status": {"conditions": conditions_} | more}


def at(seconds: int) -> str:
    """A time."""
    return f"2026-11-24T19:{seconds // 60:02}:{seconds % 60:02}Z"


def pod(
    name: str = "a",
    phase: str = "Pending",
    *,
    created: int = 0,
    node: str = "gpu-0",
    state: dict[str, Any] | None = None,
    container: str = "trainer",
    **more: Any,
) -> dict[str, Any]:
    """A pod of that Job; more: `index`, `deleted`, `requests`, `selector`, and fields of its status."""
    metadata: dict[str, Any] = {
        "name": f"{JOB}-{name}",
        "creationTimestamp": at(created),
        "labels": {LABEL_TRIAL: TRIAL},
    }
    if "index" in more:
        metadata["labels"]["batch.kubernetes.io/job-completion-index"] = str(more.pop("index"))
    if more.pop("deleted", False):
        metadata["deletionTimestamp"] = at(created + 1)
    resources = {"requests": more.pop("requests", {"nvidia.com/gpu": "1"})}
    spec: dict[str, Any] = {"containers": [{"name": container, "image": IMAGE, "resources": resources}]}
    if node:
        spec["nodeName"] = node
    if "selector" in more:
        spec["nodeSelector"] = more.pop("selector")
    status: dict[str, Any] = {"phase": phase} | more
    if state is not None:
        status["containerStatuses"] = [{"name": container, "image": IMAGE, "state": state}]
    return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    """A container's state."""
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, at_second: int = 10, reason: str = "Error", message: str = "") -> dict[str, Any]:
    """A container's state."""
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "finishedAt": at(at_second)}}


def event(reason: str, message: str = "", *, pod: str = "", seconds: int = 0) -> dict[str, Any]:
    """An event about a pod, or the Job."""
    about = {"kind": "Pod", "name": f"{JOB}-{pod}"} if pod else {"kind": "Job", "name": JOB}
    return {"involvedObject": about, "reason": reason, "message": message, "lastTimestamp": at(seconds)}


def unschedulable(message: str, **more: Any) -> dict[str, Any]:
    """A pod that the scheduler finds no node for."""
    no = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(node="", conditions=[no], **more)
