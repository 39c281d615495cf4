"""The environment of a trial's process in a pod: the contract that :mod:`kgen.trial` reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final

from kgen import names
from kgen.render.draft import POD, Draft, Slot
from kgen.render.settings import LABEL_SHARING, SHARED_STRATEGIES
from kgen.render.tree import Hole, fill
from kgen.spec import Packing, Timing
from kgen.sweep.sweepspec import Scheme, Sharing

RESULTS_MOUNT: Final = "/results"
"""Where the results' claim is mounted."""
TRIALS_MOUNT: Final = "/kgen/trials"
"""Where a pack's ConfigMap is mounted."""
_GONE_WITH_THE_POD: Final = frozenset(
    ("configMap", "downwardAPI", "emptyDir", "ephemeral", "image", "projected", "secret")
)
"""Volumes that are no place for results."""
_CPU: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(m?)")


class Environment:
    """Of the container that trains; looks at what else its pod has."""

    def __init__(self, draft: Draft, pod: dict[str, Any], container: dict[str, Any]) -> None:
        self._draft = draft
        self._pod = pod
        self._container = container

    def variables(self) -> list[Any]:
        """kgen's, then the sweep file's, then those of the template that have other names."""
        draft, container = self._draft, self._container
        trainer, kubernetes = draft.spec.trainer, draft.spec.kubernetes
        own = [
            *self._what_to_train(),
            _from(names.ENV_ATTEMPT, {"fieldRef": {"fieldPath": "metadata.uid"}}),
            _from(names.ENV_NODE, {"fieldRef": {"fieldPath": "spec.nodeName"}}),
            _variable(names.ENV_RESULTS, self._results()),
            _variable(names.ENV_TIMING, str(self._timing())),
            _variable(names.ENV_MATES, "0"),
            _variable(names.ENV_IMAGE, container["image"]),
            *([_variable(names.ENV_REVISION, trainer.revision)] if trainer.revision else []),
            *(_variable(names.ENV_GPUS, count) for count in self._gpus()),
            *(_variable(name, value) for name, value in trainer.env.items()),
            *(
                _from(name, {"secretKeyRef": {"name": secret.secret, "key": secret.key}})
                for name, secret in kubernetes.secret_env.items()
            ),
        ]
        taken = {item["name"] for item in own}
        where = draft.spec.location.variables.items()
        own += [_variable(name, value) for name, value in where if name not in taken]
        taken |= {item["name"] for item in own}
        kept = []
        for item in draft.sequence(container, "env", (*draft.container_path, "env")):
            name = draft.value(item.get("name")) if isinstance(item, dict) else None
            if name in taken:
                draft.note(f"env: {name} of the template is replaced by the sweep file's")
            else:
                kept.append(item)
        taken |= {draft.value(item.get("name")) for item in kept if isinstance(item, dict)}
        cores = self._cores()
        threads = [_variable(name, cores) for name in names.THREAD_VARIABLES if cores and name not in taken]
        return [*own, *threads, *kept]

    def _what_to_train(self) -> Iterator[dict[str, Any]]:
        """The trial, or the file that has those of a pack."""
        if self._draft.pack is None:
            yield _variable(names.ENV_TRIAL, Hole(Slot.TRIAL))
        else:
            yield _variable(names.ENV_TRIALS, f"{TRIALS_MOUNT}/{names.CONFIG_MAP_TRIALS_KEY}")
            yield _variable(names.ENV_PACKING, str(self._draft.spec.packing))
            yield _from(names.ENV_JOB, {"fieldRef": {"fieldPath": f"metadata.labels['{names.LABEL_JOB}']"}})

    def _cores(self) -> str:
        """Threads for work on a CPU: as many as the container may use cores, because libraries see all of the node's,
        and with more threads than its share it is held up. ``kgen run`` does the same, so with one core each bit of a
        result is the same there and here. Empty where there is a device, or no limit."""
        resources = self._container.get("resources")
        limits = resources.get("limits") if isinstance(resources, dict) else None
        limit = str(self._draft.value(limits.get("cpu")) if isinstance(limits, dict) else "")
        found = _CPU.fullmatch(limit)
        if found is None or self._accelerators() or self._pod.get("resourceClaims"):
            return ""
        return str(max(1, int(float(found[1]) / (1000 if found[2] else 1))))

    def _results(self) -> str:
        """Where the trial writes its row. A folder will do where a volume is mounted."""
        location = self._draft.spec.location
        if location.scheme is Scheme.PVC:
            return f"{RESULTS_MOUNT}/{location.path}"
        folder = PurePosixPath(location.path)
        if location.scheme is Scheme.FOLDER and not any(map(folder.is_relative_to, self._lasting_mounts())):
            self._draft.wrong_in_file(
                ("results",),
                f"{location.path}, which pods can't reach",
                "pvc://claim/path, s3://bucket/prefix, gs://bucket/prefix, or a folder below the mount_path of one "
                "of kubernetes.volumes",
            )
        return str(location)

    def _lasting_mounts(self) -> Iterator[str]:
        """Paths at which the container can write to what is still there after the pod."""
        volumes, mounts = (
            fill(self._draft.sequence(owner, key, path), self._draft.values)
            for owner, key, path in (
                (self._pod, "volumes", (*POD, "volumes")),
                (self._container, "volumeMounts", (*self._draft.container_path, "volumeMounts")),
            )
        )
        lasting = {v.get("name") for v in volumes if isinstance(v, dict) and not v.keys() & _GONE_WITH_THE_POD}
        for mount in mounts:
            if isinstance(mount, dict) and mount.get("name") in lasting and not mount.get("readOnly"):
                yield str(mount.get("mountPath"))

    def _accelerators(self) -> dict[str, str]:
        """Extended resources that the container asks for."""
        found: dict[str, str] = {}
        resources = self._container.get("resources")
        for kind in ("requests", "limits"):
            amounts = resources.get(kind) if isinstance(resources, dict) else None
            for name, amount in amounts.items() if isinstance(amounts, dict) else ():
                value = self._draft.value(amount)
                if "/" in name and value not in (None, 0, "0"):
                    found[name] = str(value)
        return found

    def _gpus(self) -> Iterator[str]:
        """How many GPUs the trainer must see, if that can be told: not for other devices, nor for claims."""
        if not self._accelerators() and not self._pod.get("resourceClaims"):
            yield "0"
        counts = [count for name, count in self._accelerators().items() if _is_gpu(name)]
        if len(counts) == 1 and counts[0].isdecimal():
            yield counts[0]

    def _timing(self) -> Timing:
        """Exclusive only where the whole device is the trial's for certain: fused ones share it with each other."""
        if self._draft.pack is not None and self._draft.spec.packing is Packing.FUSED:
            return Timing.SHARED
        accelerators = self._accelerators()
        claims = self._draft.sequence(self._pod, "resourceClaims", (*POD, "resourceClaims"))
        own_claims = bool(claims) and all(isinstance(c, dict) and c.get("resourceClaimTemplateName") for c in claims)
        nvidia = any(name.startswith("nvidia.com/") for name in accelerators)
        sharing = self._draft.spec.kubernetes.gpu.sharing
        has_device = bool(accelerators) or own_claims
        if has_device and sharing is Sharing.NONE and (not nvidia or self._excludes_shared()):
            return Timing.EXCLUSIVE
        if self._draft.spec.objective.needs_exclusive:
            self._refuse_shared(has_device)
        return Timing.SHARED

    def _refuse_shared(self, has_device: bool) -> None:
        if has_device:
            found = "seconds_to_target with a template that also takes shared GPUs"
            allowed = "affinity: {{ affinity }} in its pod's spec, or an objective in steps"
        else:
            found = "seconds_to_target without a GPU of its own for each trial"
            allowed = (
                "nvidia.com/gpu: 1 in kubernetes.resources, or an objective in steps: pods share their nodes' cores"
            )
        self._draft.wrong_in_file(("objective", "metric"), found, allowed)

    def _excludes_shared(self) -> bool:
        required: Any = self._pod.get("affinity")
        for key in ("nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"):
            required = required.get(key) if isinstance(required, dict) else None
        wanted = {"key": LABEL_SHARING, "operator": "NotIn", "values": list(SHARED_STRATEGIES)}
        terms = fill(required, self._draft.values) if isinstance(required, list) else []
        return bool(terms) and all(isinstance(t, dict) and wanted in (t.get("matchExpressions") or []) for t in terms)


def _variable(name: str, value: Any) -> dict[str, Any]:
    """``$`` twice, or Kubernetes would take ``$(NAME)`` in it for a variable; so it is done when holes are filled."""
    if value == "":  # the API server drops an empty value, and kubectl would then want to put it back for ever
        return {"name": name}
    return {"name": name, "value": value.replace("$", "$$") if isinstance(value, str) else value}


def _from(name: str, source: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "valueFrom": source}


def _is_gpu(resource: str) -> bool:
    """Whether a framework would call it a GPU: nvidia.com/gpu, nvidia.com/mig-1g.10gb, gpu.intel.com/i915."""
    domain, _, name = resource.partition("/")
    return "gpu" in name or name.startswith("mig-") or domain.startswith("gpu.")
