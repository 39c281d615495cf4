"""Trials laid out as lines along one parameter, one line for each setting of all the others."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from kgen.analysis.confidence import Confidence
from kgen.analysis.measure import Measure
from kgen.analysis.parts import scales_of
from kgen.analysis.points import Grid, lay_out
from kgen.analysis.recommend import Recommendation, recommend, sureness
from kgen.analysis.roles import Kind, Parameter, Roles, parameter_of, plain
from kgen.analysis.told import Told
from kgen.analysis.valley import Valley, valleys
from kgen.results.rows import PARAMETER_PREFIX
from kgen.spec import Value, text_of
from kgen.sweep import SweepSpec

_LINES: Final = "\0lines"
"""Of the column that tells lines apart: no parameter is called so."""

Setting = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class SettingLine:
    """Trials that differ in their seeds and in one parameter only."""

    setting: Setting
    """The others."""
    valley: Valley
    one: Recommendation


def along_of(
    parts: Sequence[SweepSpec], trials: pd.DataFrame, per: Collection[str], name: str = ""
) -> Parameter | None:
    """The parameter in which points of one line differ: the one of that ``name``, else the number with most values that
    makes no groups; ``None`` when none varies."""
    columns = [str(column) for column in trials.columns if str(column).startswith(PARAMETER_PREFIX)]
    scales = scales_of(parts)
    parameters = [parameter_of(column.removeprefix(PARAMETER_PREFIX), trials[column], scales) for column in columns]
    if name:
        return next((each for each in parameters if each.name == name), None)
    numbers = [each for each in parameters if each.kind is Kind.NUMBER and each.name not in per]
    return max((each for each in numbers if len(each.values) > 1), key=lambda each: len(each.values), default=None)


def laid_out(
    parts: Sequence[SweepSpec], trials: pd.DataFrame, curves: pd.DataFrame, measure: Measure, along: Parameter | None
) -> tuple[Grid, list[SettingLine], Confidence | None]:
    """The trials on ``along``, a line for each setting of all other parameters, with what is recommended for each, and
    how sure all of that is together. ``curves`` is long."""
    settings = [part_of(point, [name for name in point if along is None or name != along.name])
                for point in _points(parts, trials)]  # fmt: skip
    keys = [repr([(name, type(value).__name__, text_of(value)) for name, value in each.items()]) for each in settings]
    named = dict(zip(keys, settings, strict=True))
    marked = trials.assign(**{PARAMETER_PREFIX + _LINES: pd.Series(keys, index=trials.index, dtype=object)})
    group = parameter_of(_LINES, marked[PARAMETER_PREFIX + _LINES])
    roles = Roles(x=along, group=group, spread=(), fixed=(), seeds=int(trials["seed"].nunique()))
    grid = lay_out(marked, roles, measure)
    found = valleys(grid, Told.of(parts, trials, curves))
    sure = sureness(grid, found)
    lines = [
        SettingLine(named[str(group.values[valley.group])], valley, one)
        for valley, one in zip(found, recommend(grid, found, sure), strict=True)
    ]
    return grid, lines, sure


def _points(parts: Sequence[SweepSpec], trials: pd.DataFrame) -> list[Setting]:
    """Every trial's parameters, in the words of the file: its floats keep their text."""
    values: dict[tuple[str, bool, Any], Value] = {}
    names: dict[str, None] = {}
    for name, value in ((n, v) for part in parts for one in part.alternatives for n, each in one.items() for v in each):
        values.setdefault((name, isinstance(value, bool), value), value)
        names[name] = None
    columns = {name: plain(trials[PARAMETER_PREFIX + name]) for name in names if PARAMETER_PREFIX + name in trials}
    return [
        {
            name: values.get((name, isinstance(column[row], bool), column[row]), column[row])
            for name, column in columns.items()
            if column[row] is not None
        }
        for row in range(len(trials))
    ]


def part_of(setting: Setting, names: Iterable[str]) -> Setting:
    """Those of its parameters."""
    return {name: setting[name] for name in names if name in setting}


def label_of(group: Setting) -> str:
    """A setting in words."""
    if len(group) == 1:
        return next(v if isinstance(v, str) else f"{name} = {text_of(v)}" for name, v in group.items())
    return ", ".join(f"{name} = {text_of(value)}" for name, value in group.items()) or "all trials"


def cost_of_line(measure: Measure, line: SettingLine) -> float:
    """What is best is smallest; infinite where nothing works."""
    return math.inf if line.one.value is None else measure.sign * line.one.value


def point_at(setting: Setting, grid: Grid, value: Value | None, parts: Sequence[SweepSpec]) -> dict[str, Value]:
    """A point of the line, its parameters in the order and the words of the file."""
    x = grid.roles.x
    if x is None or value is None:
        return dict(setting)
    told = [v for part in parts for one in part.alternatives for v in one.get(x.name, ())]
    own = next((v for v in told if v == value and isinstance(v, bool) is isinstance(value, bool)), value)
    names = dict.fromkeys(name for part in parts for one in part.alternatives for name in one)
    return _ordered({**setting, x.name: own}, names)


def _ordered(setting: Setting, names: Iterable[str]) -> dict[str, Value]:
    return dict(part_of(setting, dict.fromkeys([*names, *setting])))
