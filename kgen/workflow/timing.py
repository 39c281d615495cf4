"""Trials that are trained once more, alone, after fused ones, which have no seconds of their own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

from kgen.spec import Packing, TrialSpec
from kgen.sweep import SweepSpec, expand
from kgen.workflow.store import store_of

T = TypeVar("T")


def timing_sample(spec: SweepSpec) -> tuple[TrialSpec, ...]:
    """Those of ``execution.timing_sample`` that lack a result that was trained alone, as far as there are results now.

    Raises StoreError for results that can't be read. Changes nothing.
    """
    if spec.packing is not Packing.FUSED or not spec.timing_sample:
        return ()
    from kgen.results.collect import observe, trained_alone
    from kgen.results.read import RowCache

    trials, store, cache = expand(spec), store_of(spec), RowCache()
    seen = observe(store, trials, cache)
    good = [
        trial
        for trial in trials
        if (row := seen.get(trial.id)) is not None and row.state == "complete" and row.outcome != "diverged"
    ]
    return untimed(good, trained_alone(store, good, cache), spec.timing_sample)


def untimed(trials: Sequence[TrialSpec], timed: Collection[str], number: int) -> tuple[TrialSpec, ...]:
    """Of so many trials, evenly spread, those that were not timed yet; no more than would make that number of all."""
    lacking = number - sum(trial.id in timed for trial in trials)
    return tuple(_spread([trial for trial in _spread(trials, number) if trial.id not in timed], lacking))


def _spread(items: Sequence[T], number: int) -> Sequence[T]:
    """So many of them, each from the middle of its part of the whole."""
    if number >= len(items):
        return items
    return [items[(2 * i + 1) * len(items) // (2 * number)] for i in range(number)]
