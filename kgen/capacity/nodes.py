"""Which nodes take a pod, and how many such pods at the same time: the scheduler's filters, for pods that are alike.

Not looked at: affinity to other pods, topology spread, host ports and volumes, so what is said here is an upper bound.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kgen.capacity import pod as pods
from kgen.capacity.quantity import Amounts, parse_all, total

Object = Mapping[str, Any]

_POOL: Final = re.compile(r"node-?pool|node-?group|agent-?pool")
_UNSCHEDULABLE: Final = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


@dataclass(frozen=True, slots=True)
class Node:
    """A node as far as capacity goes."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Object, ...]
    """Those that keep pods away; of an unschedulable node that one too."""
    allocatable: Amounts
    used: Amounts
    """Requests of the pods on it that go on using it."""

    @classmethod
    def of(cls, node: Object, used: Amounts) -> Node:
        """From the API's object. Raises ValueError for a quantity that is none."""
        spec = node.get("spec") or {}
        taints = [taint for taint in spec.get("taints") or () if taint["effect"] != "PreferNoSchedule"]
        if spec.get("unschedulable") and not any(taint["key"] == _UNSCHEDULABLE["key"] for taint in taints):
            taints.append(_UNSCHEDULABLE)
        return cls(
            name=node["metadata"]["name"],
            labels=node["metadata"].get("labels") or {},
            taints=tuple(taints),
            allocatable=parse_all((node.get("status") or {}).get("allocatable")),
            used=used,
        )

    @property
    def is_pooled(self) -> bool:
        """Whether it belongs to a group that something else may enlarge."""
        return any(_POOL.search(key.lower()) for key in self.labels)


@dataclass(frozen=True, slots=True)
class Places:
    """Where pods of one kind can go."""

    suitable: tuple[str, ...]
    """Nodes that can hold at least one when nothing else runs on them."""
    now: int
    """Pods at the same time beside what runs now."""
    free: int
    """Pods at the same time when nothing else runs."""
    rejected: Mapping[str, int]
    """Why the other nodes can't ever: reason → how many."""


def used_by_node(running: Iterable[Object]) -> dict[str, dict[str, int]]:
    """Requests of pods that are on a node, and their number, per node."""
    found: dict[str, list[Amounts]] = {}
    for item in running:
        if name := item["spec"].get("nodeName"):
            found.setdefault(name, []).append({**pods.requests(item["spec"]), "pods": 1000})
    return {name: total(parts) for name, parts in found.items()}


def places(nodes: Sequence[Node], spec: Object) -> Places:
    """Where pods of that kind go. Raises ValueError for a quantity that is none."""
    need = {**pods.requests(spec), "pods": 1000}
    rejected: Counter[str] = Counter()
    suitable: list[str] = []
    now = free = 0
    for node in nodes:
        if reason := rejection(node, spec) or _lacks(node, need):
            rejected[reason] += 1
            continue
        suitable.append(node.name)
        free += _fit(node.allocatable, need)
        now += _fit({name: amount - node.used.get(name, 0) for name, amount in node.allocatable.items()}, need)
    return Places(tuple(suitable), now, free, dict(rejected))


def rejection(node: Node, spec: Object) -> str:
    """Why a node does not take the pod whatever its size; empty where it does."""
    if reason := unselected(node, spec):
        return reason
    taint = untolerated(node, spec)
    return f"has the taint {taint_words(taint)}" if taint else ""


def unselected(node: Node, spec: Object) -> str:
    """Why a node is not among those that the pod selects; empty where it is."""
    if spec.get("nodeName") and spec["nodeName"] != node.name:
        return f"is not {spec['nodeName']}"
    for key, value in (spec.get("nodeSelector") or {}).items():
        if node.labels.get(key) != value:
            return f"lacks the label {key}={value}"
    terms = affinity_terms(spec)
    if terms is not None and not any(_matches_term(node, term) for term in terms):
        return f"does not match the node affinity ({words(terms)})"
    return ""


def untolerated(node: Node, spec: Object) -> Object | None:
    """The first taint of a node that keeps the pod away."""
    tolerations = spec.get("tolerations") or ()
    return next((taint for taint in node.taints if not any(tolerates(each, taint) for each in tolerations)), None)


def taint_words(taint: Object) -> str:
    """A taint as kubectl writes it."""
    return f"{taint['key']}{'=' if taint.get('value') else ''}{taint.get('value') or ''}:{taint['effect']}"


def affinity_terms(spec: Object) -> Sequence[Object] | None:
    """The alternatives of the pod's required node affinity; None where it has none."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return None if required is None else required["nodeSelectorTerms"]


def tolerates(toleration: Object, taint: Object) -> bool:
    """Whether a toleration covers a taint; without a key it covers all, without an effect every effect."""
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    same = (toleration.get("value") or "") == (taint.get("value") or "")
    return operator == "Equal" and toleration.get("key") == taint["key"] and same


def _matches_term(node: Node, term: Object) -> bool:
    expressions = term.get("matchExpressions") or []
    fields = term.get("matchFields") or []
    name = {"metadata.name": node.name}
    return bool(expressions or fields) and (
        all(matches(node.labels, each) for each in expressions) and all(matches(name, each) for each in fields)
    )


def matches(labels: Mapping[str, str], expression: Object) -> bool:
    """Whether labels meet one expression of a node selector term; an unknown operator is never met."""
    value = labels.get(expression["key"])
    wanted = expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in wanted
        case "NotIn":
            return value not in wanted
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return _is_less(wanted[0], value)
        case "Lt":
            return _is_less(value, wanted[0])
    return False


def _is_less(small: str | None, large: str | None) -> bool:
    try:
        return small is not None and large is not None and int(small) < int(large)
    except ValueError:
        return False


def words(terms: Sequence[Object]) -> str:
    """Terms of a node affinity in short."""

    def short(each: Object) -> str:
        values = ", ".join(each.get("values") or ())
        return " ".join(filter(None, [each["key"], each["operator"], values]))

    expressions = [[*(t.get("matchExpressions") or ()), *(t.get("matchFields") or ())] for t in terms]
    return " or ".join(" and ".join(map(short, term)) for term in expressions)


def _lacks(node: Node, need: Amounts) -> str:
    lacking = [name for name, amount in need.items() if node.allocatable.get(name, 0) < amount]
    return f"is too small in {' and '.join(sorted(lacking))}" if lacking else ""


def _fit(room: Amounts, need: Amounts) -> int:
    return max(0, min(room.get(name, 0) // amount for name, amount in need.items() if amount))
