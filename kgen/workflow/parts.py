"""A sweep's parts on a cluster: what of a seen sweep is one part's, and what no part asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from kgen.status import trials_of
from kgen.sweep import SweepSpec, expand
from kgen.workflow.known import stage_of
from kgen.workflow.observe import SeenSweep


def parts_of(spec: SweepSpec) -> tuple[SweepSpec, ...]:
    """What is planned, rendered and created one by one: a sweep without stages is its own only part."""
    return spec.parts if spec.stages else (spec,)


def in_parts(seen: SeenSweep) -> Iterator[tuple[SweepSpec, SeenSweep]]:
    """Each known part with what is seen of it. Jobs that no part asks for are those of their stage's first one; of a
    stage that the file does not have, of the very first."""
    spec = seen.spec
    assert spec is not None, "of a sweep whose file is known"
    left = {stage_of(job.job) for job in seen.jobs.values()}
    foreign = left - {stage.name for stage in spec.stages}
    if not spec.stages:
        yield spec, seen
    for part in spec.parts:
        orphans = {part.stage} & left | foreign
        yield part, of_part(seen, part, orphans)
        left, foreign = left - orphans, set()


def of_part(seen: SeenSweep, part: SweepSpec, orphans: Collection[str] = ()) -> SeenSweep:
    """What is seen of one part, as if it were a sweep of its own: its trials, and of the stages ``orphans`` those Jobs
    that no part asks for."""
    trials = {trial.id: trial for trial in expand(part)}
    asked = {trial.id for trial in seen.asked} | trials.keys()
    jobs = {
        name: job
        for name, job in seen.jobs.items()
        if not trials.keys().isdisjoint(own := trials_of(job.job))
        or (stage_of(job.job) in orphans and asked.isdisjoint(own))
    }
    return replace(
        seen,
        spec=part,
        trials=tuple(
            replace(trial, spec=trials.get(trial.id))
            for trial in seen.trials
            if trial.id in trials or (trial.spec is None and trial.job_name in jobs)
        ),
        jobs=jobs,
    )
