"""The answer to the question a sweep asks, in a small table and a few sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import pandas as pd

from kgen.analysis.confidence import Confidence, Resampled
from kgen.analysis.extent import coverage, edges, ties
from kgen.analysis.outcomes import COMPLETE, COUNTED, Mark, Status
from kgen.analysis.points import Grid, Point
from kgen.analysis.recommend import Recommendation
from kgen.analysis.roles import Scale
from kgen.analysis.text import NONE, listing, number, percent, plural
from kgen.analysis.valley import Valley, neighbours, ranked
from kgen.spec import Value

_PAIR: Final = 2


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """The best of one group."""

    group: str
    best: str
    """The value on x, short; a dash when nothing works."""
    at: Value | None
    """The same, exactly."""
    value: float | None
    """Median of the measure there."""
    low: float | None
    high: float | None
    """95 % interval of that median; ``None`` at either end where the trials set no bound."""
    band: str
    """The values on x that work, short."""
    working: int
    """How many values on x work."""
    tried: int
    recommended: str
    """The recommended value on x, short; a dash when nothing works."""
    recommended_at: Value | None
    """The same, exactly."""
    safe: str
    """The safe band around it, short."""
    sure: float | None
    """Share of the resamples in which it stays safe."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer, for the top of a page or the end of a run."""

    headline: str
    sentences: tuple[str, ...]
    rows: tuple[AnswerRow, ...]
    """From best to worst."""
    group: str
    """Heading of the rows' groups; empty where there is one line."""
    x: str
    """Name of the parameter on x; empty where nothing varies."""
    measure: str
    """Heading of the values, with their unit."""
    band: str
    """Heading of the bands."""
    repeated: bool
    """Whether there are intervals to show."""


def answer(
    trials: pd.DataFrame,
    grid: Grid,
    found: tuple[Valley, ...],
    recommended: tuple[Recommendation, ...],
    advice: tuple[str, ...],
    known: Confidence | None = None,
) -> Answer:
    """Which is best per group and overall, what works, and how far to trust it; ``advice`` is what to make of it, by
    the resamples ``known``."""
    order = ranked(found, grid.measure.sign)
    roles = grid.roles
    by_code = {one.code: one for one in recommended}
    rows = tuple(_answer_row(grid, valley, by_code[valley.group]) for valley in order)
    return Answer(
        headline=_headline(trials, grid, order) + _instead(grid, order, recommended),
        sentences=(
            *counts(trials, grid),
            *advice,
            *coverage(grid, found),
            *ties(grid, order),
            *edges(grid, order),
            # Resampled seeds say it already, and better: whether two intervals overlap asks for more than is needed.
            *(() if known is not None and known.by is Resampled.SEEDS else _order(grid, order)),
            *_single(grid),
            *_noise(grid, found),
        ),
        rows=rows,
        group="" if roles.group is None else roles.group.name,
        x="" if roles.x is None else roles.x.name,
        measure=grid.measure.label,
        band="working band" if grid.measure.is_time else "band with a value",
        repeated=roles.seeds > 1 and not roles.spread,
    )


def _answer_row(grid: Grid, valley: Valley, one: Recommendation) -> AnswerRow:
    best = valley.best
    labels = {} if grid.roles.x is None else dict(zip(grid.roles.x.values, grid.x_labels, strict=True))
    known = None if best is None or grid.roles.spread else best.estimate
    return AnswerRow(
        group=valley.label,
        best=NONE if best is None else grid.x_labels[best.x],
        at=None if best is None or grid.roles.x is None else grid.roles.x.values[best.x],
        value=None if best is None else best.median,
        low=None if known is None else known.low,
        high=None if known is None else known.high,
        band=_band_text(grid, valley),
        working=valley.working,
        tried=len(valley.points),
        recommended=NONE if one.x is None else grid.x_labels[one.x],
        recommended_at=one.at,
        safe=NONE if one.band is None else " to ".join(dict.fromkeys(labels[end] for end in one.band)),
        sure=one.sure,
    )


def _band_text(grid: Grid, valley: Valley) -> str:
    labels, band = grid.x_labels, valley.band
    if band is None:
        return listing([labels[point.x] for point in valley.points if point.works]) if valley.working else NONE
    holes = "" if band.holes == 0 else f", {plural(band.holes, 'hole')}"
    if band.low == band.high:
        return labels[band.low]
    wide = number(band.width, 2)
    if grid.scale is Scale.LOG:
        wide = f"{wide} decade" if wide == "1" else f"{wide} decades"
    return f"{labels[band.low]} to {labels[band.high]} ({wide} wide{holes})"


def _place(grid: Grid, point: Point) -> str:
    """A point in a sentence: adam at learning_rate 0.00147. Empty where nothing varies."""
    x = "" if grid.roles.x is None else f"{grid.roles.x.name} {grid.x_labels[point.x]}"
    if grid.roles.group is None:
        return x
    return f"{grid.label(point.group)} {'with' if grid.scale is Scale.CATEGORY else 'at'} {x}"


def _headline(trials: pd.DataFrame, grid: Grid, order: tuple[Valley, ...]) -> str:
    measure, best = grid.measure, order[0].best if order else None
    if trials.empty:
        return "The sweep has no trials."
    if best is not None:
        equals = [v.best for v in order[1:] if v.best is not None and v.best.median == best.median]
        return _best(grid, best, [_place(grid, point) for point in equals])
    if not any(run.mark in COUNTED for run in grid.runs):
        return f"No trial has a value of {measure.label}."
    if not measure.is_time:
        return "Nothing worked: more than half of the runs diverged at every point."
    cap = f"{measure.said(measure.cap)}" if measure.cap is not None and grid.cap_binds else "the budget"
    reached = sum(run.mark is Mark.MEASURED for run in grid.runs)
    who = "No trial" if reached == 0 else f"Only {plural(reached, 'trial')}, nowhere half of a point's,"
    return f"{who} reached {measure.event} within {cap}."


