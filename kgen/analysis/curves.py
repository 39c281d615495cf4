"""The figures of a metric along the training, each group at its recommended value on x."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from kgen.analysis.figures import Axis, Dot, FigureData, Series, value_axis
from kgen.analysis.measure import comparable_seconds
from kgen.analysis.outcomes import COUNTED, Mark
from kgen.analysis.points import Grid, Point
from kgen.analysis.roles import MOST_LINES, Kind, Scale
from kgen.analysis.smooth import Floats
from kgen.analysis.valley import Valley, ranked
from kgen.spec import Budget, Direction, Goal, Objective

_RIBBON: Final = "from the lowest to the highest run"
_CUT: Final = "What is worse than all lines after the first tenth of the training is cut off."
_PAIR: Final = 2
_BEGINNING: Final = 0.1
"""Of the training: there the lines may be far from what they come to."""
_GAIN: Final = 0.5
"""Of the height: what is left of it without the beginning, where that is cut off."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric of one trial along its training."""

    mark: Mark
    steps: Floats
    seconds: Floats
    values: Floats
    """Infinite or not a number where the training was."""


@dataclass(frozen=True, slots=True)
class Curves:
    """A metric along the training of the trials at each group's recommended value."""

    metric: str
    sign: float
    """Factor that makes smaller better."""
    level: float | None
    """The target, where it is one of this metric."""
    groups: Mapping[int, tuple[Curve, ...]]
    """By the line's code: its trials that count and reported the metric at least once."""
    picks: Mapping[int, Point]
    timed: bool
    """Whether all of them had their device, one kind of it, to themselves and ran in one go."""


def curves_of(
    curves: pd.DataFrame, trials: pd.DataFrame, picks: Mapping[int, Point], objective: Objective, budget: Budget
) -> Curves:
    """The curves of the trials at the points ``picks``: of the objective's metric, or of the target's where the
    objective is a time to it."""
    target = budget.target
    metric = target.metric if target is not None and objective.is_time else objective.metric
    upwards = objective.goal is Goal.MAXIMIZE
    if objective.is_time:
        upwards = target is not None and target.direction is Direction.AT_LEAST
    wanted = {run.trial: run.mark for point in picks.values() for run in point.runs if run.mark in COUNTED}
    mine = curves[(curves["metric"] == metric) & curves["trial"].isin(list(wanted))]
    found = {
        str(trial): Curve(wanted[str(trial)], *(part[name].to_numpy(float) for name in ("step", "seconds", "value")))
        for trial, part in mine.sort_values("step", kind="stable").groupby("trial", sort=False)
    }
    shown = trials[trials["trial"].isin(list(found))]
    return Curves(
        metric=metric,
        sign=-1.0 if upwards else 1.0,
        level=target.value if target is not None and target.metric == metric else None,
        groups={
            group: tuple(found[run.trial] for run in point.runs if run.trial in found) for group, point in picks.items()
        },
        picks=picks,
        timed=bool(found) and bool(comparable_seconds(shown).all()) and shown["device"].nunique() <= 1,
    )


def along_training(found: Curves, grid: Grid, valleys: tuple[Valley, ...]) -> tuple[FigureData, ...]:
    """The metric by step, and by counted seconds where these are valid; empty when no trial reported it twice."""
    shown = [valley for valley in ranked(valleys, grid.measure.sign)[:MOST_LINES] if valley.group in found.picks]
    shown.sort(key=lambda valley: valley.group)
    by_step = _figure(found, grid, shown, seconds=False)
    if by_step is None:
        return ()
    by_second = _figure(found, grid, shown, seconds=True) if found.timed else None
    return (by_step,) if by_second is None else (by_step, by_second)


def _figure(found: Curves, grid: Grid, shown: Sequence[Valley], *, seconds: bool) -> FigureData | None:
    series = tuple(_series(found, valley, style, grid, seconds=seconds) for style, valley in enumerate(shown))
    points = [point for line in series for piece in (*line.segments, *line.singles) for point in piece]
    if not points:
        return None
    low, high = _shown(found, series)
    values = [low, high, *([] if found.level is None else [found.level])]
    cut = any(not low <= y <= high for line in series for piece in (*line.segments, *line.singles) for _, y in piece)
    series = tuple(replace(line, dots=tuple(dot for dot in line.dots if _within(dot, low, high))) for line in series)
    x = grid.roles.x
    group = "group" if grid.roles.group is None else grid.roles.group.name
    where = "" if x is None else f", each {group} at its recommended {x.name}"
    repeated = any(line.ribbons for line in series)
    caption = "A line ends where its trial stopped"
    if repeated:
        caption = (
            "Thick lines are medians over the runs, as far as all of them went; the shaded band is from the lowest to "
            "the highest run, thin lines are the single runs"
        )
    level = "" if found.level is None else "; the horizontal one is the target"
    clock = " Seconds are counted in training only; of a median, the median of its runs." if seconds else ""
    return FigureData(
        name="curves_seconds" if seconds else "curves",
        title=f"{found.metric} over {'counted seconds' if seconds else 'steps'}{where}",
        caption=f"{caption}{level}.{f' {_CUT}' if cut else ''}{clock}",
        x=Axis("counted seconds" if seconds else "steps", Scale.LINEAR, 0.0, 1.02 * max(x for x, _ in points) or 1.0),
        y=value_axis(found.metric, values, from_zero=False),
        series=series,
        groups=tuple(valley.label for valley in shown),
        ordered=grid.roles.group is not None and grid.roles.group.kind is Kind.NUMBER,
        lane_title="",
        level=found.level,
        ribbon_label=_RIBBON if repeated else "",
    )


