"""What a later stage takes from an earlier one's results: the recommended point of each group, and those around it."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd

from kgen.analysis.line import Line
from kgen.analysis.measure import choose_measures
from kgen.analysis.outcomes import COMPLETE, Mark
from kgen.analysis.parts import longest, merged
from kgen.analysis.points import Grid
from kgen.analysis.recommend import point_of
from kgen.analysis.roles import plain
from kgen.analysis.settings import SettingLine, along_of, cost_of_line, label_of, laid_out, part_of, point_at
from kgen.analysis.text import listing, plural
from kgen.choice import Choice, Chosen
from kgen.results.rows import PARAMETER_PREFIX
from kgen.spec import Value, written
from kgen.sweep import SweepSpec
from kgen.sweep.sweepspec import From, Stage


def choose(stage: Stage, source: SweepSpec | Sequence[SweepSpec], trials: pd.DataFrame, curves: pd.DataFrame) -> Choice:
    """What ``stage`` is given by the results of an earlier one: of each group the point that is recommended.

    ``source`` are the earlier stage's parts, ``trials`` the lines of the trials' table that are theirs, ``curves`` is
    long. It is what a page and ``kgen recommend`` say of the same trials. Groups that give nothing are in ``without``;
    it does not fail for what trials lack.
    """
    asked = stage.source
    assert asked is not None, "a stage with `from`"
    parts = (source,) if isinstance(source, SweepSpec) else tuple(source)
    known = _where(asked, merged(parts, trials))
    measure = choose_measures(known, asked.objective, longest(parts)).measures[0]
    grid, lines, _ = laid_out(parts, known, curves, measure, along_of(parts, known, asked.per, asked.along))
    groups: dict[str, list[SettingLine]] = {}
    for line in lines:
        groups.setdefault(label_of(part_of(line.setting, asked.per)), []).append(line)
    bests = {label: min(each, key=lambda line: cost_of_line(measure, line)) for label, each in groups.items()}
    order = sorted(
        (label for label in bests if bests[label].one.works), key=lambda label: cost_of_line(measure, bests[label])
    )
    taken = order if asked.top is None else order[: asked.top]
    without = {
        label: f"number {order.index(label) + 1} by {measure.label}, and only the first {asked.top} are taken"
        if label in order
        else _nothing(grid, each)
        for label, each in groups.items()
        if label not in taken
    }
    return Choice(
        stage=stage.name,
        source=parts[0].stage,
        asked=asked.to_json(),
        rule=_rule(grid, [line.valley.line for line in lines]),
        chosen=tuple(_chosen(asked, parts, grid, bests[label]) for label in groups if label in taken),
        without=MappingProxyType(without),
        missing=tuple(known.loc[~known["status"].isin(COMPLETE), "trial"].tolist()),
    )


def _where(asked: From, trials: pd.DataFrame) -> pd.DataFrame:
    """Only the trials that the file asks for."""
    wanted = np.full(len(trials), fill_value=True)
    for name, values in asked.where.items():
        keys = {(isinstance(value, bool), value) for value in values}
        column = plain(trials[PARAMETER_PREFIX + name]) if PARAMETER_PREFIX + name in trials else [None] * len(trials)
        wanted &= [(isinstance(value, bool), value) in keys for value in column]
    return trials[wanted].reset_index(drop=True)


def _chosen(asked: From, parts: Sequence[SweepSpec], grid: Grid, line: SettingLine) -> Chosen:
    point = point_of(line.valley, line.one)
    assert point is not None
    assert line.one.value is not None
    best, order = point_at(line.setting, grid, line.one.at, parts), _around(asked, grid, line)
    return Chosen(
        group=MappingProxyType(dict(part_of(best, asked.per))),
        best=MappingProxyType(best),
        points=tuple(MappingProxyType(point_at(line.setting, grid, value, parts)) for value in order),
        value=line.one.value,
        low=line.one.low,
        high=line.one.high,
        trials=tuple(run.trial for run in point.runs),
    )


def _around(asked: From, grid: Grid, line: SettingLine) -> list[Value | None]:
    """The values on x that the later stage takes, ascending."""
    x, at = grid.roles.x, line.one.at
    if x is None or at is None:
        return [at]
    if asked.factor is not None and isinstance(at, (int, float)):
        side = np.geomspace(1.0, asked.factor, (asked.num + 1) // 2)[1:].tolist()
        spread = [at / by for by in reversed(side)] + [at * by for by in side]
        whole = type(at) is int
        made: list[Value] = [max(round(value), 1) if whole else written(value) for value in spread]
        return list(dict.fromkeys([*made[: len(side)], at, *made[len(side) :]]))
    tried = [x.values[point.x] for point in line.valley.points if x.values[point.x] is not None]
    place = tried.index(at)
    return list(tried[max(place - asked.neighbours, 0) : place + asked.neighbours + 1])


def _nothing(grid: Grid, lines: Sequence[SettingLine]) -> str:
    """Why a group gives nothing."""
    points = [point for line in lines for point in line.valley.points]
    lost = {mark: sum(point.count(mark) for point in points) for mark in Mark}
    said = listing([f"{count:,} {mark}" for mark, count in lost.items() if count])
    where = "nothing" if grid.roles.x is None else f"no value of {grid.roles.x.name}"
    return f"{where} works, of {plural(len(points), 'point')}: {said}"


def _rule(grid: Grid, lines: Sequence[Line]) -> str:
    """How the best is found, in words."""
    best = "smallest" if grid.measure.sign > 0 else "greatest"
    seeds = len({run.seed for run in grid.runs if run.counts})
    over = f" over {seeds} seeds" if seeds > 1 else ""
    if grid.roles.x is None or not any(line.joined for line in lines):
        return f"the {best} median of {grid.measure.label}{over}"
    believed = " and what the search believes" if any(line.belief is not None for line in lines) else ""
    return (
        f"the {best} {grid.measure.label}{over}, smoothed along {grid.roles.x.name} by a cubic smoothing spline"
        f"{believed}, among the values that were tried and work in at least half of their runs"
    )
