"""Pods and Jobs in which kgen itself works, beside the trials: they need no GPU, and no label that makes them a trial.

Any namespace takes them that enforces the restricted Pod Security Standard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self

import kgen
from kgen import names
from kgen.render.environment import RESULTS_MOUNT
from kgen.render.manifest import Manifest
from kgen.render.merge import RESULTS_VOLUME
from kgen.render.objects import digest, pretty
from kgen.render.settings import mount_of
from kgen.render.tree import plain_value
from kgen.sweep import SweepSpec
from kgen.sweep.sweepspec import SecretKey, Volume

DEFAULT_USER: Final = 10001
"""As ``kubernetes.run_as_user`` of a sweep file that does not say it."""
DISRUPTION_IGNORED: Final[Mapping[str, Any]] = MappingProxyType(
    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
)
"""Rule of a ``podFailurePolicy``: a drained node, preemption and the like cost no attempt."""
_SCRATCH: Final = "/tmp"
_ENVIRONMENT: Final = {
    "HOME": _SCRATCH,
    "TMPDIR": _SCRATCH,
    "MPLCONFIGDIR": _SCRATCH,
    "PYTHONUNBUFFERED": "1",
    # Images made for GPUs would otherwise show a pod all of its node's.
    "NVIDIA_VISIBLE_DEVICES": "void",
}
_RESOURCES: Final = {
    "requests": {"cpu": "250m", "memory": "512Mi", "ephemeral-storage": "256Mi"},
    "limits": {"cpu": "2", "memory": "2Gi", "ephemeral-storage": "2Gi"},
}


@dataclass(frozen=True, slots=True)
class Tool:
    """One command that runs in a pod."""

    component: str
    """``submit``, ``collect``, ``fetch`` or ``doctor``; also the container's name."""
    image: str
    command: Sequence[str]
    sweep: str = ""
    """Whose it is; empty where it belongs to none."""
    service_account: str = ""
    """With this one's token it talks to the API server; without one it does not."""
    claim: str = ""
    """Mounted at ``/results``; empty: none is."""
    read_only: bool = False
    """Whether the claim may only be read."""
    env: Mapping[str, str] = field(default_factory=dict)
    secret_env: Mapping[str, SecretKey] = field(default_factory=dict)
    volumes: Sequence[Volume] = ()
    """More of them, as trials have them."""
    run_as_user: int = DEFAULT_USER
    image_pull_policy: str = ""
    image_pull_secrets: Sequence[str] = ()
    tolerations: Sequence[Mapping[str, Any]] = ()
    more_labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    """As on trials: a mesh or a policy may ask for them."""

    @classmethod
    def of(cls, spec: SweepSpec, component: str, command: Sequence[str], *, image: str = "", **more: Any) -> Self:
        """For a sweep, with the image and the settings that its trials have; ``more`` are the fields above."""
        kubernetes = spec.kubernetes
        return cls(
            component,
            image or spec.trainer.image,
            command,
            spec.name,
            **{
                "secret_env": kubernetes.secret_env if spec.location.in_bucket else {},
                "run_as_user": kubernetes.run_as_user,
                "image_pull_policy": kubernetes.image_pull_policy,
                "image_pull_secrets": kubernetes.image_pull_secrets,
                "tolerations": kubernetes.tolerations,
                "more_labels": kubernetes.labels,
                "annotations": kubernetes.annotations,
                **more,
            },
        )

    @property
    def labels(self) -> dict[str, str]:
        """Of its Job and its pod."""
        of_sweep = {names.LABEL_SWEEP: self.sweep, names.LABEL_INSTANCE: self.sweep} if self.sweep else {}
        return {
            **self.more_labels,
            names.LABEL_NAME: f"kgen-{self.component}",
            names.LABEL_COMPONENT: self.component,
            names.LABEL_PART_OF: self.sweep or "kgen",
            names.LABEL_MANAGED_BY: names.FIELD_MANAGER,
            names.LABEL_VERSION: kgen.__version__,
            **of_sweep,
        }

    @property
    def metadata(self) -> dict[str, Any]:
        """Labels and annotations of its pod."""
        return {"labels": self.labels, **({"annotations": dict(self.annotations)} if self.annotations else {})}


