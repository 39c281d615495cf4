"""What each recorded state is shown as: the states' one list, for recordings and for a live cluster."""

from __future__ import annotations

from dataclasses import dataclass

from kgen.status import Reason, State


@dataclass(frozen=True)
class Expected:
    """What commands show, where the results hold nothing."""

    state: State
    reason: Reason
    message: str
    attempts: int = 1
    exit_code: int | None = None
    hopeless: bool = False


_POOL = "2 lack the labels that it asks for (example.test/pool=research)"
_TAKEN = "its last pod was taken away: drained, evicted or lost with its node"
_NO_ROW = "its Job is complete, but the results hold no row of it"
_DISK = "evicted: its node was short of ephemeral-storage (threshold 10Gi, available 9Gi)"

EXPECTED: dict[tuple[str, int | None], Expected] = {
    # queued
    ("suspended", None): Expected(State.QUEUED, Reason.SUSPENDED, "its Job is suspended", 0),
    ("kueue", None): Expected(State.QUEUED, Reason.QUEUE, "waits in queue team-a", 0),
    ("quota", None): Expected(
        State.QUEUED, Reason.QUOTA, "over quota team-gpus: requests.nvidia.com/gpu 2 of 2 used, it needs 1", 0
    ),
    ("pod_security", None): Expected(
        State.QUEUED,
        Reason.REFUSED,
        "the namespace's Pod Security Standard (restricted) forbids it: allowPrivilegeEscalation != false "
        '(container "trainer" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities '
        '(container "trainer" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true '
        '(pod or container "trainer" must set securityContext.runAsNonRoot…',
        0,
    ),
    ("limit_range", None): Expected(
        State.QUEUED,
        Reason.REFUSED,
        "its pod is refused: maximum memory usage per Container is 2Gi, but limit is 4Gi",
        0,
    ),
    ("no_account", None): Expected(
        State.QUEUED, Reason.REFUSED, "ServiceAccount bucket-writer is not in this namespace", 0
    ),
    ("no_priority_class", None): Expected(State.QUEUED, Reason.REFUSED, "PriorityClass gold is not in this cluster", 0),
    ("policy", None): Expected(
        State.QUEUED, Reason.REFUSED, "policy kgen-research forbids it: images must come from registry.internal", 0
    ),
    ("webhook", None): Expected(
        State.QUEUED,
        Reason.REFUSED,
        "admission webhook pods.platform.example does not answer, so no pod is let in",
        0,
    ),
    # pending
    ("too_many_gpus", None): Expected(
        State.PENDING,
        Reason.UNSCHEDULABLE,
        "none of 2 nodes fits: 2 have less than nvidia.com/gpu: 9",
        hopeless=True,
    ),
    ("busy", None): Expected(
        State.PENDING,
        Reason.UNSCHEDULABLE,
        f"none of 3 nodes fits: 1 has less than nvidia.com/gpu: 1 free and {_POOL}",
    ),
    ("taint", None): Expected(
        State.PENDING, Reason.UNSCHEDULABLE, "none of 2 nodes fits: 2 have a taint that it does not tolerate"
    ),
    ("selector", None): Expected(
        State.PENDING,
        Reason.UNSCHEDULABLE,
        "none of 2 nodes fits: 2 lack the labels that it asks for (nvidia.com/gpu.product=NVIDIA-H300)",
        hopeless=True,
    ),
    ("no_claim", None): Expected(
        State.PENDING, Reason.VOLUME, "PersistentVolumeClaim results is not in this namespace"
    ),
    ("unbound_claim", None): Expected(
        State.PENDING, Reason.VOLUME, "a PersistentVolumeClaim of its pod is not bound to a volume yet"
    ),
    ("gated", None): Expected(
        State.PENDING, Reason.SCHEDULING, "held back by scheduling gate example.test/data-staged"
    ),
    ("image_pull", None): Expected(
        State.PENDING,
        Reason.IMAGE_PULL,
        "image registry.example/trainer:0.1.0 can't be pulled: it is not in its registry",
    ),
    ("config_error", None): Expected(State.PENDING, Reason.CONFIG_ERROR, "ConfigMap missing is not in this namespace"),
    ("terminating", None): Expected(State.PENDING, Reason.TERMINATING, "its pod was deleted; it is still ending"),
    ("job_deleting", None): Expected(State.PENDING, Reason.TERMINATING, "its Job is being deleted"),
    ("job_gone", None): Expected(State.PENDING, Reason.TERMINATING, "its Job is deleted, its pod is still ending"),
    # between two attempts
    ("retrying", None): Expected(
        State.PENDING, Reason.RETRYING, "the trainer crashed (exit code 1); the next attempt follows", 2, 1
    ),
    ("preempted", None): Expected(
        State.PENDING,
        Reason.PREEMPTED,
        "preempted by a pod of higher priority; waits for a node: none of 3 nodes fits: "
        f"1 has less than nvidia.com/gpu: 1 free and {_POOL}",
        2,
    ),
    ("drained", None): Expected(
        State.PENDING,
        Reason.EVICTED,
        f"{_TAKEN}; waits for a node: none of 3 nodes fits: 1 is closed to new pods and {_POOL}",
        2,
    ),
    ("tainted", None): Expected(
        State.PENDING,
        Reason.EVICTED,
        "evicted: its node got a taint that it does not tolerate; waits for a node: none of 3 nodes fits: "
        f"1 has a taint that it does not tolerate and {_POOL}",
        2,
    ),
    ("node_lost", None): Expected(
        State.PENDING,
        Reason.UNSCHEDULABLE,
        f"none of 2 nodes fits: {_POOL}; attempt 2, after: {_TAKEN}",
        2,
        hopeless=True,
    ),
    # running
    ("running", None): Expected(State.RUNNING, Reason.NONE, ""),
    ("retried", None): Expected(
        State.RUNNING, Reason.NONE, "attempt 2, after: the trainer crashed (exit code 1)", 2, 1
    ),
    ("evicted", None): Expected(State.RUNNING, Reason.NONE, f"attempt 2, after: {_DISK}", 2, 137),
    # failed
    ("bad_parameters", None): Expected(
        State.FAILED, Reason.BAD_PARAMETERS, "the trainer refuses its parameters (exit code 64)", 1, 64
    ),
    ("bad_parameters_pods_gone", None): Expected(
        State.FAILED, Reason.BAD_PARAMETERS, "the trainer refuses its parameters (exit code 64)", 1, 64
    ),
    ("no_data", None): Expected(
        State.FAILED, Reason.NO_DATA, "the data or the result store can't be used (exit code 66)", 1, 66
    ),
    ("no_device", None): Expected(
        State.FAILED, Reason.NO_DEVICE, "the trainer sees no GPU (exit code 65) at attempt 2", 2, 65
    ),
    ("crash", None): Expected(State.FAILED, Reason.CRASH, "the trainer crashed (exit code 1) at attempt 2", 2, 1),
    ("segmentation_fault", None): Expected(
        State.FAILED, Reason.CRASH, "the trainer crashed: segmentation fault (exit code 139)", 1, 139
    ),
    ("out_of_memory", None): Expected(
        State.FAILED, Reason.OUT_OF_MEMORY, "killed for using more than its memory (4Gi)", 1, 137
    ),
    ("evicted_failed", None): Expected(State.FAILED, Reason.EVICTED, _DISK, 1, 137),
    ("preempted_failed", None): Expected(State.FAILED, Reason.PREEMPTED, "preempted by a pod of higher priority"),
    ("pod_deadline", None): Expected(State.FAILED, Reason.DEADLINE, "ran longer than its pod may", 1, 143),
    ("job_deadline", None): Expected(
        State.FAILED, Reason.DEADLINE, "its Job's deadline of 2 s, which counts waiting too, is over"
    ),
    ("pod_deleted", None): Expected(
        State.FAILED, Reason.UNKNOWN, "its pod is gone, deleted by somebody or with its node"
    ),
    # succeeded
    ("succeeded", None): Expected(State.SUCCEEDED, Reason.NO_ROW, _NO_ROW, 1, 0),
    # indexed
    ("succeeded_at_second", 0): Expected(State.SUCCEEDED, Reason.NO_ROW, _NO_ROW, 2, 0),
    ("succeeded_at_second", 2): Expected(State.SUCCEEDED, Reason.NO_ROW, _NO_ROW, 2, 0),
    ("indexes_failed", 1): Expected(State.FAILED, Reason.CRASH, "the trainer crashed (exit code 1)", 1, 1),
    ("indexes_failed", 2): Expected(State.RUNNING, Reason.NONE, ""),
    ("indexes_failed", 3): Expected(State.PENDING, Reason.NO_POD_YET, "its Job has no pod yet", 0),
    # missing
    ("deleted", None): Expected(State.MISSING, Reason.DELETED, "its Job was deleted", 0),
}
