"""Tables of the page: short text to read, the exact value behind it to sort by and to copy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from kgen.analysis import Analysis, AnswerRow
from kgen.analysis.advice import share
from kgen.analysis.roles import Kind
from kgen.analysis.text import NONE, number
from kgen.results.rows import PARAMETER_PREFIX
from kgen.spec import SECONDS_TO_TARGET, STEPS_TO_TARGET, Timing, text_of

_TIMES: Final = (STEPS_TO_TARGET, SECONDS_TO_TARGET)
_SEED: Final = "seed"
"""A number that is a name: shown with all its digits and no comma."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column's heading."""

    label: str
    numeric: bool
    name: str
    """Of the column in the table that the numbers come from."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One value: what is shown, and the exact text of it (empty for none)."""

    text: str
    value: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table that can be sorted by any column."""

    id: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def answer_table(analysis: Analysis, identifier: str = "answer") -> Table:
    """The best of each group, best first."""
    answer, x = analysis.answer, analysis.roles.x
    numeric = x is not None and x.kind is Kind.NUMBER
    # Of growing models the question is another one.
    advised = analysis.scaling is None and any(row.recommended_at is not None for row in answer.rows)
    columns = [
        Column(answer.group, numeric=False, name="group") if answer.group else None,
        Column(f"best {answer.x}", numeric=numeric, name="best") if answer.x else None,
        Column(answer.measure, numeric=True, name="value"),
        Column("95 % interval", numeric=False, name="interval") if answer.repeated else None,
        Column(answer.band, numeric=False, name="band") if answer.x else None,
        Column("values that work", numeric=True, name="working") if answer.x else None,
        *(_advised(answer.x, numeric=numeric) if advised else ()),
    ]
    shown = tuple(column for column in columns if column is not None)
    none = "not reached" if analysis.measures[0].is_time else "no value"
    rows = tuple(tuple(_answer_cell(row, column.name, none) for column in shown) for row in answer.rows)
    return Table(identifier, shown, rows)


def _advised(x: str, *, numeric: bool) -> tuple[Column, ...]:
    columns = [Column(f"recommended {x}", numeric=numeric, name="recommended")]
    if numeric:
        columns += [Column("safe band", numeric=False, name="safe"), Column("sure", numeric=True, name="sure")]
    return tuple(columns)


def _answer_cell(row: AnswerRow, name: str, none: str) -> Cell:
    if name == "value":
        return Cell(none, "") if row.value is None else cell(row.value)
    if name == "best":
        return Cell(row.best, cell(row.at).value)
    if name == "recommended":
        return Cell(row.recommended, cell(row.recommended_at).value)
    if name == "sure":
        return Cell(NONE, "") if row.sure is None else Cell(share(row.sure), text_of(row.sure))
    if name == "working":
        return Cell(f"{row.working:,} of {row.tried:,}", str(row.working))
    text = _interval(row) if name == "interval" else str(getattr(row, name))
    return Cell(text, text)


def _interval(row: AnswerRow) -> str:
    if row.low is None and row.high is None:
        return NONE
    if row.low is None or row.high is None:
        return f"{number(row.high)} or less" if row.low is None else f"{number(row.low)} or more"
    return f"{number(row.low)} to {number(row.high)}"


def frame_table(identifier: str, frame: pd.DataFrame, *, words: bool = False) -> Table:
    """A data frame as it is, its column names included; with ``words`` these have spaces, so that headings can wrap."""
    names = [str(name) for name in frame.columns]
    return _table(identifier, frame, {name: name.replace("_", " ") if words else name for name in names})


def texts_table(identifier: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table of words."""
    heads = tuple(Column(name, numeric=False, name=name) for name in columns)
    return Table(identifier, heads, tuple(tuple(Cell(text or NONE, text) for text in row) for row in rows))


def trial_table(analyses: Sequence[Analysis], trials: pd.DataFrame) -> Table:
    """Every trial: parameters, what became of it, what was measured; of several stages also which it belongs to."""
    names = [str(name) for name in trials.columns]
    parameters = [name for name in names if name.startswith(PARAMETER_PREFIX)]
    finals = [name for name in names if name.startswith("final.")]
    compared = dict.fromkeys(measure.column for analysis in analyses for measure in analysis.measures)
    own = [column for column in compared if column not in (*finals, *_TIMES)]
    measured = [*_TIMES, *own, *finals, "steps", "seconds"]
    key = ["trial", "stage"] if len(analyses) > 1 else ["trial"]
    wanted = [*key, *parameters, _SEED, "status", *measured, "timing", "exit_reason"]
    shown = {name: name.removeprefix(PARAMETER_PREFIX) for name in wanted if name in names}
    if trials["timing"].eq(str(Timing.SHARED)).any():
        shown["seconds"] = "seconds (own if exclusive)"
    return _table("trials", trials, shown)


def _table(identifier: str, frame: pd.DataFrame, shown: Mapping[str, str]) -> Table:
    columns = tuple(
        Column(label, pd.api.types.is_numeric_dtype(frame[name]) and not pd.api.types.is_bool_dtype(frame[name]), name)
        for name, label in shown.items()
    )
    cells = [[cell(value) for value in frame[name].tolist()] for name in shown]
    if _SEED in shown:
        place = list(shown).index(_SEED)
        cells[place] = [Cell(seed.value, seed.value) for seed in cells[place]]
    return Table(identifier, columns, tuple(zip(*cells, strict=True)))


def cell(value: Any) -> Cell:
    """Four significant digits of a number, all of it behind; every kind of null is a dash."""
    if pd.isna(value):
        return Cell(NONE, "")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Cell(number(value), text_of(value))
    exact = text_of(value if isinstance(value, bool) else str(value))
    return Cell(exact, exact)
