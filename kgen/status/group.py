"""The cluster's objects, sorted by the trial that they are about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from kgen.names import ANNOTATION_TRIALS, LABEL_PACK, LABEL_TRIAL, TRIAL_ID_PATTERN
from kgen.status import read
from kgen.status.model import Object


@dataclass(slots=True)
class Seen:
    """What the cluster holds about one trial."""

    job: Object | None = None
    pods: list[Object] = field(default_factory=list)
    events: list[Object] = field(default_factory=list)


def trials_of(item: Object) -> tuple[str, ...]:
    """The trials of a Job or pod, in its order: the one of its label, of a pack those of its annotation; none if it is
    not kgen's."""
    if single := read.text(item, "metadata", "labels", LABEL_TRIAL):
        return (single,)
    if not is_pack(item):
        return ()
    listed = read.text(item, "metadata", "annotations", ANNOTATION_TRIALS).split(",")
    return tuple(dict.fromkeys(each for each in listed if TRIAL_ID_PATTERN.fullmatch(each)))


def is_pack(item: Object | None) -> bool:
    """Whether it is a Job or pod that several trials share."""
    return bool(read.text(item, "metadata", "labels", LABEL_PACK))


def group_by_trial(jobs: Iterable[Object], pods: Iterable[Object], events: Iterable[Object] = ()) -> dict[str, Seen]:
    """Objects by trial id, in time that grows with their number.

    Jobs and pods say their trials; those that do not are passed over, and those of a pack belong to each of its trials.
    Events name a Job or pod, which may be gone: a pod's name begins with its Job's. Of two Jobs of one trial the newer
    one counts. Events outlive a Job that was replaced by another of its name; those about the earlier one are passed
    over.
    """
    found: dict[str, Seen] = {}
    owners: dict[tuple[str, str], tuple[str, ...]] = {}
    for job in jobs:
        owners["Job", read.text(job, "metadata", "name")] = trials = trials_of(job)
        for trial in trials:
            seen = found.setdefault(trial, Seen())
            if seen.job is None or _created(job) >= _created(seen.job):
                seen.job = job
    for pod in pods:
        owners["Pod", read.text(pod, "metadata", "name")] = trials = trials_of(pod)
        for trial in trials:
            found.setdefault(trial, Seen()).pods.append(pod)
    for event in events:
        kind, name = read.text(event, "involvedObject", "kind"), read.text(event, "involvedObject", "name")
        trials = owners.get((kind, name), ())
        is_known = bool(trials)
        if not trials and kind == "Pod":
            trials = owners.get(("Job", name.rpartition("-")[0]), ())
        for trial in trials:
            if not _is_about_earlier(event, found[trial].job, is_known=is_known):
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
