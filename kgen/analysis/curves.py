"""The figure of a metric along the training of each group's best trials."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from kgen.analysis.figures import Axis, Dot, FigureData, Series, value_axis
from kgen.analysis.outcomes import Mark
from kgen.analysis.points import Grid
from kgen.analysis.roles import MOST_LINES, Kind, Scale
from kgen.analysis.valley import Valley, ranked
from kgen.spec import Budget, Objective


def along_training(
    curves: pd.DataFrame, grid: Grid, found: tuple[Valley, ...], objective: Objective, budget: Budget
) -> FigureData | None:
    """The target's metric (the objective's, where there is no target) by step, at the best value on x of each group.

    ``None`` when no best trial reported it at least twice.
    """
    metric = objective.metric if budget.target is None else budget.target.metric
    shown = [valley for valley in ranked(found, grid.measure.sign)[:MOST_LINES] if valley.best is not None]
    shown.sort(key=lambda valley: valley.group)
    chosen = curves[curves["metric"] == metric]
    series = tuple(_series(chosen, valley, style, grid) for style, valley in enumerate(shown))
    points = [point for line in series for segment in line.segments for point in segment]
    if not points:
        return None
    level = None if budget.target is None else budget.target.value
    values = [y for _, y in points] + ([] if level is None else [level])
    x = grid.roles.x
    where = "" if x is None else f", each {_group(grid)} at its best {x.name}"
    return FigureData(
        name="curves",
        title=f"{metric} along the training{where}",
        caption="A line ends where its trial stopped"
        + ("." if level is None else "; the horizontal one is the target."),
        x=Axis("steps", Scale.LINEAR, 0.0, 1.02 * max(step for step, _ in points)),
        y=value_axis(metric, values, from_zero=False),
        series=series,
        groups=tuple(valley.label for valley in shown),
        ordered=grid.roles.group is not None and grid.roles.group.kind is Kind.NUMBER,
        lane_title="",
        level=level,
    )


def _group(grid: Grid) -> str:
    return "group" if grid.roles.group is None else grid.roles.group.name


def _series(curves: pd.DataFrame, valley: Valley, style: int, grid: Grid) -> Series:
    best = valley.best
    trials = [] if best is None else [run.trial for run in best.runs if run.mark is Mark.MEASURED]
    segments: list[tuple[tuple[float, float], ...]] = []
    for trial in trials:
        segments.extend(_finite_runs(curves[curves["trial"] == trial].sort_values("step", kind="stable")))
    label = valley.label
    if best is not None and grid.roles.x is not None:
        label = f"{valley.label} ({grid.roles.x.name} {grid.x_labels[best.x]})"
    dots = tuple(Dot(*segment[-1], Mark.MEASURED, style) for segment in segments)
    return Series(label, style, tuple(segments), dots)


def _finite_runs(curve: pd.DataFrame) -> list[tuple[tuple[float, float], ...]]:
    """The curve cut where it is not a number; a piece of one point draws no line."""
    pieces: list[list[tuple[float, float]]] = [[]]
    cells: Any = zip(curve["step"].tolist(), curve["value"].tolist(), strict=True)
    for step, value in cells:
        if math.isfinite(value):
            pieces[-1].append((float(step), float(value)))
        else:
            pieces.append([])
    return [tuple(piece) for piece in pieces if len(piece) > 1]
