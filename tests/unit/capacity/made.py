"""Objects of the API, as short as tests can have them."""

from __future__ import annotations

from typing import Any

from kgen.capacity.nodes import Node

Object = dict[str, Any]


def pod(requests: dict[str, str] | None = None, limits: dict[str, str] | None = None, **spec: Any) -> Object:
    resources = {"requests": requests or {}, "limits": limits or {}}
    return {"containers": [{"name": "trainer", "image": "a/b", "resources": resources}], **spec}


def node(
    name: str = "n", labels: dict[str, str] | None = None, *, taints: list[Object] | None = None, **allocatable: str
) -> Object:
    amounts = {"cpu": "8", "memory": "32Gi", "pods": "110"} | {
        key.replace("gpu", "nvidia.com/gpu"): value for key, value in allocatable.items()
    }
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": taints or []},
        "status": {"allocatable": amounts},
    }


def read(*nodes: Object) -> list[Node]:
    return [Node.of(each, {}) for each in nodes]


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> Object:
    return {"metadata": {"name": "q"}, "spec": {"hard": hard, **spec}, "status": {"hard": hard, "used": used or {}}}


def limit_range(kind: str, **item: dict[str, str]) -> Object:
    return {"metadata": {"name": "lr"}, "spec": {"limits": [{"type": kind, **item}]}}
