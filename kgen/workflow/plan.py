"""What a run would do: the sweep file against the rows that are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from kgen.backends.local.devices import Slot, slots
from kgen.names import DEFAULT_STAGE, may_hold_others
from kgen.plan import Plan, Seen, plan
from kgen.spec import Packing, TrialSpec
from kgen.sweep import SweepSpec, expand
from kgen.workflow.store import store_of

if TYPE_CHECKING:
    from kgen.results.collect import Observed
    from kgen.sweep.sweepspec import Stage


@dataclass(frozen=True, slots=True)
class StagePlan:
    """What a run would do about one stage, as far as it can be known."""

    name: str
    plans: tuple[Plan, ...]
    """Of its trials that are known; those of a search one for each budget."""
    outlook: str = ""
    """What it will train beyond these, in words; empty where all of its trials are known."""
    unknown: int = 0
    """At the most so many trials."""
    unknown_steps: int | None = 0
    """Training steps of these together, at the most; None without a cap."""
    timed: int = 0
    """So many trials a run trains again, each alone, after all have a result; at the most, if some are not known."""
    note: str = ""
    """What of its choice is worth knowing, in a sentence."""

    @property
    def trials(self) -> int:
        """All of the stage, those that are not known at the most."""
        return sum(len(made.planned) for made in self.plans) + self.unknown

    @property
    def worst_steps(self) -> int | None:
        """Training steps if no trial that is left stops early; None without a cap."""
        known = [made.worst_steps for made in self.plans]
        if self.unknown:
            known.append(self.unknown_steps)
        return None if None in known else sum(filter(None, known))


def title(spec: SweepSpec) -> str:
    """Name of the sweep, and of the stage where that has one."""
    return spec.name if spec.stages or spec.stage == DEFAULT_STAGE else f"{spec.name}, stage {spec.stage}"


def make_plan(spec: SweepSpec) -> Plan:
    """One action per trial of the sweep; of a sweep with stages, of all trials that are known.

    Raises StoreError for results that can't be read, InputError for a choice that does not suit the file. Changes
    nothing.
    """
    from kgen.workflow.stages import resolved

    return plan_on(resolved(spec, store_of(spec)), slots(spec.local.processes, spec.local.gpus))


def plan_stages(spec: SweepSpec) -> tuple[StagePlan, ...]:
    """The plan of each stage of a sweep that has stages. Raises as :func:`make_plan` does. Changes nothing."""
    from kgen.sweep.stages import most, outlook, steps_at_most
    from kgen.workflow.chosen import choices_made, outdated
    from kgen.workflow.stages import resolved, unfinished

    store, places = store_of(spec), slots(spec.local.processes, spec.local.gpus)
    known = resolved(spec, store)
    open_ended = unfinished(spec, store)
    choices = {choice.stage: choice for choice in choices_made(spec, store)}
    made = []
    for stage in spec.stages:
        parts = [part for part in known.parts if part.stage == stage.name]
        plans = tuple(plan_on(part, places) for part in parts)
        if stage.name not in open_ended:
            timed = sum(map(to_be_timed, parts, plans))
            note = outdated(known, choices[stage.name]) if stage.name in choices else ""
            made.append(StagePlan(stage.name, plans, timed=timed, note=note))
            continue
        unknown = max(0, most(stage, spec.stages) - sum(part.size for part in parts))
        sizes: Counter[int | None] = Counter()
        for part in parts:
            sizes[part.budget.steps] += part.size
        steps = steps_at_most(stage, unknown, sizes)
        timed = _timed_at_most(stage, most(stage, spec.stages))
        made.append(StagePlan(stage.name, plans, outlook(stage, spec.stages), unknown, steps, timed))
    return tuple(made)


def to_be_timed(spec: SweepSpec, made: Plan) -> int:
    """How many trials a run trains again, each alone, after all have a result, if none of them diverges."""
    from kgen.workflow.timing import timing_sample

    if made.packing is Packing.FUSED and made.pending:
        return min(spec.timing_sample, len(made.planned))
    return len(timing_sample(spec))


def _timed_at_most(stage: Stage, trials: int) -> int:
    """The same of a stage that may come to so many trials: each part of it has a sample of its own."""
    from kgen.sweep.stages import rungs_ahead

    packing = stage.packing if stage.search is None else stage.base.packing
    if packing is Packing.SEQUENTIAL:
        return 0
    return min(stage.base.timing_sample * (len(rungs_ahead(stage)) or 1), trials)


def plan_on(spec: SweepSpec, places: Sequence[Slot]) -> Plan:
    """One action per trial of a sweep, or a part of one, for given slots: a run works off the plan that was printed."""
    trials = expand(spec)
    observed = _observe(spec, trials)
    # Trials that shared a program took as long as the slowest beside them: that is nobody's pace.
    timed = () if spec.packing is Packing.FUSED else observed.values()
    done = [row.total_seconds for row in timed if row.state == "complete" and not may_hold_others(row.file)]
    return plan(
        title(spec),
        trials,
        {
            trial: (Seen.DONE if row.state == "complete" else Seen(row.state), row.reason)
            for trial, row in observed.items()
        },
        budget=spec.budget,
        workers=max(1, min(len(places), len(trials))),
        seconds_per_trial=fmean(done) if done else None,
        packing=spec.packing,
    )


def _observe(spec: SweepSpec, trials: Sequence[TrialSpec]) -> Mapping[str, Observed]:
    store = store_of(spec)
    if not store.has_rows():
        return {}  # and pyarrow, half of a plan's time, need not be imported
    from kgen.results.collect import observe

    return observe(store, trials)
