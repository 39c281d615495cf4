"""Which accelerators a cluster's nodes have, by product and by how they are shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kgen.capacity.nodes import Node

_PRODUCT: Final = {
    "nvidia.com": "nvidia.com/gpu.product",
    "amd.com": "amd.com/gpu.product-name",
    "gpu.intel.com": "gpu.intel.com/product",
    "google.com": "cloud.google.com/gke-tpu-accelerator",
}
"""Domain of a resource → the label that says what it is."""
_SHARING: Final = "nvidia.com/gpu.sharing-strategy"
_WORDS: Final = ("gpu", "tpu", "npu", "neuron", "gaudi")


@dataclass(frozen=True, slots=True)
class Pool:
    """Accelerators that are alike."""

    resource: str
    """As a pod asks for it: ``nvidia.com/gpu``, ``nvidia.com/mig-1g.10gb``, ``amd.com/gpu``."""
    product: str
    """Empty where no label says it."""
    sharing: str
    """``time-slicing`` or ``mps``; empty where a device is one pod's alone."""
    nodes: int
    total: int
    free: int
    """Not asked for by the pods that are there, on nodes that take pods at all."""


def is_accelerator(resource: str) -> bool:
    """Whether trials could train on it.

    >>> is_accelerator("nvidia.com/mig-1g.10gb"), is_accelerator("rdma/hca"), is_accelerator("gpu.intel.com/i915")
    (True, False, True)
    """
    domain, slash, name = resource.partition("/")
    return bool(slash) and (
        domain.startswith("gpu.") or name.startswith("mig-") or any(word in name for word in _WORDS)
    )


def pools(nodes: Sequence[Node]) -> list[Pool]:
    """The accelerators of these nodes, the most first."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for node in nodes:
        for resource, amount in node.allocatable.items():
            if amount and is_accelerator(resource):
                domain = resource.partition("/")[0]
                sharing = node.labels.get(_SHARING, "none") if domain == "nvidia.com" else "none"
                key = (resource, node.labels.get(_PRODUCT.get(domain, ""), ""), sharing.replace("none", ""))
                free = 0 if _is_closed(node) else max(0, amount - node.used.get(resource, 0))
                counts = found.setdefault(key, [0, 0, 0])
                for i, more in enumerate((1, amount // 1000, free // 1000)):
                    counts[i] += more
    return sorted((Pool(*key, *counts) for key, counts in found.items()), key=lambda pool: (-pool.total, pool.resource))


def _is_closed(node: Node) -> bool:
    return any(taint["key"].startswith("node.kubernetes.io/") for taint in node.taints)
