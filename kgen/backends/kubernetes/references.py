"""The cluster's objects that a trial's pod refers to by name: are they there, and what do they mean for it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kgen.backends.kubernetes.reader import Gone, Reader
from kgen.capacity.finding import FieldPath, Finding, note, refuse, warn

Object = Mapping[str, Any]

_KUEUE: Final = "/apis/kueue.x-k8s.io"


def service_account(reader: Reader, namespace: str, spec: Object) -> Iterator[Finding]:
    """The pod's service account, where it names another than the default one."""
    name = spec.get("serviceAccountName")
    if (
        name
        and reader.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}", f"service account {name}")
        is Gone.ABSENT
    ):
        found = f"{name}, which is not in namespace {namespace}"
        yield refuse(
            ("kubernetes", "service_account"), found, f"kubectl create serviceaccount {name} -n {namespace}, or another"
        )


def priority_class(reader: Reader, spec: Object) -> Iterator[Finding]:
    """The pod's priority class."""
    name = spec.get("priorityClassName")
    if (
        name
        and reader.get(f"/apis/scheduling.k8s.io/v1/priorityclasses/{name}", f"priority class {name}") is Gone.ABSENT
    ):
        allowed = "one that kubectl get priorityclasses lists"
        yield refuse(("kubernetes", "priority_class"), f"{name}, which the cluster does not have", allowed)


def runtime_class(reader: Reader, spec: Object) -> tuple[list[Finding], Mapping[str, Any]]:
    """The pod's runtime class, and the overhead that it adds to each pod."""
    name = spec.get("runtimeClassName")
    if not name:
        return [], {}
    found = reader.get(f"/apis/node.k8s.io/v1/runtimeclasses/{name}", f"runtime class {name}")
    if found is Gone.ABSENT:
        allowed = "one that kubectl get runtimeclasses lists"
        return [refuse(("kubernetes", "runtime_class"), f"{name}, which the cluster does not have", allowed)], {}
    return [], ((found.get("overhead") or {}).get("podFixed") or {}) if not isinstance(found, Gone) else {}


def claims(reader: Reader, namespace: str, spec: Object, results: str, nodes: int | None) -> Iterator[Finding]:
    """The claims among the pod's volumes. ``results`` is the one that rows are written to; ``nodes`` how many nodes
    trials may run on, None if not known."""
    for name, read_only in _claims_of(spec).items():
        field: FieldPath = ("results",) if name == results else ("kubernetes", "volumes")
        found = reader.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}", f"claim {name}")
        if found is Gone.ABSENT:
            yield refuse(field, f"the claim {name}, which is not in namespace {namespace}", "a claim that is there")
        elif not isinstance(found, Gone):
            yield from _modes(found, name, field, read_only=read_only, nodes=nodes)


def _claims_of(spec: Object) -> dict[str, bool]:
    """Claims, and whether each is only read."""
    mounts = [mount for each in spec.get("containers") or () for mount in each.get("volumeMounts") or ()]
    found: dict[str, bool] = {}
    for volume in spec.get("volumes") or ():
        if claim := volume.get("persistentVolumeClaim"):
            own = [mount for mount in mounts if mount["name"] == volume["name"]]
            read_only = bool(claim.get("readOnly")) or (bool(own) and all(mount.get("readOnly") for mount in own))
            found[claim["claimName"]] = found.get(claim["claimName"], True) and read_only
    return found


def _modes(claim: Object, name: str, field: FieldPath, *, read_only: bool, nodes: int | None) -> Iterator[Finding]:
    status, spec = claim.get("status") or {}, claim.get("spec") or {}
    modes = status.get("accessModes") or spec.get("accessModes") or []
    if status.get("phase") == "Lost":
        yield refuse(field, f"the claim {name}, which has lost its volume", "a claim that is bound")
    elif "ReadWriteMany" in modes or ("ReadOnlyMany" in modes and read_only):
        return
    elif "ReadWriteOnce" in modes:
        if nodes is None or nodes > 1:
            yield warn(field, f"the claim {name} is ReadWriteOnce: its volume is on one node at a time",
                       "ReadWriteMany or a bucket: trials on other nodes than the first one's would wait")  # fmt: skip
    elif "ReadWriteOncePod" in modes:
        allowed = "ReadWriteMany or a bucket: trials run one after another"
        yield warn(field, f"the claim {name} is ReadWriteOncePod: only one pod has its volume at a time", allowed)
    else:
        yield refuse(field, f"the claim {name}, which can only be read", "one that is ReadWriteMany, or a bucket")


def local_queue(reader: Reader, namespace: str, queue: str) -> Iterator[Finding]:
    """Kueue's queue that Jobs are to wait in."""
    if not queue:
        return
    field = ("kubernetes", "queue")
    group = reader.get(_KUEUE, "Kueue's API")
    if group is Gone.ABSENT:
        yield refuse(field, f"{queue} on a cluster without Kueue: Jobs would stay suspended for ever",
                     "no queue, or Kueue installed on the cluster")  # fmt: skip
    if isinstance(group, Gone):
        return
    path = f"/apis/{group['preferredVersion']['groupVersion']}/namespaces/{namespace}/localqueues/{queue}"
    found = reader.get(path, f"LocalQueue {queue}")
    if found is Gone.ABSENT:
        yield refuse(field, f"{queue}, which is no LocalQueue of namespace {namespace}",
                     f"one that kubectl get localqueues -n {namespace} lists")  # fmt: skip
    elif not isinstance(found, Gone):
        yield from _queue(found, queue)


def _queue(queue: Object, name: str) -> Iterator[Finding]:
    spec, status = queue.get("spec") or {}, queue.get("status") or {}
    cluster_queue, pending = spec.get("clusterQueue", "?"), status.get("pendingWorkloads", 0)
    yield note(f"LocalQueue {name} of ClusterQueue {cluster_queue} decides when trials start; {pending} wait in it now")
    conditions = status.get("conditions") or ()
    inactive = next((c for c in conditions if c.get("type") == "Active" and c.get("status") == "False"), None)
    if inactive:
        why = inactive.get("message") or inactive.get("reason") or "no reason given"
        allowed = "an active one: until then no trial starts"
        yield warn(("kubernetes", "queue"), f"{name}, which is not active: {why}", allowed)
    elif spec.get("stopPolicy", "None") != "None":
        yield warn(("kubernetes", "queue"), f"{name}, which is on hold", "one that is not: until then no trial starts")
