"""The row file: what goes in comes out, and nothing else is ever taken for it."""

from __future__ import annotations

import datetime as dt
import io
import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgen.results import rows as rows_module
from kgen.results.rows import (
    FIXED_FIELDS,
    CurvePoint,
    Environment,
    MetricSummary,
    Outcome,
    State,
    TrialRow,
    bytes_to_rows,
    parameter_type,
    rows_to_bytes,
    rows_to_table,
    table_to_bytes,
    typed_column,
)
from kgen.spec import Objective, Timing, Value, WrittenFloat
from tests.unit.results.made import START, row

FULL = row(
    "aaaaaaaaaa", "pod-1",
    parameters={"rate": WrittenFloat("1e-3"), "units": 3, "name": "adam", "deep": True, "seed": 10**25},
    outcome=Outcome.REACHED, seed=2**62, budget='{"steps":5}', objective='{"metric":"loss"}', exit_code=0,
    steps_to_target=50, seconds_to_target=1.25, resumed_from_step=7,
    ended=86_399.999_999, metrics=(MetricSummary("a", 0.1, -1e308, 5e-324), MetricSummary("b", 1, 1, 1)),
    environment=Environment("n", "d", "u", 3, "i", "r", "k", "t", "f", "v", "p"),
    log="first\nsecond \0 ü 🦊",
)  # fmt: skip


def no_seal(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def test_every_field_comes_back() -> None:
    for field in fields(TrialRow):
        assert getattr(FULL, field.name) not in (None, (), ""), f"{field.name} is not tried"
    assert bytes_to_rows(rows_to_bytes([FULL])) == [FULL]


def test_what_a_row_leaves_open_stays_open() -> None:
    failed = row(state=State.FAILED, steps_to_target=None, metrics=(), curve=(), log="")
    (back,) = bytes_to_rows(rows_to_bytes([failed]))
    assert back == failed
    assert (back.outcome, back.steps_to_target, back.seconds_to_target, back.resumed_from_step) == (None,) * 4


def test_many_rows_with_different_parameters_share_a_file() -> None:
    many = [FULL, row("t1", parameters={"rate": "fast"}), row("t2", state=State.INTERRUPTED)]
    assert bytes_to_rows(rows_to_bytes(many)) == many


def test_numbers_that_are_none_come_back() -> None:
    odd = (math.nan, math.inf, -math.inf, -0.0)
    curve = tuple(CurvePoint(i, value, "m", value) for i, value in enumerate(odd))
    (back,) = bytes_to_rows(rows_to_bytes([row(curve=curve)]))
    assert [repr(point.value) for point in back.curve] == ["nan", "inf", "-inf", "-0.0"]


VALUES: st.SearchStrategy[Value] = st.one_of(
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda value: WrittenFloat(f"{value:.17e}")),
    st.text(st.characters(codec="utf-8"), max_size=20),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), VALUES, max_size=5))
def test_parameters_keep_type_text_and_bits(parameters: dict[str, Value]) -> None:
    (back,) = bytes_to_rows(rows_to_bytes([row(parameters=parameters)]))
    assert back.parameters == parameters
    for name, value in parameters.items():
        found = back.parameters[name]
        assert isinstance(found, type(value))
        if isinstance(value, float):
            assert float(found).hex() == float(value).hex()
        if isinstance(value, WrittenFloat):
            assert isinstance(found, WrittenFloat)
            assert found.text == value.text


@pytest.mark.parametrize(
    ("values", "kind", "column"),
    [
        ([True, False, None], pa.bool_(), [True, False, None]),
        ([1, -(2**63), 2**63 - 1], pa.int64(), [1, -(2**63), 2**63 - 1]),
        ([1, 2**63], pa.decimal128(38, 0), [1, 2**63]),
        ([10**38 - 1, -(10**38) + 1], pa.decimal128(38, 0), [10**38 - 1, -(10**38) + 1]),
        ([1, 10**38], pa.string(), ["1", str(10**38)]),
        ([WrittenFloat("1e-3"), 2], pa.float64(), [0.001, 2.0]),
        ([0.5, 10**16 + 1], pa.string(), ["0.5", "10000000000000001"]),
        ([WrittenFloat("1e-3"), "auto"], pa.string(), ["1e-3", "auto"]),
        ([True, 1], pa.string(), ["true", "1"]),
        ([True, "yes", 0.1], pa.string(), ["true", "yes", "0.1"]),
        (["a", "b"], pa.string(), ["a", "b"]),
        ([None], pa.int64(), [None]),
    ],
)
def test_a_parameter_has_the_narrowest_column_that_holds_it(
    values: list[Any], kind: pa.DataType, column: list[Any]
) -> None:
    assert parameter_type(values) == kind
    assert typed_column(values).to_pylist() == column
    named = rows_to_table([row(parameters={} if value is None else {"p": value}) for value in values])
    assert named.column_names[: len(FIXED_FIELDS)] == FIXED_FIELDS.names
    if values != [None]:
        assert named["param.p"].to_pylist() == column


def test_other_tools_can_read_a_row_file() -> None:
    table = pq.read_table(io.BytesIO(rows_to_bytes([FULL])))
    assert table["param.rate"].to_pylist() == [0.001]
    assert table["curve"].to_pylist()[0][1] == {"step": 50, "seconds": 1.5, "metric": "loss", "value": 0.5}
    assert table["ended"].to_pylist() == [FULL.ended]


