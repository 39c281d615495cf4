"""What a run would do: the sweep file against the rows that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from kgen.backends.local.devices import Slot, slots
from kgen.plan import Plan, Seen, plan
from kgen.spec import Packing, TrialSpec
from kgen.sweep import SweepSpec, expand
from kgen.workflow.store import store_of

if TYPE_CHECKING:
    from kgen.results.collect import Observed


def make_plan(spec: SweepSpec) -> Plan:
    """One action per trial of the sweep. Raises StoreError for results that can't be read. Changes nothing."""
    return plan_on(spec, slots(spec.local.processes, spec.local.gpus))


def plan_on(spec: SweepSpec, places: Sequence[Slot]) -> Plan:
    """The same for given slots, so that a run works off the plan that was printed."""
    trials = expand(spec)
    observed = _observe(spec, trials)
    # Trials that shared a program took as long as the slowest beside them: that is nobody's pace.
    timed = () if spec.packing is Packing.FUSED else observed.values()
    done = [row.total_seconds for row in timed if row.state == "complete"]
    return plan(
        spec.name,
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

    return observe(store, trials, spec.objective)
