"""What the namespace lets somebody do, and how much: rights, security level, queues, quotas, limits, GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from kgen.backends.kubernetes import access, references
from kgen.backends.kubernetes.access import CLAIMS, NEEDED, Permission
from kgen.backends.kubernetes.failure import ApiError
from kgen.backends.kubernetes.reader import Gone, Reader
from kgen.capacity import gpus
from kgen.capacity.finding import Severity
from kgen.capacity.nodes import Node, used_by_node
from kgen.capacity.quantity import is_bytes, parse, parse_all, show
from kgen.workflow.doctor.model import Check, missing, ok, warning

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

NAMESPACE: Final = "namespace"
SECURITY: Final = "pod security"
RIGHTS: Final = "rights"
GPUS: Final = "gpus"
QUEUE: Final = "queue"
QUOTA: Final = "quota"
LIMITS: Final = "limits"
CHECKS: Final = (NAMESPACE, SECURITY, RIGHTS, GPUS, QUEUE, QUOTA, LIMITS)
_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
_LEVELS: Final = ("privileged", "baseline", "restricted")
_FOR_READING: Final = "kubectl apply -f manifests/rbac-planner.yaml, by an administrator"
_ROLE: Final = "ask for a Role with it, such as the one in manifests/rbac.yaml or in the chart"

Object = Mapping[str, Any]


def namespace(reader: Reader, name: str) -> Iterator[Check]:
    """Whether it is there, and which pods it lets in. The last check says whether it is worth to go on."""
    found = reader.get(f"/api/v1/namespaces/{name}", f"namespace {name}")
    if found is Gone.ABSENT:
        yield missing(NAMESPACE, f"{name} is not there", f"kubectl create namespace {name}, or another with -n")
    elif isinstance(found, Gone):
        yield warning(NAMESPACE, f"whether {name} is there is not known: it may not be read", _ROLE)
    elif (found.get("status") or {}).get("phase") == "Terminating":
        fix = f"wait, then kubectl create namespace {name}; or another with -n"
        yield missing(NAMESPACE, f"{name} is being deleted", fix)
    else:
        yield ok(NAMESPACE, f"{name} is there")
        yield _security(found)


def _security(namespace: Object) -> Check:
    level = (namespace["metadata"].get("labels") or {}).get(_ENFORCE, "")
    if level not in _LEVELS:
        return ok(SECURITY, "no level is enforced; kgen's pods meet the strictest, restricted")
    return ok(SECURITY, f"{level} is enforced; kgen's pods meet the strictest, restricted")


def rights(api: Api, namespace: str, *, needs_claims: bool) -> Iterator[Check]:
    """A line per group of commands; ``needs_claims``: whether the sweep's results lie in one."""
    try:
        lacking = access.lacking(api, namespace)
    except ApiError as error:
        if error.status != 403:
            raise
        yield warning(RIGHTS, f"not known: the cluster does not tell them ({error.message})", "ask an administrator")
        return
    who = access.user(api)
    for command, needed in NEEDED.items():
        words = [permission for permission in needed if permission in lacking]
        if not words:
            yield ok(RIGHTS, f"{who} may do what kgen {command} needs")
            continue
        is_needed = command == "submit" or (command == CLAIMS and needs_claims)
        found = f"{who} lacks what kgen {command} needs: {told(words)}"
        yield (missing if is_needed else warning)(RIGHTS, found, _ROLE)


def told(permissions: Sequence[Permission]) -> str:
    """Permissions in short: ``jobs.batch create get, pods list``."""
    verbs: dict[str, list[str]] = {}
    for permission in permissions:
        verbs.setdefault(str(permission).partition(":")[0], []).append(permission.verb)
    return ", ".join(f"{resource} {' '.join(each)}" for resource, each in verbs.items())


