"""What a Job template is given: the settings of the sweep file, worked out into what a pod needs, and one pack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

from kgen.errors import TrialExit
from kgen.names import job_name
from kgen.packs import Pack
from kgen.render.tree import Origin, Origins, plain_value
from kgen.sweep import SweepSpec
from kgen.sweep.build_cluster import GPU
from kgen.sweep.command import trial_command
from kgen.sweep.document import Path as FieldPath
from kgen.sweep.sweepspec import Kubernetes, Sharing, Volume

LABEL_SHARING: Final = "nvidia.com/gpu.sharing-strategy"
SHARED_STRATEGIES: Final = ("time-slicing", "mps")
_LABEL_PRODUCT: Final = "nvidia.com/gpu.product"
_LABEL_FAMILY: Final = "nvidia.com/gpu.family"
_LABEL_MEMORY: Final = "nvidia.com/gpu.memory"
"""In MiB."""
_NVIDIA: Final = "nvidia.com/"
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_SUFFIXES: Final[Mapping[str, int]] = {
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
    "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
}  # fmt: skip


class Settings:
    """The part of a template's context that all Jobs share."""

    def __init__(self, spec: SweepSpec, origins: Origins) -> None:
        self._spec = spec
        given = spec.kubernetes
        kubernetes = {field.name: _plain(getattr(given, field.name)) for field in fields(Kubernetes)}
        kubernetes["template"] = "" if given.template is None else given.template.file.name
        for name in ("affinity", "tolerations", "resource_claims"):
            origins.add_all(kubernetes[name], Origin("sweep", ("kubernetes", name)))
        volumes = [_volume(volume, i, origins) for i, volume in enumerate(given.volumes)]
        accelerators = dict(given.accelerators)
        self.shared: dict[str, Any] = {
            "sweep": {"name": spec.name},
            "image": spec.trainer.image,
            "kubernetes": kubernetes,
            "accelerators": accelerators,
            "claims": [{"name": claim["name"]} for claim in kubernetes["resource_claims"] if "name" in claim],
            "tolerations": [*gpu_tolerations(given), *kubernetes["tolerations"]],
            "affinity": _affinity(given, kubernetes["affinity"], origins),
            "volumes": volumes,
            "mounts": [mount_of(volume) for volume in given.volumes],
            "pod_failure_policy": pod_failure_policy(),
        }
        self._budget = spec.budget.to_json()
        self._kubernetes: dict[int, dict[str, Any]] = {}
        """By the number of trials in a pod: its deadline is that of all of them."""

    def of(self, pack: Pack) -> dict[str, Any]:
        """The whole context of one Job: ``trial`` for that of one, ``pack`` for that of several, never both."""
        first = pack.trials[0]
        own: dict[str, Any] = {"id": pack.id, "name": job_name(first.sweep, pack.id), "stage": first.stage}
        if pack.is_single:
            own |= {"seed": first.seed, "parameters": dict(first.parameters)}
        else:
            own["trials"] = [trial.id for trial in pack.trials]
        return {
            **self.shared,
            "kubernetes": self._with_deadline(len(pack.trials)),
            ("trial" if pack.is_single else "pack"): {**own, "budget": self._budget},
            "command": trial_command(self._spec.trainer, first),  # the same for all of a pack
        }

    def _with_deadline(self, trials: int) -> dict[str, Any]:
        if trials not in self._kubernetes:
            self._kubernetes[trials] = {**self.shared["kubernetes"], "deadline": self._spec.pod_deadline(trials)}
        return self._kubernetes[trials]


