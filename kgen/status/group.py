"""The cluster's objects, sorted by the trial that they are about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from kgen.names import LABEL_TRIAL
from kgen.status import read
from kgen.status.model import Object


@dataclass(slots=True)
class Seen:
    """What the cluster holds about one trial."""

    job: Object | None = None
    pods: list[Object] = field(default_factory=list)
    events: list[Object] = field(default_factory=list)


def group_by_trial(jobs: Iterable[Object], pods: Iterable[Object], events: Iterable[Object] = ()) -> dict[str, Seen]:
    """Objects by trial id, in time that grows with their number.

    Jobs and pods say their trial in a label; those that do not are passed over. Events name a Job or pod, which may
    be gone: a pod's name begins with its Job's. Of two Jobs of one trial the newer one counts. Events outlive a Job
    that was replaced by another of its name; those about the earlier one are passed over.
    """
    found: dict[str, Seen] = {}
    owners: dict[tuple[str, str], str] = {}
    for job in jobs:
        trial = read.text(job, "metadata", "labels", LABEL_TRIAL)
        if trial:
            owners["Job", read.text(job, "metadata", "name")] = trial
            seen = found.setdefault(trial, Seen())
            if seen.job is None or _created(job) >= _created(seen.job):
                seen.job = job
    for pod in pods:
        trial = read.text(pod, "metadata", "labels", LABEL_TRIAL)
        if trial:
            owners["Pod", read.text(pod, "metadata", "name")] = trial
            found.setdefault(trial, Seen()).pods.append(pod)
    for event in events:
        kind, name = read.text(event, "involvedObject", "kind"), read.text(event, "involvedObject", "name")
        trial = owners.get((kind, name), "")
        if not trial and kind == "Pod":
            trial = owners.get(("Job", name.rpartition("-")[0]), "")
        if trial and not _is_about_earlier(event, found[trial].job, is_known=(kind, name) in owners):
            found[trial].events.append(event)
    return found


def _is_about_earlier(event: Object, job: Object | None, *, is_known: bool) -> bool:
    """Whether it is about an earlier Job of the same name, or a pod of that."""
    if read.text(event, "involvedObject", "kind") == "Job":
        about, own = read.text(event, "involvedObject", "uid"), read.text(job, "metadata", "uid")
        return bool(about and own) and about != own
    return job is not None and not is_known and read.event_time(event) < _created(job)


def _created(job: Object) -> datetime:
    return read.moment(job, "metadata", "creationTimestamp") or read.LONG_AGO
