"""Accelerators by product: what the labels of the vendors' feature discovery say."""

from __future__ import annotations

import pytest

from kgen.capacity.gpus import Pool, is_accelerator, pools
from kgen.capacity.nodes import Node

PRODUCT, SHARING = "nvidia.com/gpu.product", "nvidia.com/gpu.sharing-strategy"


def node(name: str, allocatable: dict[str, int], labels: dict[str, str], used: int = 0) -> Node:
    thousandths = {resource: amount * 1000 for resource, amount in allocatable.items()}
    return Node(name, labels, (), thousandths, dict.fromkeys(allocatable, used * 1000))


@pytest.mark.parametrize(
    "resource",
    ["nvidia.com/gpu", "nvidia.com/mig-3g.40gb", "amd.com/gpu", "gpu.intel.com/i915", "google.com/tpu",
     "aws.amazon.com/neuron", "habana.ai/gaudi", "nvidia.com/gpu.shared"],
)  # fmt: skip
def test_accelerators(resource: str) -> None:
    assert is_accelerator(resource)


@pytest.mark.parametrize("resource", ["cpu", "memory", "rdma/hca", "hugepages-2Mi", "example.com/licence", "gpu"])
def test_other_resources(resource: str) -> None:
    assert not is_accelerator(resource)


def test_alike_ones_are_counted_together() -> None:
    found = pools(
        [
            node("a", {"nvidia.com/gpu": 8, "cpu": 64}, {PRODUCT: "H100"}, used=3),
            node("b", {"nvidia.com/gpu": 8, "cpu": 64}, {PRODUCT: "H100"}),
            node("c", {"nvidia.com/gpu": 16}, {PRODUCT: "H100", SHARING: "mps"}),
            node("d", {"nvidia.com/gpu": 4}, {PRODUCT: "L4", SHARING: "none"}),
            node("e", {"amd.com/gpu": 2}, {"amd.com/gpu.product-name": "MI300X"}),
            node("f", {"cpu": 64}, {}),
        ]
    )
    assert found == [
        Pool("nvidia.com/gpu", "H100", "", 2, 16, 13),
        Pool("nvidia.com/gpu", "H100", "mps", 1, 16, 16),
        Pool("nvidia.com/gpu", "L4", "", 1, 4, 4),
        Pool("amd.com/gpu", "MI300X", "", 1, 2, 2),
    ]


def test_nodes_that_take_no_pods_have_none_free() -> None:
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    closed = Node("a", {}, (taint,), {"nvidia.com/gpu": 8000}, {})
    own = Node("b", {}, ({"key": "nvidia.com/gpu", "effect": "NoSchedule"},), {"nvidia.com/gpu": 8000}, {})
    assert pools([closed, own]) == [Pool("nvidia.com/gpu", "", "", 2, 16, 8)]
