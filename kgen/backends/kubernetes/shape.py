"""Jobs of a sweep that are alike as far as a cluster is concerned."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kgen.render.merge import TRIALS_VOLUME

if TYPE_CHECKING:
    from kgen.render.manifest import Manifest

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """Jobs that differ in nothing but the parameters of their trials."""

    job: Object
    """One of them; one that is to be created, if any is."""
    trials: int
    """How many trials have not ended: of Jobs to be created, and of those that are there and wait or run."""
    creates: int
    """How many Jobs are to be created."""
    jobs: int
    """How many Jobs have not ended; as many as trials where each has its own."""

    @property
    def pod(self) -> Object:
        """The spec of its pods."""
        spec: Object = self.job["spec"]["template"]["spec"]
        return spec


def shapes(jobs: Iterable[Manifest], creates: Container[str], unfinished: Container[str] | None = None) -> list[Shape]:
    """Group the Jobs that have not ended, most trials first; ``creates`` has the names of those that are not there,
    ``unfinished`` the trials that have not ended where not all of the Jobs' are."""
    first: dict[str, Object] = {}
    counts: dict[str, list[int]] = {}
    for manifest in jobs:
        job = manifest.object()
        is_new = manifest.name in creates
        key = _key(job)
        count = counts.setdefault(key, [0, 0, 0])
        if key not in first or (is_new and not count[1]):
            first[key] = job
        count[0] += sum(unfinished is None or trial in unfinished for trial in manifest.trials)
        count[1] += is_new
        count[2] += 1
    made = [Shape(first[key], *count) for key, count in counts.items()]
    return sorted(made, key=lambda shape: -shape.trials)


def _key(job: Object) -> str:
    """The Job without what differs from one to the next: names, labels, annotations, and what its program is given."""
    pod = job["spec"]["template"]["spec"]
    private = ("args", "command", "env")
    alike = {
        kind: [{key: value for key, value in each.items() if key not in private} for each in pod.get(kind) or ()]
        for kind in ("containers", "initContainers")
    }
    volumes = [volume for volume in pod.get("volumes") or () if volume["name"] != TRIALS_VOLUME]
    return json.dumps({**job["spec"], "template": {**pod, **alike, "volumes": volumes}}, sort_keys=True)
