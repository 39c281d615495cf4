"""Results → tables, figure data and the answer: pure functions, without drawing, files or a clock.

Everything follows the sweep's own parameters (:mod:`kgen.analysis.roles`). A trial that misses the target is
right-censored, never a slow success (:mod:`kgen.analysis.survival`).
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from kgen.analysis.answer import Answer, AnswerRow, answer
from kgen.analysis.curves import along_training
from kgen.analysis.figures import FigureData, by_parameter, extremes
from kgen.analysis.measure import Measure, choose_measures
from kgen.analysis.outcomes import COMPLETE, Mark, Status
from kgen.analysis.points import lay_out
from kgen.analysis.predicted import Prediction, predict, with_predicted_seconds
from kgen.analysis.roles import Roles, assign_roles
from kgen.analysis.summary import point_table, summarise
from kgen.analysis.valley import valleys
from kgen.spec import Budget, Objective

__all__ = [
    "COMPLETE",
    "Analysis",
    "Answer",
    "AnswerRow",
    "FigureData",
    "Mark",
    "Measure",
    "Prediction",
    "Roles",
    "Status",
    "analyse",
]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a sweep's trials say."""

    name: str
    objective: Objective
    budget: Budget
    roles: Roles
    measures: tuple[Measure, ...]
    """What trials are compared by; the first decides."""
    remarks: tuple[str, ...]
    """What a reader must know of the measures: why seconds are not shown, or how far they can be trusted."""
    prediction: Prediction | None
    """Of seconds that could not be measured; ``None`` where there is none."""
    answer: Answer
    summary: pd.DataFrame
    """One line per group: see :func:`kgen.analysis.summary.summarise`."""
    points: pd.DataFrame
    """One line per group and value on x, by the first measure: see :func:`kgen.analysis.summary.point_table`."""
    figures: tuple[FigureData, ...]


def analyse(trials: pd.DataFrame, curves: pd.DataFrame, *, name: str, objective: Objective, budget: Budget) -> Analysis:
    """Analyse one sweep: ``trials`` has a line for every expected trial in the sweep's order, ``curves`` is long.

    Never fails for what trials did or did not do: with none, or none that worked, the tables and the answer say so.
    """
    trials = trials.reset_index(drop=True)
    roles = assign_roles(trials)
    prediction = predict(trials)
    choice = choose_measures(trials, objective, budget, prediction)
    timed = trials if prediction is None else with_predicted_seconds(trials)
    grids = tuple(lay_out(timed, roles, measure) for measure in choice.measures)
    found = [valleys(grid) for grid in grids]
    figures: list[FigureData] = []
    for grid, lines in zip(grids, found, strict=True):
        figures.append(by_parameter(grid, lines))
        if len(lines) > 1:
            figures.append(extremes(grid, lines))
    curve = along_training(curves, grids[0], found[0], objective, budget)
    return Analysis(
        name=name,
        objective=objective,
        budget=budget,
        roles=roles,
        measures=choice.measures,
        remarks=choice.remarks,
        prediction=prediction,
        answer=answer(trials, grids[0], found[0]),
        summary=summarise(trials, grids, found[0]),
        points=point_table(grids[0]),
        figures=tuple(figures if curve is None else [*figures, curve]),
    )
