"""Row files → one line per trial, the curves, and a certificate of completeness.

Every row file is read once: ``collected/rows.parquet`` keeps the rows of files that have not changed since. Exactly
one row per trial is accepted, whatever was started twice, killed or torn on the way.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from kgen.errors import StoreError, UnreadableFileError
from kgen.names import COLLECTED_DIR, CURVES_FILE, ROW_CACHE_FILE, TRIALS_FILE
from kgen.results.alone import with_predictions
from kgen.results.certificate import Certificate, DamagedFile, Duplicate, TrialFile
from kgen.results.pods import PODS, Pods, PodSeen, merged, pods_to_bytes, stored_pods
from kgen.results.rows import (
    FIXED_FIELDS,
    State,
    bytes_to_table,
    check_values,
    open_sealed,
    table_to_bytes,
)
from kgen.results.store import RowFile, Store
from kgen.results.tables import Line, curves_table, to_frame, to_parquet, trials_table
from kgen.spec import Objective, Timing, TrialSpec

_CACHE: Final = f"{COLLECTED_DIR}/{ROW_CACHE_FILE}"
_FILE_FIELDS: Final = pa.schema([("file", pa.string()), ("file_size", pa.int64()), ("file_modified_ns", pa.int64())])
_CACHED_FIELDS: Final = pa.schema([*FIXED_FIELDS, *_FILE_FIELDS])
_DECIDING: Final = ("trial", "attempt", "sweep", "state", "outcome", "timing", "ended", "exit_reason", "exit_code",
                    "image", "revision", "steps", "seconds", "total_seconds", "resumed_from_step", "file")  # fmt: skip
_MISSING: Final = "missing"
_BATCH: Final = 64
_LEAST_BATCH: Final = 8


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
    exit_code: int = 0
    ended: dt.datetime | None = None


@dataclass(slots=True)
class RowCache:
    """What one process has read of one store."""

    table: pa.Table | None = None


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

    def different(self, name: str, accepted: Iterable[int]) -> tuple[str, ...]:
        """The values of a column among the accepted rows, without the empty one."""
        return tuple(sorted({self[name][i] for i in accepted} - {""}))


def observe(
    store: Store, expected: Iterable[TrialSpec], objective: Objective, cache: RowCache | None = None
) -> dict[str, Observed]:
    """The state of each trial that has a row: complete if one is accepted, else that of its last attempt.

    Changes nothing in the store. With a cache, which one process keeps for one store, only new files are read.
    """
    rows = _read(store, keep=False, cache=cache)
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
            rows["exit_code"][shown],
            rows.ended(shown),
        )
    return out


def trained_alone(store: Store, expected: Iterable[TrialSpec], cache: RowCache | None = None) -> frozenset[str]:
    """Trials with a result for which they had their device to themselves, so that its seconds are their own."""
    rows = _read(store, keep=False, cache=cache)
    found = rows.by_trial({trial.id for trial in expected})
    return frozenset(trial for trial, candidates in found.items() if rows.alone(candidates) is not None)


def collect(store: Store, expected: Sequence[TrialSpec], objective: Objective, pods: Sequence[PodSeen] = ()) -> Results:
    """Merge all row files and write ``collected/trials.parquet`` and ``curves.parquet``.

    ``pods`` are those that a cluster shows now; they join what earlier collections saw, and are kept. Damaged, torn and
    foreign files are named in the certificate and never fatal. Raises StoreError when the store itself can't be read
    or written.
    """
    rows = _read(store, keep=True)
    seen, trouble = _join(store, pods)
    by_trial = rows.by_trial({trial.id for trial in expected})
    accepted: dict[str, int] = {}
    lines: list[Line] = []
    problems: dict[str, list[TrialFile]] = defaultdict(list)
    duplicates = []
    timed: list[TrialFile] = []
    missing = []
    for spec in expected:
        candidates = by_trial.get(spec.id, [])
        best = rows.accepted(candidates, objective)
        if best is not None:
            accepted[spec.id] = best
            others = [i for i in candidates if i != best and rows["state"][i] == State.COMPLETE]
            same = sorted(rows["file"][i] for i in others if rows["timing"][i] == rows["timing"][best])
            if same:
                duplicates.append(Duplicate(spec.id, rows["file"][best], tuple(same)))
            timed += [_timing(rows, best, i) for i in others if rows["timing"][i] != rows["timing"][best]]
            lines.append(Line(rows["outcome"][best], best, digest=seen.digest(rows["attempt"][best])))
        elif pod := _failed_pod(seen, rows, spec.id, candidates):
            state = State.INTERRUPTED if pod.interrupted else State.FAILED
            problems[state].append(TrialFile(spec.id, "", pod.why))
            lines.append(Line(state, pod=pod, reason=pod.why, digest=pod.image_digest))
        elif candidates:
            latest = rows.latest(candidates)
            state, reason = rows["state"][latest], _reason(seen, rows, latest)
            shared = state == State.COMPLETE
            problems["shared" if shared else state].append(TrialFile(spec.id, rows["file"][latest], reason))
            digest = seen.digest(rows["attempt"][latest])
            lines.append(Line(_MISSING if shared else state, latest, reason=reason, digest=digest))
        else:
            missing.append(spec.id)
            lines.append(Line(_MISSING))
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
        timed=tuple(timed),
        damaged=(*rows.damaged, *([DamagedFile(PODS, trouble)] if trouble else ())),
        foreign=foreign,
        images=rows.different("image", accepted.values()),
        revisions=rows.different("revision", accepted.values()),
        digests=tuple(sorted({seen.digest(rows["attempt"][i]) for i in accepted.values()} - {""})),
    )
    trials = trials_table(rows.table, expected, lines)
    alone = [rows.alone(by_trial.get(spec.id, [])) for spec in expected]
    if any(i is not None for i in alone) and not all(map(rows.is_alone, accepted.values())):
        trials = with_predictions(trials, rows.table, alone)
    curves = curves_table(rows.table, list(accepted.values()))
    store.write(f"{COLLECTED_DIR}/{TRIALS_FILE}", to_parquet(trials))
    store.write(f"{COLLECTED_DIR}/{CURVES_FILE}", to_parquet(curves))
    return Results(to_frame(trials), to_frame(curves), certificate)


def _timing(rows: _Rows, accepted: int, other: int) -> TrialFile:
    said = f"timing {rows['timing'][other]} beside the accepted {rows['timing'][accepted]}"
    return TrialFile(rows["trial"][other], rows["file"][other], said)


# -- what pods say beside the rows --------------------------------------------------------------------------------


def _join(store: Store, now: Sequence[PodSeen]) -> tuple[Pods, str]:
    """All pods that are known of, kept for later; and what is wrong with the file of earlier ones, if anything is."""
    earlier, trouble = stored_pods(store)
    pods = merged(earlier, now)
    if pods != earlier:
        store.write(PODS, pods_to_bytes(pods))
    return Pods(pods), trouble


def _failed_pod(pods: Pods, rows: _Rows, trial: str, candidates: Sequence[int]) -> PodSeen | None:
    """The pod that failed after the trial's last row, or without any."""
    if not candidates:
        return pods.failed(trial)
    latest = rows.latest(candidates)
    # A pod ends a moment after the row that it writes, and its times have whole seconds.
    found = pods.failed(trial, rows["attempt"][latest], rows.ended(latest))
    # That a pod of several failed later says less of one trial than how that one did.
    return None if found and rows["state"][latest] == State.FAILED and pods.is_shared(found) else found


def _reason(pods: Pods, rows: _Rows, i: int) -> str:
    """Why a row's attempt ended: a row knows of its SIGTERM only, the pod of the deadline or the eviction behind it."""
    why = pods.why(rows["trial"][i], rows["attempt"][i]) if rows["state"][i] == State.INTERRUPTED else ""
    return "; ".join(filter(None, (rows["exit_reason"][i], why)))


# -- reading, once per file ---------------------------------------------------------------------------------------


def _read(store: Store, *, keep: bool, cache: RowCache | None = None) -> _Rows:
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
