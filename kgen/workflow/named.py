"""A trial, or the Job of several, that somebody names on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kgen import names
from kgen.backends.kubernetes.objects import Kind, list_events, list_objects
from kgen.errors import InputError
from kgen.status import Object, group_by_trial, read, trials_of
from kgen.workflow.observe import Objects, SeenTrial, assemble, read_known, see_sweeps, trial_or_pack
from kgen.workflow.stored import selector, stored_spec, sweep_of

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api


@dataclass(frozen=True, slots=True)
class Named:
    """What somebody named: a trial, or the Job of several."""

    sweep: str
    trials: tuple[SeenTrial, ...]
    """The one, or all of the Job."""
    events: list[Object]
    """Oldest first."""

    @property
    def job_name(self) -> str:
        """Of the Job, where that was named and has several trials; else empty."""
        return self.trials[0].job_name if len(self.trials) > 1 else ""


def see_named(api: Api, given: str) -> Named:
    """A trial by its id, or all trials of a Job by its name, with their sweep's name and their events.

    Raises InputError if the namespace has no such trial or Job.
    """
    named = given.removeprefix("job.batch/").removeprefix("trial/")
    of_sweep, _, wanted = named.rpartition("-")
    if not names.TRIAL_ID_PATTERN.fullmatch(wanted):
        allowed = "a trial's id, ten of a-z and 2-7, or the name of its Job"
        raise InputError.of("the command line", "TRIAL", given, allowed)
    jobs, pods = _objects_of(api, of_sweep, wanted)
    if not jobs and not pods:
        return _not_created(api, given, of_sweep, wanted)
    if len(sweeps := sorted({sweep_of(item) for item in [*jobs, *pods]})) > 1:
        raise _ambiguous(given, wanted, sweeps)
    first = next(iter([*jobs, *pods]))
    trials = trials_of(first) if trial_or_pack(first) == wanted else (wanted,)
    found = list_events(api, names.job_name(sweeps[0], trial_or_pack(first)))
    grouped = group_by_trial(jobs, pods, found)
    events = sorted((event for trial in trials[:1] for event in grouped[trial].events), key=read.event_time)
    stored, config, _ = stored_spec(api, sweeps[0])
    spec, rows, _ = read_known(api, stored, config, jobs)
    seen = assemble(api.namespace, sweeps[0], spec, Objects(None, jobs, pods, events), rows)
    by_id = {trial.id: trial for trial in seen.trials}
    return Named(sweeps[0], tuple(by_id[trial] for trial in trials), events)


def _objects_of(api: Api, of_sweep: str, wanted: str) -> tuple[list[Object], list[Object]]:
    """Jobs and pods of a trial, or of the pack of that name; of any sweep, unless one is given."""
    sweep = f",{selector(of_sweep)}" if of_sweep else ""
    own = f"{names.LABEL_TRIAL}={wanted}{sweep}"
    jobs, pods = list_objects(api, Kind.JOB, own)[0], list_objects(api, Kind.POD, own)[0]
    if jobs or pods:
        return jobs, pods
    packs = f"{names.LABEL_PACK}{sweep}"  # no label tells a pack's trials
    listed = list_objects(api, Kind.JOB, packs)[0], list_objects(api, Kind.POD, packs)[0]
    jobs, pods = ([item for item in items if _is_named(item, wanted)] for items in listed)
    return jobs, pods


def _is_named(pack: Object, wanted: str) -> bool:
    trials = trials_of(pack)
    return wanted in trials or (bool(trials) and wanted == trial_or_pack(pack))


def _not_created(api: Api, given: str, of_sweep: str, trial: str) -> Named:
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
        return Named(name, (seen,), [])
    raise InputError.of("the command line", "TRIAL", given, f"a trial of a sweep in namespace {api.namespace}")


def _ambiguous(given: str, trial: str, sweeps: Sequence[str]) -> InputError:
    """Sweeps that train the same have the same trial ids."""
    jobs = " or ".join(names.job_name(sweep, trial) for sweep in sweeps)
    return InputError.of("the command line", "TRIAL", f"{given}, a trial of {len(sweeps)} sweeps", f"its Job: {jobs}")
