"""What is to be seen of sweeps on a cluster, from its objects alone: no local file is needed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from kgen import names
from kgen.backends.kubernetes.failure import ApiError
from kgen.backends.kubernetes.objects import Kind, list_events, list_objects
from kgen.errors import InputError
from kgen.plan import JobSeen
from kgen.spec import TrialSpec, Value, load_json
from kgen.status import (
    UNREAD,
    Object,
    Reason,
    Row,
    State,
    TrialStatus,
    Unread,
    group_by_trial,
    is_pack,
    read,
    status_of,
    trials_of,
)
from kgen.sweep import SweepSpec, expand
from kgen.workflow.known import known, stage_of
from kgen.workflow.rows import RowReader, SeenRows, read_rows
from kgen.workflow.stored import (
    IS_TRIAL,
    MANAGED,
    list_config_maps,
    list_sweeps,
    no_sweep,
    parse,
    stored_spec,
    sweep_of,
    trials_selector,
)

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.results.store import Store


@dataclass(frozen=True, slots=True)
class SeenTrial:
    """A trial as the cluster and the results show it."""

    id: str
    parameters: Mapping[str, Value]
    seed: int
    status: TrialStatus
    job: Object | None
    pods: tuple[Object, ...]
    spec: TrialSpec | None
    """None for an orphan: a Job of the sweep whose trial its file does not ask for."""
    row: Row | None = None
    """What the results say of it, where they can be read."""
    image: str = ""
    """That made its result."""
    pack: tuple[str, ...] = ()
    """All trials of its Job, where that is one of several trials."""
    stage: str = ""
    """Of the file, or as its Job says; empty for an orphan without one."""

    @property
    def job_name(self) -> str:
        """Empty where it has no Job."""
        return "" if self.job is None else str(self.job["metadata"]["name"])

    @property
    def has_result(self) -> bool:
        """Whether it has succeeded; a complete Job without a row has not."""
        return self.status.state is State.SUCCEEDED and self.status.reason is not Reason.NO_ROW


@dataclass(frozen=True, slots=True)
class SeenJob:
    """A Job that is there, and those of its trials that have no newer one."""

    job: Object
    trials: tuple[SeenTrial, ...]

    @property
    def has_ended(self) -> bool:
        """Whether it has nothing more to do for any of its trials."""
        if read.condition(self.job, "Complete", "Failed"):
            return True
        # What it does for a trial that has a newer Job, the trial's status does not say.
        return len(self.trials) == len(trials_of(self.job)) and all(t.status.state.ended for t in self.trials)

    @property
    def is_running(self) -> bool:
        """Whether it trains a trial just now."""
        running = any(trial.status.state is State.RUNNING for trial in self.trials)
        return running or read.count(self.job, "status", "ready") > 0


@dataclass(frozen=True, slots=True)
class SeenSweep:
    """A sweep as the cluster and the results show it."""

    name: str
    namespace: str
    spec: SweepSpec | None
    """From the sweep's ConfigMap, with the parts of all stages that are known; None where that is gone."""
    trials: tuple[SeenTrial, ...]
    """Those of the file in its order, then the orphans."""
    created: datetime | None
    rows_read: bool
    """Whether the results can be read from here."""
    jobs: Mapping[str, SeenJob] = field(default_factory=dict)
    """All Jobs that are there, by name: also those whose trials have newer ones, which two submissions of different
    files may leave."""

    unread: str = ""
    """Why the results can't be read from here although they lie where they could be."""
    trouble: str = ""
    """Why the file that the cluster holds can't be read, if it can't: then only trials with a Job are known."""

    @property
    def asked(self) -> tuple[SeenTrial, ...]:
        """The trials that the file asks for; all that are seen where the file is not known."""
        return self.trials if self.spec is None else tuple(t for t in self.trials if t.spec is not None)

    @property
    def counts(self) -> Counter[State]:
        """Trials that the file asks for, per state."""
        return Counter(trial.status.state for trial in self.asked)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the trials that the file asks for by itself."""
        return all(trial.status.state.ended for trial in self.asked)

    @property
    def has_left_something(self) -> bool:
        """Whether a Job of it has ended, so that there may be results."""
        return any(job.has_ended for job in self.jobs.values())

    @property
    def succeeded(self) -> bool:
        """Whether every trial that the file asks for has a result, as far as can be known."""
        return all(trial.has_result for trial in self.asked)


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of one sweep, as the API gives them."""

    config: Object | None
    jobs: Sequence[Object]
    pods: Sequence[Object]
    events: Sequence[Object] = ()
    deleted: frozenset[str] = frozenset()
    """Trials whose Jobs were there before."""


def jobs_of(trials: Iterable[SeenTrial]) -> dict[str, list[SeenTrial]]:
    """The Jobs that are there of some trials, by name, each with those of the trials that are its own."""
    found: dict[str, list[SeenTrial]] = {}
    for trial in trials:
        if trial.job is not None:
            found.setdefault(trial.job_name, []).append(trial)
    return found