def _instead(grid: Grid, order: tuple[Valley, ...], recommended: tuple[Recommendation, ...]) -> str:
    """What is recommended, where that is not what was measured to be best."""
    best = order[0].best if order else None
    works = [one for one in recommended if one.value is not None]
    if best is None or not works or grid.roles.spread or grid.scale is Scale.CATEGORY:
        return ""
    one = min(works, key=lambda one: grid.measure.sign * (one.value or 0.0))
    if (one.code, one.x) == (best.group, best.x):
        return ""
    point = next((p for p in grid.lines[one.code] if p.x == one.x), None)
    return "" if point is None else f" Recommended, by the smoothed valley: {_place(grid, point)}."


def _best(grid: Grid, best: Point, equals: list[str]) -> str:
    measure, value = grid.measure, grid.measure.said(best.median or 0.0)
    runs = 0 if best.estimate is None else best.estimate.trials
    of = f" (median of {runs} runs)" if runs > 1 else ""
    place = " and ".join([_place(grid, best), *equals])
    where = f"{measure.first.capitalize()}: {place}, {'each ' if equals else ''}with " if place else "Result: "
    if measure.is_time:
        return f"{where}{measure.event} after {value}{of}."
    return f"{where}{measure.label} {value}{of}."


def counts(trials: pd.DataFrame, grid: Grid) -> list[str]:
    """How many trials there are, and what became of them."""
    statuses = trials["status"].value_counts().to_dict()
    complete = sum(statuses.get(status, 0) for status in COMPLETE)
    verbs = {Status.REACHED: "reached the target", Status.CAPPED: "stopped short of it"}
    parts = [
        f"{statuses[status]:,} {verbs.get(status, str(status))} ({percent(statuses[status], complete)})"
        for status in COMPLETE
        if statuses.get(status)
    ]
    said = [f"Results of {complete:,} of {plural(len(trials), 'trial')}{': ' if parts else ''}{listing(parts)}."]
    lost = [f"{statuses[s]:,} {s}" for s in (Status.FAILED, Status.INTERRUPTED, Status.MISSING) if statuses.get(s)]
    if lost:
        said.append(f"In no statistic: {listing(lost)}.")
    without = sum(run.mark is Mark.NO_VALUE for run in grid.runs)
    if without:
        said.append(f"Complete, but without a comparable value of {grid.measure.label}: {plural(without, 'trial')}.")
    names = [str(name) for name in trials.columns]
    reported = sorted(name.removeprefix("final.") for name in names if name.startswith("final."))
    if without and without == complete and reported:
        said.append(f"Metrics that trials reported: {listing(reported, 12)}.")
    return said


def _order(grid: Grid, order: tuple[Valley, ...]) -> list[str]:
    """Whether repeats settle which group is first."""
    if grid.roles.seeds == 1 or grid.roles.spread or len(order) < _PAIR:
        return []
    first, second = order[0].best, order[1].best
    if first is None or second is None or first.estimate is None or second.estimate is None:
        return []
    ends = [(e.low, e.high) for e in (first.estimate, second.estimate)]
    low = [-math.inf if low is None else low for low, _ in ends]
    high = [math.inf if high is None else high for _, high in ends]
    overlap = low[0] <= high[1] and low[1] <= high[0]
    verdict = "overlap, so by these runs alone their order is not settled" if overlap else "do not overlap"
    return [f"The 95 % intervals of {order[0].label} and {order[1].label} at their best {verdict}."]


def _single(grid: Grid) -> list[str]:
    """The one best trial, where a point is more than one."""
    points = [point for line in grid.lines.values() for point in line]
    if all(len(point.runs) == 1 for point in points):
        return []
    measured = [(run, point) for point in points for run in point.runs if run.mark is Mark.MEASURED]
    if not measured:
        return []
    run, point = min(measured, key=lambda pair: pair[0].stopped)
    where = f" ({_place(grid, point)})" if _place(grid, point) else ""
    return [f"The single {grid.measure.first} trial is {run.trial}{where}: {grid.measure.said(run.value)}."]


def _noise(grid: Grid, found: tuple[Valley, ...]) -> list[str]:
    """How much a single run can be trusted: by what it differs from its neighbours."""
    if grid.roles.seeds > 1 or not any(valley.working for valley in found):
        return []
    runs = "Every point spans several settings, each run once" if grid.roles.spread else "Every point is one single run"
    said = f"{runs}: single runs are noisy, and a best value is partly luck."
    pairs = [] if grid.scale is Scale.CATEGORY else [pair for valley in found for pair in neighbours(valley)]
    widest = max(pairs, key=lambda pair: _gap(grid, pair), default=None)
    if widest is None or _gap(grid, widest) == 0:
        return [said]
    by = f"{number(_gap(grid, widest) + 1, 2)} times" if grid.measure.is_time else number(_gap(grid, widest), 2)
    where = "" if grid.roles.group is None else f"{grid.label(widest[0].group)}: "
    both = " and ".join(f"{grid.measure.said(p.median or 0.0)} at {grid.x_labels[p.x]}" for p in widest)
    return [f"{said} Inside a band, neighbours differ by up to {by} ({where}{both})."]


def _gap(grid: Grid, pair: tuple[Point, Point]) -> float:
    """How far two medians are apart: of times by which share more, of a metric in its own unit."""
    small, large = sorted(point.median or 0.0 for point in pair)
    if not grid.measure.is_time:
        return large - small
    return large / small - 1 if small > 0 else 0.0
