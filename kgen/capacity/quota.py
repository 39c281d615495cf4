"""ResourceQuotas against the objects that a sweep makes: what they forbid, and how many pods they let run at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kgen.capacity import pod as pods
from kgen.capacity.finding import RESOURCES, FieldPath, Finding, refuse, warn
from kgen.capacity.nodes import matches
from kgen.capacity.quantity import is_bytes, parse, parse_all, show

Object = Mapping[str, Any]

_MUST_BE_SET: Final[Mapping[str, tuple[pods.Side, str]]] = {
    "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"),
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
}
"""What every container has to state where a quota counts it."""
_JOBS: Final = "count/jobs.batch"
_CONFIG_MAPS: Final = ("configmaps", "count/configmaps")


@dataclass(frozen=True, slots=True)
class Creation:
    """What a submit creates."""

    jobs: int
    config_maps: int
    are_removed: bool
    """Whether finished Jobs are removed after a while, so that they stop counting."""


def objects(quotas: Sequence[Object], creation: Creation) -> Iterator[Finding]:
    """What quotas on the number of objects mean for a submit."""
    for quota in quotas:
        for resource, hard, used in _counts(quota):
            words = f"ResourceQuota {quota['metadata']['name']}"
            if resource == _JOBS and used + creation.jobs > hard and creation.jobs:
                found = f"{words} allows {hard:,} Jobs, {used:,} are there and {creation.jobs:,} are to be created"
                if creation.jobs <= hard:
                    yield warn((), found, "submit waits until there is room; finished Jobs count too")
                elif creation.are_removed:
                    yield warn((), found, "submit waits whenever it is full, until finished Jobs have been removed")
                else:
                    yield refuse((), found, "fewer trials, or have the quota enlarged; finished Jobs count too")
            if resource in _CONFIG_MAPS and used + creation.config_maps > hard:
                found = (
                    f"{words} allows {hard:,} ConfigMaps, {used:,} are there and {creation.config_maps:,} are needed"
                )
                yield refuse((), found, "delete sweeps that are no longer needed, or have the quota enlarged")


def pod_findings(quotas: Sequence[Object], spec: Object, priority: str) -> Iterator[Finding]:
    """What quotas on pods forbid of one pod. ``priority`` is its class. Raises ValueError for what is no quantity."""
    for quota in quotas:
        words = f"ResourceQuota {quota['metadata']['name']}"
        for resource, hard, _, need in _of_pod(quota, spec, priority):
            if unset := _unset(resource, spec):
                found = f"nothing for {resource} of container {unset}, which {words} counts"
                yield refuse(_field(resource), found, "a value for it: without one no pod is let in")
            elif need > hard:
                found = f"{show(resource, need)} for {resource}"
                yield refuse(_field(resource), found, f"at most {show(resource, hard)}: {words} allows no more")


@dataclass(frozen=True, slots=True)
class Room:
    """How many more pods the tightest quota lets be at the same time."""

    pods: int
    quota: str
    """Its words: which one, and which of its resources."""


def room(quotas: Sequence[Object], spec: Object, priority: str) -> Room | None:
    """How many more such pods may be at the same time now; None where no quota counts them."""
    found = [
        Room(max(0, hard - used) // need, f"ResourceQuota {quota['metadata']['name']} ({resource})")
        for quota in quotas
        for resource, hard, used, need in _of_pod(quota, spec, priority)
        if need
    ]
    return min(found, default=None, key=lambda each: each.pods)


def _counts(quota: Object) -> Iterator[tuple[str, int, int]]:
    used = _used(quota)
    for resource, hard in (quota["spec"].get("hard") or {}).items():
        if not is_bytes(resource):
            yield resource, parse(hard) // 1000, used.get(resource, 0) // 1000


def _of_pod(quota: Object, spec: Object, priority: str) -> Iterator[tuple[str, int, int, int]]:
    """Resource, hard limit, used and what one pod adds, of those that a quota counts for such a pod."""
    if not applies(quota, spec, priority):
        return
    asked, limits, used = pods.requests(spec), pods.limits(spec), _used(quota)
    for resource, hard in (quota["spec"].get("hard") or {}).items():
        side, _, name = resource.partition(".")
        if resource in ("pods", "count/pods"):
            need = 1000
        elif side == "limits":
            need = limits.get(name, 0)
        elif side == "requests":
            if name == "storage":
                continue
            need = asked.get(name, 0)
        elif resource in ("cpu", "memory", "ephemeral-storage") or resource.startswith("hugepages-"):
            need = asked.get(resource, 0)
        else:
            continue
        yield resource, parse(hard), used.get(resource, 0), need


def applies(quota: Object, spec: Object, priority: str) -> bool:
    """Whether a pod is among those that a quota's scopes select."""
    expressions = [{"scopeName": scope, "operator": "Exists"} for scope in quota["spec"].get("scopes") or ()]
    selector = quota["spec"].get("scopeSelector") or {}
    return all(_is_in(each, spec, priority) for each in [*expressions, *(selector.get("matchExpressions") or ())])


def _is_in(expression: Object, spec: Object, priority: str) -> bool:
    match expression["scopeName"]:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return pods.is_best_effort(spec)
        case "NotBestEffort":
            return not pods.is_best_effort(spec)
        case "PriorityClass":
            return matches({"class": priority} if priority else {}, {"key": "class", **expression})
    return False  # affinity across namespaces, volumes: nothing that trials do


def _used(quota: Object) -> dict[str, int]:
    return parse_all((quota.get("status") or {}).get("used"))


def _unset(resource: str, spec: Object) -> str:
    """Names of the containers that do not state what the quota needs; empty where all do, or none has to."""
    if resource not in _MUST_BE_SET:
        return ""
    side, name = _MUST_BE_SET[resource]
    if name in pods.amounts_of(spec, side):  # said of the pod as a whole
        return ""
    return ", ".join(c for c, container in pods.containers(spec) if name not in pods.amounts_of(container, side))


def _field(resource: str) -> FieldPath:
    name = resource.partition(".")[2] if resource.startswith(("requests.", "limits.")) else resource
    return RESOURCES if name in ("pods", "count/pods") else (*RESOURCES, name)
