"""What ``kgen submit`` would do to a cluster: the sweep file against the objects and results that are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from kgen import names
from kgen.backends.kubernetes.fit import look
from kgen.backends.kubernetes.objects import Kind, list_objects
from kgen.backends.kubernetes.shape import shapes
from kgen.plan import Action, JobSeen, Plan, plan_jobs
from kgen.render import render
from kgen.render.manifest import Manifest
from kgen.status import Object, State, TrialStatus
from kgen.sweep import SweepSpec, expand
from kgen.workflow.observe import SeenSweep, jobs_seen, see_existing, selector
from kgen.workflow.reachable import local_paths

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
    """ConfigMaps that are not there as they should be."""
    stale: frozenset[str]
    """Names of those of them that are there with another content."""
    jobs: Mapping[str, Manifest]
    """Trial → the Job that it should have."""
    existing: Mapping[str, Object]
    """Trial → the Job that it has."""
    seen: SeenSweep
    notes: tuple[str, ...]
    """What the renderer has to say."""

    def having(self, *actions: Action) -> list[Manifest]:
        """The Jobs of the trials with these actions, in order."""
        return [self.jobs[item.trial.id] for item in self.plan.planned if item.action in actions]


def prepare(
    spec: SweepSpec,
    api: Api,
    *,
    namespace: str = "",
    rerun_stale: bool = False,
    replace_running: bool = False,
    has_file: bool = True,
) -> Prepared:
    """Look at everything, change nothing. ``namespace`` is what the command line says, if it does; ``has_file`` whether
    the sweep file lies on this machine, or the sweep was read back from the cluster.

    Raises InputError for what can't work on a cluster, ClusterError for a cluster that can't be read.
    """
    if has_file:
        local_paths(spec)
    trials = expand(spec)
    rendered = render(spec, trials, namespace=namespace)
    jobs = {manifest.trial: manifest for manifest in rendered.jobs}
    seen = see_existing(api, spec)
    existing = jobs_seen(seen)
    made = plan_jobs(
        spec.name,
        trials,
        {trial: manifest.spec for trial, manifest in jobs.items()},
        {**existing, **_foreign(api, jobs)},
        {trial.id: (trial.row, trial.image) for trial in seen.trials if trial.row is not None},
        budget=spec.budget,
        image=spec.trainer.image,
        seconds_per_trial=_mean_seconds(seen),
        rerun_stale=rerun_stale,
        replace_running=replace_running,
    )
    stored = _stored(api, spec.name)
    creates = {jobs[trial.id].name for trial in made.pending}
    waiting = {jobs[i.trial.id].name for i in made.planned if i.action is Action.KEEP} | creates
    return Prepared(
        spec=spec,
        plan=made,
        forecast=look(
            api,
            shapes((job for job in jobs.values() if job.name in waiting), creates),
            spec,
            api.namespace,
            config_maps=sum(manifest.name not in stored for manifest in rendered.shared),
            replaces=len(creates & existing.keys()),
            seconds_per_trial=made.seconds_per_trial,
        ),
        shared=tuple(manifest for manifest in rendered.shared if stored.get(manifest.name) != manifest.spec),
        stale=frozenset(stored),
        jobs=jobs,
        existing={trial.id: trial.job for trial in seen.trials if trial.job is not None},
        seen=seen,
        notes=(*rendered.notes, *([seen.unread] if seen.unread else [])),
    )


def _foreign(api: Api, jobs: Mapping[str, Manifest]) -> dict[str, JobSeen]:
    """Jobs that have a name which this sweep needs, and that kgen did not make: those of other sweeps can't have it."""
    wanted = {manifest.name for manifest in jobs.values()}
    others = list_objects(api, Kind.JOB, f"!{names.LABEL_SWEEP}")[0]
    return {
        job["metadata"]["name"]: JobSeen("", "", "", TrialStatus("", State.QUEUED))
        for job in others
        if job["metadata"]["name"] in wanted
    }


def _mean_seconds(seen: SeenSweep) -> float | None:
    """Mean wall time of the trials that have succeeded, from their pods."""
    spans = [
        (trial.status.ended - trial.status.started).total_seconds()
        for trial in seen.trials
        if trial.status.state is State.SUCCEEDED and trial.status.ended and trial.status.started
    ]
    return fmean(spans) if spans else None


def _stored(api: Api, sweep: str) -> dict[str, str]:
    """The sweep's ConfigMaps, and the hashes of what they hold."""
    found = list_objects(api, Kind.CONFIG_MAP, selector(sweep))[0]
    return {config["metadata"]["name"]: config["metadata"]["labels"].get(names.LABEL_SPEC, "") for config in found}
