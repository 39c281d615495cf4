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

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kgen.errors import StoreError
from kgen.names import COLLECTED_DIR, CURVES_FILE, ROW_CACHE_FILE, TRIALS_FILE
from kgen.results.rows import FIXED_FIELDS, PARAMETER_PREFIX, State, bytes_to_table, typed_column
from kgen.results.store import RowFile, Store
from kgen.spec import Objective, Timing, TrialSpec

_CACHE: Final = f"{COLLECTED_DIR}/{ROW_CACHE_FILE}"
_CACHED_FIELDS: Final = pa.schema(
    [*FIXED_FIELDS, ("file", pa.string()), ("file_size", pa.int64()), ("file_modified_ns", pa.int64())]
)
_LIGHT: Final = ("trial", "attempt", "sweep", "state", "outcome", "timing", "ended", "exit_reason", "image", "revision",
                 "steps", "total_seconds", "file")  # fmt: skip
_READERS: Final = 4


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


@dataclass(frozen=True, slots=True)
class _Rows:
    """All readable rows, those columns of them that decide, and the files that can't be read."""

    table: pa.Table
    light: list[dict[str, Any]]
    damaged: tuple[DamagedFile, ...]


def observe(store: Store, expected: Iterable[TrialSpec], objective: Objective) -> dict[str, Observed]:
    """The state of each trial that has a row: complete if one is accepted, else that of its last attempt.

    Changes nothing in the store.
    """
    rows = _read(store, keep=False)
    wanted = {trial.id for trial in expected}
    out = {}
    for trial, candidates in _by_trial(rows.light, wanted).items():
        best = _accepted(rows.light, candidates, objective)
        row = rows.light[_latest(rows.light, candidates) if best is None else best]
        state = State(row["state"])
        if best is None and state is State.COMPLETE:
            state = State.INTERRUPTED  # a result, but not for this objective: will be run again
        out[trial] = Observed(
            trial, state, row["outcome"], row["exit_reason"], row["file"], row["steps"], row["total_seconds"]
        )
    return out


def collect(store: Store, expected: Sequence[TrialSpec], objective: Objective) -> Results:
    """Merge all row files and write ``collected/trials.parquet`` and ``curves.parquet``.

    Damaged, torn and foreign files are named in the certificate and never fatal. Raises StoreError when the store
    itself can't be read or written.
    """
    rows = _read(store, keep=True)
    light = rows.light
    by_trial = _by_trial(light, {trial.id for trial in expected})
    accepted: dict[str, int] = {}
    chosen: list[int | None] = []
    status: list[str] = []
    problems: dict[str, list[TrialFile]] = defaultdict(list)
    duplicates = []
    missing = []
    for spec in expected:
        candidates = by_trial.get(spec.id, [])
        best = _accepted(light, candidates, objective)
        if best is not None:
            accepted[spec.id] = best
            others = [light[i]["file"] for i in candidates if i != best and light[i]["state"] == State.COMPLETE]
            if others:
                duplicates.append(Duplicate(spec.id, light[best]["file"], tuple(sorted(others))))
        elif candidates:
            last = light[_latest(light, candidates)]
            kind = "shared" if last["state"] == State.COMPLETE else last["state"]
            problems[kind].append(TrialFile(spec.id, last["file"], last["exit_reason"]))
        else:
            missing.append(spec.id)
        chosen.append(best if best is not None else _latest(light, candidates) if candidates else None)
        status.append(_status(light, best, chosen[-1]))
    foreign = tuple(
        TrialFile(row["trial"], row["file"], f"no trial of this sweep file (sweep {row['sweep']})")
        for i, row in enumerate(light)
        if row["trial"] not in by_trial
    )
    certificate = Certificate(
        expected=len(expected),
        accepted=len(accepted),
        missing=tuple(missing),
        failed=tuple(problems["failed"]),
        interrupted=tuple(problems["interrupted"]),
        shared=tuple(problems["shared"]),
        duplicates=tuple(duplicates),
        damaged=rows.damaged,
        foreign=foreign,
        images=_different(light, accepted.values(), "image"),
        revisions=_different(light, accepted.values(), "revision"),
    )
    trials = _trials_table(rows.table, expected, chosen, status)
    curves = _curves_table(rows.table, list(accepted.values()))
    store.write(f"{COLLECTED_DIR}/{TRIALS_FILE}", _parquet(trials))
    store.write(f"{COLLECTED_DIR}/{CURVES_FILE}", _parquet(curves))
    return Results(_frame(trials), _frame(curves), certificate)


# -- which row counts ---------------------------------------------------------------------------------------------


