"""Why the scheduler finds no node for a pod, from its own message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kgen.status import read
from kgen.status.model import Object, Reason
from kgen.status.pods import Pod

_HEAD: Final = re.compile(r"0/(\d{1,9}) nodes are available(?::\s*|\.?\s*$)")
_PREEMPTION: Final = re.compile(r"(?:^|[.,;]?\s+)(?:no new claims to deallocate,? ?)?preemption: ")
_PART: Final = re.compile(r",\s+(?=\d+ )")
_COUNTED: Final = re.compile(r"(\d{1,9}) (.+)", re.DOTALL)
_NOT_HELPFUL: Final = re.compile(r"(\d{1,9}) Preemption is not helpful for scheduling")
_INSUFFICIENT: Final = re.compile(r"Insufficient (\S+)")
_TAINT: Final = re.compile(
    r"node\(s\) had (?:untolerated )?taints?(?:\(s\))?(?: \{([^}]*)\})?(?:, that the pod.*)?", re.DOTALL
)
_NO_CLAIM: Final = re.compile(
    r"persistentvolumeclaim \"([^\"]+)\" (not found|is being deleted|bound to non-existent.*)"
)
_NO_DEVICE_CLAIM: Final = re.compile(
    r"resourceclaim(?:template)? ?\"?([^\s\"]+)\"? not found|waiting for .*resource ?claim"
)
_UNBOUND: Final = "unbound immediate PersistentVolumeClaims"

# Taints that Kubernetes itself puts on a node that is unwell, and takes away again.
_UNWELL: Final = {
    "node.kubernetes.io/not-ready": "not ready",
    "node.kubernetes.io/unreachable": "unreachable",
    "node.kubernetes.io/unschedulable": "closed to new pods",
    "node.kubernetes.io/memory-pressure": "short of memory",
    "node.kubernetes.io/disk-pressure": "short of disk",
    "node.kubernetes.io/pid-pressure": "short of processes",
    "node.kubernetes.io/network-unavailable": "without a network",
    "node.cloudprovider.kubernetes.io/uninitialized": "not initialized yet",
}
# What the scheduler says of a number of nodes → what follows that number here, for one and for several.
_OTHER: Final = [
    (r"node\(s\) were unschedulable", "is closed to new pods", "are closed to new pods"),
    (r"node\(s\) were not ready", "is not ready", "are not ready"),
    (r"Too many pods", "takes no more pods", "take no more pods"),
    (r"node\(s\) had volume node affinity conflict", "can't reach its volume", "can't reach its volume"),
    (r"node\(s\) exceed max volume count", "has as many volumes as it can", "have as many volumes as they can"),
    (r"node\(s\) didn't find available persistent volumes", "has no volume for it", "have no volume for it"),
    (
        r"(?:node\(s\) )?cannot allocate all claims",
        "can't serve its resource claims",
        "can't serve its resource claims",
    ),
    (r"node\(s\) didn't match pod (?:anti-)?affinity", "is ruled out by pod affinity", "are ruled out by pod affinity"),
    (r"node\(s\) didn't have free ports", "has its ports in use", "have their ports in use"),
]


@dataclass(frozen=True, slots=True)
class Place:
    """Why there is none."""

    reason: Reason
    words: str
    hopeless: bool = False


def why_no_node(pod: Pod, message: str, events: Sequence[Object] = ()) -> Place:
    """What the scheduler's message means for this pod; the message itself where it has no known form."""
    growing = any(
        read.text(each, "reason") == "TriggeredScaleUp" and read.text(each, "involvedObject", "name") == pod.name
        for each in events
    )
    if found := _NO_CLAIM.search(message):
        gone = "is not in this namespace" if found[2] == "not found" else read.line(found[2], 100)
        return Place(Reason.VOLUME, f"PersistentVolumeClaim {read.line(found[1])} {gone}")
    if _UNBOUND in message:
        return Place(Reason.VOLUME, "a PersistentVolumeClaim of its pod is not bound to a volume yet")
    if found := _NO_DEVICE_CLAIM.search(message):
        claim = (
            f"ResourceClaim {read.line(found[1], 100)} is not there" if found[1] else "its ResourceClaim is not there"
        )
        return Place(Reason.UNSCHEDULABLE, f"{claim} yet")
    if message.startswith("no nodes available"):
        words, hopeless = "the cluster has no nodes", False
    else:
        words, hopeless = _explained(pod, message)
    if growing:
        return Place(Reason.UNSCHEDULABLE, f"{words}; the autoscaler is adding a node")
    return Place(Reason.UNSCHEDULABLE, words, hopeless)


