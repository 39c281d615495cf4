"""One part of the page per stage: its own question, answer, tables and figures, and where its trials came from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from kgen.analysis import COMPLETE, Analysis, FigureData
from kgen.analysis.compare import Comparison
from kgen.analysis.text import listing, number, plural, plurals
from kgen.choice import Choice, Chosen
from kgen.names import COLLECTED_DIR, summary_file
from kgen.report.tables import Table, answer_table, frame_table, texts_table
from kgen.spec import Value, text_of


@dataclass(frozen=True, slots=True)
class Origin:
    """How the trials of a stage came about."""

    choice: Choice | None = None
    """What it took from an earlier stage; ``None`` where it took nothing."""
    said: tuple[str, ...] = ()
    """More of it, in sentences: of a search its method, how many trials it asked for, why it ended."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure on the page."""

    number: int
    name: str
    """Of its files."""
    data: FigureData
    svg: Markup


@dataclass(frozen=True, slots=True)
class Section:
    """What the page says of one stage."""

    analysis: Analysis
    several: bool
    """Whether there are other stages."""
    question: str
    seeds: str
    """How many of them a point has results of."""
    answer: Table
    tables: tuple[tuple[str, Table], ...]
    """More of the answer, each under its heading."""
    published: Table | None
    """The same from a published experiment, in columns beside ours."""
    published_said: tuple[str, ...]
    summary: Table
    summary_file: str
    points: Table | None
    pictures: tuple[Picture, ...]
    chosen: Table | None
    """What the stage took from an earlier one."""
    origin: Origin


def sections(
    analyses: Sequence[Analysis],
    trials: pd.DataFrame,
    *,
    drawings: Mapping[str, Markup],
    origins: Mapping[str, Origin],
    comparison: Comparison | None,
) -> tuple[Section, ...]:
    """One for each analysis, figures numbered through all of them. ``drawings`` has their SVG by their files' names."""
    several = len(analyses) > 1
    besides = {beside.stage: beside for beside in comparison.besides} if comparison is not None else {}
    counted = 0
    found = []
    for analysis in analyses:
        prefix = f"{analysis.stage}-" if several else ""
        pictures = []
        for figure in analysis.figures:
            counted += 1
            name = figure_name(analysis, figure, several=several)
            pictures.append(Picture(counted, name, figure, drawings[name]))
        own = trials[trials["stage"] == analysis.stage] if several else trials
        beside = besides.get(analysis.stage)
        origin = origins.get(analysis.stage, Origin())
        found.append(
            Section(
                analysis=analysis,
                several=several,
                question=question(analysis, len(own)),
                seeds=_seeds(analysis, own),
                answer=answer_table(analysis, f"{prefix}answer"),
                tables=_tables(analysis, prefix),
                published=None if beside is None else frame_table(f"{prefix}published", beside.table, words=True),
                published_said=() if beside is None else beside.sentences,
                summary=frame_table(f"{prefix}summary", analysis.summary),
                summary_file=f"{COLLECTED_DIR}/{summary_file(analysis.stage if several else '')}",
                points=_points(analysis, prefix),
                pictures=tuple(pictures),
                chosen=None if origin.choice is None else _chosen(origin.choice, f"{prefix}chosen"),
                origin=origin,
            )
        )
    return tuple(found)


def figure_name(analysis: Analysis, figure: FigureData, *, several: bool) -> str:
    """Of its files: with the stage's where there are several."""
    name = f"{analysis.stage}-{figure.name}" if several else figure.name
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name)


def question(analysis: Analysis, trials: int) -> str:
    """What was asked, in a line: how many trials of what, for which target, within which budget."""
    roles, budget = analysis.roles, analysis.budget
    varied = [parameter.name for parameter in (roles.group, roles.x, *roles.spread) if parameter is not None]
    said = plural(trials, "trial")
    if varied:
        said += f" over {listing(varied, most=12)}"
    if roles.seeds > 1:
        said += f", {roles.seeds} seeds each"
    limits = [plural(budget.steps, "step")] if budget.steps is not None else []
    if budget.seconds is not None:
        limits.append(f"{number(budget.seconds)} counted seconds")
    target = f" Target: {budget.target}." if budget.target is not None else ""
    return f"{said}.{target} Budget: {' or '.join(limits)}." if limits else f"{said}.{target}"


def _seeds(analysis: Analysis, own: pd.DataFrame) -> str:
    columns = [parameter.column for parameter in (analysis.roles.group, analysis.roles.x) if parameter is not None]
    done = own[own["status"].isin(COMPLETE)]
    counts = done.groupby(columns, dropna=False)["seed"].nunique().tolist() if columns else [done["seed"].nunique()]
    return plurals(counts, "seed")


def _tables(analysis: Analysis, prefix: str) -> tuple[tuple[str, Table], ...]:
    found = []
    if analysis.ranking is not None:
        found.append(
            ("Ranking: how fast, how high, how stably", frame_table(f"{prefix}ranking", analysis.ranking, words=True))
        )
    growing = analysis.scaling
    if growing is not None:
        size = growing.size.name
        found.append(
            (
                f"Growth with {size}: straight lines and power laws",
                frame_table(f"{prefix}fits", growing.fits, words=True),
            )
        )
        found.append((f"By {size}: weights, pace and regret", frame_table(f"{prefix}sizes", growing.sizes, words=True)))
    return tuple(found)


def _points(analysis: Analysis, prefix: str) -> Table | None:
    several = bool((analysis.points["trials"] > 1).any())
    return frame_table(f"{prefix}points", analysis.points) if several else None


def _chosen(choice: Choice, identifier: str) -> Table:
    """A line for each group of the earlier stage."""
    names = list(dict.fromkeys(name for one in choice.chosen for name in one.group))
    columns = [*names, "best", "value", "95 % interval", "points taken", "trials of the best"]
    rows = [_chosen_row(one, names) for one in choice.chosen]
    rows += [
        [label, *[""] * (len(names) - 1), f"none: {why}", "", "", "", ""] if names else [f"none: {why}", *[""] * 4]
        for label, why in choice.without.items()
    ]
    return texts_table(identifier, columns, rows)


def _chosen_row(one: Chosen, names: Sequence[str]) -> list[str]:
    best = {name: value for name, value in one.best.items() if name not in one.group}
    ends = " to ".join("…" if end is None else number(end) for end in (one.low, one.high))
    varied = [name for name in best if len({text_of(point[name]) for point in one.points if name in point}) > 1]
    taken = [", ".join(f"{name} {_short(point[name])}" for name in varied) for point in one.points] if varied else []
    return [
        *(text_of(one.group[name]) if name in one.group else "" for name in names),
        ", ".join(f"{name} {_short(value)}" for name, value in best.items()),
        number(one.value),
        ends if one.low is not None or one.high is not None else "–",
        "; ".join(taken) or "the best alone",
        ", ".join(one.trials),
    ]


def _short(value: Value) -> str:
    return number(value, 3) if isinstance(value, float) else text_of(value)
