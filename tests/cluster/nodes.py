"""Fake nodes with GPUs, as they look in a GPU cloud: the labels of GPU feature discovery, NVIDIA's taint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]

RESOURCE = "nvidia.com/gpu"
TAINT = {"key": RESOURCE, "value": "present", "effect": "NoSchedule"}
H100 = "NVIDIA-H100-80GB-HBM3"

# Product → (memory in MiB, family), as GPU feature discovery labels them.
_PRODUCTS = {
    H100: (81559, "hopper"),
    "NVIDIA-H200": (143771, "hopper"),
    "NVIDIA-A100-SXM4-80GB": (81920, "ampere"),
    "NVIDIA-L4": (23034, "ada-lovelace"),
    "Tesla-T4": (15360, "turing"),
}


@dataclass(frozen=True)
class Kind:
    """What a fake node has."""

    gpus: int = 8
    """0 makes a node without GPUs, and without their labels and taint."""
    product: str = H100
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()
    """On top of the GPUs' own."""
    cpu: str = "192"
    memory: str = "2Ti"
    ephemeral_storage: str = "7Ti"
    pods: int = 250


def node(name: str, kind: Kind) -> Manifest:
    """The manifest of one node that kwok keeps alive."""
    amounts = {
        "cpu": kind.cpu,
        "memory": kind.memory,
        "ephemeral-storage": kind.ephemeral_storage,
        "pods": str(kind.pods),
    }
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
    }
    taints = [*kind.taints]
    if kind.gpus:
        amounts[RESOURCE] = str(kind.gpus)
        labels |= _gpu_labels(kind)
        taints.append(TAINT)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": labels | dict(kind.labels),
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": {"taints": taints},
        "status": {"capacity": amounts, "allocatable": amounts},
    }


def is_ready(node: Manifest) -> bool:
    """Whether pods can go to a node: it says that it is ready, and the controllers have seen it."""
    says = any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"].get("conditions", []))
    return says and all(taint["key"] != "node.kubernetes.io/not-ready" for taint in node["spec"].get("taints", []))


def listing(nodes: Sequence[Manifest]) -> str:
    """Several manifests as one document for `kubectl create -f -`."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(nodes)})


def _gpu_labels(kind: Kind) -> dict[str, str]:
    labels = {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": kind.product,
        "nvidia.com/gpu.count": str(kind.gpus),
    }
    if kind.product in _PRODUCTS:
        memory, family = _PRODUCTS[kind.product]
        labels |= {"nvidia.com/gpu.memory": str(memory), "nvidia.com/gpu.family": family}
    return labels
