"""Taking things of a sweep off a cluster: cancel, delete. No local file is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from kgen import names
from kgen.backends.kubernetes.objects import Kind, list_objects
from kgen.backends.kubernetes.remove import Deleted, delete, delete_all, wait_until_gone
from kgen.errors import ClusterError, InputError, InterruptedRunError, StoreError, TimedOutError
from kgen.render.tools import tool_selector
from kgen.status import State
from kgen.sweep import SweepSpec
from kgen.sweep.sweepspec import Scheme
from kgen.workflow.observe import SeenSweep, see_sweep
from kgen.workflow.results import far_results
from kgen.workflow.stored import selector
from kgen.workflow.submitting import end_submit_job

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api


GONE_SECONDS: Final = 90.0
"""How long a sweep's pods may take to end before its results are removed: a program may use half a minute of it."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What there is of a sweep, and would be lost with it."""

    unfinished: int
    """Jobs that have not ended."""
    running: int
    """Those of them that run: what they have done so far would be lost."""
    ended: int
    succeeded: int
    """Jobs that are Complete."""
    location: str
    """Where its results lie; empty where its file is gone or can't be read."""
    row_files: int | None
    """None where they can't be counted from here."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What of a sweep was deleted."""

    jobs: int
    config_maps: int = 0
    result_files: int | None = None
    """None where the results stay."""


def cancel(api: Api, name: str, *, again: str) -> Deleted:
    """Delete the Jobs that have not ended; those that have, and all results, stay.

    ``again`` is the command that goes on where it was interrupted. Raises InputError, ClusterError,
    InterruptedRunError.
    """
    submitting = end_submit_job(api, name)  # first, or it would go on to create what is deleted here
    seen = see_sweep(api, name, reasons=False)
    jobs = [job.job for job in seen.jobs.values() if not job.has_ended]
    made = delete(api, jobs)
    words = f"{len(made.deleted) + len(made.gone):,} of {len(jobs):,} Jobs are deleted; to go on: {again}"
    if made.error is not None:
        raise ClusterError(f"{made.error}\n{words}")
    if made.interrupted:
        raise InterruptedRunError(f"stopped: {words}")
    return replace(made, deleted=(*filter(None, [submitting]), *made.deleted))


def holdings(
    api: Api, name: str, *, results: bool = False, image: str = "", on_event: Callable[[str], None] = lambda _: None
) -> Holdings:
    """What a sweep has; changes nothing. Only with ``results`` rows in a claim are counted, through a pod.

    Raises InputError where there is no such sweep, ClusterError; with ``results`` StoreError, too.
    """
    seen = see_sweep(api, name, reasons=False)
    jobs = seen.jobs.values()
    unfinished = [job for job in jobs if not job.has_ended]
    return Holdings(
        unfinished=len(unfinished),
        running=sum(job.is_running for job in unfinished),
        ended=len(jobs) - len(unfinished),
        succeeded=sum(
            bool(job.trials) and all(trial.status.state is State.SUCCEEDED for trial in job.trials) for job in jobs
        ),
        location="" if seen.spec is None else str(seen.spec.location),
        row_files=_count_rows(api, seen.spec, results=results, image=image, on_event=on_event),
    )


def _count_rows(
    api: Api, spec: SweepSpec | None, *, results: bool, image: str, on_event: Callable[[str], None]
) -> int | None:
    if spec is None or (spec.location.scheme is Scheme.PVC and not results):
        return None
    try:
        with far_results(spec, image=image, connect=lambda: api, on_event=on_event) as source:
            return len(source.row_files())
    except (ClusterError, StoreError):
        if results:
            raise
        return None


def remove_sweep(
    api: Api,
    name: str,
    *,
    results: bool = False,
    image: str = "",
    on_event: Callable[[str], None] = lambda _: None,
) -> Removed:
    """Delete a sweep's Jobs, their pods, and its ConfigMaps; its results only if asked to, with everything in them.

    Interrupted anywhere, it can be done again. Raises InputError, ClusterError; for results StoreError, and
    TimedOutError where pods that may still write there do not end. ``image`` is that of the pod which reaches a claim.
    """
    files = None
    if results:
        spec = spec_of(see_sweep(api, name, reasons=False))
        with far_results(spec, image=image, writable=True, connect=lambda: api, on_event=on_event) as source:
            source.row_files()  # what can't be reached is said before anything is deleted
            jobs = _delete_jobs(api, name)
            _until_nothing_writes(api, name)
            files = source.remove()
    else:
        jobs = _delete_jobs(api, name)
    delete(api, list_objects(api, Kind.POD, tool_selector(names.COMPONENT_FETCH, name))[0])
    # Last, and at once: the sweep can be seen, and deleted again, for as long as its file and its sources are there.
    maps = delete_all(api, Kind.CONFIG_MAP, selector(name))
    if not jobs and not maps:
        see_sweep(api, name)  # says that there is none, and which there are
    return Removed(jobs, maps, files)


def _delete_jobs(api: Api, name: str) -> int:
    submitting = end_submit_job(api, name)  # first, or it would go on to create what is deleted here
    return bool(submitting) + delete_all(api, Kind.JOB, selector(name))


def _until_nothing_writes(api: Api, name: str) -> None:
    """Trials, and the Job that collects them; not the pod by which results are removed."""
    writing = f"{selector(name)},{names.LABEL_COMPONENT} notin ({names.COMPONENT_FETCH},{names.COMPONENT_DOCTOR})"
    pods = list_objects(api, Kind.POD, writing)[0]
    try:
        wait_until_gone(api, pods, writing, timeout=GONE_SECONDS)
    except TimedOutError as error:
        raise TimedOutError(f"{error}; the results stay as long as these pods may write there") from error


def spec_of(seen: SeenSweep) -> SweepSpec:
    """The sweep's file as the cluster holds it. Raises InputError where it is gone or can't be read."""
    if seen.spec is None:
        raise InputError.of(
            "the command line", "SWEEP",
            f"{seen.name}: {seen.trouble or f'its ConfigMap {names.sweep_config_map(seen.name)} is gone'}",
            "a sweep whose file is in the cluster; 'kgen submit FILE' brings it back",
        )  # fmt: skip
    return seen.spec
