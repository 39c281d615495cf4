"""What a search by bisection believes of its lines, for whoever judges their trials afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import pandas as pd

from kgen.analysis.belief import Belief, Observation
from kgen.analysis.evidence import cap_of, evidence
from kgen.analysis.outcomes import COMPLETE
from kgen.analysis.parts import longest
from kgen.analysis.tried import Tried, curves_by_trial, lines_by_trial, trained
from kgen.spec import STEPS_TO_TARGET, Budget, Objective
from kgen.sweep import SweepSpec, expand
from kgen.sweep.sweepspec import Method


@dataclass(frozen=True, slots=True)
class Told:
    """The trials of stages that train the same thing, of which a search by bisection asked for some."""

    tried: Mapping[str, Tried]
    """By their ids: those with a result."""
    budget: Budget
    objective: Objective

    @classmethod
    def of(cls, parts: Sequence[SweepSpec], trials: pd.DataFrame, curves: pd.DataFrame) -> Self | None:
        """``None`` where no such search was, or its objective is not a time."""
        if not parts or not parts[0].objective.is_time or all(part.method is not Method.BISECTION for part in parts):
            return None
        complete = trials[trials["status"].isin(COMPLETE)]
        lines = lines_by_trial(complete)
        shown = curves_by_trial(curves[curves["trial"].isin(list(lines))])
        tried = {
            trial.id: trained(part, trial.parameters, trial.seed, lines[trial.id], shown.get(trial.id, {}))
            for part in parts
            for trial in expand(part)
            if trial.id in lines
        }
        return cls(tried, longest(parts), parts[0].objective)

    def belief(self, positions: Mapping[str, float]) -> Belief | None:
        """Of one line, by log10 of where its trials stand; ``None`` where it has none with a result."""
        known = [(self.tried[trial], at) for trial, at in positions.items() if trial in self.tried]
        places = [at for _, at in known]
        return believed([one for one, _ in known], places, self.budget, self.objective) if known else None


def believed(tried: Sequence[Tried], places: Sequence[float], budget: Budget, objective: Objective) -> Belief:
    """What trials with a result say of the line on which they stand at these places, log10 of a parameter."""
    seen = evidence(tried, budget, objective)
    steps = budget.steps if objective.metric == STEPS_TO_TARGET else None
    placed = [Observation(place, one.kind, one.at) for place, one in zip(places, seen, strict=True)]
    return Belief.of(min(places), max(places), cap_of(seen, steps), placed)
