"""What is to be seen of sweeps on a cluster, from its objects alone: no local file is needed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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
from kgen.status import UNREAD, Object, Reason, Row, State, TrialStatus, Unread, group_by_trial, read, status_of
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

    @property
    def has_result(self) -> bool:
        """Whether it has succeeded; a complete Job without a row has not."""
        return self.status.state is State.SUCCEEDED and self.status.reason is not Reason.NO_ROW


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


def selector(sweep: str) -> str:
    """The label selector of everything of a sweep."""
    return f"{names.LABEL_SWEEP}={sweep}"


def trials_selector(sweep: str) -> str:
    """Selects a sweep's trials: Jobs and pods in which kgen itself works have its name, but no trial's."""
    return f"{selector(sweep)},{names.LABEL_TRIAL}"


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


def see_trial(api: Api, given: str) -> tuple[str, SeenTrial, list[Object]]:
    """A trial by its id or the name of its Job, with its sweep's name and its events, oldest first.

    Raises InputError if the namespace has no such trial.
    """
    named = given.removeprefix("job.batch/").removeprefix("trial/")
    of_sweep, _, trial = named.rpartition("-")
    if not names.TRIAL_ID_PATTERN.fullmatch(trial):
        allowed = "a trial's id, ten of a-z and 2-7, or the name of its Job"
        raise InputError.of("the command line", "TRIAL", given, allowed)
    chosen = f"{names.LABEL_TRIAL}={trial}" + (f",{selector(of_sweep)}" if of_sweep else "")
    jobs = list_objects(api, Kind.JOB, chosen)[0]
    pods = list_objects(api, Kind.POD, chosen)[0]
    if not jobs and not pods:
        return _not_created(api, given, of_sweep, trial)
    if len(sweeps := sorted({_sweep_of(item) for item in [*jobs, *pods]})) > 1:
        raise _ambiguous(given, trial, sweeps)
    sweep = sweeps[0]
    found = list_events(api, names.job_name(sweep, trial))
    events = sorted(group_by_trial(jobs, pods, found)[trial].events, key=read.event_time)
    spec = stored_spec(api, sweep)[0]
    one = assemble(api.namespace, sweep, spec, Objects(None, jobs, pods, events), read_rows(spec))
    return sweep, next(seen for seen in one.trials if seen.id == trial), events


def _not_created(api: Api, given: str, of_sweep: str, trial: str) -> tuple[str, SeenTrial, list[Object]]:
    """A trial that some sweep's file asks for, but that has no Job."""
    found = {
        sweep.name: seen
        for sweep in see_sweeps(api)
        for seen in sweep.trials
        if seen.id == trial and of_sweep in ("", sweep.name)
    }
    if len(found) > 1:
        raise _ambiguous(given, trial, sorted(found))
    for name, seen in found.items():
        return name, seen, []
    raise InputError.of("the command line", "TRIAL", given, f"a trial of a sweep in namespace {api.namespace}")


def _ambiguous(given: str, trial: str, sweeps: Sequence[str]) -> InputError:
    """Sweeps that train the same have the same trial ids."""
    jobs = " or ".join(names.job_name(sweep, trial) for sweep in sweeps)
    return InputError.of("the command line", "TRIAL", f"{given}, a trial of {len(sweeps)} sweeps", f"its Job: {jobs}")


def see_sweeps(api: Api, *, labels: str = "") -> list[SeenSweep]:
    """Every sweep of the namespace, by name; with ``labels`` only trials whose Jobs have these. Raises as
    :func:`see_sweep`."""
    managed = f"{names.LABEL_MANAGED_BY}={names.FIELD_MANAGER}"
    trials = f"{managed},{names.LABEL_TRIAL}"
    configs = {_sweep_of(c): c for c in list_objects(api, Kind.CONFIG_MAP, f"{managed},{_IS_SWEEP}")[0]}
    jobs: dict[str, list[Object]] = {name: [] for name in configs}
    pods: dict[str, list[Object]] = {name: [] for name in configs}
    for by_sweep, found in (
        (jobs, _list_jobs(api, trials, labels)),
        (pods, list_objects(api, Kind.POD, trials)[0]),
    ):
        for item in found:
            by_sweep.setdefault(_sweep_of(item), []).append(item)
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
    found = sorted({_sweep_of(c) for c in list_objects(api, Kind.CONFIG_MAP, _IS_SWEEP)[0]})
    return f": {', '.join(found[:10])}" if found else ", where there is none yet"


def _sweep_of(item: Object) -> str:
    return str(item["metadata"].get("labels", {}).get(names.LABEL_SWEEP, ""))


def needs_events(jobs: Iterable[Object], pods: Iterable[Object]) -> bool:
    """Whether something waits for a cause that only events tell: a Job that gets no pod, a container that is not made.

    Events are many and of the whole namespace, so they are read only then.
    """
    with_pod = {pod["metadata"].get("labels", {}).get(names.LABEL_TRIAL) for pod in pods}
    for job in jobs:
        ended = any(c.get("status") == "True" for c in job.get("status", {}).get("conditions", ()))
        waiting = not ended and not job.get("spec", {}).get("suspend")
        if waiting and job["metadata"].get("labels", {}).get(names.LABEL_TRIAL) not in with_pod:
            return True
    return any(pod.get("status", {}).get("phase") == "Pending" for pod in pods)


def trials_of(spec: SweepSpec | None) -> dict[str, TrialSpec]:
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
    expected = trials_of(spec) if trials is None else trials
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
        found.append(SeenTrial(trial, parameters, seed, status, job, pods, wanted, known, image))
    created = [read.moment(item, "metadata", "creationTimestamp") for item in _owned(objects)]
    return SeenSweep(
        name,
        namespace,
        spec,
        tuple(found),
        min((moment for moment in created if moment is not None), default=None),
        not isinstance(rows, Unread),
        unread=seen_rows.trouble,
    )


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
    return {
        trial.job["metadata"]["name"]: JobSeen(
            trial.job["metadata"].get("labels", {}).get(names.LABEL_SPEC, ""),
            trial.id,
            _image(trial.job),
            trial.status,
            "deletionTimestamp" in trial.job["metadata"],
        )
        for trial in seen.trials
        if trial.job is not None
    }


def _image(job: Object) -> str:
    containers = job.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or [{}]
    named = [c for c in containers if c.get("name") == names.TRAINER_CONTAINER]
    return str((named or containers)[0].get("image", ""))
