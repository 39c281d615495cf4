"""What can be known of a cluster before anything is created on it: will the sweep's Jobs be let in, fit and end, and
when?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from kgen import names
from kgen.backends.kubernetes import access, dry_run, references
from kgen.backends.kubernetes.forecast import Forecast, ShapeFit
from kgen.backends.kubernetes.reader import Gone, Reader
from kgen.backends.kubernetes.shape import Shape, shapes
from kgen.capacity import image, limit_range, no_place, quota
from kgen.capacity import pod as pods
from kgen.capacity.finding import RESOURCES, Finding, Severity, note, refuse, warn
from kgen.capacity.nodes import Node, Places, places, used_by_node
from kgen.capacity.quantity import show
from kgen.sweep.document import parse
from kgen.sweep.sweepspec import Scheme, SweepSpec

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

__all__ = ["Shape", "look", "shapes"]

OLDEST: Final = (1, 31)
"""The server from which podFailurePolicy is stable and podReplacementPolicy on by default."""
_TRIED_SHAPES: Final = 8
"""Jobs of more shapes than these are not all tried on the server: a plan must not take as long as a submit."""

Object = Mapping[str, Any]


def look(
    api: Api,
    shapes: Sequence[Shape],
    spec: SweepSpec,
    namespace: str,
    *,
    config_maps: int = 1,
    replaces: int = 0,
    seconds_per_pod: float | None = None,
) -> Forecast:
    """Read what the user may read of the cluster, and say what it means for the sweep. Creates nothing.

    ``config_maps`` are to be created beside the Jobs, ``replaces`` of which take another's place;
    ``seconds_per_pod`` is the mean of those whose trials are done.
    At most 15 requests for one shape, pages of nodes and pods apart, unless the cluster's rights have gaps.
    Raises ClusterError where the cluster can't be reached or gives no answer of its own.
    """
    return _Look(api, shapes, spec, namespace, config_maps, replaces).forecast(seconds_per_pod)


class _Look:
    """One look: what is read is kept here, so that each thing is read once for all shapes."""

    def __init__(
        self, api: Api, shapes: Sequence[Shape], spec: SweepSpec, namespace: str, config_maps: int, replaces: int
    ) -> None:
        self._api = api
        self._reader = Reader(api)
        self._shapes = shapes
        self._spec = spec
        self._namespace = namespace
        self._config_maps = config_maps
        self._replaces = replaces
        self._findings: list[Finding] = []
        self._nodes: list[Node] | None = None
        self._own_running = 0
        self._quotas: list[Object] = []
        self._limit_ranges: list[Object] = []

    def forecast(self, seconds_per_pod: float | None) -> Forecast:
        """Everything, the gravest findings first."""
        version = self._version()
        fits: list[ShapeFit] = []
        if self._is_namespace_there():
            self._findings += access.review(self._api, self._namespace)
            self._read_namespace()
            self._read_nodes()
            fits = [fit for shape in self._accepted() if (fit := self._fit(shape))]
            self._findings += references.local_queue(self._reader, self._namespace, self._spec.kubernetes.queue)
            self._findings += quota.objects(self._quotas, self._creation())
        for name in dict.fromkeys(c["image"] for shape in self._shapes for c in shape.pod["containers"]):
            self._findings += image.findings(name)
        found = dict.fromkeys(map(self._placed, [*self._findings, *self._reader.unread]))
        return Forecast(
            namespace=self._namespace,
            server_version=version,
            trials=sum(shape.trials for shape in self._shapes),
            attempts=self._spec.kubernetes.backoff_limit + 1,
            shapes=tuple(fits),
            nodes=None if self._nodes is None else len(self._nodes),
            seconds_per_pod=seconds_per_pod,
            findings=tuple(sorted(found, key=lambda finding: list(Severity).index(finding.severity))),
        )

    def _placed(self, finding: Finding) -> Finding:
        """Where its author wrote it: what the sweep file does not set comes from a template, if there is one."""
        if self._spec.kubernetes.template is None or finding.field[:1] != ("kubernetes",):
            return finding
        written = parse(self._spec.text, str(self._spec.file)).value.get("kubernetes", {})
        return finding if finding.field[1] in written else replace(finding, field=("kubernetes", "template"))

    def _version(self) -> str:
        found = self._api.get("/version")
        major, minor = (int(re.sub(r"\D.*", "", str(found.get(part))) or 0) for part in ("major", "minor"))
        text = f"{major}.{minor}"
        if (major, minor) < OLDEST:
            allowed = "podFailurePolicy and podReplacementPolicy, which trials need, are of"
            self._findings.append(refuse((), f"the server is Kubernetes {text}", f"{allowed} {OLDEST[0]}.{OLDEST[1]}"))
        return str(found.get("gitVersion", text))

    def _is_namespace_there(self) -> bool:
        name = self._namespace
        found = self._reader.get(f"/api/v1/namespaces/{name}", f"namespace {name}")
        field = ("kubernetes", "namespace") if self._spec.kubernetes.namespace == name else ()
        if found is Gone.ABSENT:
            allowed = f"another, or this one after kubectl create namespace {name}"
            self._findings.append(refuse(field, f"{name}, a namespace that is not there", allowed))
            return False
        if not isinstance(found, Gone) and (found.get("status") or {}).get("phase") == "Terminating":
            allowed = "another, or this one created again once it is gone"
            self._findings.append(refuse(field, f"{name}, a namespace that is being deleted", allowed))
            return False
        return True

    def _read_namespace(self) -> None:
        below, unknown = f"/api/v1/namespaces/{self._namespace}", "whether trials keep to them is not known"
        self._quotas = self._reader.all(f"{below}/resourcequotas", "resourcequotas", unknown) or []
        self._limit_ranges = self._reader.all(f"{below}/limitranges", "limitranges", unknown) or []

    def _read_nodes(self) -> None:
        nodes = self._reader.all("/api/v1/nodes", "nodes", "no ETA, and whether trials fit on them is not known")
        if nodes is None:
            return
        selector = "status.phase!=Succeeded,status.phase!=Failed"
        unknown = "the ETA is that of nodes on which nothing else runs"
        running = self._reader.all("/api/v1/pods", "pods of other namespaces", unknown, fieldSelector=selector) or []
        others = [pod for pod in running if not self._is_own(pod)]
        self._own_running = len(running) - len(others)
        used = used_by_node(others)
        self._nodes = [Node.of(node, used.get(node["metadata"]["name"], {})) for node in nodes]

    def _is_own(self, pod: Object) -> bool:
        """Whether it is one of the trials that are planned here, whose place is theirs already."""
        metadata = pod["metadata"]
        labels = metadata.get("labels") or {}
        return metadata["namespace"] == self._namespace and labels.get(names.LABEL_SWEEP) == self._spec.name

    def _accepted(self) -> list[Shape]:
        """The shapes that the server takes, as far as they were tried."""
        new = [shape for shape in self._shapes if shape.creates]
        if len(new) > _TRIED_SHAPES:
            words = f"the Jobs have {len(new):,} shapes, of which those of most trials were tried: {_TRIED_SHAPES}"
            self._findings.append(note(words))
        return [shape for shape in self._shapes if shape not in new[:_TRIED_SHAPES] or self._is_accepted(shape)]

    def _is_accepted(self, shape: Shape) -> bool:
        has_template = self._spec.kubernetes.template is not None
        found = dry_run.create(self._api, self._namespace, shape.job, has_template=has_template)
        self._findings += found
        return not any(finding.severity is Severity.REFUSE for finding in found)

    def _fit(self, shape: Shape) -> ShapeFit | None:
        """How Jobs of one shape fit, what is wrong goes to the findings; None for what can't be counted."""
        reader, given = self._reader, shape.pod
        self._findings += references.service_account(reader, self._namespace, given)
        self._findings += references.priority_class(reader, given)
        wrong, overhead = references.runtime_class(reader, given)
        self._findings += wrong
        try:
            pod = pods.with_defaults({"overhead": overhead, **given}, self._limit_ranges)
            room = self._quota_room(pod)
            self._findings += limit_range.findings(self._limit_ranges, pod)
            where = self._places(pod)
            made = self._shape_fit(shape, pod, where, room)
        except ValueError as error:  # the server has not tried it, and would have said so
            self._findings.append(refuse(RESOURCES, str(error), "quantities of Kubernetes, such as 2, 500m or 4Gi"))
            return None
        claim = self._spec.location.root if self._spec.location.scheme is Scheme.PVC else ""
        self._findings += references.claims(reader, self._namespace, given, claim, made.nodes)
        return made

    def _quota_room(self, pod: Object) -> quota.Room | None:
        priority = pod.get("priorityClassName") or ""
        refused = list(quota.pod_findings(self._quotas, pod, priority))
        self._findings += refused
        room = None if refused else quota.room(self._quotas, pod, priority)
        if room is not None and room.pods == 0:
            self._findings.append(warn((), f"{room.quota} has no room for a trial now", "they wait until it has"))
        return room

    def _places(self, pod: Object) -> Places | None:
        if self._nodes is None:
            return None
        found = places(self._nodes, pod)
        grows = bool(self._spec.kubernetes.queue) or not self._nodes or any(node.is_pooled for node in self._nodes)
        if reason := no_place.explain(self._nodes, pod, found, may_grow=grows):
            self._findings.append(reason)
        elif not found.now:
            self._findings.append(warn((), "no node has room for a trial now", "the ETA counts from when they have"))
        if pod.get("resourceClaims"):
            words = "GPUs of resource claims: neither their hours nor whether they fit is known"
            self._findings.append(note(words, field=("kubernetes", "resource_claims")))
        return found

    def _shape_fit(self, shape: Shape, pod: Object, where: Places | None, room: quota.Room | None) -> ShapeFit:
        asked = pods.requests(pod)
        seconds = shape.pod.get("activeDeadlineSeconds") or self._spec.kubernetes.deadline
        if seconds is None:
            words = "no deadline, and no budget.seconds: how long a trial takes at most is not known"
            self._findings.append(note(words, "a deadline, so that one that hangs ends", ("kubernetes", "deadline")))
        counted = {name: amount for name, amount in asked.items() if "/" in name or name == "cpu"}
        limits = {} if where is None else {"nodes": where.now}
        if room is not None:
            limits[room.quota] = room.pods + self._own_running
        if self._spec.max_parallel is not None:
            limits["execution.max_parallel"] = self._spec.max_parallel
        limited_by = min(limits, key=lambda name: limits[name], default="")
        return ShapeFit(
            trials=shape.trials,
            requests={name: show(name, amount) for name, amount in asked.items()},
            seconds=seconds,
            hours=None
            if seconds is None
            else {name: shape.jobs * amount / 1000 * seconds / 3600 for name, amount in counted.items()},
            nodes=None if where is None else len(where.suitable),
            now=None if where is None else limits[limited_by],
            free=None if where is None else min(where.free, self._spec.max_parallel or where.free),
            limited_by=limited_by,
            pods=shape.jobs,
        )

    def _creation(self) -> quota.Creation:
        jobs = sum(shape.creates for shape in self._shapes) - self._replaces
        removed = all(shape.job["spec"].get("ttlSecondsAfterFinished") is not None for shape in self._shapes)
        return quota.Creation(jobs, self._config_maps, removed)
