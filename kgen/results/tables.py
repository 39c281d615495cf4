"""Accepted rows → the tables that users read: one line per trial, and the curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kgen.results.pods import PodSeen
from kgen.results.rows import PARAMETER_PREFIX, typed_column
from kgen.spec import TrialSpec


@dataclass(frozen=True, slots=True)
class Line:
    """What the table of trials says of one."""

    status: str
    """Its outcome, or failed, interrupted, missing."""
    row: int | None = None
    """Position of the row that it shows; None where there is none."""
    pod: PodSeen | None = None
    """The pod that it shows instead: one that failed and left no row."""
    reason: str | None = None
    """Why its attempt ended, where that is not the row's own word."""
    digest: str = ""
    """Of the image that ran it; empty where that is not known."""


_OF_PODS: Final[Mapping[str, Callable[[PodSeen], Any]]] = {
    "attempt": lambda pod: pod.attempt,
    "exit_code": lambda pod: pod.exit_code,
    "started": lambda pod: pod.started,
    "ended": lambda pod: pod.ended,
    "node": lambda pod: pod.node,
}
"""What a line says of an attempt that left no row."""


def trials_table(rows: pa.Table, expected: Sequence[TrialSpec], lines: Sequence[Line]) -> pa.Table:
    """One line per expected trial; what the sweep file says comes from there, the rest from its row, or from the pod
    that left none."""
    picked = rows.take(pa.array([line.row for line in lines], pa.int64()))
    columns: dict[str, pa.Array] = {
        "trial": pa.array([spec.id for spec in expected]),
        "stage": pa.array([spec.stage for spec in expected]),
        "seed": pa.array([spec.seed for spec in expected], pa.int64()),
        "status": pa.array([line.status for line in lines], pa.string()),
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
        if name == "image":
            columns["image_digest"] = pa.array([line.digest or None for line in lines], pa.string())
    reasons = {i: line.reason for i, line in enumerate(lines) if line.reason is not None}
    columns["exit_reason"] = _with(columns["exit_reason"], reasons)
    for name, say in _OF_PODS.items():
        columns[name] = _with(columns[name], {i: say(line.pod) for i, line in enumerate(lines) if line.pod})
    return pa.table(columns)


def _with(column: pa.ChunkedArray, other: Mapping[int, Any]) -> pa.ChunkedArray:
    """The column with other values at some places."""
    if not other:
        return column
    values = column.to_pylist()
    for i, value in other.items():
        values[i] = value
    return pa.chunked_array([pa.array(values, column.type)])


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


def curves_table(rows: pa.Table, accepted: Sequence[int]) -> pa.Table:
    """One line per point of each accepted row's curves."""
    picked = rows.select(["trial", "curve"]).take(pa.array(list(accepted), pa.int64()))
    points, parents = _flatten(picked["curve"])
    return pa.table(
        {"trial": picked["trial"].take(parents), **{n: points.field(n) for n in ("step", "seconds", "metric", "value")}}
    )


def to_parquet(table: pa.Table) -> bytes:
    """The file of a table; the same bytes for the same table."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Nullable whole numbers stay whole; long integers become doubles, since pandas has nothing wider."""
    for i, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):
            table = table.set_column(i, field.name, table[field.name].cast(pa.float64()))
    kinds = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=kinds.get)
    return frame
