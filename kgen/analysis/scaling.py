"""How what was measured grows with the model, and whether what is best on a small one stays best on a large one.

Found in a stage in which a number called ``scale`` varies, or one with which the number of trainable weights does that
the trainer reports (the metric ``weights``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from kgen.analysis.figures import Axis, FigureData, by_parameter
from kgen.analysis.fit import Fit, fit
from kgen.analysis.measure import Measure, comparable_seconds
from kgen.analysis.outcomes import COMPLETE
from kgen.analysis.points import Grid, Point, lay_out
from kgen.analysis.regret import Kept, keep
from kgen.analysis.roles import Kind, Parameter, Roles, Scale
from kgen.analysis.scaling_text import headline, sentences
from kgen.analysis.valley import valleys
from kgen.choice import Choice
from kgen.results.alone import ALONE_SECONDS, ALONE_STEPS

SIZE: Final = "scale"
"""The parameter that is a size whatever else varies."""
WEIGHTS: Final = "weights"
"""The metric by which a trainer says how many trainable weights its model has."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the figure, fitted."""

    code: int
    label: str
    fit: Fit | None
    """Through the medians of the sizes that were reached; ``None`` where there are fewer than three."""
    reached: tuple[float, ...]
    """Sizes at which at least half of the runs got there."""
    missed: tuple[float, ...]
    """Sizes at which fewer did: in no fit."""


@dataclass(frozen=True, slots=True)
class Growth:
    """One family of lines by one measure: the trials that differ in size and in what is chosen, and in nothing else."""

    family: Mapping[str, Any]
    """Values of the parameters that are neither; empty where all others are fixed."""
    grid: Grid
    lines: tuple[Line, ...]
    kept: Kept | None
    """``None`` where there is no choice to keep."""

    @property
    def measure(self) -> Measure:
        """What it is about."""
        return self.grid.measure


@dataclass(frozen=True, slots=True)
class Scaling:
    """What a stage says of growing models."""

    size: Parameter
    choice: Parameter | None
    """What makes the lines; ``None`` for a single one."""
    growths: tuple[Growth, ...]
    """Families, and within each the measures, the first of which decides."""
    sentences: tuple[str, ...]
    headline: str
    """Whether the choice survives; where there is none, how it grows."""
    fits: pd.DataFrame
    """One line per measure and line of the figure."""
    sizes: pd.DataFrame
    """One line per size: weights, seconds per step, what is best there, and what keeping the smallest size's choice
    costs."""
    figures: tuple[FigureData, ...]
    """One for each family and measure."""


def scaling(
    trials: pd.DataFrame, roles: Roles, measures: Sequence[Measure], taken: Choice | None = None
) -> Scaling | None:
    """What a stage's trials say of growth; ``None`` where nothing in it is a size.

    ``trials`` are those that the measures are columns of; ``taken`` is what the stage took from an earlier one, whose
    best is then the choice that is kept.
    """
    found = size_of(roles, trials)
    if found is None or trials.empty:
        return None
    size, choice, apart = found
    growths = []
    for family, slice_ in _families(trials, apart):
        own = replace(roles, x=_linear(size), group=choice, spread=())
        for measure in measures:
            grid = lay_out(slice_, own, measure)
            chosen = None if taken is None else _chosen(taken, choice, family)
            kept = None if choice is None else keep(grid.lines, measure, chosen, taken.source if taken else "")
            growths.append(
                Growth(family, grid, tuple(_line(grid, code, line) for code, line in grid.lines.items()), kept)
            )
    return Scaling(
        size=size,
        choice=choice,
        growths=tuple(growths),
        sentences=sentences(growths, size.name, "" if choice is None else choice.name),
        headline=headline(growths, size.name),
        fits=_fits(growths, choice),
        sizes=_sizes(growths, trials, size, choice),
        figures=tuple(_figure(growth, size, several=bool(apart)) for growth in growths),
    )


