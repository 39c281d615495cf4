"""Which Jobs the trials of a sweep should have, given those that are there."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence

from kgen import names
from kgen.errors import InputError
from kgen.packs import Pack, PackThere, pack_id, packs
from kgen.plan import Action, Plan
from kgen.render.manifest import Manifest
from kgen.spec import Packing, TrialSpec
from kgen.status import Object, is_pack, read, trials_of
from kgen.sweep import SweepSpec
from kgen.sweep.cluster import ExecutionModel
from kgen.sweep.packing import packing_mistakes
from kgen.workflow.observe import SeenSweep, SeenTrial, jobs_of, trial_or_pack


def packs_of(
    spec: SweepSpec,
    trials: Sequence[TrialSpec],
    seen: Iterable[SeenTrial],
    done: Collection[str] = (),
    gone: Sequence[PackThere] = (),
) -> tuple[Pack, ...]:
    """Jobs that are there keep the trials that are ``seen`` in them, those that are ``gone`` all of theirs; the others
    get new ones, but for those that are ``done``, which need none where several share a pod."""
    there = [*gone, *(_there(own) for own in jobs_of(seen).values())]
    none_for = done if spec.trials_per_pod > 1 else ()
    return packs(trials, spec.trials_per_pod, there, none_for, by_seed=spec.packing is Packing.FUSED)


def packs_gone(seen: SeenSweep, config_maps: Iterable[Object]) -> list[PackThere]:
    """The packs of the file's trials whose Jobs are gone, as their ConfigMaps tell, of those that overlap the newest:
    what a retry leaves that was killed between two Jobs of one name."""
    jobless = {trial.id for trial in seen.trials if trial.job is None}
    asked = {trial.id for trial in seen.trials if trial.spec is not None}
    found: dict[str, PackThere] = {}
    taken: set[str] = set()
    for each in sorted(config_maps, key=lambda each: read.text(each, "metadata", "creationTimestamp"), reverse=True):
        trials = _trials_in(each)
        own = asked.intersection(trials)
        name = pack_id(trials)
        if own and own <= jobless - taken and names.job_name(seen.name, name) not in seen.jobs:
            taken |= own
            found[name] = PackThere(name, trials)
    return list(found.values())


def _trials_in(config_map: Object) -> tuple[str, ...]:
    """The ids that a pack's ConfigMap holds; none of another one."""
    lines = read.text(config_map, "data", names.CONFIG_MAP_TRIALS_KEY).splitlines()
    try:
        return tuple(str(json.loads(line)["id"]) for line in lines)
    except (LookupError, TypeError, ValueError):
        return ()


def refuse_packs(spec: SweepSpec, jobs: Iterable[Manifest], alone: Collection[str]) -> None:
    """Raise InputError where a Job of several trials is to be created for a trainer that takes one: the file has been
    edited since they were packed, and asks for one trial in a pod now."""
    for job in jobs:
        if job.trials[0] in alone:
            continue
        given = ExecutionModel.model_validate({"packing": str(spec.packing), "trials_per_pod": max(2, len(job.trials))})
        for _, found, allowed in packing_mistakes(given, spec.trainer, spec.objective, spec.budget):
            raise InputError.of(
                str(spec.file), "trainer", f"{found}, those of job.batch/{job.name}, which was made before this edit",
                f"{allowed}; or delete that Job first, so that each of its trials gets its own",
            )  # fmt: skip


def by_trial(jobs: Iterable[Manifest], seen: Iterable[SeenTrial]) -> dict[str, Manifest]:
    """The Job of each trial: of two that have it, which two submissions of different files at once may leave, the one
    that it is seen in."""
    own = {trial.id: trial.job_name for trial in seen if trial.job is not None}
    return {
        trial: manifest
        for manifest in jobs
        for trial in manifest.trials
        if own.get(trial, manifest.name) == manifest.name
    }


def refuse_rerun(plan: Plan, alone: Collection[str]) -> None:
    """Raise InputError where another image made results of trials that do not run ``alone``: a Job of several skips
    what has a result."""
    stale = [item.trial.id for item in plan.planned if item.action is Action.DONE_OTHER_IMAGE]
    if packed := [trial for trial in stale if trial not in alone]:
        raise InputError.of(
            "the command line", "--rerun-stale",
            f"{len(packed):,} results that another image made, of Jobs of several trials, which skip what has a result",
            f"without it; or first 'kgen delete {plan.name} --results', so that everything runs again",
        )  # fmt: skip


def _there(own: Sequence[SeenTrial]) -> PackThere:
    job = own[0].job
    assert job is not None, "jobs_of gives those that have one"
    mine = {trial.id for trial in own}
    trials = tuple(trial for trial in trials_of(job) if trial in mine)
    return PackThere(trial_or_pack(job), trials, is_single=not is_pack(job))