def accelerators(api: Api, *, wanted: bool) -> Iterator[Check]:
    """A line per kind; ``wanted``: whether there should be one."""
    reader = Reader(api)
    objects = reader.all("/api/v1/nodes", "nodes", "")
    if objects is None:
        found = "not known: nodes may not be read, so no plan says whether trials fit, and until when"
        yield warning(GPUS, found, _FOR_READING)
        return
    pods = reader.all("/api/v1/pods", "pods", "", fieldSelector="status.phase!=Succeeded,status.phase!=Failed")
    used = used_by_node(pods or [])
    nodes = [Node.of(node, used.get(node["metadata"]["name"], {})) for node in objects]
    found_pools = gpus.pools(nodes)
    for pool in found_pools:
        what = f"{pool.product or 'of a product that no label names'} ({pool.resource})"
        shared = f", shared by {pool.sharing}: no objective in seconds takes them" if pool.sharing else ""
        free = "how many are free is not known" if pods is None else f"{pool.free:,} free"
        where = f"on {pool.nodes:,} node{'s' * (pool.nodes != 1)}"
        yield ok(GPUS, f"{pool.total:,} {what} {where}, {free}{shared}")
    if not found_pools:
        found = f"none on {len(nodes):,} node{'s' * (len(nodes) != 1)}"
        fix = "a device plugin on the nodes; or kubernetes.resources: {nvidia.com/gpu: 0}, to train on CPUs"
        yield warning(GPUS, found, fix) if wanted else ok(GPUS, f"{found}, and none is asked for")


def queue(reader: Reader, namespace: str, name: str) -> Iterator[Check]:
    """Kueue's queue of that name; without a name what there is."""
    if name:
        states = {Severity.REFUSE: missing, Severity.WARN: warning, Severity.NOTE: ok}
        for finding in references.local_queue(reader, namespace, name):
            at = "kubernetes.queue: " if finding.field else ""
            yield states[finding.severity](QUEUE, f"{at}{finding.found}", finding.allowed)
        return
    group = reader.get("/apis/kueue.x-k8s.io", "Kueue's API")
    if isinstance(group, Gone):
        yield ok(QUEUE, "none: the cluster has no Kueue, and starts Jobs as they fit")
        return
    path = f"/apis/{group['preferredVersion']['groupVersion']}/namespaces/{namespace}/localqueues"
    found = reader.all(path, "LocalQueues", "")
    if found is None:
        yield ok(QUEUE, "Kueue is there; which queues there are may not be listed")
    elif found:
        names = ", ".join(sorted(each["metadata"]["name"] for each in found))
        yield ok(QUEUE, f"Kueue is there, with LocalQueue {names}: kubernetes.queue chooses one")
    else:
        yield ok(QUEUE, f"Kueue is there, without a LocalQueue in namespace {namespace}")


def quotas(reader: Reader, namespace: str) -> Iterator[Check]:
    """What ResourceQuotas leave."""
    found = reader.all(f"/api/v1/namespaces/{namespace}/resourcequotas", "resourcequotas", "")
    if found is None:
        yield warning(QUOTA, "not known: ResourceQuotas may not be read", _ROLE)
        return
    if not found:
        yield ok(QUOTA, f"none in namespace {namespace}")
    for each in found:
        hard, used = each["spec"].get("hard") or {}, parse_all((each.get("status") or {}).get("used"))
        left = {name: (used.get(name, 0), parse(most)) for name, most in hard.items()}
        words = ", ".join(f"{name} {_show(name, now)} of {_show(name, most)}" for name, (now, most) in left.items())
        full = [name for name, (now, most) in left.items() if now >= most]
        text = f"ResourceQuota {each['metadata']['name']} uses {words or 'nothing'}"
        if full:
            fix = "finished Jobs count too: kgen delete what is no longer needed; or have it enlarged"
            yield warning(QUOTA, f"{text}; nothing is left of {', '.join(full)}", fix)
        else:
            yield ok(QUOTA, text)


def _show(resource: str, amount: int) -> str:
    return show("memory" if is_bytes(resource) else resource, amount)


def limits(reader: Reader, namespace: str) -> Iterator[Check]:
    """What LimitRanges add to and forbid of pods."""
    found = reader.all(f"/api/v1/namespaces/{namespace}/limitranges", "limitranges", "")
    if found is None:
        yield warning(LIMITS, "not known: LimitRanges may not be read", _ROLE)
        return
    if not found:
        yield ok(LIMITS, f"no LimitRange in namespace {namespace}")
    for each in found:
        parts = [
            f"{kind} of a {str(item.get('type', '?')).lower()} {name} {amount}"
            for item in each["spec"].get("limits") or ()
            for kind in ("min", "max", "default", "defaultRequest")
            for name, amount in (item.get(kind) or {}).items()
        ]
        yield ok(LIMITS, f"LimitRange {each['metadata']['name']}: {', '.join(parts) or 'nothing'}")