def _explained(pod: Pod, message: str) -> tuple[str, bool]:
    fallback = read.line(message) or "the scheduler finds no node for it"
    head = _HEAD.search(message)
    if not head:
        return fallback, False
    total = int(head[1])
    causes, _, preemption = _split_at_preemption(message[head.end() :])
    parts = [part.split(". ")[0].strip(" .") for part in _PART.split(causes)]
    counted = [found for part in parts if (found := _COUNTED.fullmatch(part))]
    if not counted or len(counted) < len(parts):
        return fallback, False
    # Of a node that lacks what is asked for altogether, the scheduler says that preemption does not help.
    helpless = sum(int(found[1]) for found in _NOT_HELPFUL.finditer(preemption)) >= total > 0
    words, lasting = [], helpless
    for found in counted:
        said, lasts = _of_nodes(pod, int(found[1]), found[2], helpless)
        words.append(said)
        lasting = lasting and lasts
    if total == 1:
        return f"the one node {read.listed([said.removeprefix('1 ') for said in words])}", lasting
    return f"none of {total} nodes fits: {read.listed(words)}", lasting


def _split_at_preemption(rest: str) -> tuple[str, str, str]:
    found = _PREEMPTION.search(rest)
    return (rest[: found.start()], found.group(), rest[found.end() :]) if found else (rest, "", "")


def _of_nodes(pod: Pod, number: int, cause: str, helpless: bool) -> tuple[str, bool]:
    """Words for a number of nodes, and whether this will stay so."""
    has, lacks, are = ("has", "lacks", "is") if number == 1 else ("have", "lack", "are")
    if found := _INSUFFICIENT.fullmatch(cause):
        resource = read.line(found[1])
        amount = requests(pod.object).get(found[1])
        free = "" if helpless else " free"
        wanted = f"less than {resource}: {amount}" if amount else f"too little {resource}"
        return f"{number} {has} {wanted}{free}", helpless
    if found := _TAINT.fullmatch(cause):
        key, _, value = (found[1] or "").partition(": ")
        if unwell := _UNWELL.get(key.strip()):
            return f"{number} {are} {unwell}", False
        # Newer schedulers do not say which, so it may be one that goes away.
        named = f" ({read.line(f'{key}={value}' if value.strip() else key)})" if key.strip() else ""
        return f"{number} {has} a taint that it does not tolerate{named}", bool(named)
    if "didn't match Pod's node affinity/selector" in cause or "didn't match node selector" in cause:
        wanted = _selector_words(pod.object)
        return f"{number} {lacks} the labels that it asks for{wanted}", True
    for pattern, one, several in _OTHER:
        if re.match(pattern, cause):
            return f"{number} {one if number == 1 else several}", False
    return f"{number} {read.line(cause.removeprefix('node(s) '))}", False


def _selector_words(pod: Object) -> str:
    wanted = read.mapping(pod, "spec", "nodeSelector")
    pairs = [f"{key}={value}" for key, value in wanted.items() if isinstance(value, str)]
    return f" ({read.line(', '.join(pairs))})" if pairs else ""


def requests(pod: Object) -> Mapping[str, str]:
    """What one container of a pod asks for; of a resource that several ask for, the sum in words."""
    asked: dict[str, list[str]] = {}
    for container in read.items(pod, "spec", "containers"):
        for name, amount in read.mapping(container, "resources", "requests").items():
            if isinstance(amount, str | int):
                asked.setdefault(name, []).append(read.line(str(amount), 30))
    return {name: " + ".join(amounts) for name, amounts in asked.items()}
