"""The row that a trial leaves: its fields, its Arrow schema, and the bytes of a row file.

A row file is a Parquet file of 1 … n rows. The fixed columns are versioned; ``param.<name>`` columns follow the
sweep's own parameters. It is sealed: its metadata hold a digest over all its other bytes, because Parquet's own page
checksums say nothing of the footer, where one wrong bit can change what a column says. Needs pyarrow alone, because
it runs inside trials.
"""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from kgen.spec import Objective, Timing, Value, dump_json, load_json, text_of

ROW_VERSION: Final = 1
VERSION_KEY: Final = b"kgen.row.version"
_SEAL_KEY: Final = "kgen.seal"
_SEAL_MARK: Final = b"kgen.seal:"
_SEAL_LENGTH: Final = 32
_MAGIC: Final = b"PAR1"
PARAMETER_PREFIX: Final = "param."


class State(enum.StrEnum):
    """How an attempt ended."""

    COMPLETE = "complete"
    """A result; the only state that can be accepted."""
    INTERRUPTED = "interrupted"
    """Stopped from outside (SIGTERM, Ctrl-C, a lost parent): will be run again."""
    FAILED = "failed"
    """Bad parameters, an exception, a crash, out of memory."""


class Outcome(enum.StrEnum):
    """What a complete trial came to."""

    REACHED = "reached"
    """The target."""
    CAPPED = "capped"
    """Its budget, short of the target: right-censored there. Not a failure, and not a slow success."""
    DIVERGED = "diverged"
    """Not a number, infinite, or provably unable to learn any more."""
    FINISHED = "finished"
    """Its budget, where no target was set."""


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """One reported metric over a trial."""

    metric: str
    final: float
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One metric at one report."""

    step: int
    seconds: float
    """Counted seconds since the start of this attempt."""
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class Environment:
    """Where and with what an attempt ran."""

    node: str = ""
    device: str = ""
    """Name of the processor or GPU that did the work."""
    device_uuid: str = ""
    mates: int = 0
    """Other trials that could run on the same device at the same time."""
    image: str = ""
    revision: str = ""
    kgen: str = ""
    trainer: str = ""
    framework: str = ""
    framework_version: str = ""
    python: str = ""


@dataclass(frozen=True, slots=True)
class TrialRow:
    """Everything that is known of one attempt of one trial, so that it outlives process, pod and node."""

    trial: str
    attempt: str
    sweep: str
    stage: str
    seed: int
    parameters: Mapping[str, Value]
    budget: str
    """JSON of the budget."""
    objective: str
    """JSON of the objective at the time of the run."""
    state: State
    outcome: Outcome | None
    """None unless complete."""
    exit_reason: str
    """The condition, cap, exception or signal that ended the attempt, in one line."""
    exit_code: int
    timing: Timing
    steps: int
    """Last step reported."""
    steps_to_target: int | None
    seconds_to_target: float | None
    """Counted seconds; only comparable where ``timing`` is exclusive."""
    seconds: float
    """Counted seconds: training only."""
    total_seconds: float
    """Wall time of the attempt, data loading, compilation and evaluation included."""
    resumed_from_step: int | None
    started: dt.datetime
    ended: dt.datetime
    metrics: Sequence[MetricSummary] = ()
    curve: Sequence[CurvePoint] = ()
    environment: Environment = field(default_factory=Environment)
    log: str = ""
    """Last lines of output."""

    def counts_for(self, objective: Objective) -> bool:
        """Whether this row is a result for that objective: complete, and alone on its device if seconds matter."""
        return self.state is State.COMPLETE and (self.timing is Timing.EXCLUSIVE or not objective.needs_exclusive)


_METRICS: Final = pa.list_(
    pa.struct([("metric", pa.string()), ("final", pa.float64()), ("min", pa.float64()), ("max", pa.float64())])
)
_CURVE: Final = pa.list_(
    pa.struct([("step", pa.int64()), ("seconds", pa.float64()), ("metric", pa.string()), ("value", pa.float64())])
)
_TIME: Final = pa.timestamp("us", tz="UTC")
_ENVIRONMENT: Final = tuple(Environment.__dataclass_fields__)

FIXED_FIELDS: Final = pa.schema(
    [
        ("trial", pa.string()),
        ("attempt", pa.string()),
        ("sweep", pa.string()),
        ("stage", pa.string()),
        ("seed", pa.int64()),
        ("parameters", pa.string()),
        ("budget", pa.string()),
        ("objective", pa.string()),
        ("state", pa.string()),
        ("outcome", pa.string()),
        ("exit_reason", pa.string()),
        ("exit_code", pa.int64()),
        ("timing", pa.string()),
        ("steps", pa.int64()),
        ("steps_to_target", pa.int64()),
        ("seconds_to_target", pa.float64()),
        ("seconds", pa.float64()),
        ("total_seconds", pa.float64()),
        ("resumed_from_step", pa.int64()),
        ("started", _TIME),
        ("ended", _TIME),
        ("metrics", _METRICS),
        ("curve", _CURVE),
        *((name, pa.int64() if name == "mates" else pa.string()) for name in _ENVIRONMENT),
        ("log", pa.string()),
    ]
)
_OPTIONAL: Final = frozenset({"outcome", "steps_to_target", "seconds_to_target", "resumed_from_step"})
_CLOSED: Final[Mapping[str, set[str | None]]] = {
    "state": {*State},
    "timing": {*Timing},
    "outcome": {*Outcome, None},
}
_LARGEST_INT64: Final = 2**63 - 1
_PLAIN: Final = ("trial", "attempt", "sweep", "stage", "seed", "budget", "objective", "exit_reason", "exit_code",
                 "steps", "steps_to_target", "seconds_to_target", "seconds", "total_seconds", "resumed_from_step",
                 "started", "ended", "log")  # fmt: skip


def parameter_type(values: Iterable[Value | None]) -> pa.DataType:
    """The narrowest Arrow type that holds every value exactly.

    bool, int64, decimal for longer integers, float64 (integers that a double holds exactly may be among them), or
    text (as :func:`kgen.spec.text_of` writes it) for a mixture.
    """
    kinds: set[str] = set()
    widest = 0
    for value in values:
        if value is None:
            continue
        if isinstance(value, bool):
            kinds.add("bool")
        elif isinstance(value, int):
            kinds.add("int" if -_LARGEST_INT64 - 1 <= value <= _LARGEST_INT64 else "long")
            widest = max(widest, len(str(abs(value))))
        else:
            kinds.add("float" if isinstance(value, float) else "text")
    if kinds <= {"int"}:
        return pa.int64()
    if kinds == {"bool"}:
        return pa.bool_()
    if kinds <= {"int", "long"}:
        return pa.decimal128(38, 0) if widest <= 38 else pa.string()
    if kinds <= {"int", "float"} and widest <= 15:
        return pa.float64()
    return pa.string()


def rows_to_table(rows: Sequence[TrialRow]) -> pa.Table:
    """Rows as an Arrow table: the fixed columns, then one ``param.<name>`` column per parameter, by name."""
    columns: dict[str, list[Any]] = {name: [] for name in FIXED_FIELDS.names}
    for row in rows:
        for name in _PLAIN:
            columns[name].append(getattr(row, name))
        columns["parameters"].append(dump_json(dict(row.parameters), written=True))
        columns["state"].append(str(row.state))
        columns["outcome"].append(None if row.outcome is None else str(row.outcome))
        columns["timing"].append(str(row.timing))
        columns["metrics"].append([(m.metric, m.final, m.min, m.max) for m in row.metrics])
        columns["curve"].append([(p.step, p.seconds, p.metric, p.value) for p in row.curve])
        for name in _ENVIRONMENT:
            columns[name].append(getattr(row.environment, name))
    arrays = [pa.array(_structs(columns[f.name], f.type), f.type) for f in FIXED_FIELDS]
    fields = list(FIXED_FIELDS)
    for name in sorted({name for row in rows for name in row.parameters}):
        column = typed_column([row.parameters.get(name) for row in rows])
        arrays.append(column)
        fields.append(pa.field(PARAMETER_PREFIX + name, column.type))
    schema = pa.schema(fields, metadata={VERSION_KEY: str(ROW_VERSION).encode()})
    return pa.Table.from_arrays(arrays, schema=schema)


def _structs(values: list[Any], kind: pa.DataType) -> list[Any]:
    if not pa.types.is_list(kind):
        return values
    names = [kind.value_type.field(i).name for i in range(kind.value_type.num_fields)]
    return [[dict(zip(names, item, strict=True)) for item in items] for items in values]


def table_to_rows(table: pa.Table) -> list[TrialRow]:
    """Inverse of :func:`rows_to_table`; parameters come from their JSON, so every value has its type and text."""
    return [_row(record) for record in table.select(FIXED_FIELDS.names).to_pylist()]


def _row(record: dict[str, Any]) -> TrialRow:
    environment = Environment(**{name: record.pop(name) for name in _ENVIRONMENT})
    outcome = record.pop("outcome")
    return TrialRow(
        parameters=load_json(record.pop("parameters")),
        state=State(record.pop("state")),
        outcome=None if outcome is None else Outcome(outcome),
        timing=Timing(record.pop("timing")),
        metrics=tuple(MetricSummary(**item) for item in record.pop("metrics")),
        curve=tuple(CurvePoint(**item) for item in record.pop("curve")),
        environment=environment,
        **record,
    )


def rows_to_bytes(rows: Sequence[TrialRow]) -> bytes:
    """A whole row file, in memory: it is published in one step or not at all."""
    return table_to_bytes(rows_to_table(rows))


def table_to_bytes(table: pa.Table) -> bytes:
    """A sealed Parquet file.

    Written so that a file of one row is read fast (measured: 0.3 ms, against 2 ms by pyarrow's defaults):
    dictionaries, statistics, a second copy of the schema and zstd cost more there than they save.
    """
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink, table.schema, compression="snappy", use_dictionary=False, write_statistics=False, store_schema=False
    ) as writer:
        writer.write_table(table)
        metadata = dict(table.schema.metadata or {})
        writer.add_key_value_metadata({**metadata, _SEAL_KEY: (_SEAL_MARK + b"0" * _SEAL_LENGTH).decode()})
    data: bytes = sink.getvalue().to_pybytes()
    start = data.rindex(_SEAL_MARK) + len(_SEAL_MARK)
    return data[:start] + _digest(data, start) + data[start + _SEAL_LENGTH :]


def _digest(data: bytes, start: int) -> bytes:
    """Over everything but the seal's own place, which begins at ``start``."""
    digest = hashlib.blake2b(data[:start], digest_size=_SEAL_LENGTH // 2)
    digest.update(data[start + _SEAL_LENGTH :])
    return digest.hexdigest().encode()


def open_sealed(data: bytes) -> pq.ParquetFile:
    """A Parquet file whose every byte is as :func:`table_to_bytes` wrote it; ``ValueError`` says what is wrong."""
    if not data:
        raise ValueError("an empty file")
    if data[:4] != _MAGIC or data[-4:] != _MAGIC:
        raise ValueError("not a whole Parquet file: torn, or something else")
    start = data.rfind(_SEAL_MARK) + len(_SEAL_MARK)
    if start < len(_SEAL_MARK):
        raise ValueError("not a row file of kgen, or damaged: it has no seal")
    if data[start : start + _SEAL_LENGTH] != _digest(data, start):
        raise ValueError("damaged: its bytes are not those of its seal")
    return pq.ParquetFile(pa.BufferReader(data))


def bytes_to_table(data: bytes, *, check: bool = True) -> pa.Table:
    """The fixed columns of a row file; without ``check`` the caller has to call :func:`check_values`, once for many.

    Raises ``ValueError`` that says what is wrong with a torn, damaged or foreign file, or with one of a newer kgen.
    """
    try:
        table = open_sealed(data).read(use_threads=False)
        _check_version(table.schema.metadata or {})
        missing = set(FIXED_FIELDS.names).difference(table.column_names)
        if missing:
            raise ValueError(f"columns missing: {', '.join(sorted(missing))}")
        table = table.select(FIXED_FIELDS.names).replace_schema_metadata()
        if table.schema != FIXED_FIELDS:
            table = table.cast(FIXED_FIELDS)
    except (pa.ArrowException, OSError, OverflowError) as error:
        raise ValueError(f"not a readable Parquet file: {str(error).splitlines()[0]}") from error
    if not len(table):
        raise ValueError("it holds no row")
    if check:
        check_values(table)
    return table


def check_values(table: pa.Table) -> None:
    """Raises ``ValueError`` for rows that no kgen writes: a value missing, or one that is not among the allowed."""
    empty = [name for name in FIXED_FIELDS.names if name not in _OPTIONAL and table[name].null_count]
    if empty:
        raise ValueError(f"no value: {', '.join(empty)}")
    found = {name: table[name].to_pylist() for name in _CLOSED}
    for name, allowed in _CLOSED.items():
        strange = set(found[name]) - allowed
        if strange:
            raise ValueError(f"{name} is {strange.pop()!r}")
    for state, outcome in set(zip(found["state"], found["outcome"], strict=True)):
        if (state == State.COMPLETE) != (outcome is not None):
            raise ValueError(f"state {state} with outcome {outcome}")


def _check_version(metadata: Mapping[bytes, bytes]) -> None:
    version = metadata.get(VERSION_KEY)
    if version is None:
        raise ValueError("not a row file of kgen: no version in its metadata")
    if not version.isdigit() or int(version) > ROW_VERSION:
        raise ValueError(f"row version {version.decode(errors='replace')}, this kgen reads up to {ROW_VERSION}")


def bytes_to_rows(data: bytes) -> list[TrialRow]:
    """The rows of a row file. Raises ``ValueError`` as :func:`bytes_to_table` does."""
    try:
        return table_to_rows(bytes_to_table(data))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a kgen row: {error}") from error


def typed_column(values: Sequence[Value | None]) -> pa.Array:
    """Parameter values as a column of the narrowest type that holds them all exactly."""
    kind = parameter_type(values)
    if kind == pa.string():
        return pa.array([None if value is None else text_of(value) for value in values], kind)
    if kind == pa.float64():
        return pa.array([None if value is None else float(value) for value in values], kind)
    return pa.array(values, kind)
