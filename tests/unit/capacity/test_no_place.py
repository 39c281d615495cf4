from __future__ import annotations

from typing import Any

import pytest

from kgen.capacity.finding import Finding, Severity
from kgen.capacity.no_place import explain
from kgen.capacity.nodes import places
from tests.unit.capacity.made import Object, node, pod, read

H100 = {"nvidia.com/gpu.product": "H100"}


def why(nodes: list[Object], spec: Object, *, may_grow: bool = False) -> Finding:
    known = read(*nodes)
    found = explain(known, spec, places(known, spec), may_grow=may_grow)
    assert found is not None
    return found


def test_nothing_is_said_where_a_node_can_hold_one() -> None:
    nodes = read(node(cpu="1"), node(cpu="8"))
    spec = pod({"cpu": "4"})
    assert explain(nodes, spec, places(nodes, spec), may_grow=False) is None


def test_the_lacking_resource_and_the_largest_node_are_named() -> None:
    found = why([node("small", gpu="4"), node("big", gpu="8")], pod(limits={"nvidia.com/gpu": "9"}))
    assert found.severity is Severity.REFUSE
    assert found.field == ("kubernetes", "resources", "nvidia.com/gpu")
    assert found.found == "9 of nvidia.com/gpu"
    assert found.allowed == "at most 8, which big, the largest of 2 nodes, has"


def test_nodes_that_would_not_take_the_pod_are_not_the_largest() -> None:
    tainted = node("huge", gpu="16", taints=[{"key": "reserved", "effect": "NoSchedule"}])
    assert "at most 8, which ours" in why([tainted, node("ours", gpu="8")], pod({"nvidia.com/gpu": "9"})).allowed


def test_a_resource_that_no_node_has_is_said_to_be_so() -> None:
    found = why([node(), node()], pod({"amd.com/gpu": "1"}))
    assert found.field == ("kubernetes", "resources", "amd.com/gpu")
    assert "none that takes the pod has any amd.com/gpu" in found.allowed


def test_resources_that_are_never_together() -> None:
    found = why([node(cpu="64"), node(gpu="8")], pod({"cpu": "32", "nvidia.com/gpu": "1"}))
    assert found.field == ("kubernetes", "resources")
    assert found.found == "32 cpu, 1 nvidia.com/gpu"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"nodeSelector": {"zone": "x"}},
            "kubernetes.node_selector.zone: zone=x; what nodes have as zone: a (2 nodes), b (1 node)",
        ),
        (
            {"nodeSelector": {"disk": "x"}},
            "kubernetes.node_selector.disk: disk=x; a label that nodes have: none has disk",
        ),
        (
            {"nodeSelector": {"nvidia.com/gpu.product": "A100"}},
            "kubernetes.gpu.product: nvidia.com/gpu.product=A100; "
            "what nodes have as nvidia.com/gpu.product: H100 (3 nodes)",
        ),
        (
            {"nodeSelector": {"zone": "b", "rack": "1"}},
            "kubernetes.node_selector: zone=b and rack=1; labels that some node has together",
        ),
        ({"nodeName": "x"}, "kubernetes.template: nodeName x; the name of a node that is there"),
    ],
)
def test_the_label_that_nodes_lack_and_those_they_have(spec: dict[str, Any], words: str) -> None:
    nodes = [node(labels={"zone": zone, "rack": rack, **H100}) for zone, rack in ("a1", "a2", "b2")]
    assert str(why(nodes, pod(**spec))) == words


def test_an_affinity_that_no_node_matches() -> None:
    terms = [{"matchExpressions": [{"key": "nvidia.com/gpu.product", "operator": "In", "values": ["A100"]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    found = why([node(labels=H100)], pod(affinity={"nodeAffinity": required}))
    assert found.field == ("kubernetes", "gpu", "product")
    assert found.found == "nvidia.com/gpu.product In A100"
    assert found.allowed == "what nodes have as nvidia.com/gpu.product: H100 (1 node)"


def test_of_the_nodes_that_are_selected_the_commonest_taint_is_named() -> None:
    ours = {"team": "ours"}
    nodes = [
        node(labels=ours, taints=[{"key": "a", "value": "b", "effect": "NoSchedule"}]),
        node(labels=ours, taints=[{"key": "a", "value": "b", "effect": "NoSchedule"}]),
        node(labels=ours, taints=[{"key": "c", "effect": "NoExecute"}]),
        *(node(taints=[{"key": "others", "effect": "NoSchedule"}]) for _ in range(5)),
    ]
    found = why(nodes, pod(nodeSelector=ours))
    assert found.severity is Severity.REFUSE
    assert str(found) == (
        "kubernetes.tolerations: none for the taint a=b:NoSchedule; "
        "one for it: it is on 2 nodes of 3 that trials may choose"
    )


@pytest.mark.parametrize("key", ["unschedulable", "not-ready", "memory-pressure"])
def test_nodes_that_may_come_back_are_only_a_warning(key: str) -> None:
    away = node(taints=[{"key": f"node.kubernetes.io/{key}", "effect": "NoSchedule"}])
    found = why([away, node(taints=[{"key": "a", "effect": "NoSchedule"}])], pod())
    assert found.severity is Severity.WARN


def test_where_nodes_may_be_added_it_is_a_warning() -> None:
    found = why([node(gpu="8")], pod({"nvidia.com/gpu": "9"}), may_grow=True)
    assert found.severity is Severity.WARN
    assert "until something adds a node" in found.allowed
    assert why([], pod(), may_grow=True).found == "the cluster has no nodes"
