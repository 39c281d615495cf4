"""What one pod asks for, as the scheduler and the quotas count it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from kgen.capacity.quantity import Amounts, largest, parse_all, total

Object = Mapping[str, Any]
Side = Literal["requests", "limits"]


def requests(spec: Object) -> dict[str, int]:
    """What must be free on a node. Raises ValueError for a quantity that is none."""
    return _amounts(spec, "requests")


def limits(spec: Object) -> dict[str, int]:
    """What its containers may use at most. Raises ValueError for a quantity that is none."""
    return _amounts(spec, "limits")


def containers(spec: Object) -> list[tuple[str, Object]]:
    """All containers with their names, init containers last."""
    every = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return [(container.get("name", ""), container) for container in every]


def amounts_of(container: Object, side: Side) -> dict[str, int]:
    """What one container asks for; what has a limit and no request asks for the limit."""
    resources = container.get("resources") or {}
    found = parse_all(resources.get("limits"))
    return found if side == "limits" else {**found, **parse_all(resources.get("requests"))}


def is_best_effort(spec: Object) -> bool:
    """Whether it asks for no CPU and no memory at all, which is a class of service of its own."""
    asked = [amounts_of(container, "requests") for _, container in containers(spec)]
    return not any(amounts.get(name) for amounts in [*asked, _of_pod(spec, "requests")] for name in ("cpu", "memory"))


def _amounts(spec: Object, side: Side) -> dict[str, int]:
    main = [amounts_of(container, side) for container in spec.get("containers") or ()]
    sidecars: list[dict[str, int]] = []
    first: list[Amounts] = []
    for container in spec.get("initContainers") or ():
        asked = amounts_of(container, side)
        if container.get("restartPolicy") == "Always":
            sidecars.append(asked)  # it goes on beside all that come later
            first.append(total(sidecars))
        else:
            first.append(total([asked, *sidecars]))
    found = largest([total([*main, *sidecars]), *first]) | _of_pod(spec, side)
    overhead = parse_all(spec.get("overhead"))
    if side == "limits":
        overhead = {name: amount for name, amount in overhead.items() if found.get(name)}
    return {name: amount for name, amount in total([found, overhead]).items() if amount}


def _of_pod(spec: Object, side: Side) -> dict[str, int]:
    """What is said of the pod as a whole, which goes before what its containers say."""
    return amounts_of(spec, side)


def with_defaults(spec: Object, limit_ranges: Sequence[Object]) -> dict[str, Any]:
    """The pod as it will be once the namespace's LimitRanges have filled in what its containers leave out."""
    changed = dict(spec)
    for kind in ("containers", "initContainers"):
        if spec.get(kind):
            changed[kind] = [_with_defaults(container, limit_ranges) for container in spec[kind]]
    return changed


def _with_defaults(container: Object, limit_ranges: Sequence[Object]) -> dict[str, Any]:
    given = container.get("resources") or {}
    limits = dict(given.get("limits") or {})
    asked = {**limits, **(given.get("requests") or {})}
    for item in items(limit_ranges, "Container"):
        asked = {**(item.get("defaultRequest") or {}), **asked}
        limits = {**(item.get("default") or {}), **limits}
    return {**container, "resources": {**given, "requests": asked, "limits": limits}}


def items(limit_ranges: Sequence[Object], kind: str) -> Iterator[Object]:
    """The limits that LimitRanges set for things of a kind, such as Container."""
    for found in limit_ranges:
        for item in found["spec"].get("limits") or ():
            if item.get("type") == kind:
                yield {"name": found["metadata"]["name"], **item}
