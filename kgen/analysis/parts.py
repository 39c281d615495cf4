"""Parts of one stage as one: which of a search's trials stand for their points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from kgen.analysis.outcomes import COMPLETE
from kgen.analysis.roles import Scale
from kgen.results.rows import PARAMETER_PREFIX
from kgen.spec import Budget
from kgen.sweep import SweepSpec, expand
from kgen.sweep.choosing import Spacing


def merged(parts: Sequence[SweepSpec], trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of these parts, in the table's order; of the rungs of a point only the longest that left a result.

    A shorter rung is the beginning of a longer one, so it is no trial of its own. A metric after fewer steps can't be
    compared with one after more, so with such an objective only the longest rung of all counts.
    """
    steps = {trial.id: trial.budget.steps or 0 for part in parts for trial in expand(part)}
    rungs = {trial.id for part in parts if part.lineage for trial in expand(part)}
    mine = trials[trials["trial"].isin(list(steps))]
    if not rungs or mine.empty:
        return mine.reset_index(drop=True)
    names = [str(name) for name in mine.columns if str(name).startswith(PARAMETER_PREFIX)]
    keys = mine[[*names, "seed"]].astype(object).where(mine[[*names, "seed"]].notna(), None)
    of = dict(zip(mine["trial"], map(tuple, keys.itertuples(index=False)), strict=True))
    complete = dict(zip(mine["trial"], mine["status"].isin(COMPLETE).tolist(), strict=True))
    best: dict[tuple[object, ...], tuple[bool, int, str]] = {}
    for trial in (trial for trial in of if trial in rungs):
        rank = (complete[trial], steps[trial], trial)
        best[of[trial]] = max(best.get(of[trial], rank), rank)
    least = 0 if parts[0].objective.is_time else max(best.values())[1]
    kept = {trial for _, length, trial in best.values() if length >= least}
    kept |= {trial for trial in of if trial not in rungs}
    return mine[mine["trial"].isin(list(kept))].reset_index(drop=True)


def scales_of(parts: Sequence[SweepSpec]) -> Mapping[str, Scale]:
    """How the axes of those parameters are divided that a search chose from a range."""
    return {
        name: Scale.LOG if spacing is Spacing.LOG else Scale.LINEAR
        for part in parts
        for name, spacing in part.ranges.items()
    }


def longest(parts: Sequence[SweepSpec]) -> Budget:
    """Of their budgets the one by which they are compared: the last rung's."""
    return max((part.budget for part in parts), key=lambda budget: budget.steps or math.inf)