def see_sweep(api: Api, name: str, *, labels: str = "", reasons: bool = True) -> SeenSweep:
    """One sweep with all its trials; without ``reasons`` not all of why they wait.

    Raises InputError if there is none of that name, ClusterError if the cluster can't be read.
    """
    with ThreadPoolExecutor(2) as beside:  # the server works at one list while the other is read, and a bucket, too
        listing = beside.submit(list_objects, api, Kind.POD, trials_selector(name))
        spec, config, trouble = stored_spec(api, name)
        reading = None if spec is not None and spec.stages else beside.submit(read_rows, spec)
        jobs = _list_jobs(api, trials_selector(name), labels)
        if reading is None:
            spec, rows, trouble = read_known(api, spec, config, jobs, trouble)
        else:
            rows = reading.result()
        pods = listing.result()[0]
    if config is None and not jobs:
        raise no_sweep(api, name)
    events = list_events(api, f"{name}-") if reasons and needs_events(jobs, pods) else []
    seen = assemble(api.namespace, name, spec, Objects(config, jobs, pods, events), rows)
    seen = replace(seen, trouble=trouble)
    return _with_jobs(seen) if labels else seen


def read_known(
    api: Api,
    spec: SweepSpec | None,
    config: Object | None,
    jobs: Sequence[Object],
    trouble: str = "",
    reader: RowReader | None = None,
) -> tuple[SweepSpec | None, SeenRows, str]:
    """A sweep with the parts of all stages that are known, its rows, and what is wrong with its file or its choices.

    Raises ClusterError, StoreError for a folder that can't be read.
    """
    reader = RowReader(spec) if reader is None else reader
    if spec is not None:
        try:
            spec = known(spec, config, jobs, partial(list_config_maps, api, spec.name), reader.store())
        except InputError as error:
            trouble = str(error).splitlines()[0]
    return spec, reader.read(spec), trouble


def _list_jobs(api: Api, own: str, labels: str) -> list[Object]:
    """Jobs with these labels, and those that the user wrote. Raises InputError for a selector that is none."""
    try:
        return list_objects(api, Kind.JOB, ",".join(filter(None, (own, labels))))[0]
    except ApiError as error:
        if labels and error.status == 400:
            allowed = f"a label selector ({error.message})"
            raise InputError.of("the command line", "--selector", labels, allowed) from error
        raise


def _with_jobs(seen: SeenSweep) -> SeenSweep:
    """Only the trials that have Jobs: the others have no labels to be chosen by."""
    return replace(seen, trials=tuple(trial for trial in seen.trials if trial.job is not None))


def see_existing(
    api: Api, spec: SweepSpec, *, stage: str = "", store: Store | None = None, without: Collection[str] = ()
) -> SeenSweep:
    """What is there of a sweep file's sweep: maybe nothing. The file is the one given, not the one stored, with the
    parts of all stages that are known; or only that of one ``stage``.

    ``store`` has its results where this process reaches them by another way than the file says; choices of the stages
    ``without`` are passed over, because they are to be made anew. Raises InputError for a choice that was made for
    another file.
    """
    chosen = trials_selector(spec.name) + (f",{names.LABEL_STAGE}={stage}" if stage else "")
    jobs = list_objects(api, Kind.JOB, chosen)[0]
    pods = list_objects(api, Kind.POD, chosen)[0] if jobs else []
    events = list_events(api, f"{spec.name}-") if needs_events(jobs, pods) else []
    reader, config = RowReader(spec, store), None
    if spec.stages:
        config = stored_spec(api, spec.name)[1]
        spec = known(spec, config, jobs, partial(list_config_maps, api, spec.name), reader.store(), without)
    return assemble(api.namespace, spec.name, spec, Objects(config, jobs, pods, events), reader.read(spec))


def see_sweeps(api: Api, *, labels: str = "") -> list[SeenSweep]:
    """Every sweep of the namespace, by name; with ``labels`` only trials whose Jobs have these. Raises as
    :func:`see_sweep`."""
    trials = f"{MANAGED},{IS_TRIAL}"
    configs = list_sweeps(api)
    jobs: dict[str, list[Object]] = {name: [] for name in configs}
    pods: dict[str, list[Object]] = {name: [] for name in configs}
    for by_sweep, listed in (
        (jobs, _list_jobs(api, trials, labels)),
        (pods, list_objects(api, Kind.POD, trials)[0]),
    ):
        for item in listed:
            by_sweep.setdefault(sweep_of(item), []).append(item)
    parsed = {name: parse(api, configs[name]) if name in configs else (None, "") for name in sorted(jobs)}
    with ThreadPoolExecutor(_READERS) as readers:  # so that a bucket that does not answer is waited for once
        found = {
            name: readers.submit(read_known, api, spec, configs.get(name), jobs[name], trouble)
            for name, (spec, trouble) in parsed.items()
        }
    seen = []
    for name, reading in found.items():
        spec, rows, trouble = reading.result()
        objects = Objects(configs.get(name), jobs[name], pods.get(name, []))
        seen.append(replace(assemble(api.namespace, name, spec, objects, rows), trouble=trouble))
    return [_with_jobs(sweep) for sweep in seen] if labels else seen


