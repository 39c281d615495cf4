"""Jobs of a sweep that are alike as far as a cluster is concerned."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kgen.render.manifest import Manifest

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """Jobs that differ in nothing but the parameters of their trials."""

    job: Object
    """One of them; one that is to be created, if any is."""
    trials: int
    """How many have not ended: those to be created, and those that are there and wait or run."""
    creates: int
    """How many are to be created."""

    @property
    def pod(self) -> Object:
        """The spec of its pods."""
        spec: Object = self.job["spec"]["template"]["spec"]
        return spec


def shapes(jobs: Iterable[Manifest], creates: Container[str]) -> list[Shape]:
    """Group the Jobs that have not ended, most trials first; ``creates`` has the names of those that are not there."""
    first: dict[str, Object] = {}
    counts: dict[str, list[int]] = {}
    for manifest in jobs:
        job = manifest.object()
        is_new = manifest.name in creates
        key = _key(job)
        count = counts.setdefault(key, [0, 0])
        if key not in first or (is_new and not count[1]):
            first[key] = job
        count[0] += 1
        count[1] += is_new
    made = [Shape(first[key], trials, new) for key, (trials, new) in counts.items()]
    return sorted(made, key=lambda shape: -shape.trials)


def _key(job: Object) -> str:
    """The Job without what differs from trial to trial: names, labels, annotations, and what its program is given."""
    pod = job["spec"]["template"]["spec"]
    private = ("args", "command", "env")
    alike = {
        kind: [{key: value for key, value in each.items() if key not in private} for each in pod.get(kind) or ()]
        for kind in ("containers", "initContainers")
    }
    return json.dumps({**job["spec"], "template": {**pod, **alike}}, sort_keys=True)
