"""Row files → one table of all rows, each file read once.

``collected/rows.parquet`` keeps the rows of files that have not changed since a collection wrote it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kgen.errors import StoreError, UnreadableFileError
from kgen.names import COLLECTED_DIR, ROW_CACHE_FILE
from kgen.results.certificate import DamagedFile
from kgen.results.rows import FIXED_FIELDS, State, bytes_to_table, check_values, open_sealed, table_to_bytes
from kgen.results.store import RowFile, Store
from kgen.spec import Objective, Timing, Value, load_json

_CACHE: Final = f"{COLLECTED_DIR}/{ROW_CACHE_FILE}"
_FILE_FIELDS: Final = pa.schema([("file", pa.string()), ("file_size", pa.int64()), ("file_modified_ns", pa.int64())])
_CACHED_FIELDS: Final = pa.schema([*FIXED_FIELDS, *_FILE_FIELDS])
_DECIDING: Final = ("trial", "attempt", "sweep", "stage", "state", "outcome", "timing", "ended", "exit_reason",
                    "exit_code", "image", "revision", "trainer", "steps", "seconds", "total_seconds",
                    "resumed_from_step", "file")  # fmt: skip
_BATCH: Final = 64
_LEAST_BATCH: Final = 8


@dataclass(frozen=True, slots=True)
class AskedRow:
    """What a row says of the trial that left it."""

    trial: str
    stage: str
    parameters: Mapping[str, Value]
    seed: int
    budget: Mapping[str, Any]
    """JSON form of a :class:`kgen.spec.Budget`."""


@dataclass(slots=True)
class RowCache:
    """What one process has read of one store."""

    table: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """All readable rows, in the order of their files' names, and the files that can't be read."""

    table: pa.Table
    damaged: tuple[DamagedFile, ...]
    columns: dict[str, list[Any]]
    """The columns that decide, as lists."""

    def __getitem__(self, column: str) -> list[Any]:
        return self.columns[column]

    def by_trial(self, wanted: Set[str]) -> dict[str, list[int]]:
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

    def alone(self, candidates: Sequence[int]) -> int | None:
        """The first result for which the trial had its device to itself, in one go, and that can be timed."""
        return min((i for i in candidates if self.is_alone(i) and self["seconds"][i] > 0), key=self._age, default=None)

    def is_alone(self, i: int) -> bool:
        """Whether a row is a result whose seconds are the trial's own."""
        return (
            self["state"][i] == State.COMPLETE
            and self["timing"][i] == Timing.EXCLUSIVE
            and self["resumed_from_step"][i] is None
            and self["steps"][i] > 0
        )

    def latest(self, candidates: Sequence[int]) -> int:
        """The row of the last attempt."""
        return max(candidates, key=self._age)

    def ended(self, i: int) -> dt.datetime:
        """When a row's attempt ended."""
        return dt.datetime.fromtimestamp(self["ended"][i] / 1e6, dt.UTC)

    def _age(self, i: int) -> tuple[int, str]:
        return self["ended"][i], self["attempt"][i]

    def failed(self) -> Iterator[str]:
        """The trial of each attempt that failed."""
        return (trial for trial, state in zip(self["trial"], self["state"], strict=True) if state == State.FAILED)

    def asked(self, stages: Set[str]) -> tuple[AskedRow, ...]:
        """Each trial of these stages that left a row, once, in the order in which they started."""
        mine = pc.is_in(self.table["stage"], value_set=pa.array(sorted(stages), pa.string()))
        rows = self.table.select(["started", "trial", "stage", "seed", "parameters", "budget"]).filter(mine)
        found: dict[str, AskedRow] = {}
        for row in rows.sort_by([("started", "ascending"), ("trial", "ascending")]).to_pylist():
            with contextlib.suppress(ValueError):  # what no kgen wrote names no trial
                if row["trial"] not in found:
                    found[row["trial"]] = AskedRow(
                        row["trial"], row["stage"], load_json(row["parameters"]), row["seed"], load_json(row["budget"])
                    )
        return tuple(found.values())

    def different(self, name: str, accepted: Iterable[int]) -> tuple[str, ...]:
        """The values of a column among the accepted rows, without the empty one."""
        return tuple(sorted({self[name][i] for i in accepted} - {""}))


def read(store: Store, *, keep: bool = False, cache: RowCache | None = None) -> Rows:
    """All rows of a store. With a cache, which one process keeps for one store, only new files are read; ``keep``
    leaves the rows in the store, too, for whoever reads next.

    Raises StoreError when it can't be read, or with ``keep`` written.
    """
    files = {file.name: file for file in store.row_files()}
    cached = _cache(store) if cache is None or cache.table is None else cache.table
    known = _unchanged(cached, files)
    seen = set(known["file"].to_pylist())
    fresh = [file for file in files.values() if file.name not in seen]
    size = min(_BATCH, max(_LEAST_BATCH, -(-len(fresh) // store.readers)))
    batches = [fresh[i : i + size] for i in range(0, len(fresh), size)]
    with ThreadPoolExecutor(store.readers) as readers:
        read = list(readers.map(functools.partial(_read_batch, store), batches))
    table = known
    if any(len(rows) for rows, _ in read):
        table = pa.concat_tables([known, *(rows for rows, _ in read)])
        order = np.argsort(np.array(table["file"].to_pylist()), kind="stable")
        table = table.combine_chunks() if (np.diff(order) == 1).all() else table.take(order).combine_chunks()
    if cache is not None:
        cache.table = table
    if keep and len(table) and (table is not known or len(known) != len(cached)):
        store.write(_CACHE, table_to_bytes(table))
    columns = {name: table[name].to_pylist() for name in _DECIDING if name != "ended"}
    columns["ended"] = table["ended"].cast(pa.int64()).to_pylist()
    return Rows(table, tuple(item for _, damaged in read for item in damaged), columns)


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
        except (ValueError, UnreadableFileError) as error:
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
        return open_sealed(store.read(_CACHE)).read().replace_schema_metadata().cast(_CACHED_FIELDS)
    except (pa.ArrowException, OSError, ValueError, StoreError):
        pass
    return _CACHED_FIELDS.empty_table()