def _plain(value: Any) -> Any:
    """A setting as templates see it: Gpu, SecretKey and Volume as mappings, enums as text."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return str(value) if isinstance(value, str) else value


def _volume(volume: Volume, number: int, origins: Origins) -> dict[str, Any]:
    path: FieldPath = ("kubernetes", "volumes", number)
    made = {"name": volume.name, **plain_value(volume.source)}
    origins.add(made, Origin("sweep", (*path, "source")))
    for key in volume.source:
        origins.add_all(made[key], Origin("sweep", (*path, "source", key)))
    return made


def mount_of(volume: Volume) -> dict[str, Any]:
    """How a container has it."""
    made: dict[str, Any] = {"name": volume.name, "mountPath": volume.mount_path}
    if volume.read_only:
        made["readOnly"] = True
    if volume.sub_path:
        made["subPath"] = volume.sub_path
    return made


def pod_failure_policy() -> dict[str, Any]:
    """What a failed pod means: disruptions cost no attempt, what would fail again ends the Job, the rest is counted."""
    never_again = [int(TrialExit.BAD_PARAMETERS), int(TrialExit.NO_DATA)]
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailJob", "onExitCodes": {"operator": "In", "values": never_again}},
        ]
    }


def gpu_tolerations(given: Kubernetes) -> list[dict[str, Any]]:
    """Of the taints that keep others off nodes with GPUs: NVIDIA's for all its resources, else the resource's name."""
    keys = {GPU if name.startswith(_NVIDIA) else name: None for name in given.accelerators}
    if given.resource_claims:
        keys[GPU] = None
    return [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in keys]


def _affinity(given: Kubernetes, user: Any, origins: Origins) -> dict[str, Any] | None:
    """The user's affinity with the GPUs' labels required too; None when nothing is."""
    own = list(_gpu_expressions(given))
    if not own:
        return user  # type: ignore[no-any-return]
    parts = list(_nested(user, "nodeAffinity", _REQUIRED))
    terms = (isinstance(parts[-1], dict) and parts[-1].get("nodeSelectorTerms")) or [{}]
    if not isinstance(terms, list) or not all(isinstance(part, dict) for part in (*parts, *terms)):
        return user  # type: ignore[no-any-return] # a mistake, which the check of the whole Job names
    merged, node, required = map(dict, parts)
    made = []
    for term in terms:
        expressions = term.get("matchExpressions") or []
        if not isinstance(expressions, list):
            return user  # type: ignore[no-any-return] # the same
        made.append({**term, "matchExpressions": [*expressions, *own]})
    required["nodeSelectorTerms"] = made
    node[_REQUIRED] = required
    merged["nodeAffinity"] = node
    origins.copy(user, merged)  # all that is the user's is at the same path in both
    return merged


def _nested(value: Any, *keys: str) -> Iterator[Any]:
    """A mapping and those inside it, one below the other; empty where there is none."""
    yield value or {}
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
        yield value or {}


def _gpu_expressions(given: Kubernetes) -> Iterator[dict[str, Any]]:
    gpu = given.gpu
    if gpu.products:
        yield {"key": _LABEL_PRODUCT, "operator": "In", "values": list(gpu.products)}
    if gpu.family:
        yield {"key": _LABEL_FAMILY, "operator": "In", "values": [gpu.family]}
    if gpu.memory:
        yield {"key": _LABEL_MEMORY, "operator": "Gt", "values": [str(_mebibytes(gpu.memory) - 1)]}
    if not any(name.startswith(_NVIDIA) for name in given.accelerators) or gpu.sharing is Sharing.ANY:
        return
    if gpu.sharing is Sharing.NONE:
        yield {"key": LABEL_SHARING, "operator": "NotIn", "values": list(SHARED_STRATEGIES)}
    else:
        yield {"key": LABEL_SHARING, "operator": "In", "values": [str(gpu.sharing)]}


def _mebibytes(quantity: str) -> int:
    """A quantity in whole MiB, rounded up.

    >>> _mebibytes("40Gi"), _mebibytes("80G"), _mebibytes("1e9")
    (40960, 76294, 954)
    """
    for suffix, factor in _SUFFIXES.items():
        if quantity.endswith(suffix):
            return max(1, -int(-float(quantity[: -len(suffix)]) * factor // 2**20))
    return max(1, -int(-float(quantity.rstrip("m")) // 2**20))
