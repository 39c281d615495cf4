"""Row files → one line per trial, the curves, and a certificate of completeness.

Every row file is read once: ``collected/rows.parquet`` keeps the rows of files that have not changed since. Exactly
one row per trial is accepted, whatever was started twice, killed or torn on the way.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kgen.errors import StoreError
from kgen.names import COLLECTED_DIR, CURVES_FILE, ROW_CACHE_FILE, TRIALS_FILE
from kgen.results.rows import (
    FIXED_FIELDS,
    PARAMETER_PREFIX,
    State,
    bytes_to_table,
    check_values,
    open_sealed,
    table_to_bytes,
    typed_column,
)
from kgen.results.store import RowFile, Store
from kgen.spec import Objective, Timing, TrialSpec

_CACHE: Final = f"{COLLECTED_DIR}/{ROW_CACHE_FILE}"
_FILE_FIELDS: Final = pa.schema([("file", pa.string()), ("file_size", pa.int64()), ("file_modified_ns", pa.int64())])
_CACHED_FIELDS: Final = pa.schema([*FIXED_FIELDS, *_FILE_FIELDS])
_DECIDING: Final = ("trial", "attempt", "sweep", "state", "outcome", "timing", "ended", "exit_reason", "image",
                    "revision", "steps", "total_seconds", "file")  # fmt: skip
_READERS: Final = 4
_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class DamagedFile:
    """A file among the rows that can't be read as one."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class TrialFile:
    """A row that is not accepted, and why."""

    trial: str
    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A trial with more than one result: which one counts, and the others, which are kept."""

    trial: str
    accepted: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is proven about the completeness of a sweep's results."""

    expected: int
    accepted: int
    missing: tuple[str, ...]
    """Trials without any row."""
    failed: tuple[TrialFile, ...]
    """Trials whose last attempt failed, with no result."""
    interrupted: tuple[TrialFile, ...]
    """Trials whose last attempt was stopped from outside, with no result."""
    shared: tuple[TrialFile, ...]
    """Trials that have results, but on a shared device while the objective is in seconds."""
    duplicates: tuple[Duplicate, ...]
    damaged: tuple[DamagedFile, ...]
    foreign: tuple[TrialFile, ...]
    """Rows of trials that the sweep file does not (or no longer) ask for."""
    images: tuple[str, ...]
    """Different image references among accepted rows."""
    revisions: tuple[str, ...]
    """Different trainer revisions among accepted rows."""

    @property
    def complete(self) -> bool:
        """Whether every expected trial has exactly one accepted row."""
        return self.accepted == self.expected

    def to_json(self) -> dict[str, Any]:
        """Plain values, ``complete`` first."""
        return {"complete": self.complete, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Results:
    """A sweep's results as tables."""

    trials: pd.DataFrame
    """One line per expected trial, in the sweep's order; ``status`` is its outcome, or failed, interrupted, missing."""
    curves: pd.DataFrame
    """Long form: trial, step, seconds, metric, value; accepted rows only."""
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Observed:
    """What the store says of one trial."""

    trial: str
    state: State
    outcome: str | None
    reason: str
    file: str
    steps: int
    total_seconds: float
    image: str


@dataclass(frozen=True, slots=True)
class _Rows:
    """All readable rows, in the order of their files' names, and the files that can't be read."""

    table: pa.Table
    damaged: tuple[DamagedFile, ...]
    columns: dict[str, list[Any]]
    """The columns that decide, as lists."""

    def __getitem__(self, column: str) -> list[Any]:
        return self.columns[column]

    def by_trial(self, wanted: set[str]) -> dict[str, list[int]]:
        """The rows of each trial that is asked for and has any."""
        found: dict[str, list[int]] = defaultdict(list)
        for i, trial in enumerate(self["trial"]):
            if trial in wanted:
                found[trial].append(i)
        return dict(found)

    def accepted(self, candidates: Sequence[int], objective: Objective) -> int | None:
        """The complete row that finished first, ties by attempt: a rule that any reader of the files can repeat."""
        good = [
            i
            for i in candidates
            if self["state"][i] == State.COMPLETE
            and (self["timing"][i] == Timing.EXCLUSIVE or not objective.needs_exclusive)
        ]
        return min(good, key=self._age, default=None)

    def latest(self, candidates: Sequence[int]) -> int:
        """The row of the last attempt."""
        return max(candidates, key=self._age)

    def _age(self, i: int) -> tuple[int, str]:
        return self["ended"][i], self["attempt"][i]

    def different(self, name: str, accepted: Iterable[int]) -> tuple[str, ...]:
        """The values of a column among the accepted rows, without the empty one."""
        return tuple(sorted({self[name][i] for i in accepted} - {""}))


def observe(store: Store, expected: Iterable[TrialSpec], objective: Objective) -> dict[str, Observed]:
    """The state of each trial that has a row: complete if one is accepted, else that of its last attempt.

    Changes nothing in the store.
    """
    rows = _read(store, keep=False)
    out = {}
    for trial, candidates in rows.by_trial({trial.id for trial in expected}).items():
        best = rows.accepted(candidates, objective)
        shown = rows.latest(candidates) if best is None else best
        state, reason = State(rows["state"][shown]), rows["exit_reason"][shown]
        if best is None and state is State.COMPLETE:  # a result, but not for this objective: will be run again
            state, reason = State.INTERRUPTED, "shared its core or GPU, and the objective is in seconds"
        out[trial] = Observed(
            trial,
            state,
            rows["outcome"][shown],
            reason,
            rows["file"][shown],
            rows["steps"][shown],
            rows["total_seconds"][shown],
            rows["image"][shown],
        )
    return out


def collect(store: Store, expected: Sequence[TrialSpec], objective: Objective) -> Results:
    """Merge all row files and write ``collected/trials.parquet`` and ``curves.parquet``.

    Damaged, torn and foreign files are named in the certificate and never fatal. Raises StoreError when the store
    itself can't be read or written.
    """
    rows = _read(store, keep=True)
    by_trial = rows.by_trial({trial.id for trial in expected})
    accepted: dict[str, int] = {}
    chosen: list[int | None] = []
    status: list[str] = []
    problems: dict[str, list[TrialFile]] = defaultdict(list)
    duplicates = []
    missing = []
    for spec in expected:
        candidates = by_trial.get(spec.id, [])
        best = rows.accepted(candidates, objective)
        shown = best
        if best is not None:
            accepted[spec.id] = best
            others = [rows["file"][i] for i in candidates if i != best and rows["state"][i] == State.COMPLETE]
            if others:
                duplicates.append(Duplicate(spec.id, rows["file"][best], tuple(sorted(others))))
            status.append(rows["outcome"][best])
        elif candidates:
            shown = rows.latest(candidates)
            shared = rows["state"][shown] == State.COMPLETE
            problem = TrialFile(spec.id, rows["file"][shown], rows["exit_reason"][shown])
            problems["shared" if shared else rows["state"][shown]].append(problem)
            status.append("missing" if shared else rows["state"][shown])
        else:
            missing.append(spec.id)
            status.append("missing")
        chosen.append(shown)
    foreign = tuple(
        TrialFile(trial, rows["file"][i], f"no trial of this sweep file (sweep {rows['sweep'][i]})")
        for i, trial in enumerate(rows["trial"])
        if trial not in by_trial
    )
    certificate = Certificate(
        expected=len(expected),
        accepted=len(accepted),
        missing=tuple(missing),
        failed=tuple(problems[State.FAILED]),
        interrupted=tuple(problems[State.INTERRUPTED]),
        shared=tuple(problems["shared"]),
        duplicates=tuple(duplicates),
        damaged=rows.damaged,
        foreign=foreign,
        images=rows.different("image", accepted.values()),
        revisions=rows.different("revision", accepted.values()),
    )
    trials = _trials_table(rows.table, expected, chosen, status)
    curves = _curves_table(rows.table, list(accepted.values()))
    store.write(f"{COLLECTED_DIR}/{TRIALS_FILE}", _parquet(trials))
    store.write(f"{COLLECTED_DIR}/{CURVES_FILE}", _parquet(curves))
    return Results(_frame(trials), _frame(curves), certificate)


# -- reading, once per file ---------------------------------------------------------------------------------------


def _read(store: Store, *, keep: bool) -> _Rows:
    files = {file.name: file for file in store.row_files()}
    cached = _cache(store)
    known = _unchanged(cached, files)
    seen = set(known["file"].to_pylist())
    fresh = [file for file in files.values() if file.name not in seen]
    batches = [fresh[i : i + _BATCH] for i in range(0, len(fresh), _BATCH)]
    with ThreadPoolExecutor(_READERS) as readers:
        read = list(readers.map(functools.partial(_read_batch, store), batches))
    table = known
    if any(len(rows) for rows, _ in read):
        table = pa.concat_tables([known, *(rows for rows, _ in read)])
        order = np.argsort(np.array(table["file"].to_pylist()), kind="stable")
        table = table.combine_chunks() if (np.diff(order) == 1).all() else table.take(order).combine_chunks()
    if keep and len(table) and (table is not known or len(known) != len(cached)):
        store.write(_CACHE, table_to_bytes(table))
    columns = {name: table[name].to_pylist() for name in _DECIDING if name != "ended"}
    columns["ended"] = table["ended"].cast(pa.int64()).to_pylist()
    return _Rows(table, tuple(item for _, damaged in read for item in damaged), columns)


def _read_batch(store: Store, files: Sequence[RowFile]) -> tuple[pa.Table, list[DamagedFile]]:
    """The rows of some files, and what is wrong with those that hold none. Many at a time, because what is done once
    per table costs as much as what is done once per row."""
    tables: list[pa.Table] = []
    good: list[RowFile] = []
    damaged: list[DamagedFile] = []
    for file in files:
        try:
            tables.append(bytes_to_table(store.read_row_file(file.name), check=False))
            good.append(file)
        except (ValueError, StoreError) as error:
            damaged.append(DamagedFile(file.name, str(error)))
    table = pa.concat_tables([FIXED_FIELDS.empty_table(), *tables]).combine_chunks()
    try:
        check_values(table)
    except ValueError as error:
        if len(files) == 1:
            return _CACHED_FIELDS.empty_table(), [DamagedFile(files[0].name, str(error))]
        singly = [_read_batch(store, [file]) for file in files]
        return pa.concat_tables(rows for rows, _ in singly), [item for _, damaged in singly for item in damaged]
    counts = [len(rows) for rows in tables]
    origin = (np.repeat(np.array(values, dtype), counts) for values, dtype in (
        ([file.name for file in good], object),
        ([file.size for file in good], np.int64),
        ([file.modified_ns for file in good], np.int64),
    ))  # fmt: skip
    columns = [pa.array(values, field.type) for values, field in zip(origin, _FILE_FIELDS, strict=True)]
    return pa.Table.from_arrays([*table.columns, *columns], schema=_CACHED_FIELDS), damaged


def _unchanged(cached: pa.Table, files: dict[str, RowFile]) -> pa.Table:
    """Rows of files that are still there and unchanged."""
    columns = (cached[column].to_pylist() for column in _FILE_FIELDS.names)
    keep = [
        (file := files.get(name)) is not None and (file.size, file.modified_ns) == (size, modified)
        for name, size, modified in zip(*columns, strict=True)
    ]
    return cached if all(keep) else cached.filter(pa.array(keep, pa.bool_()))


def _cache(store: Store) -> pa.Table:
    """What an earlier collection has read; one that can't be used is simply made again."""
    try:
        if store.exists(_CACHE):
            return open_sealed(store.read(_CACHE)).read().replace_schema_metadata().cast(_CACHED_FIELDS)
    except (pa.ArrowException, OSError, ValueError, StoreError):
        pass
    return _CACHED_FIELDS.empty_table()


# -- tables -------------------------------------------------------------------------------------------------------


def _trials_table(
    rows: pa.Table, expected: Sequence[TrialSpec], chosen: Sequence[int | None], status: Sequence[str]
) -> pa.Table:
    """One line per expected trial; what the sweep file says comes from there, the rest from the chosen rows."""
    picked = rows.take(pa.array(chosen, pa.int64()))
    columns: dict[str, pa.Array] = {
        "trial": pa.array([spec.id for spec in expected]),
        "stage": pa.array([spec.stage for spec in expected]),
        "seed": pa.array([spec.seed for spec in expected], pa.int64()),
        "status": pa.array(status, pa.string()),
    }
    names = dict.fromkeys(name for spec in expected for name in spec.parameters)
    for name in names:
        columns[PARAMETER_PREFIX + name] = typed_column([spec.parameters.get(name) for spec in expected])
    left_out = {*columns, "sweep", "parameters", "objective", "budget", "metrics", "curve", "state", "outcome",
                "file_size", "file_modified_ns"}  # fmt: skip
    columns |= _metric_columns(picked["metrics"])
    for name in picked.column_names:
        if name not in left_out:
            columns[name] = picked[name]
    return pa.table(columns)


def _metric_columns(summaries: pa.ChunkedArray) -> dict[str, pa.Array]:
    """``final.<metric>``, ``min.<metric>`` and ``max.<metric>``, null where a trial did not report the metric."""
    items, parents = _flatten(summaries)
    names = np.array(items.field("metric").to_pylist(), dtype=object)
    columns = {}
    for metric in sorted(set(names)):
        mine = names == metric
        absent = np.ones(len(summaries), dtype=bool)
        absent[parents[mine]] = False
        for part in ("final", "min", "max"):
            values = np.full(len(summaries), np.nan)
            values[parents[mine]] = items.field(part).to_numpy(zero_copy_only=False)[mine]
            columns[f"{part}.{metric}"] = pa.array(values, pa.float64(), mask=absent)
    return columns


def _flatten(lists: pa.ChunkedArray) -> tuple[pa.StructArray, np.typing.NDArray[np.int64]]:
    """The items of all lists, and for each the position of its list."""
    whole = lists.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # of no chunk at all
        whole = pa.array([], lists.type)
    return pc.list_flatten(whole), pc.list_parent_indices(whole).to_numpy()


def _curves_table(rows: pa.Table, accepted: list[int]) -> pa.Table:
    picked = rows.select(["trial", "curve"]).take(pa.array(accepted, pa.int64()))
    points, parents = _flatten(picked["curve"])
    return pa.table(
        {"trial": picked["trial"].take(parents), **{n: points.field(n) for n in ("step", "seconds", "metric", "value")}}
    )


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def _frame(table: pa.Table) -> pd.DataFrame:
    """Nullable whole numbers stay whole; long integers become doubles, since pandas has nothing wider."""
    for i, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):
            table = table.set_column(i, field.name, table[field.name].cast(pa.float64()))
    kinds = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=kinds.get)
    return frame