def tool_selector(component: str, sweep: str) -> str:
    """The labels by which Jobs and pods of that component are found: a sweep's, or those that belong to none."""
    of_sweep = f"{names.LABEL_SWEEP}={sweep}" if sweep else f"!{names.LABEL_SWEEP}"
    return f"{of_sweep},{names.LABEL_COMPONENT}={component},{names.LABEL_MANAGED_BY}={names.FIELD_MANAGER}"


def tool_pod(tool: Tool) -> dict[str, Any]:
    """The ``spec`` of its pod, made anew on each call."""
    env: list[dict[str, Any]] = [
        {"name": name, "value": value.replace("$", "$$")}
        for name, value in {**_ENVIRONMENT, **({names.ENV_CLAIM: tool.claim} if tool.claim else {}), **tool.env}.items()
    ]
    env += (
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret.secret, "key": secret.key}}}
        for name, secret in tool.secret_env.items()
    )
    secrets = [{"name": name} for name in tool.image_pull_secrets]
    mounts: list[dict[str, Any]] = [{"name": "scratch", "mountPath": _SCRATCH}]
    volumes: list[dict[str, Any]] = [{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}]
    if tool.claim:
        read_only = {"readOnly": True} if tool.read_only else {}
        mounts.append({"name": RESULTS_VOLUME, "mountPath": RESULTS_MOUNT, **read_only})
        volumes.append({"name": RESULTS_VOLUME, "persistentVolumeClaim": {"claimName": tool.claim}})
    mounts += map(mount_of, tool.volumes)
    volumes += ({"name": volume.name, **plain_value(volume.source)} for volume in tool.volumes)
    container = {
        "name": tool.component,
        "image": tool.image,
        **({"imagePullPolicy": tool.image_pull_policy} if tool.image_pull_policy else {}),
        # As above: $(NAME) is no variable.
        "command": [word.replace("$", "$$") for word in tool.command],
        "env": env,
        "resources": plain_value(_RESOURCES),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 30,
        "automountServiceAccountToken": bool(tool.service_account),
        **({"serviceAccountName": tool.service_account} if tool.service_account else {}),
        "enableServiceLinks": False,
        **({"imagePullSecrets": secrets} if secrets else {}),
        **({"tolerations": [plain_value(each) for each in tool.tolerations]} if tool.tolerations else {}),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": tool.run_as_user,
            "runAsGroup": tool.run_as_user,
            "fsGroup": tool.run_as_user,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }


def tool_job(
    tool: Tool,
    name: str,
    namespace: str,
    *,
    backoff_limit: int,
    final_codes: Sequence[int] = (),
    ttl_seconds: int | None = None,
) -> Manifest:
    """Its Job. A pod that is lost is replaced and costs no attempt where the cluster took it; another failure costs
    one of ``backoff_limit``, but with one of ``final_codes`` it is the end."""
    codes = {"operator": "In", "values": sorted(final_codes)}
    final = [{"action": "FailJob", "onExitCodes": codes}] if final_codes else []
    labels = {**tool.labels, names.LABEL_SPEC: ""}
    made: dict[str, Any] = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "backoffLimit": backoff_limit,
            "podFailurePolicy": {"rules": [plain_value(DISRUPTION_IGNORED), *final]},
            "podReplacementPolicy": "Failed",
            **({"ttlSecondsAfterFinished": ttl_seconds} if ttl_seconds is not None else {}),
            "template": {"metadata": tool.metadata, "spec": tool_pod(tool)},
        },
    }
    labels[names.LABEL_SPEC] = digest(pretty(made).encode())  # the same in every namespace, as a trial's
    made["metadata"] = {"name": name, "namespace": namespace, "labels": labels}
    return Manifest("Job", name, pretty(made), labels[names.LABEL_SPEC])
