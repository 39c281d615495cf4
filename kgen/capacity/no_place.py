"""Why no node can ever hold a trial, and what would do instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kgen.capacity import pod as pods
from kgen.capacity.finding import RESOURCES, FieldPath, Finding, refuse, warn
from kgen.capacity.nodes import Node, Places, affinity_terms, taint_words, unselected, untolerated, words
from kgen.capacity.quantity import show

Object = Mapping[str, Any]

_GPU_LABELS: Final = {
    "nvidia.com/gpu.product": "product",
    "nvidia.com/gpu.family": "family",
    "nvidia.com/gpu.memory": "memory",
    "nvidia.com/gpu.replicas": "sharing",
    "nvidia.com/gpu.sharing-strategy": "sharing",
}
_SHOWN: Final = 5
_TRANSIENT: Final = "node.kubernetes.io/"
"""Prefix of the taints of nodes that are cordoned, not ready or short of something for a while."""


def explain(nodes: Sequence[Node], spec: Object, found: Places, *, may_grow: bool) -> Finding | None:
    """The reason where ``found`` has no suitable node; a warning only where that may change by itself: nodes that come
    back, or are added by something."""
    if found.suitable:
        return None
    selected = [node for node in nodes if not unselected(node, spec)]
    taking = [node for node in selected if not untolerated(node, spec)]
    field: FieldPath
    lacking = next((n for n in pods.requests(spec) if not any(node.allocatable.get(n) for node in nodes)), None)
    if not nodes:
        field, what, allowed = (), "the cluster has no nodes", "some that can hold a trial"
    elif lacking is not None:  # before taints and labels: nodes with another vendor's GPUs are no help
        field, what, allowed = _size(nodes, spec)
    elif taking:
        field, what, allowed = _size(taking, spec)
    elif selected:
        taints = Counter(taint_words(untolerated(node, spec) or {}) for node in selected)
        away = sum(number for taint, number in taints.items() if taint.startswith(_TRANSIENT))
        if away:
            first = next(taint for taint in taints if taint.startswith(_TRANSIENT))
            what = f"{_count(away)} that could take a trial can't now: {first}"
            return warn((), what, "trials wait until that has changed")
        taint, number = taints.most_common(1)[0]
        field, what = ("kubernetes", "tolerations"), f"none for the taint {taint}"
        allowed = f"one for it: it is on {_count(number)} of {len(selected)} that trials may choose"
    else:
        field, what, allowed = _selection(nodes, spec)
    if may_grow:
        return warn(field, what, f"{allowed}; or trials wait until something adds a node that takes them")
    return refuse(field, what, allowed)


def _size(taking: Sequence[Node], spec: Object) -> tuple[FieldPath, str, str]:
    need = pods.requests(spec)
    for name, amount in need.items():
        biggest = max(taking, key=lambda node: node.allocatable.get(name, 0))
        most = biggest.allocatable.get(name, 0)
        if not most:
            allowed = (
                f"a resource that nodes have: none that takes the pod has any {name} (is its device plugin there?)"
            )
            return (*RESOURCES, name), f"{show(name, amount)} of {name}", allowed
        if amount > most:
            allowed = f"at most {show(name, most)}, which {biggest.name}, the largest of {_count(len(taking))}, has"
            return (*RESOURCES, name), f"{show(name, amount)} of {name}", allowed
    together = ", ".join(f"{show(name, amount)} {name}" for name, amount in need.items())
    return (
        RESOURCES,
        together,
        f"less: each is there on some node, but no one of {_count(len(taking))} has them together",
    )


def _count(number: int) -> str:
    return "1 node" if number == 1 else f"{number:,} nodes"


def _selection(nodes: Sequence[Node], spec: Object) -> tuple[FieldPath, str, str]:
    """What to say where no node has the labels that the pod asks for."""
    if spec.get("nodeName"):
        return ("kubernetes", "template"), f"nodeName {spec['nodeName']}", "the name of a node that is there"
    for key, value in (spec.get("nodeSelector") or {}).items():
        if not any(node.labels.get(key) == value for node in nodes):
            return _label_field(key, ("kubernetes", "node_selector", key)), f"{key}={value}", _there(nodes, key)
    terms = affinity_terms(spec) or ()
    keys = {each["key"] for term in terms for each in term.get("matchExpressions") or ()}
    if len(keys) == 1:
        (key,) = keys
        return _label_field(key, ("kubernetes", "affinity")), words(terms), _there(nodes, key)
    selector = [f"{key}={value}" for key, value in (spec.get("nodeSelector") or {}).items()]
    wanted = " and ".join(filter(None, [*selector, words(terms)]))
    field = ("kubernetes", "affinity") if terms else ("kubernetes", "node_selector")
    return field, wanted, "labels that some node has together"


def _there(nodes: Sequence[Node], key: str) -> str:
    values = Counter(node.labels[key] for node in nodes if key in node.labels).most_common()
    shown = ", ".join(f"{value} ({_count(number)})" for value, number in values[:_SHOWN])
    more = f" and {len(values) - _SHOWN:,} more" if len(values) > _SHOWN else ""
    return f"what nodes have as {key}: {shown}{more}" if values else f"a label that nodes have: none has {key}"


def _label_field(key: str, otherwise: FieldPath) -> FieldPath:
    return ("kubernetes", "gpu", _GPU_LABELS[key]) if key in _GPU_LABELS else otherwise