def size_of(roles: Roles, trials: pd.DataFrame) -> tuple[Parameter, Parameter | None, tuple[Parameter, ...]] | None:
    """The size, what is chosen, and the parameters by whose values trials are looked at apart; ``None`` for no size."""
    varying = [parameter for parameter in (roles.x, roles.group, *roles.spread) if parameter is not None]
    numbers = [each for each in varying if each.kind is Kind.NUMBER and None not in each.values]
    named = [parameter for parameter in numbers if parameter.name == SIZE]
    size = next(iter(named or (each for each in numbers if _changes_weights(each, trials))), None)
    if size is None:
        return None
    rest = [parameter for parameter in varying if parameter is not size]
    most = max(rest, key=lambda parameter: (parameter.kind is Kind.NUMBER, len(parameter.values)), default=None)
    return size, most, tuple(parameter for parameter in rest if parameter is not most)


def _changes_weights(parameter: Parameter, trials: pd.DataFrame) -> bool:
    """Whether models of other values of it have another number of weights, by what their trainer reports."""
    codes = parameter.codes(trials)
    said = [_weights(trials[codes == code]) for code in range(len(parameter.values))]
    known = [number for number in said if number is not None]
    return len(set(known)) == len(known) > 1


def by_size(roles: Roles, trials: pd.DataFrame) -> Roles:
    """The roles in tables and sentences: one line for each size, along what is chosen. As they are where there is no
    size, or nothing to choose."""
    found = size_of(roles, trials)
    if found is None or found[1] is None:
        return roles
    size, choice, apart = found
    return replace(roles, x=choice, group=size, spread=apart)


def _linear(size: Parameter) -> Parameter:
    """On a linear axis, where a straight line is one."""
    return size if size.scale is Scale.LINEAR else replace(size, scale=Scale.LINEAR)


def _families(trials: pd.DataFrame, apart: Sequence[Parameter]) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    if not apart:
        return [({}, trials)]
    keys = pd.Series(list(zip(*(parameter.codes(trials) for parameter in apart), strict=True)), index=trials.index)
    return [
        ({p.name: p.values[code] for p, code in zip(apart, key, strict=True)}, trials[keys == key])
        for key in sorted(set(keys))
    ]


def _chosen(taken: Choice, choice: Parameter | None, family: Mapping[str, Any]) -> int | None:
    """The line of the best that was taken; ``None`` where none or several of them are of this family."""
    if choice is None:
        return None
    best = [one.best for one in taken.chosen if all(one.best.get(name, of) == of for name, of in family.items())]
    found = {choice.values.index(point[choice.name]) for point in best if point.get(choice.name) in choice.values}
    return found.pop() if len(found) == 1 else None


def _line(grid: Grid, code: int, points: Sequence[Point]) -> Line:
    placed = [point for point in points if math.isfinite(point.position) and point.estimate is not None]
    works = [(point.position, point.median) for point in placed if point.median is not None]
    sizes = tuple(size for size, _ in works)
    missed = tuple(point.position for point in placed if not point.works)
    return Line(code, grid.label(code), fit(sizes, [value for _, value in works]), sizes, missed)


# -- tables -----------------------------------------------------------------------------------------------------


def _fits(growths: Sequence[Growth], choice: Parameter | None) -> pd.DataFrame:
    rows = []
    for growth in growths:
        for line in growth.lines:
            found = line.fit
            key = {} if choice is None else {choice.name: choice.values[line.code]}
            row = {**growth.family, **key, "measure": growth.measure.column}
            row |= {"sizes": len(line.reached) + len(line.missed), "not_reached": len(line.missed)}
            for name in ("slope", "intercept", "exponent"):
                one = None if found is None else getattr(found, name)
                row |= {name: None if one is None else one.value}
                row |= {f"{name}_{end}": None if one is None else getattr(one, end) for end in ("low", "high")}
                if name == "intercept":
                    row["r2"] = None if found is None else found.r2
            row["power_r2"] = None if found is None else found.power_r2
            rows.append(row)
    frame = pd.DataFrame(rows)
    return frame.drop(columns="measure") if frame["measure"].nunique() == 1 else frame


