"""What ``kgen submit`` would do to a cluster: the sweep file against the objects and results that are there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import TYPE_CHECKING

from kgen import names
from kgen.backends.kubernetes.fit import look
from kgen.backends.kubernetes.objects import Kind, list_objects
from kgen.backends.kubernetes.shape import shapes
from kgen.plan import Action, JobSeen, JobWanted, Plan, PlannedTrial, plan_jobs
from kgen.render import render, render_packs
from kgen.render.manifest import Manifest
from kgen.status import Object, State, read
from kgen.status.pods import Pod
from kgen.sweep import SweepSpec, expand
from kgen.workflow.known import mounted
from kgen.workflow.observe import SeenSweep, jobs_seen, see_existing
from kgen.workflow.packed import by_trial, packs_of, refuse_packs, refuse_rerun
from kgen.workflow.reachable import local_paths
from kgen.workflow.stored import stored_hashes

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.backends.kubernetes.forecast import Forecast


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan with everything that carrying it out needs."""

    spec: SweepSpec
    plan: Plan
    forecast: Forecast
    shared: tuple[Manifest, ...]
    """The sweep's own ConfigMaps that are not there as they should be."""
    config_maps: tuple[Manifest, ...]
    """Those of Jobs of several trials, which wait, run or are to be created, that are not there."""
    outdated: tuple[str, ...]
    """Hashes of ConfigMaps that nobody needs once the Jobs are replaced that mount them."""
    stale: frozenset[str]
    """Names of those of the first that are there with another content."""
    jobs: Mapping[str, Manifest]
    """Trial → the Job that it should have, alone or with others; without those that are done and need none."""
    existing: Mapping[str, Object]
    """The Jobs that are there, by name."""
    seen: SeenSweep
    notes: tuple[str, ...]
    """What the renderer has to say."""

    def having(self, *actions: Action) -> list[Manifest]:
        """The Jobs of the trials with these actions, in order, each once."""
        return [manifest for manifest, _ in self.by_job(item for item in self.plan.planned if item.action in actions)]

    def by_job(self, items: Iterable[PlannedTrial]) -> list[tuple[Manifest, list[PlannedTrial]]]:
        """These trials by the Jobs that they should have; without those that need none."""
        found: dict[str, tuple[Manifest, list[PlannedTrial]]] = {}
        for item in items:
            if item.trial.id in self.jobs:
                manifest = self.jobs[item.trial.id]
                found.setdefault(manifest.name, (manifest, []))[1].append(item)
        return list(found.values())

    def replaced(self) -> list[Object]:
        """The Jobs that others are to take the place of."""
        names = (manifest.name for manifest in self.having(Action.REPLACE))
        return [self.existing[name] for name in names if name in self.existing]

    @property
    def has_work(self) -> bool:
        """Whether something is to be created or changed."""
        return bool(self.plan.pending or self.shared or self.config_maps)


