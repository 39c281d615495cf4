"""What to use, by all trials that train the same thing, whichever stage or search they are of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kgen.analysis.confidence import Confidence, Resampled
from kgen.analysis.measure import Measure, choose_measures
from kgen.analysis.outcomes import COMPLETE
from kgen.analysis.parts import longest, merged
from kgen.analysis.points import Grid, Point
from kgen.analysis.recommend import Recommendation
from kgen.analysis.roles import assign_roles, plain
from kgen.analysis.settings import (
    Setting,
    SettingLine,
    along_of,
    cost_of_line,
    label_of,
    laid_out,
    part_of,
    point_at,
)
from kgen.names import CONFIG_RANGE_TEST
from kgen.results.rows import PARAMETER_PREFIX
from kgen.spec import Objective, Value, dump_json
from kgen.sweep import SweepSpec, expand


@dataclass(frozen=True, slots=True)
class Group:
    """What to use for one combination of the values that make the groups: an optimizer."""

    group: Setting
    label: str
    parameters: Setting
    """All parameters of the recommended point, in the words of the file; empty when nothing works."""
    one: Recommendation
    trials: int
    """That say something of it: those with a result, of all of its settings."""
    values: int
    """Different values on x among these."""
    seeds: int
    """Most seeds at one point."""
    at_seeds: int
    """Seeds at the recommended point."""
    first: float | None
    """Share of the resamples in which it is the best of all groups; ``None`` where there is nothing to resample."""
    next: tuple[Setting, ...]
    """Points whose trial would tell most, with seeds that they do not have yet."""
    new: int
    """So many of these, the first ones, at values that nobody has tried."""


@dataclass(frozen=True, slots=True)
class Recommended:
    """What to use, by the trials of one or more stages that train the same thing."""

    stages: tuple[str, ...]
    objective: Objective
    measure: Measure
    x: str | None
    """The parameter that is chosen; ``None`` when none varies."""
    per: tuple[str, ...]
    """The parameters that make the groups."""
    trials: int
    """That are expected, each point and seed once, and a search's as far as it has asked for them."""
    results: int
    """Those of them that have a result."""
    groups: tuple[Group, ...]
    """The best first; those in which nothing works last."""
    by: Resampled | None
    """What is resampled to say how sure it is."""

    @property
    def best(self) -> Group | None:
        """The best of all; ``None`` when nothing works."""
        return self.groups[0] if self.groups and self.groups[0].one.works else None


def recommended(
    parts: Sequence[SweepSpec],
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    per: Sequence[str] | None = None,
    names: Sequence[str] = (),
) -> tuple[Recommended, ...]:
    """One for each thing that these parts train, in their order.

    ``trials`` has a line for each trial of them, ``curves`` is long. ``per`` are the parameters that make the groups;
    where it is not given, the one that makes the lines of figures. ``names`` is the order of the parameters in a point,
    as far as it is known. Range tests are left out: they train at no rate. Never fails for what trials lack.
    """
    stages = list(dict.fromkeys(part.stage for part in parts))
    # Of the rungs of one search the longest first: what is to be used is trained to its end.
    order = sorted(same_thing(parts), key=lambda same: (stages.index(same[0].stage), -(same[0].budget.steps or 0)))
    return tuple(_recommended(same, trials, curves, per, names) for same in order)


def same_thing(parts: Iterable[SweepSpec]) -> list[list[SweepSpec]]:
    """Parts that train the same thing: alike in all but the values of their parameters, seeds and, where those that are
    stopped early are known to be, caps."""
    found: list[tuple[str, set[frozenset[str]], list[SweepSpec]]] = []
    for part in parts:
        if CONFIG_RANGE_TEST in part.trainer.config:
            continue
        key, shapes = _what(part), {frozenset(grid) for grid in part.alternatives}
        for other, known, same in found:
            if key == other and (shapes <= known or known <= shapes):
                known |= shapes
                same.append(part)
                break
        else:
            found.append((key, shapes, [part]))
    return [same for _, _, same in found]


def _what(part: SweepSpec) -> str:
    trainer, budget = part.trainer, part.budget.to_json()
    if part.objective.is_time:  # a trial that was stopped early is known to be no faster than that
        budget.pop("steps", None)
    budget.pop("evaluate_every_steps", None)
    return dump_json(
        {
            "objective": part.objective.to_json(),
            "budget": budget,
            "config": dict(trainer.config),
            "trainer": [*trainer.command, str(trainer.arguments), trainer.revision, sorted(trainer.env.items())],
        }
    )