_READERS = 8


def needs_events(jobs: Iterable[Object], pods: Iterable[Object]) -> bool:
    """Whether something waits for a cause that only events tell: a Job that gets no pod, a container that is not made.

    Events are many and of the whole namespace, so they are read only then.
    """
    with_pod = {trial_or_pack(pod) for pod in pods}
    for job in jobs:
        ended = any(c.get("status") == "True" for c in job.get("status", {}).get("conditions", ()))
        waiting = not ended and not job.get("spec", {}).get("suspend")
        if waiting and trial_or_pack(job) not in with_pod:
            return True
    return any(pod.get("status", {}).get("phase") == "Pending" for pod in pods)


def trial_or_pack(item: Object) -> str:
    """What the Job or pod is named for: its trial, or the pack of its trials."""
    labels: Mapping[str, str] = item["metadata"].get("labels", {})
    return labels.get(names.LABEL_TRIAL) or labels.get(names.LABEL_PACK, "")


def asked_by(spec: SweepSpec | None) -> dict[str, TrialSpec]:
    """The trials that a file asks for, by id."""
    return {} if spec is None else {trial.id: trial for trial in expand(spec)}


def assemble(
    namespace: str,
    name: str,
    spec: SweepSpec | None,
    objects: Objects,
    seen_rows: SeenRows,
    trials: Mapping[str, TrialSpec] | None = None,
) -> SeenSweep:
    """The sweep from its objects: every trial of the file, and every Job that is there. ``trials`` are those of the
    file, for whoever has them already."""
    grouped = group_by_trial(objects.jobs, objects.pods, objects.events)
    expected = asked_by(spec) if trials is None else trials
    rows = seen_rows.rows
    found = []
    for trial in [*expected, *(other for other in grouped if other not in expected)]:
        group = grouped.get(trial)
        job = group.job if group else None
        pods = tuple(group.pods) if group else ()
        row: Row | Unread | None
        row, image = (UNREAD, "") if isinstance(rows, Unread) else rows.get(trial, (None, ""))
        status = status_of(trial, job, pods, group.events if group else (), row, deleted=trial in objects.deleted)
        wanted = expected.get(trial)
        parameters, seed = (wanted.parameters, wanted.seed) if wanted else _annotated(job)
        own = row if isinstance(row, Row) else None
        shared = job or next(iter(pods), None)
        pack = trials_of(shared) if shared is not None and is_pack(shared) else ()
        stage = stage_of(shared) if wanted is None else wanted.stage
        found.append(SeenTrial(trial, parameters, seed, status, job, pods, wanted, own, image, pack, stage))
    created = [read.moment(item, "metadata", "creationTimestamp") for item in _owned(objects)]
    return SeenSweep(
        name,
        namespace,
        spec,
        tuple(found),
        min((moment for moment in created if moment is not None), default=None),
        not isinstance(rows, Unread),
        _all_jobs(objects.jobs, found),
        unread=seen_rows.trouble,
    )


def _all_jobs(jobs: Iterable[Object], trials: Iterable[SeenTrial]) -> dict[str, SeenJob]:
    own = jobs_of(trials)
    named = {str(job["metadata"]["name"]): job for job in jobs if trials_of(job)}
    return {name: SeenJob(job, tuple(own.get(name, ()))) for name, job in named.items()}


def _owned(objects: Objects) -> list[Object]:
    return [objects.config] if objects.config is not None else list(objects.jobs)


def _annotated(job: Object | None) -> tuple[Mapping[str, Value], int]:
    """Parameters and seed as a Job's annotations say them."""
    notes = (job or {}).get("metadata", {}).get("annotations", {})
    try:
        parameters = load_json(notes.get(names.ANNOTATION_PARAMETERS, "{}"))
        return MappingProxyType(dict(parameters)), int(notes.get(names.ANNOTATION_SEED, 0))
    except (TypeError, ValueError, json.JSONDecodeError):
        return MappingProxyType({}), 0


def jobs_seen(seen: SeenSweep) -> dict[str, JobSeen]:
    """The sweep's Jobs by name, as a plan wants them."""
    return {name: _job_seen(job.job, job.trials) for name, job in seen.jobs.items()}


def _job_seen(job: Object, trials: Sequence[SeenTrial]) -> JobSeen:
    statuses = {trial.id: trial.status for trial in trials}
    return JobSeen(
        job["metadata"].get("labels", {}).get(names.LABEL_SPEC, ""),
        {trial: statuses[trial] for trial in trials_of(job) if trial in statuses},
        _image(job),
        "deletionTimestamp" in job["metadata"],
    )


def _image(job: Object) -> str:
    containers = job.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or [{}]
    named = [c for c in containers if c.get("name") == names.TRAINER_CONTAINER]
    return str((named or containers)[0].get("image", ""))
