"""What a person can do about a trial's state."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kgen.status.model import Reason, State, TrialStatus

_ADVICE: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.NONE: "",
        Reason.SUSPENDED: "Somebody suspended its Job; it starts when they resume it.",
        Reason.QUEUE: "Nothing to do: the queue starts it. `kubectl get workloads` shows its place.",
        Reason.QUOTA: "Nothing to do: it starts when others end, or the quota is raised. "
        "`kubectl describe resourcequota` shows who may use how much.",
        Reason.REFUSED: "Its pod is never created like this. Change what the message names in the sweep file's "
        "kubernetes section, or ask whoever runs the cluster; then `kgen submit` again.",
        Reason.NO_POD_YET: "Nothing to do: the cluster creates its pod in a moment.",
        Reason.SCHEDULING: "Nothing to do: the scheduler looks for a node. Whoever set a scheduling gate lifts it.",
        Reason.UNSCHEDULABLE: "It starts when a node has what it asks for. If none ever has, change resources, gpu, "
        "node_selector or tolerations in the sweep file; `kubectl describe nodes` shows what nodes have.",
        Reason.CREATING: "Nothing to do: its node pulls the image and makes the container. "
        "`kubectl describe pod {pod}` shows how far it is.",
        Reason.IMAGE_PULL: "Check trainer.image in the sweep file, and kubernetes.image_pull_secrets if the image is "
        "private; then `kgen submit` again.",
        Reason.CONFIG_ERROR: "Create what is missing, or correct its name in the sweep file and `kgen submit` again. "
        "`kubectl describe pod {pod}` shows the node's own words.",
        Reason.VOLUME: "Check the claim, Secret or ConfigMap that the volume names: `kubectl get pvc`, "
        "`kubectl describe pod {pod}`.",
        Reason.RETRYING: "Nothing to do: the cluster tries it again after a pause that grows.",
        Reason.TERMINATING: "Nothing to do: its program has some seconds to end.",
        Reason.BAD_PARAMETERS: "It is not tried again by itself. Correct the parameters in the sweep file and "
        "`kgen submit`, or repair the trainer and `kgen retry {trial}`.",
        Reason.NO_DEVICE: "The node has GPUs, but the program sees none: check that the image has the framework's CUDA "
        "build, and node {node}'s driver; then `kgen retry {trial}`.",
        Reason.NO_DATA: "It is not tried again by itself. Check the data set's path and the results' place and "
        "permissions; then `kgen retry {trial}`.",
        Reason.OUT_OF_MEMORY: "Raise kubernetes.resources.memory in the sweep file, or make batches smaller; then "
        "`kgen submit`.",
        Reason.DEADLINE: "Raise kubernetes.deadline or kubernetes.allowance in the sweep file, or look for what hangs: "
        "`kgen logs {trial}`.",
        Reason.EVICTED: "Such an attempt does not count. If its node was short of disk or memory, raise the request in "
        "kubernetes.resources.",
        Reason.PREEMPTED: "Such an attempt does not count; a higher kubernetes.priority_class is preempted less.",
        Reason.NODE_LOST: "Such an attempt does not count, and other nodes will do.",
        Reason.INTERRUPTED: "Somebody or something ended its pod.",
        Reason.CRASH: "`kgen logs {trial}` shows its last words. Repair the trainer, then `kgen retry {trial}`.",
        Reason.UNKNOWN: "`kubectl describe job {job}` may tell more.",
        Reason.NO_ROW: "Its program ended well without leaving a result: check that it reports through kgen.trial, and "
        "that the results are read from where it writes them. `kgen retry {trial}` runs it again.",
        Reason.ROWS_UNCHECKED: "`kgen collect` reads the results and tells.",
        Reason.DELETED: "`kgen retry {trial}`, or `kgen submit` again, creates its Job.",
    }
)
_RETRY: Final = "`kgen retry {trial}` tries it again."


def explain(status: TrialStatus) -> str:
    """What to do about it, in a sentence or two; empty if there is nothing to say."""
    advice = _ADVICE[Reason.DELETED if status.state is State.MISSING else status.reason]
    if status.state is State.FAILED and "kgen retry" not in advice and "kgen submit" not in advice:
        advice = f"{advice} {_RETRY}".strip()
    return advice.format(
        trial=status.trial,
        pod=status.pod or "POD",
        node=status.node or "NODE",
        job=status.address.job if status.address else "JOB",
    )
