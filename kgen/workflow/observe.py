"""What is to be seen of sweeps on a cluster, from its objects alone: no local file is needed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from kgen import names
from kgen.backends.kubernetes.failure import ApiError
from kgen.backends.kubernetes.objects import Kind, list_events, list_objects, path_of
from kgen.errors import ClusterError, InputError
from kgen.plan import JobSeen
from kgen.render.sweep_object import sweep_from_objects
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
from kgen.workflow.rows import SeenRows, read_rows

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api


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
    """From the sweep's ConfigMap; None where that is gone."""
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


def list_config_maps(api: Api, sweep: str) -> list[Object]:
    """The ConfigMaps of a sweep: its file, its sources, the trials of its packs. Raises ClusterError."""
    return list_objects(api, Kind.CONFIG_MAP, selector(sweep))[0]


def selector(sweep: str) -> str:
    """The label selector of everything of a sweep."""
    return f"{names.LABEL_SWEEP}={sweep}"


def trials_selector(sweep: str) -> str:
    """Selects the Jobs and pods of a sweep's trials, and not those in which kgen itself works for it."""
    return f"{selector(sweep)},{_IS_TRIAL}"


_IS_TRIAL = f"{names.LABEL_COMPONENT}={names.COMPONENT_TRIAL}"


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
        reading = beside.submit(read_rows, spec)
        jobs = _list_jobs(api, trials_selector(name), labels)
        pods, rows = listing.result()[0], reading.result()
    if config is None and not jobs:
        raise no_sweep(api, name)
    events = list_events(api, f"{name}-") if reasons and needs_events(jobs, pods) else []
    seen = assemble(api.namespace, name, spec, Objects(config, jobs, pods, events), rows)
    seen = replace(seen, trouble=trouble)
    return _with_jobs(seen) if labels else seen


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


def no_sweep(api: Api, name: str) -> InputError:
    """That there is no sweep of that name, and which there are. Raises ClusterError."""
    return InputError.of("the command line", "SWEEP", name, f"a sweep in namespace {api.namespace}{_others(api)}")


def see_existing(api: Api, spec: SweepSpec) -> SeenSweep:
    """What is there of a sweep file's sweep: maybe nothing. The file is the one given, not the one stored."""
    jobs = list_objects(api, Kind.JOB, trials_selector(spec.name))[0]
    pods = list_objects(api, Kind.POD, trials_selector(spec.name))[0] if jobs else []
    events = list_events(api, f"{spec.name}-") if needs_events(jobs, pods) else []
    return assemble(api.namespace, spec.name, spec, Objects(None, jobs, pods, events), read_rows(spec))


def see_sweeps(api: Api, *, labels: str = "") -> list[SeenSweep]:
    """Every sweep of the namespace, by name; with ``labels`` only trials whose Jobs have these. Raises as
    :func:`see_sweep`."""
    managed = f"{names.LABEL_MANAGED_BY}={names.FIELD_MANAGER}"
    trials = f"{managed},{_IS_TRIAL}"
    configs = {sweep_of(c): c for c in list_objects(api, Kind.CONFIG_MAP, f"{managed},{_IS_SWEEP}")[0]}
    jobs: dict[str, list[Object]] = {name: [] for name in configs}
    pods: dict[str, list[Object]] = {name: [] for name in configs}
    for by_sweep, found in (
        (jobs, _list_jobs(api, trials, labels)),
        (pods, list_objects(api, Kind.POD, trials)[0]),
    ):
        for item in found:
            by_sweep.setdefault(sweep_of(item), []).append(item)
    parsed = {name: _parse(api, configs[name]) if name in configs else (None, "") for name in sorted(jobs)}
    with ThreadPoolExecutor(_READERS) as readers:  # so that a bucket that does not answer is waited for once
        rows = readers.map(read_rows, [spec for spec, _ in parsed.values()])
        seen = []
        for (name, (spec, trouble)), seen_rows in zip(parsed.items(), rows, strict=True):
            objects = Objects(configs.get(name), jobs[name], pods.get(name, []))
            seen.append(replace(assemble(api.namespace, name, spec, objects, seen_rows), trouble=trouble))
    return [_with_jobs(sweep) for sweep in seen] if labels else seen


_READERS = 8
_IS_SWEEP = f"{names.LABEL_COMPONENT}={names.COMPONENT_SWEEP}"


def stored_spec(api: Api, name: str) -> tuple[SweepSpec | None, Object | None, str]:
    """The sweep as its ConfigMap holds it, and the ConfigMap; None where there is none, and why it can't be read."""
    found = [
        c
        for c in list_objects(api, Kind.CONFIG_MAP, f"{selector(name)},{_IS_SWEEP}")[0]
        if c["metadata"]["name"] == names.sweep_config_map(name)
    ]
    if not found:
        return None, None, ""
    spec, trouble = _parse(api, found[0])
    return spec, found[0], trouble


def _parse(api: Api, config: Object) -> tuple[SweepSpec | None, str]:
    """The sweep, or why there is none in it: somebody edited it, or it was written by a newer kgen. One bad sweep must
    not hide the others, nor its own Jobs."""
    files = config.get("data", {}).get("files")
    try:
        found = api.get(path_of(api, Kind.CONFIG_MAP, files)) if files else None
    except ApiError as error:
        if error.status != 404:
            raise
        found = None
    try:
        return sweep_from_objects(config, found), ""
    except (ClusterError, InputError) as error:
        why = str(error).splitlines()[0]
        return None, f"configmap/{config['metadata']['name']} holds no sweep that this kgen can read: {why}"


def _others(api: Api) -> str:
    found = sorted({sweep_of(c) for c in list_objects(api, Kind.CONFIG_MAP, _IS_SWEEP)[0]})
    return f": {', '.join(found[:10])}" if found else ", where there is none yet"


def sweep_of(item: Object) -> str:
    """The sweep of an object, as its label says."""
    return str(item["metadata"].get("labels", {}).get(names.LABEL_SWEEP, ""))


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
        known = row if isinstance(row, Row) else None
        shared = job or next(iter(pods), None)
        pack = trials_of(shared) if shared is not None and is_pack(shared) else ()
        found.append(SeenTrial(trial, parameters, seed, status, job, pods, wanted, known, image, pack))
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