def _by_trial(light: Sequence[dict[str, Any]], wanted: set[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(light):
        if row["trial"] in wanted:
            found[row["trial"]].append(i)
    return dict(found)


def _accepted(light: Sequence[dict[str, Any]], candidates: Sequence[int], objective: Objective) -> int | None:
    """The complete row that finished first, ties by attempt: a rule that any reader of the files can repeat."""
    good = [
        i
        for i in candidates
        if light[i]["state"] == State.COMPLETE
        and (light[i]["timing"] == Timing.EXCLUSIVE or not objective.needs_exclusive)
    ]
    return min(good, key=lambda i: (light[i]["ended"], light[i]["attempt"]), default=None)


def _latest(light: Sequence[dict[str, Any]], candidates: Sequence[int]) -> int:
    return max(candidates, key=lambda i: (light[i]["ended"], light[i]["attempt"]))


def _status(light: Sequence[dict[str, Any]], best: int | None, shown: int | None) -> str:
    if best is not None:
        return str(light[best]["outcome"])
    if shown is None or light[shown]["state"] == State.COMPLETE:
        return "missing"
    return str(light[shown]["state"])


def _different(light: Sequence[dict[str, Any]], accepted: Iterable[int], name: str) -> tuple[str, ...]:
    return tuple(sorted({light[i][name] for i in accepted if light[i][name]}))


# -- reading, once per file ---------------------------------------------------------------------------------------


def _read(store: Store, *, keep: bool) -> _Rows:
    files = {file.name: file for file in store.row_files()}
    known = _cached(store, files)
    fresh = [file for name, file in files.items() if name not in set(known["file"].to_pylist())]
    tables, damaged = [known], []
    with ThreadPoolExecutor(_READERS) as readers:
        for file, outcome in zip(fresh, readers.map(functools.partial(_read_one, store), fresh), strict=True):
            if isinstance(outcome, str):
                damaged.append(DamagedFile(file.name, outcome))
            else:
                tables.append(outcome)
    table = pa.concat_tables(tables).sort_by("file")
    if keep and (len(tables) > 1 or len(known) != _cache_length(store)):
        store.write(_CACHE, _parquet(table))
    return _Rows(table, table.select(list(_LIGHT)).to_pylist(), tuple(damaged))


def _read_one(store: Store, file: RowFile) -> pa.Table | str:
    """The rows of one file, or what is wrong with it."""
    try:
        table = bytes_to_table(store.read_row_file(file.name))
    except (ValueError, StoreError) as error:
        return str(error)
    count = len(table)
    for value, column in ((file.name, "file"), (file.size, "file_size"), (file.modified_ns, "file_modified_ns")):
        table = table.append_column(_CACHED_FIELDS.field(column), pa.array([value] * count, _type(column)))
    return table


def _type(column: str) -> pa.DataType:
    return _CACHED_FIELDS.field(column).type


def _cached(store: Store, files: dict[str, RowFile]) -> pa.Table:
    """Rows of files that are still there and unchanged; a cache that can't be read is simply made again."""
    table = _cache(store)
    keep = [
        (file := files.get(name)) is not None and (file.size, file.modified_ns) == (size, modified)
        for name, size, modified in zip(
            *(table[column].to_pylist() for column in ("file", "file_size", "file_modified_ns")), strict=True
        )
    ]
    return table.filter(pa.array(keep, pa.bool_()))


def _cache(store: Store) -> pa.Table:
    try:
        if store.exists(_CACHE):
            return pq.read_table(pa.BufferReader(store.read(_CACHE))).cast(_CACHED_FIELDS)
    except (pa.ArrowException, OSError, ValueError, StoreError):
        pass
    return _CACHED_FIELDS.empty_table()


def _cache_length(store: Store) -> int:
    return len(_cache(store))


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
    summaries = picked["metrics"].to_pylist()
    for metric in sorted({item["metric"] for items in summaries for item in items or ()}):
        by_row = [next((i for i in items or () if i["metric"] == metric), {}) for items in summaries]
        for part in ("final", "min", "max"):
            columns[f"{part}.{metric}"] = pa.array([item.get(part) for item in by_row], pa.float64())
    for name in picked.column_names:
        if name not in left_out:
            columns[name] = picked[name]
    return pa.table(columns)


def _curves_table(rows: pa.Table, accepted: list[int]) -> pa.Table:
    picked = rows.take(pa.array(accepted, pa.int64())).combine_chunks()
    points = pc.list_flatten(picked["curve"])
    parents = pc.list_parent_indices(picked["curve"])
    if isinstance(points, pa.ChunkedArray):
        points = points.combine_chunks()
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
    return table.to_pandas(types_mapper=kinds.get)
