"""What to use and how sure it is, in sentences made from the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from kgen.analysis.confidence import Confidence, Resampled
from kgen.analysis.curves import Curves
from kgen.analysis.points import Grid
from kgen.analysis.recommend import Recommendation
from kgen.analysis.roles import Scale
from kgen.analysis.text import listing, number, percent

SETTLED: Final = 0.95
"""Share of the resamples from which on the data decide."""
_PAIR: Final = 2
_ALL: Final = 1000


def advice(grid: Grid, found: Sequence[Recommendation], known: Confidence | None) -> tuple[str, ...]:
    """Which value on x for each group and how safe it is, which group overall, and whether one value serves all."""
    if grid.roles.spread or not any(one.works for one in found):
        return ()
    return (*_each(grid, found, known), *_overall(grid, found, known), *_shared(grid, found))


def share(value: float) -> str:
    """A share in per cent; never 0 % or 100 % of one that is neither."""
    rounded = round(_ALL * value)
    return percent(rounded if value in (0, 1) else min(max(rounded, 1), _ALL - 1), _ALL)


def _each(grid: Grid, found: Sequence[Recommendation], known: Confidence | None) -> list[str]:
    x = grid.roles.x
    if x is None or grid.scale is Scale.CATEGORY or not _several(grid):
        return []
    labels = {value: label for value, label in zip(x.values, x.labels, strict=True) if value is not None}
    said = []
    for one in found:
        if one.at is None:
            continue
        name = "" if grid.roles.group is None else f"{one.label} "
        parts = [] if one.band is None else [" to ".join(dict.fromkeys(labels[end] for end in one.band))]
        parts += [] if one.sure is None else [share(one.sure)]
        told = f" ({', '.join(parts)})" if parts else ""
        said.append(f"{name}{labels[one.at]}{told}")
    if not said:
        return []
    what = f"Recommended {x.name}, the best on each smoothed line, with the safe band around it"
    if known is None:
        return [f"{what}: {'; '.join(said)}."]
    if known.by is Resampled.SEEDS:
        return [f"{what} and the share of the resamples of seeds in which it stays safe: {'; '.join(said)}."]
    return [
        f"{what} and the share of the resamples in which it stays safe: {'; '.join(said)}. These are resamples of what "
        "single runs differ from the smoothed line by, for most values ran with one seed only; what another seed would "
        "change in all runs is not in them."
    ]


def _several(grid: Grid) -> bool:
    """Whether there is a choice: not where each group was given its own best."""
    return any(len(points) > 1 for points in grid.lines.values())


def _overall(grid: Grid, found: Sequence[Recommendation], known: Confidence | None) -> list[str]:
    """Which group is first, and how sure."""
    group = grid.roles.group
    if group is None or len(found) < _PAIR:
        return []
    few = "One seed" if grid.roles.seeds == 1 else "So few repeats"
    if known is None:
        return [f"{few} can't decide which {group.name} is {grid.measure.first}."] if grid.roles.seeds == 1 else []
    labels = {one.code: one.label for one in found}
    order = sorted(known.first, key=lambda code: -known.first[code])
    said = listing([f"{labels[code]} in {share(known.first[code])}" for code in order if known.first[code] > 0])
    if known.by is Resampled.RESIDUALS:
        return [
            f"{few} can't decide which {group.name} is {grid.measure.first}: by resampled residuals it is {said}, and "
            "other seeds may order them otherwise."
        ]
    first = order[0]
    what = f"Each at its best, the {grid.measure.first} {group.name} is {said} of the resamples of the seeds"
    undecided = "" if known.first[first] >= SETTLED else f", so {known.seeds} seeds do not decide it"
    return [f"{what}{undecided}{_alone(known, first, labels[first])}."]


def _alone(known: Confidence, first: int, label: str) -> str:
    """By the seeds that every group has a result of at its best."""
    if not known.judged:
        return ""
    of = f"{known.judged}" if known.judged == known.seeds else f"the {known.judged} that all have a result of"
    return f"; by each seed alone it is {label} in {number(known.alone.get(first, 0.0) * known.judged, 3)} of {of}"


def _shared(grid: Grid, found: Sequence[Recommendation]) -> list[str]:
    """Whether one value on x is safe for all groups."""
    x, group = grid.roles.x, grid.roles.group
    banded = [one for one in found if one.band is not None]
    if x is None or group is None or len(found) < _PAIR or not banded or not _several(grid):
        return []
    everyone = "both" if len(found) == _PAIR else f"all {len(found)}"
    lost = [one.label for one in found if not one.works]
    if lost:
        return [f"No {x.name} serves {everyone}: nothing works for {listing(lost)}."]
    places = {value: place for place, value in enumerate(x.values)}
    ends = [(places[one.band[0]], places[one.band[1]]) for one in banded if one.band is not None]
    low, high = max(end[0] for end in ends), min(end[1] for end in ends)
    if low > high or len(banded) < len(found):
        return [f"No {x.name} is in the safe bands of {everyone}."]
    both = x.labels[low] if low == high else f"{x.labels[low]} to {x.labels[high]}"
    return [f"In the safe bands of {everyone}: {x.name} {both}."]


def ranked_sentences(ranking: pd.DataFrame | None, grid: Grid, found: Curves) -> tuple[str, ...]:
    """Who is highest, first and steadiest by the table of :func:`kgen.analysis.ranking.ranking`."""
    group = grid.roles.group
    if ranking is None or group is None or len(ranking) < _PAIR:
        return ()
    names = [str(name) for name in ranking.columns]
    own, best = names[0], "highest" if found.sign < 0 else "lowest"
    rows: list[dict[str, Any]] = [
        {str(name): value for name, value in row.items()} for row in ranking.to_dict("records")
    ]
    # In a table a group without the parameter is some kind of null.
    label = {value: group.described(code) for code, value in enumerate(group.values)}
    labels = [label[None if pd.isna(row[own]) else row[own]] for row in rows]
    said = []
    for column, word in ((best, f"{best} {found.metric}"), *((name, _first_at(name)) for name in names)):
        known = [place for place, row in enumerate(rows) if word and not pd.isna(row[column])]
        if known:
            row = min(known, key=lambda place: rows[place]["rank_high" if column == best else column])
            said.append(f"{word}: {labels[row]} ({number(float(rows[row][column]))})")
    steady = [place for place, row in enumerate(rows) if not pd.isna(row["rank_stable"])]
    if steady:
        row = min(steady, key=lambda place: rows[place]["rank_stable"])
        spread = number(float(rows[row]["dispersion_across_time"]), 2)
        level = next(name.removeprefix("steps_to_") for name in names if _first_at(name))
        of = "" if len(steady) == len(rows) else f" of those that get to {level}"
        said.append(f"steadiest{of}: {labels[row]} (changes between evaluations spread by {spread})")
    if not said:
        return ()
    text = "; ".join(said)
    first = listing([name for name, row in zip(labels, rows, strict=True) if row["rank"] == 1])
    return (f"{text[:1].upper()}{text[1:]}. By all of these together: {first}.",)


def _first_at(column: str) -> str:
    """What the best of that column is, in words; empty for columns that are no times."""
    level = column.removeprefix("steps_to_")
    return "" if level == column or level.endswith(("_low", "_high")) else f"fewest steps to {level}"
