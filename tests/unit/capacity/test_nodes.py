from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgen.capacity.nodes import Node, matches, places, rejection, tolerates, used_by_node
from tests.unit.capacity.made import Object, node, pod, read

GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
amounts = st.fixed_dictionaries({"cpu": st.integers(0, 5), "gpu": st.integers(0, 4), "pods": st.integers(0, 4)})


def brute(nodes: list[dict[str, int]], need: dict[str, int]) -> int:
    """The most pods that can be placed, by trying every number on every node."""

    def holds(room: dict[str, int], number: int) -> bool:
        return all(number * need[name] <= room[name] for name in need)

    most = 0
    for numbers in itertools.product(range(5), repeat=len(nodes)):
        if all(holds(room, number) for room, number in zip(nodes, numbers, strict=True)):
            most = max(most, sum(numbers))
    return most


@given(st.lists(st.tuples(amounts, amounts), max_size=3), st.integers(0, 3), st.integers(0, 2))
def test_as_many_fit_as_trying_everything_finds(
    nodes: list[tuple[dict[str, int], dict[str, int]]], cpu: int, gpu: int
) -> None:
    need = {"cpu": cpu, "gpu": gpu, "pods": 1}
    made = [
        Node(f"n{i}", {}, (), {k: v * 1000 for k, v in have.items()}, {k: v * 1000 for k, v in used.items()})
        for i, (have, used) in enumerate(nodes)
    ]
    found = places(made, pod({"cpu": str(cpu), "gpu": str(gpu)}))
    empty = [have for have, _ in nodes]
    assert found.free == brute(empty, need)
    able = [(have, used) for have, used in nodes if brute([have], need)]
    assert len(found.suitable) == len(able)
    rest = [{name: have[name] - used[name] for name in have} for have, used in able]
    assert found.now == brute([room for room in rest if min(room.values()) >= 0], need) or any(
        min(room.values()) < 0 for room in rest
    )


def test_resources_of_different_nodes_make_no_place() -> None:
    nodes = read(node("a", cpu="8", gpu="1"), node("b", cpu="1", gpu="8"))
    found = places(nodes, pod({"cpu": "4", "nvidia.com/gpu": "4"}))
    assert (found.free, found.suitable) == (0, ())
    assert found.rejected == {"is too small in nvidia.com/gpu": 1, "is too small in cpu": 1}


def test_the_number_of_pods_is_a_resource() -> None:
    assert places(read(node(pods="3", gpu="8")), pod({"nvidia.com/gpu": "1"})).free == 3


def test_pods_that_run_take_place_where_they_are() -> None:
    running = [{"spec": {**pod({"cpu": "3"}), "nodeName": "a"}}, {"spec": pod({"cpu": "8"})}]
    used = used_by_node(running)
    assert used == {"a": {"cpu": 3000, "pods": 1000}}, "what waits for a node uses none"
    nodes = [Node.of(node("a"), used["a"]), Node.of(node("b"), {})]
    found = places(nodes, pod({"cpu": "4"}))
    assert (found.now, found.free, found.suitable) == (3, 4, ("a", "b"))


def test_a_node_that_is_used_beyond_what_it_has_takes_nothing() -> None:
    assert places([Node.of(node(cpu="2"), {"cpu": 3000})], pod({"cpu": "1"})).now == 0


@pytest.mark.parametrize(
    ("operator", "values", "labels", "expected"),
    [
        ("In", ["a", "b"], {"k": "b"}, True),
        ("In", ["a", "b"], {"k": "c"}, False),
        ("In", ["a"], {}, False),
        ("NotIn", ["a"], {"k": "b"}, True),
        ("NotIn", ["a"], {"k": "a"}, False),
        ("NotIn", ["a"], {}, True),
        ("Exists", [], {"k": ""}, True),
        ("Exists", [], {}, False),
        ("DoesNotExist", [], {"k": "a"}, False),
        ("DoesNotExist", [], {}, True),
        ("Gt", ["40000"], {"k": "81559"}, True),
        ("Gt", ["81559"], {"k": "81559"}, False),
        ("Gt", ["9"], {"k": "10"}, True),
        ("Gt", ["1"], {}, False),
        ("Gt", ["1"], {"k": "big"}, False),
        ("Lt", ["9"], {"k": "8"}, True),
        ("Lt", ["9"], {"k": "10"}, False),
        ("Lt", ["9"], {}, False),
        ("Near", ["9"], {"k": "9"}, False),
    ],
)
def test_operators_of_node_affinity(operator: str, values: list[str], labels: dict[str, str], expected: bool) -> None:
    assert matches(labels, {"key": "k", "operator": operator, "values": values}) is expected


def affinity(*terms: Object) -> Object:
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}


def expression(key: str, *values: str) -> Object:
    return {"key": key, "operator": "In", "values": list(values)}


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ([{"matchExpressions": [expression("a", "1"), expression("b", "2")]}], True),
        ([{"matchExpressions": [expression("a", "1"), expression("b", "3")]}], False),
        ([{"matchExpressions": [expression("b", "3")]}, {"matchExpressions": [expression("a", "1")]}], True),
        ([{"matchFields": [expression("metadata.name", "n")]}], True),
        ([{"matchFields": [expression("metadata.name", "m")], "matchExpressions": [expression("a", "1")]}], False),
        ([{}], False),
    ],
)
def test_terms_are_alternatives_and_a_term_is_all_of_its_expressions(terms: list[Object], expected: bool) -> None:
    (made,) = read(node("n", {"a": "1", "b": "2"}))
    assert (rejection(made, pod(affinity=affinity(*terms))) == "") is expected


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "nvidia.com/gpu", "value": "present"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Equal", "value": "absent"}, False),
        ({"key": "nvidia.com/gpu"}, False),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_tolerations(toleration: Object, expected: bool) -> None:
    assert tolerates(toleration, GPU_TAINT) is expected


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (node(taints=[GPU_TAINT]), "has the taint nvidia.com/gpu=present:NoSchedule"),
        (node(taints=[{**GPU_TAINT, "effect": "PreferNoSchedule"}]), ""),
        (node() | {"spec": {"unschedulable": True}}, "has the taint node.kubernetes.io/unschedulable:NoSchedule"),
        (node(), ""),
    ],
)
def test_taints_keep_a_pod_away(made: Object, reason: str) -> None:
    (found,) = read(made)
    assert rejection(found, pod()) == reason


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"nodeSelector": {"zone": "b"}}, "lacks the label zone=b"),
        ({"nodeSelector": {"zone": "a"}}, ""),
        ({"nodeName": "other"}, "is not other"),
        (
            {"affinity": affinity({"matchExpressions": [expression("zone", "b", "c")]})},
            "does not match the node affinity (zone In b, c)",
        ),
    ],
)
def test_selectors_keep_a_pod_away(spec: dict[str, Any], reason: str) -> None:
    (found,) = read(node(labels={"zone": "a"}))
    assert rejection(found, pod(**spec)) == reason