def test_a_row_counts_only_where_it_is_valid_for_the_objective() -> None:
    seconds, steps = Objective("seconds_to_target"), Objective("steps_to_target")
    shared = row(timing=Timing.SHARED)
    assert row().counts_for(seconds)
    assert row().counts_for(steps)
    assert shared.counts_for(steps)
    assert not shared.counts_for(seconds)
    assert not row(state=State.INTERRUPTED).counts_for(steps)


# -- what is no row file


def damage(change: Callable[[pa.Table], pa.Table]) -> bytes:
    """A sealed file whose table is not as it should be."""
    table = change(rows_to_table([row()]))
    return table_to_bytes(table)


def put(table: pa.Table, name: str, value: Any) -> pa.Table:
    i = table.schema.get_field_index(name)
    return table.set_column(i, table.schema.field(i), pa.array([value], table.schema.field(i).type))


def with_version(table: pa.Table, version: str | None) -> pa.Table:
    return table.replace_schema_metadata(None if version is None else {"kgen.row.version": version})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an empty file"),
        (b"PAR1", "no seal"),
        (b"hello", "not a whole Parquet file"),
        (b"\0" * 4096, "not a whole Parquet file"),
        (no_seal(pa.table({"a": [1]})), "not a row file of kgen"),
        (no_seal(rows_to_table([row()])), "no seal"),
        (table_to_bytes(pa.table({"a": [1]})), "no version in its metadata"),
        (damage(lambda table: with_version(table, "2")), "row version 2, this kgen reads up to 1"),
        (damage(lambda table: with_version(table, "one")), "row version one"),
        (damage(lambda table: with_version(table, None)), "no version"),
        (damage(lambda table: table.drop_columns(["ended", "log"])), "columns missing: ended, log"),
        (damage(lambda table: table.slice(0, 0)), "holds no row"),
        (damage(lambda table: put(table, "state", "happy")), "state is 'happy'"),
        (damage(lambda table: put(table, "timing", "alone")), "timing is 'alone'"),
        (damage(lambda table: put(table, "outcome", "won")), "outcome is 'won'"),
        (damage(lambda table: put(table, "outcome", None)), "state complete with outcome None"),
        (damage(lambda table: put(table, "state", "failed")), "state failed with outcome reached"),
        (damage(lambda table: put(table, "trial", None)), "no value: trial"),
        (damage(lambda table: put(table, "ended", None)), "no value: ended"),
        (damage(lambda table: put(table, "parameters", "{")), "Expecting property name"),
        (damage(lambda table: put(table, "curve", None)), "no value: curve"),
        (
            damage(lambda table: table.set_column(0, "trial", pa.array([[1]]))),
            "not a readable Parquet file",
        ),
    ],
)
def test_what_is_no_row_file_is_refused_with_its_reason(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bytes_to_rows(data)


def test_a_later_schema_that_only_adds_columns_can_be_read() -> None:
    """As an older kgen reads rows of a newer one of the same version, and any kgen rows with new parameters."""
    data = damage(lambda table: table.append_column("param.new", pa.array(["x"])).add_column(3, "more", pa.array([1])))
    assert bytes_to_rows(data) == [row()]


def test_an_older_version_is_read_by_a_newer_kgen(monkeypatch: pytest.MonkeyPatch) -> None:
    data = rows_to_bytes([FULL])
    monkeypatch.setattr(rows_module, "ROW_VERSION", 2)
    assert bytes_to_rows(data) == [FULL]


SMALL = rows_to_bytes([row(curve=(), metrics=(), log="")])


def test_a_torn_file_is_refused_wherever_it_was_torn() -> None:
    for length in range(len(SMALL)):
        with pytest.raises(ValueError, match=r"empty file|not a whole Parquet file|seal"):
            bytes_to_rows(SMALL[:length])


def test_a_file_with_one_wrong_byte_is_refused_wherever_it_is() -> None:
    """Parquet's own page checksums let a fifth of these pass, one in some ten thousand as another row: they say nothing
    of the footer."""
    for place in range(len(SMALL)):
        for flip in (0x01, 0x80, 0xFF):
            data = bytearray(SMALL)
            data[place] ^= flip
            with pytest.raises(ValueError, match=r"not a whole Parquet file|seal"):
                bytes_to_rows(bytes(data))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_file_that_was_changed_in_any_way_is_refused(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(SMALL)))
    cut = data.draw(st.integers(0, 64))
    put = data.draw(st.binary(max_size=64))
    changed = SMALL[:place] + put + SMALL[place + cut :]
    if changed != SMALL:
        with pytest.raises(ValueError, match=r"."):
            bytes_to_rows(changed)


def test_the_seal_is_the_last_one_whatever_the_row_says() -> None:
    tricky = replace(
        FULL, log="kgen.seal:" + "0" * 32, exit_reason="kgen.seal:", parameters={"p": "kgen.seal:" + "f" * 32}
    )
    assert bytes_to_rows(rows_to_bytes([tricky])) == [tricky]


def test_times_are_utc_to_the_microsecond() -> None:
    moment = dt.datetime(2025, 6, 1, 14, 30, 0, 123456, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    (back,) = bytes_to_rows(rows_to_bytes([row(started=moment)]))
    assert back.started == moment
    assert back.started.utcoffset() == dt.timedelta(0)
    assert START.tzinfo is not None