def _shown(found: Curves, series: Sequence[Series]) -> tuple[float, float]:
    """The ends of the values that are shown: all, or on the worse side only those of the lines after the beginning,
    where the rest would take most of the height."""
    pieces = [piece for line in series for piece in line.segments or line.singles]
    first = _BEGINNING * max((x for piece in pieces for x, _ in piece), default=0.0)
    late = [found.sign * y for piece in pieces for x, y in piece if x >= first]
    every = [found.sign * y for line in series for piece in (*line.segments, *line.singles) for _, y in piece]
    best, worst = min(every), max(every)
    if late and max(late) - best < _GAIN * (worst - best):
        worst = max(late)
    return min(found.sign * best, found.sign * worst), max(found.sign * best, found.sign * worst)


def _within(dot: Dot, low: float, high: float) -> bool:
    return dot.y is None or low <= dot.y <= high


def _series(found: Curves, valley: Valley, style: int, grid: Grid, *, seconds: bool) -> Series:
    curves = found.groups[valley.group]
    label = valley.label
    if grid.roles.x is not None:
        label = f"{label} ({grid.roles.x.name} {grid.x_labels[found.picks[valley.group].x]})"
    pieces = tuple(piece for curve in curves for piece in _pieces(curve.seconds if seconds else curve.steps, curve))
    if len(curves) == 1:
        return Series(label, style, pieces, tuple(Dot(*piece[-1], Mark.MEASURED, style) for piece in pieces))
    middle, ribbon = _middle(curves, found.sign, seconds=seconds)
    dots = (Dot(*middle[-1], Mark.MEASURED, style),) if middle else ()
    line = Series(label, style, (middle,) if len(middle) > 1 else (), dots, singles=pieces)
    return replace(line, ribbons=(ribbon,)) if len(ribbon) > 1 else line


def _pieces(at: Floats, curve: Curve) -> list[tuple[tuple[float, float], ...]]:
    """The curve cut where it is not a number; a piece of one point draws no line."""
    pieces: list[list[tuple[float, float]]] = [[]]
    cells: Any = zip(at.tolist(), curve.values.tolist(), strict=True)
    for x, value in cells:
        if math.isfinite(value) and math.isfinite(x):
            pieces[-1].append((x, value))
        else:
            pieces.append([])
    return [tuple(piece) for piece in pieces if len(piece) > 1]


def _middle(
    curves: Sequence[Curve], sign: float, *, seconds: bool
) -> tuple[tuple[tuple[float, float], ...], tuple[tuple[float, float, float], ...]]:
    """The median over runs and their range, by steps that all of them have. A run that diverged is there to the end,
    worse than any value."""
    at: dict[float, list[tuple[float, float]]] = {}
    for curve in curves:
        for step, second, value in zip(curve.steps.tolist(), curve.seconds, curve.values, strict=True):
            at.setdefault(step, []).append((second, value))
    middle: list[tuple[float, float]] = []
    ribbon: list[tuple[float, float, float]] = []
    for step in sorted(at):
        gone = sum(curve.mark is Mark.DIVERGED and curve.steps[-1] < step for curve in curves)
        if len(at[step]) + gone < len(curves):
            continue
        values = np.array([value for _, value in at[step]] + [math.inf] * gone)
        finite = values[np.isfinite(values)]
        # Of two middle values the better one, as of every median.
        y = float(np.sort(np.where(np.isfinite(values), sign * values, math.inf))[(len(values) - 1) // 2])
        x = float(np.median([second for second, _ in at[step]])) if seconds else step
        if math.isfinite(y) and math.isfinite(x) and len(finite) >= min(len(curves), _PAIR):
            middle.append((x, sign * y))
            ribbon.append((x, float(finite.min()), float(finite.max())))
    return tuple(middle), tuple(ribbon)