def prepare(
    spec: SweepSpec,
    api: Api,
    *,
    namespace: str = "",
    rerun_stale: bool = False,
    replace_running: bool = False,
    has_file: bool = True,
    seen: SeenSweep | None = None,
    choices: Mapping[str, str] = MappingProxyType({}),
) -> Prepared:
    """Look at everything, change nothing. ``namespace`` is what the command line says, if it does; ``has_file`` whether
    the sweep file lies on this machine, or the sweep was read back from the cluster. Of a sweep with stages it takes
    one part, what is ``seen`` of it, and the ``choices`` that were made: stage → JSON.

    Raises InputError for what can't work on a cluster, ClusterError for a cluster that can't be read.
    """
    if has_file:
        local_paths(spec)
    trials = expand(spec)
    # What is wrong with the file is said without a cluster.
    rendered = render(spec, trials, namespace=namespace, choices=choices)
    seen = see_existing(api, spec) if seen is None else seen
    done = {trial.id for trial in seen.trials if trial.row is not None and trial.row.state == "complete"}
    if spec.trials_per_pod > 1 or any(trial.pack for trial in seen.trials):
        packs = packs_of(spec, trials, seen.trials, done)
        rendered = render_packs(spec, packs, namespace=namespace, choices=choices)
    jobs = by_trial(rendered.jobs, seen.trials)
    existing = jobs_seen(seen)
    wanted = {trial: JobWanted(manifest.name, manifest.spec) for trial, manifest in jobs.items()}
    there = {**existing, **_foreign(api, jobs)}
    rows = {trial.id: (trial.row, trial.image) for trial in seen.trials if trial.row is not None}

    def planned(*, stale: bool) -> Plan:
        return plan_jobs(
            spec.name,
            trials,
            wanted,
            there,
            rows,
            budget=spec.budget,
            image=spec.trainer.image,
            rerun_stale=stale,
            replace_running=replace_running,
        )

    made = planned(stale=False)
    if rerun_stale:
        refuse_rerun(made, rendered.alone)
        made = planned(stale=True)
    stored = stored_hashes(api, spec.name)
    by_name = {manifest.name: manifest for manifest in jobs.values()}
    creates = {jobs[trial.id].name for trial in made.pending}
    refuse_packs(spec, [manifest for name, manifest in by_name.items() if name in creates], rendered.alone)
    kept = {jobs[i.trial.id].name for i in made.planned if i.action is Action.KEEP} - creates
    # One that is kept although it would look different now has its own ConfigMap, not the one that was rendered.
    mounting = creates | {name for name in kept if existing[name].spec == by_name[name].spec}
    unfinished = {i.trial.id for i in made.planned if i.action is Action.KEEP or i.action.runs}
    config_maps = [each for job, each in rendered.config_maps if job in mounting and each.name not in stored]
    return Prepared(
        spec=spec,
        plan=made,
        forecast=look(
            api,
            shapes([job for name, job in by_name.items() if name in kept | creates], creates, unfinished),
            spec,
            api.namespace,
            config_maps=len(config_maps) + sum(manifest.name not in stored for manifest in rendered.shared),
            replaces=len(creates & existing.keys()),
            seconds_per_pod=_mean_seconds(seen),
        ),
        shared=tuple(manifest for manifest in rendered.shared if stored.get(manifest.name) != manifest.spec),
        config_maps=tuple(config_maps),
        outdated=_outdated(seen, creates, {each.name for _, each in rendered.config_maps}, stored),
        stale=frozenset(stored),
        jobs=jobs,
        existing={name: job.job for name, job in seen.jobs.items()},
        seen=seen,
        notes=(*rendered.notes, *([seen.unread] if seen.unread else []), *_lacking(seen, kept - mounting, stored)),
    )


def _outdated(
    seen: SeenSweep, replaced: Collection[str], wanted: Collection[str], stored: Mapping[str, str]
) -> tuple[str, ...]:
    """Hashes of the ConfigMaps that no Job mounts once these are replaced."""
    left = {mounted(job.job) for name, job in seen.jobs.items() if name not in replaced}
    freed = {mounted(job.job) for name, job in seen.jobs.items() if name in replaced} - left - {*wanted}
    return tuple(sorted(stored[name] for name in freed if stored.get(name)))


def _lacking(seen: SeenSweep, jobs: Iterable[str], stored: Collection[str]) -> Iterator[str]:
    """That the ConfigMap of a running Job is gone which this file would not make again."""
    for name in sorted(jobs):
        own = mounted(seen.jobs[name].job)
        if own and own not in stored:
            yield f"job.batch/{name}: its ConfigMap {own} is gone, without which none of its pods can start again"


def _foreign(api: Api, jobs: Mapping[str, Manifest]) -> dict[str, JobSeen]:
    """Jobs that have a name which this sweep needs, and that kgen did not make: those of other sweeps can't have it."""
    wanted = {manifest.name for manifest in jobs.values()}
    others = list_objects(api, Kind.JOB, f"!{names.LABEL_SWEEP}")[0]
    return {job["metadata"]["name"]: JobSeen("", {}, "") for job in others if job["metadata"]["name"] in wanted}


def _mean_seconds(seen: SeenSweep) -> float | None:
    """Mean wall time of the pods that succeeded, of Jobs whose trials all have."""
    spans = []
    for job in seen.jobs.values():
        if not job.trials or any(trial.status.state is not State.SUCCEEDED for trial in job.trials):
            continue
        for pod in map(Pod, job.trials[0].pods):
            ran = pod.trainer.terminated if pod.trainer and pod.phase == "Succeeded" else {}
            started, ended = read.moment(ran, "startedAt"), read.moment(ran, "finishedAt")
            if started and ended and ended > started:
                spans.append((ended - started).total_seconds())
    return fmean(spans) if spans else None
