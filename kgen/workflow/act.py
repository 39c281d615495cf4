"""Changing a sweep that is on a cluster: cancel, retry, delete. No local file is needed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kgen import names
from kgen.backends.kubernetes.create import create
from kgen.backends.kubernetes.objects import Kind
from kgen.backends.kubernetes.remove import Deleted, delete, delete_all
from kgen.errors import ClusterError, InputError, InterruptedRunError
from kgen.render import render
from kgen.status import Reason, State
from kgen.workflow.observe import SeenSweep, SeenTrial, see_sweep, selector
from kgen.workflow.submit import OnEvent, as_retry, raise_unfinished, remove

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api


@dataclass(frozen=True, slots=True)
class Removed:
    """What of a sweep was deleted."""

    jobs: int
    config_maps: int = 0


def cancel(api: Api, name: str, *, again: str) -> Deleted:
    """Delete the Jobs that have not ended; those that have, and all results, stay.

    ``again`` is the command that goes on where it was interrupted. Raises InputError, ClusterError,
    InterruptedRunError.
    """
    seen = see_sweep(api, name, reasons=False)
    jobs = [t.job for t in seen.trials if t.job is not None and not t.status.state.ended]
    made = delete(api, jobs)
    words = f"{len(made.deleted) + len(made.gone):,} of {len(jobs):,} Jobs are deleted; to go on: {again}"
    if made.error is not None:
        raise ClusterError(f"{made.error}\n{words}")
    if made.interrupted:
        raise InterruptedRunError(f"stopped: {words}")
    return made


def remove_sweep(api: Api, name: str) -> Removed:
    """Delete a sweep's Jobs, their pods, and its ConfigMaps; never results. Raises InputError, ClusterError."""
    jobs = delete_all(api, Kind.JOB, selector(name))
    # The one with the sweep's file goes last: until then, everything can still be seen and deleted again.
    files = delete_all(api, Kind.CONFIG_MAP, f"{selector(name)},{names.LABEL_COMPONENT}={names.COMPONENT_FILES}")
    maps = delete_all(api, Kind.CONFIG_MAP, selector(name))
    if not jobs and not files and not maps:
        see_sweep(api, name)  # says that there is none, and which there are
    return Removed(jobs, files + maps)


def retry(
    api: Api,
    name: str,
    on_event: OnEvent,
    *,
    again: str,
    trials: Collection[str] = (),
    failed: bool = False,
    missing: bool = False,
) -> tuple[str, ...]:
    """Start failed or missing trials anew: all that failed, all that are missing, or those named. Returns their Jobs.

    A failed Job is deleted and created again, with the old reason in an annotation. ``again`` is the command that goes
    on where it was interrupted. Raises InputError for a trial that can't be retried, or a sweep whose file is gone;
    ClusterError, InterruptedRunError.
    """
    seen = see_sweep(api, name)
    if seen.spec is None:
        raise InputError.of(
            "the command line", "SWEEP",
            f"{name}: {seen.trouble or f'its ConfigMap {names.sweep_config_map(name)} is gone'}",
            "a sweep whose file is in the cluster; 'kgen submit FILE' brings it back",
        )  # fmt: skip
    chosen = _named(seen, trials) if trials else _all(seen, failed=failed, missing=missing)
    if not chosen:
        return ()
    rendered = render(seen.spec, [t.spec for t in chosen if t.spec is not None], namespace=api.namespace)
    manifests = {manifest.trial: manifest for manifest in rendered.jobs}
    remove(api, name, [trial.job for trial in chosen if trial.job is not None], on_event, again=again)
    jobs = [as_retry(manifests[t.id], t.job, _why(t)) if _has_failed(t) else manifests[t.id] for t in chosen]
    made = create(api, jobs, on_event=on_event)
    raise_unfinished(made, len(jobs), again)
    return made.created + made.unchanged


def _all(seen: SeenSweep, *, failed: bool, missing: bool) -> list[SeenTrial]:
    return [
        trial
        for trial in seen.trials
        if trial.spec is not None and ((failed and _has_failed(trial)) or (missing and _is_missing(trial)))
    ]


def _has_failed(trial: SeenTrial) -> bool:
    return trial.status.state is State.FAILED or trial.status.reason is Reason.NO_ROW


def _is_missing(trial: SeenTrial) -> bool:
    """Whether it has no Job and no end; as for a submission, a pod that its deleted Job left is no hindrance."""
    return trial.job is None and trial.status.state not in (State.SUCCEEDED, State.FAILED)


def _named(seen: SeenSweep, given: Collection[str]) -> list[SeenTrial]:
    by_id = {trial.id: trial for trial in seen.trials if trial.spec is not None}
    chosen = []
    for name in given:
        trial = by_id.get(name.rpartition("-")[2])
        if trial is None:
            raise InputError.of("the command line", "TRIAL", name, f"a trial of sweep {seen.name}")
        if not _has_failed(trial) and not _is_missing(trial):
            found = f"{name}, which is {trial.status.state.lower()}"
            raise InputError.of("the command line", "TRIAL", found, "a trial that failed or is missing")
        chosen.append(trial)
    return chosen


def _why(trial: SeenTrial) -> str:
    return f"{trial.status.reason or trial.status.state}: {trial.status.message}".removesuffix(": ")