def _sizes(growths: Sequence[Growth], trials: pd.DataFrame, size: Parameter, choice: Parameter | None) -> pd.DataFrame:
    codes = size.codes(trials)
    first = growths[0].measure
    rows = []
    for growth in growths:
        if growth.measure is not first:
            continue
        at = {} if growth.kept is None else {here.size: here for here in growth.kept.at}
        for code, value in enumerate(size.values):
            here = trials[codes == code]
            row = {**growth.family, size.name: value, "weights": _weights(here), "seconds_per_step": _pace(here)}
            found = at.get(size.positions[code])
            if choice is not None and growth.kept is not None:
                best = None if found is None or found.best is None else choice.values[found.best]
                row |= {
                    f"best_{choice.name}": best,
                    f"best_{first.column}": None if found is None else found.best_value,
                    f"kept_{first.column}": None if found is None else found.chosen_value,
                    "regret": None if found is None else found.regret,
                    f"kept_{choice.name}": choice.values[growth.kept.choice],
                }
            rows.append(row)
    frame = pd.DataFrame(rows)
    return frame.astype({"weights": "Int64"}).dropna(axis="columns", how="all")


def _weights(here: pd.DataFrame) -> int | None:
    """What the trials of one size report; ``None`` where they do not, or do not agree."""
    column = f"final.{WEIGHTS}"
    said = set(here[column].dropna().tolist()) if column in here else set()
    return int(said.pop()) if len(said) == 1 else None


def _pace(here: pd.DataFrame) -> float | None:
    """Median of counted seconds per step over the trials of one size that had their device to themselves."""
    done = here[here["status"].isin(COMPLETE)]
    own = done[comparable_seconds(done)]
    paces = own["seconds"].astype(float) / own["steps"].astype("Float64").astype(float)
    if ALONE_SECONDS in here:
        others = here.drop(index=own.index)
        alone = others[ALONE_SECONDS].astype(float) / others[ALONE_STEPS].astype("Float64").astype(float)
        paces = pd.concat([paces, alone])
    paces = paces[paces > 0].dropna()
    return None if paces.empty or here["device"].dropna().nunique() > 1 else float(paces.median())


# -- the figure -------------------------------------------------------------------------------------------------


def _figure(growth: Growth, size: Parameter, *, several: bool) -> FigureData:
    """The valley's figure with straight fits in place of the lines that join neighbours."""
    data = by_parameter(growth.grid, valleys(growth.grid))
    fits = {line.label: line for line in growth.lines}
    series = tuple(
        replace(one, segments=_straight(fits[one.label], data.y), smooth=(), pick=None, safe=None)
        for one in data.series
    )
    of = ", ".join(str(value) for value in growth.family.values())
    name = "-".join(["scaling", *(str(value) for value in growth.family.values() if several), growth.measure.column])
    repeated = growth.grid.roles.seeds > 1
    marks = (
        "Large marks are medians with their 95 % interval, small ones single runs"
        if repeated
        else "Every mark is a single run"
    )
    what = growth.measure.label[:1].upper() + growth.measure.label[1:]
    lines = f", one line per {growth.grid.roles.group.name}" if growth.grid.roles.group is not None else ""
    return replace(
        data,
        name=name.replace("/", "_"),
        title=f"{what} against {size.name}{lines}{f': {of}' if of else ''}",
        caption=f"{marks}. The lines are straight ones through them, by least squares. Sizes that were not reached are "
        f"in no line; they stand in the lanes above the axes. {growth.measure.source}".rstrip(),
        series=series,
        smooth_label="",
    )


def _straight(line: Line, y: Axis) -> tuple[tuple[tuple[float, float], ...], ...]:
    """The fit over the sizes that it was made from, in pieces, since on a logarithmic axis it is bent, and cut where it
    leaves the axes."""
    if line.fit is None:
        return ()
    first, last = min(line.reached), max(line.reached)
    places = [first + (last - first) * i / 60 for i in range(61)]
    inside = [(x, line.fit.at(x)) for x in places if y.low <= line.fit.at(x) <= y.high]
    return (tuple(inside),) if len(inside) > 1 else ()
