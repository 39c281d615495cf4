"""Results → tables, figure data and the answer: pure functions, without drawing, files or a clock.

Everything follows the sweep's own parameters (:mod:`kgen.analysis.roles`). A trial that misses the target is
right-censored, never a slow success (:mod:`kgen.analysis.survival`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from kgen.analysis.advice import advice, ranked_sentences
from kgen.analysis.answer import Answer, AnswerRow, answer, counts
from kgen.analysis.confidence import Confidence
from kgen.analysis.curves import along_training, curves_of
from kgen.analysis.figures import FigureData, by_parameter, extremes
from kgen.analysis.measure import Measure, choose_measures
from kgen.analysis.outcomes import COMPLETE, Mark, Status
from kgen.analysis.parts import longest, merged, scales_of
from kgen.analysis.points import Grid, Point, lay_out
from kgen.analysis.predicted import Prediction, predict, with_predicted_seconds
from kgen.analysis.ranking import ranking
from kgen.analysis.recommend import Recommendation, point_of, recommend, sureness
from kgen.analysis.roles import NO_SCALES, Roles, Scale, assign_roles
from kgen.analysis.scaling import Scaling, by_size, scaling
from kgen.analysis.summary import point_table, summarise
from kgen.analysis.told import Told
from kgen.analysis.valley import Valley, valleys
from kgen.choice import Choice
from kgen.names import DEFAULT_STAGE
from kgen.spec import Budget, Objective
from kgen.sweep import SweepSpec

__all__ = [
    "COMPLETE",
    "Analysis",
    "Answer",
    "AnswerRow",
    "Confidence",
    "FigureData",
    "Mark",
    "Measure",
    "Prediction",
    "Recommendation",
    "Roles",
    "Scaling",
    "Status",
    "analyse",
    "analyse_stages",
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
    stage: str = DEFAULT_STAGE
    recommendations: tuple[Recommendation, ...] = ()
    """One per group, in the sweep's order."""
    confidence: Confidence | None = None
    """How sure these are, and which group is first; ``None`` where there is nothing to resample."""
    ranking: pd.DataFrame | None = None
    """How fast, how high and how stably each group trains at its recommended value: see
    :func:`kgen.analysis.ranking.ranking`. ``None`` where the objective is a time, or its metric was evaluated once."""
    scaling: Scaling | None = None
    """Of a stage in which the size of the model varies; else ``None``."""


def analyse_stages(
    parts: Sequence[SweepSpec], trials: pd.DataFrame, curves: pd.DataFrame, choices: Sequence[Choice] = ()
) -> tuple[Analysis, ...]:
    """One analysis per stage, in the order of ``parts``: the parts of a search are one stage. ``choices`` are what
    later stages took from earlier ones."""
    taken = {choice.stage: choice for choice in choices}
    stages: dict[str, list[SweepSpec]] = {}
    for part in parts:
        stages.setdefault(part.stage, []).append(part)
    return tuple(
        analyse(
            merged(own, trials),
            curves,
            name=own[0].name,
            objective=own[0].objective,
            budget=longest(own),
            stage=stage,
            taken=taken.get(stage),
            told=Told.of(own, trials, curves),
            scales=scales_of(own),
        )
        for stage, own in stages.items()
    )


def analyse(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    *,
    name: str,
    objective: Objective,
    budget: Budget,
    stage: str = DEFAULT_STAGE,
    taken: Choice | None = None,
    told: Told | None = None,
    scales: Mapping[str, Scale] = NO_SCALES,
) -> Analysis:
    """Analyse one stage: ``trials`` has a line for every expected trial in the sweep's order, ``curves`` is long;
    ``taken`` is what it took from an earlier one, ``told`` what a search by bisection was told, where one asked for its
    trials, ``scales`` how the axes of a search's ranges are divided.

    Never fails for what trials did or did not do: with none, or none that worked, the tables and the answer say so.
    """
    trials = trials.reset_index(drop=True)
    roles = by_size(assign_roles(trials, scales), trials)
    prediction = predict(trials)
    choice = choose_measures(trials, objective, budget, prediction)
    timed = trials if prediction is None else with_predicted_seconds(trials)
    grids = tuple(lay_out(timed, roles, measure) for measure in choice.measures)
    found = [valleys(grid, told) for grid in grids]
    known = sureness(grids[0], found[0])
    recommended = recommend(grids[0], found[0], known)
    figures: list[FigureData] = []
    for grid, lines in zip(grids, found, strict=True):
        if _is_one_each(grid):
            across = lay_out(timed, replace(roles, x=roles.group, group=None), grid.measure)
            figures.append(by_parameter(across, valleys(across)))
            continue
        figures.append(by_parameter(grid, lines))
        if any(len(points) > 1 for points in grid.columns().values()):
            figures.append(extremes(grid, lines))
    growing = scaling(timed, roles, choice.measures, taken)
    if growing is not None:
        figures = list(growing.figures)
    along = curves_of(curves, trials, _picks(found[0], recommended), objective, budget)
    ranks = None if objective.is_time else ranking(along, grids[0], found[0])
    said = (*advice(grids[0], recommended, known), *ranked_sentences(ranks, grids[0], along))
    replies = answer(trials, grids[0], found[0], recommended, said, known)
    if growing is not None:
        sizes = [grids[0].label(code) for code in grids[0].lines]
        replies = replace(
            replies,
            headline=growing.headline,
            sentences=(*growing.sentences, *counts(trials, grids[0])),
            rows=tuple(sorted(replies.rows, key=lambda row: sizes.index(row.group))),
        )
    return Analysis(
        name=name,
        objective=objective,
        budget=budget,
        roles=roles,
        measures=choice.measures,
        remarks=choice.remarks,
        prediction=prediction,
        answer=replies,
        summary=summarise(trials, grids, found[0], recommended),
        points=point_table(grids[0], found[0]),
        figures=(*figures, *(along_training(along, grids[0], found[0]) if growing is None else ())),
        stage=stage,
        recommendations=recommended,
        confidence=known,
        ranking=ranks,
        scaling=growing,
    )


def _is_one_each(grid: Grid) -> bool:
    """Whether each line is one value on x, its own choice: then the lines are what there is to compare."""
    return len(grid.lines) > 1 and grid.roles.x is not None and all(len(points) == 1 for points in grid.lines.values())


def _picks(found: tuple[Valley, ...], recommended: tuple[Recommendation, ...]) -> dict[int, Point]:
    """The recommended point of each group; where nothing is recommended, the best one."""
    points = [(v, point_of(v, one) or v.best) for v, one in zip(found, recommended, strict=True)]
    return {valley.group: point for valley, point in points if point is not None}
