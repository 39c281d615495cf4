"""Starting trials of a sweep that is on a cluster anew. No local file is needed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from kgen import names
from kgen.backends.kubernetes.create import create
from kgen.errors import InputError
from kgen.packs import Pack, PackThere
from kgen.render import Rendered, render_packs
from kgen.status import Reason, State
from kgen.sweep import SweepSpec, expand
from kgen.workflow.act import spec_of
from kgen.workflow.observe import SeenSweep, SeenTrial, jobs_of, see_sweep
from kgen.workflow.packed import packs_gone, packs_of, refuse_packs
from kgen.workflow.parts import parts_of
from kgen.workflow.stored import list_config_maps
from kgen.workflow.submit import OnEvent, as_retry, hand_over, raise_unfinished, remove
from kgen.workflow.submitting import at_work

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api


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

    A failed Job is deleted and created again, with the old reason in an annotation; one of several trials is left alone
    while it trains any of them, and what has a result is passed over in it. One that is gone comes back with all its
    trials, as long as its ConfigMap is there. ``again`` is the command that goes on where it was interrupted. Raises
    InputError for a trial that can't be retried, or a sweep whose file is gone; ClusterError, InterruptedRunError.
    """
    seen = see_sweep(api, name)
    spec = spec_of(seen)
    config_maps = list_config_maps(api, name)
    gone = packs_gone(seen, config_maps)
    chosen = _named(seen, gone, trials) if trials else _all(seen, failed=failed, missing=missing)
    if not chosen:
        return ()
    _refuse_beside_another(api, name, chosen)
    rendered = list(_rendered(spec, seen, chosen, gone, api.namespace))
    # Before anything is deleted: what can't be handed over would leave trials without a Job.
    stored = {each["metadata"]["name"] for each in config_maps}
    needed = [each for part in rendered for _, each in part.config_maps if each.name not in stored]
    hand_over(needed, api, on_event, again=again)
    old = [of_job[0].job for of_job in jobs_of(chosen).values()]
    remove(api, name, [job for job in old if job is not None], on_event, again=again)
    by_id = {trial.id: trial for trial in chosen}
    jobs = []
    for manifest in (manifest for part in rendered for manifest in part.jobs):
        why = [by_id[trial] for trial in manifest.trials if trial in by_id and _has_failed(by_id[trial])]
        jobs.append(as_retry(manifest, why[0].job, _why(why)) if why else manifest)
    made = create(api, jobs, on_event=on_event)
    raise_unfinished(made, len(jobs), again)
    return made.created + made.unchanged


def _refuse_beside_another(api: Api, name: str, chosen: Iterable[SeenTrial]) -> None:
    """Raise InputError for trials that somebody else is about to create Jobs of: they would be trained twice."""
    absent = [trial.id for trial in chosen if trial.job is None]
    job = at_work(api, name) if absent else None
    if job is not None:
        found = f"{absent[0]}, which has no Job yet, while job.batch/{job['metadata']['name']} creates what is missing"
        raise InputError.of("the command line", "TRIAL", found, "trials that have a Job; or wait until that has ended")


def _rendered(
    spec: SweepSpec, seen: SeenSweep, chosen: Sequence[SeenTrial], gone: Sequence[PackThere], namespace: str
) -> Iterator[Rendered]:
    """The Jobs of the chosen trials, part by part. Raises InputError for what can't be in a Job of several trials."""
    for part in parts_of(spec):
        own = {trial.id for trial in expand(part)}
        mine = [trial for trial in chosen if trial.id in own]
        if not mine:
            continue
        packs = _packs(part, seen, mine, [pack for pack in gone if not own.isdisjoint(pack.trials)])
        rendered = render_packs(part, packs, namespace=namespace)
        refuse_packs(part, rendered.jobs, rendered.alone)
        yield rendered


def _packs(spec: SweepSpec, seen: SeenSweep, chosen: Sequence[SeenTrial], gone: Sequence[PackThere]) -> list[Pack]:
    """The Jobs that the chosen trials had, with all their trials, and new ones for those that had none."""
    old = jobs_of(chosen)
    place = {trial.id: number for number, trial in enumerate(chosen)}
    back = [pack for pack in gone if not place.keys().isdisjoint(pack.trials)]
    mates = {trial for pack in back for trial in pack.trials}
    affected = [t for t in seen.trials if t.id in place or t.job_name in old or t.id in mates]
    wanted = [trial.spec for trial in affected if trial.spec is not None]
    return sorted(
        packs_of(spec, wanted, affected, gone=back),
        key=lambda pack: min(place.get(trial.id, len(place)) for trial in pack.trials),
    )


def _all(seen: SeenSweep, *, failed: bool, missing: bool) -> list[SeenTrial]:
    going = _going(seen)
    return [
        trial
        for trial in seen.trials
        if trial.spec is not None
        and ((failed and _has_failed(trial) and trial.job_name not in going) or (missing and _is_missing(trial)))
    ]


def _going(seen: SeenSweep) -> set[str]:
    """Jobs that still have something to do for a trial."""
    return {name for name, job in seen.jobs.items() if not job.has_ended}


def _has_failed(trial: SeenTrial) -> bool:
    return trial.status.state is State.FAILED or trial.status.reason is Reason.NO_ROW


def _is_missing(trial: SeenTrial) -> bool:
    """Whether it has no Job and no end; as for a submission, a pod that its deleted Job left is no hindrance."""
    return trial.job is None and trial.status.state not in (State.SUCCEEDED, State.FAILED)


def _named(seen: SeenSweep, gone: Iterable[PackThere], given: Collection[str]) -> list[SeenTrial]:
    by_id = {trial.id: trial for trial in seen.trials if trial.spec is not None}
    jobs, going = jobs_of(by_id.values()), _going(seen)
    for pack in gone:
        jobs[names.job_name(seen.name, pack.id)] = [by_id[trial] for trial in pack.trials if trial in by_id]
    chosen: dict[str, SeenTrial] = {}
    for name in given:
        named = name.rpartition("-")[2]
        of_job = jobs.get(names.job_name(seen.name, named), [])
        trials = [by_id[named]] if named in by_id else of_job
        can_be = [trial for trial in trials if _has_failed(trial) or _is_missing(trial)]
        if not trials:
            raise InputError.of("the command line", "TRIAL", name, f"a trial of sweep {seen.name}")
        if not can_be:
            states = " and ".join(dict.fromkeys(trial.status.state.lower() for trial in trials))
            found = f"{name}, which is {states}"
            raise InputError.of("the command line", "TRIAL", found, "a trial that failed or is missing")
        if can_be[0].job_name in going:
            found = f"{name}, whose Job {can_be[0].job_name} still trains others"
            raise InputError.of("the command line", "TRIAL", found, "a trial whose Job has ended")
        chosen |= {trial.id: trial for trial in can_be}
    return list(chosen.values())


def _why(failed: Sequence[SeenTrial]) -> str:
    """Of the first; of how many more the same or something else can be said."""
    status = failed[0].status
    more = f" (and {len(failed) - 1:,} more)" if len(failed) > 1 else ""
    return f"{status.reason or status.state}: {status.message}".removesuffix(": ") + more
