"""Parts of one stage as one: which of a search's trials stand for their points."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from kgen.analysis.outcomes import COMPLETE
from kgen.results.rows import PARAMETER_PREFIX
from kgen.sweep import SweepSpec, expand


def merged(parts: Sequence[SweepSpec], trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of these parts, in the table's order; of the rungs of a point only the longest that left a result.

    A shorter rung is the beginning of a longer one, so it is no trial of its own.
    """
    steps = {trial.id: trial.budget.steps or 0 for part in parts for trial in expand(part)}
    rungs = {trial.id for part in parts if part.lineage for trial in expand(part)}
    mine = trials[trials["trial"].isin(list(steps))]
    if not rungs or mine.empty:
        return mine.reset_index(drop=True)
    names = [str(name) for name in mine.columns if str(name).startswith(PARAMETER_PREFIX)]
    keys = mine[[*names, "seed"]].astype(object).where(mine[[*names, "seed"]].notna(), None)
    longest: dict[tuple[object, ...], tuple[bool, int, str]] = {}
    of = dict(zip(mine["trial"], map(tuple, keys.itertuples(index=False)), strict=True))
    complete = dict(zip(mine["trial"], mine["status"].isin(COMPLETE).tolist(), strict=True))
    for trial in (trial for trial in of if trial in rungs):
        rank = (complete[trial], steps[trial], trial)
        longest[of[trial]] = max(longest.get(of[trial], rank), rank)
    kept = {trial for _, _, trial in longest.values()} | {trial for trial in of if trial not in rungs}
    return mine[mine["trial"].isin(list(kept))].reset_index(drop=True)