def _recommended(
    parts: Sequence[SweepSpec],
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    per: Sequence[str] | None,
    names: Sequence[str],
) -> Recommended:
    known = _once(parts, trials)
    measure = choose_measures(known, parts[0].objective, longest(parts)).measures[0]
    groups = _per(known) if per is None else tuple(name for name in per if PARAMETER_PREFIX + name in known)
    laid = _Laid(
        parts, measure, groups, names, *laid_out(parts, known, curves, measure, along_of(parts, known, groups))
    )
    return Recommended(
        stages=tuple(dict.fromkeys(part.stage for part in parts)),
        objective=parts[0].objective,
        measure=measure,
        x=None if laid.grid.roles.x is None else laid.grid.roles.x.name,
        per=groups,
        trials=len(known),
        results=int(known["status"].isin(COMPLETE).sum()),
        groups=tuple(sorted(laid.groups(), key=lambda group: _cost(measure, group))),
        by=None if laid.sure is None else laid.sure.by,
    )


def _once(parts: Sequence[SweepSpec], trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of these parts, each point and seed once: of several the one that has a result and went furthest."""
    stages: dict[str, list[SweepSpec]] = {}
    for part in parts:
        stages.setdefault(part.stage, []).append(part)
    own = [merged(each, trials) for each in stages.values()]
    every = pd.concat(own, ignore_index=True) if len(own) > 1 else own[0]
    steps = {trial.id: trial.budget.steps or math.inf for part in parts for trial in expand(part)}
    columns = [str(name) for name in every.columns if str(name).startswith(PARAMETER_PREFIX)]
    points = zip(*(_told_apart(every[name]) for name in columns), every["seed"].tolist(), strict=True)
    complete = every["status"].isin(COMPLETE).tolist()
    best: dict[tuple[Any, ...], tuple[bool, float, int]] = {}
    for row, (point, trial) in enumerate(zip(points, every["trial"], strict=True)):
        rank = (complete[row], steps[trial], -row)
        best[point] = max(best.get(point, rank), rank)
    return every.iloc[sorted(-row for _, _, row in best.values())].reset_index(drop=True)


def _told_apart(column: pd.Series[Any]) -> list[tuple[bool, Any]]:
    return [(isinstance(value, bool), value) for value in plain(column)]


def _per(trials: pd.DataFrame) -> tuple[str, ...]:
    group = assign_roles(trials).group
    return () if group is None else (group.name,)


@dataclass(frozen=True, slots=True)
class _Laid:
    """The trials as lines, and what makes groups of these."""

    parts: Sequence[SweepSpec]
    measure: Measure
    per: tuple[str, ...]
    names: Sequence[str]
    grid: Grid
    lines: Sequence[SettingLine]
    sure: Confidence | None

    def groups(self) -> list[Group]:
        """Each with the best of its lines."""
        found: dict[str, list[SettingLine]] = {}
        for line in self.lines:
            found.setdefault(label_of(part_of(line.setting, self.per)), []).append(line)
        return [self._group(label, lines) for label, lines in found.items()]

    def _group(self, label: str, lines: Sequence[SettingLine]) -> Group:
        best = min(lines, key=lambda line: cost_of_line(self.measure, line))
        points = [point for line in lines for point in line.valley.points if any(run.counts for run in point.runs)]
        sure = None if self.sure is None else self.sure.first
        return Group(
            group=part_of(best.setting, self.per),
            label=label,
            parameters=self._point(best, best.one.at) if best.one.works else {},
            one=best.one,
            trials=sum(run.counts for point in points for run in point.runs),
            values=len({point.x for point in points}),
            seeds=max(map(_seeds, points), default=0),
            at_seeds=max((_seeds(point) for point in best.valley.points if point.x == best.one.x), default=0),
            first=None if sure is None else sum(sure.get(line.valley.group, 0.0) for line in lines),
            next=tuple(self._point(best, value) for value in best.one.next),
            new=sum(value not in self._tried(best) for value in best.one.next),
        )

    def _tried(self, line: SettingLine) -> list[Value | None]:
        x = self.grid.roles.x
        return [] if x is None else [x.values[point.x] for point in line.valley.points]

    def _point(self, line: SettingLine, value: Value | None) -> Setting:
        point = point_at(line.setting, self.grid, value, self.parts)
        return part_of(point, dict.fromkeys([*self.names, *point]))


def _seeds(point: Point) -> int:
    return len({run.seed for run in point.runs if run.counts})


def _cost(measure: Measure, group: Group) -> float:
    return math.inf if group.one.value is None or not group.one.works else measure.sign * group.one.value
