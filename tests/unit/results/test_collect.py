"""Row files → one line per trial and a certificate, whatever lies among them."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgen.cli.collect import certificate_lines
from kgen.errors import StoreError
from kgen.names import row_file
from kgen.results.certificate import Certificate, Duplicate, TrialFile
from kgen.results.collect import Observed, Results, collect, observe
from kgen.results.folder import FolderStore
from kgen.results.rows import (
    CurvePoint,
    Environment,
    MetricSummary,
    Outcome,
    State,
    TrialRow,
    rows_to_bytes,
    rows_to_table,
    table_to_bytes,
)
from kgen.spec import Budget, Objective, Timing, TrialSpec, WrittenFloat
from tests.unit.results.made import START, expected, row, write, write_bytes

STEPS, SECONDS = Objective("steps_to_target"), Objective("seconds_to_target")


class CountingStore(FolderStore):
    """Counts what is read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read_rows: list[str] = []

    def read_row_file(self, name: str) -> bytes:
        self.read_rows.append(name)
        return super().read_row_file(name)


def gather(root: Path, count: int, objective: Objective = STEPS) -> Results:
    return collect(FolderStore(root), expected(count, objective))


def certify(root: Path, count: int, objective: Objective = STEPS) -> Certificate:
    return gather(root, count, objective).certificate


def told(items: tuple[TrialFile, ...]) -> list[tuple[str, str]]:
    return [(item.trial, item.file) for item in items]


# -- which row counts


def test_an_empty_store_misses_everything(tmp_path: Path) -> None:
    results = gather(tmp_path, 3)
    assert results.certificate.missing == ("t0", "t1", "t2")
    assert not results.certificate.complete
    assert list(results.trials["status"]) == ["missing"] * 3
    assert list(results.trials["param.x"]) == [0.0, 0.25, 0.5]
    assert len(results.curves) == 0
    assert list(results.curves.columns) == ["trial", "step", "seconds", "metric", "value"]


def test_every_trial_with_a_result_makes_a_complete_sweep(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path, row(f"t{i}"))
    certificate = certify(tmp_path, 3)
    assert certificate.complete
    assert (certificate.expected, certificate.accepted) == (3, 3)
    nothing = {"missing", "failed", "interrupted", "shared", "duplicates", "timed", "damaged", "foreign", "images",
               "revisions", "digests", "trainers"}  # fmt: skip
    assert {name for name, value in certificate.to_json().items() if value == ()} == nothing
    assert next(iter(certificate.to_json())) == "complete"


def test_of_several_results_the_one_that_finished_first_counts(tmp_path: Path) -> None:
    write(tmp_path, row(attempt="late", ended=9, steps=1))
    write(tmp_path, row(attempt="early", ended=3, steps=2))
    write(tmp_path, row(attempt="later", ended=12, steps=3))
    results = gather(tmp_path, 1)
    assert results.certificate.duplicates == (
        Duplicate("t0", "t0.early.parquet", ("t0.late.parquet", "t0.later.parquet")),
    )
    assert results.certificate.accepted == 1
    assert list(results.trials["steps"]) == [2]


def test_at_the_same_moment_the_attempts_name_decides(tmp_path: Path) -> None:
    write(tmp_path, row(attempt="b", steps=1), name="0.parquet")
    write(tmp_path, row(attempt="a", steps=2), name="1.parquet")
    assert list(gather(tmp_path, 1).trials["attempt"]) == ["a"]


def test_a_result_outweighs_failures_before_and_after(tmp_path: Path) -> None:
    write(tmp_path, row(attempt="a", state=State.FAILED, ended=1))
    write(tmp_path, row(attempt="b", ended=2))
    write(tmp_path, row(attempt="c", state=State.INTERRUPTED, ended=3))
    results = gather(tmp_path, 1)
    assert results.certificate.complete
    assert results.certificate.duplicates == ()
    assert list(results.trials["attempt"]) == ["b"]


def test_without_a_result_the_last_attempt_is_told(tmp_path: Path) -> None:
    write(tmp_path, row("t0", "a", State.FAILED, ended=1))
    write(tmp_path, row("t0", "b", State.INTERRUPTED, ended=2))
    write(tmp_path, row("t1", "a", State.INTERRUPTED, ended=1))
    write(tmp_path, row("t1", "b", State.FAILED, ended=2))
    results = gather(tmp_path, 3)
    certificate = results.certificate
    assert told(certificate.interrupted) == [("t0", "t0.b.parquet")]
    assert told(certificate.failed) == [("t1", "t1.b.parquet")]
    assert certificate.failed[0].reason == "b ended"
    assert certificate.missing == ("t2",)
    assert list(results.trials["status"]) == ["interrupted", "failed", "missing"]
    assert len(results.curves) == 0  # those of no result do not count


def test_seconds_measured_on_a_shared_device_are_no_result(tmp_path: Path) -> None:
    write(tmp_path, row("t0", "a", timing=Timing.SHARED, ended=1))
    write(tmp_path, row("t0", "b", timing=Timing.EXCLUSIVE, ended=2))
    write(tmp_path, row("t1", "a", timing=Timing.SHARED))
    results = gather(tmp_path, 2, SECONDS)
    assert told(results.certificate.shared) == [("t1", "t1.a.parquet")]
    assert results.certificate.accepted == 1
    assert told(results.certificate.timed) == [("t0", "t0.a.parquet")]
    assert results.certificate.duplicates == ()
    assert list(results.trials["status"]) == ["reached", "missing"]
    assert gather(tmp_path, 2, STEPS).certificate.complete
    assert list(gather(tmp_path, 2, STEPS).trials["attempt"]) == ["a", "a"]


def test_a_result_of_the_other_timing_is_a_timing_and_no_duplicate(tmp_path: Path) -> None:
    write(tmp_path, row("t0", "fused", timing=Timing.SHARED, ended=1))
    write(tmp_path, row("t0", "alone", timing=Timing.EXCLUSIVE, ended=2))
    write(tmp_path, row("t0", "again", timing=Timing.SHARED, ended=3))
    write(tmp_path, row("t1", "alone", timing=Timing.EXCLUSIVE, ended=1))
    write(tmp_path, row("t1", "fused", timing=Timing.SHARED, ended=2))
    results = gather(tmp_path, 2)
    assert list(results.trials["attempt"]) == ["fused", "alone"]
    assert results.certificate.duplicates == (Duplicate("t0", "t0.fused.parquet", ("t0.again.parquet",)),)
    assert told(results.certificate.timed) == [("t0", "t0.alone.parquet"), ("t1", "t1.fused.parquet")]
    assert results.certificate.timed[0].reason == "timing exclusive beside the accepted shared"
    said = certificate_lines(results.certificate)
    assert "timed: 2 trials with results both alone and in company; of each the first counts" in said
    assert [line for line in said if "more than one" in line and "t1" in line] == []
    assert results.certificate.complete


def test_seconds_are_predicted_from_the_trials_that_were_trained_alone_as_well(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path, row(f"t{i}", "fused", timing=Timing.SHARED, steps_to_target=100 * i, seconds=99.0))
    write(tmp_path, row("t0", "alone", ended=1, steps=50, seconds=1.0))
    frame = pq.read_table(gather_file(tmp_path, 4)).to_pandas()
    assert list(frame["attempt"][:3]) == ["fused"] * 3
    # kind is "a" for t0 and t2; t1's has no timing of its own, so all there are count.
    assert frame["predicted_seconds_to_target"].tolist()[:3] == [0.0, 2.0, 4.0]
    assert frame["predicted_seconds_to_target"].isna().tolist() == [False, False, False, True]
    assert (frame["alone_steps"][0], frame["alone_seconds"][0]) == (50, 1.0)
    assert frame["alone_seconds"].notna().tolist() == [True, False, False, False]
    assert frame["seconds_to_target"].isna().all()


def gather_file(root: Path, count: int) -> Path:
    gather(root, count)
    return root / "collected" / "trials.parquet"


@pytest.mark.parametrize("timing", Timing)
def test_without_both_timings_nothing_looks_like_a_prediction(tmp_path: Path, timing: Timing) -> None:
    write(tmp_path, row("t0", "a", timing=timing))
    write(tmp_path, row("t1", "a", timing=timing))
    write(tmp_path, row("t1", "b", State.FAILED, timing=Timing.EXCLUSIVE))
    names = pq.read_table(gather_file(tmp_path, 2)).column_names
    assert not [name for name in names if "alone" in name or "predicted" in name]


def test_a_file_may_hold_many_rows_and_its_name_says_nothing(tmp_path: Path) -> None:
    write(tmp_path, row("t2"), row("t0", "x", ended=5), row("t1", state=State.FAILED), name="t9.pack.1.parquet")
    write(tmp_path, row("t0", "y", ended=4), row("t1", "b", ended=1), name="anything.parquet")
    results = gather(tmp_path, 3)
    assert results.certificate.complete
    assert list(results.trials["file"]) == ["anything.parquet", "anything.parquet", "t9.pack.1.parquet"]
    assert list(results.trials["attempt"]) == ["y", "b", "a"]


def test_what_is_no_row_file_is_named_and_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, row("t1"))
    good = rows_to_bytes([row("t0")])
    files = {
        "empty.parquet": b"",
        "torn.parquet": good[: len(good) // 2],
        "flipped.parquet": good[:500] + bytes([good[500] ^ 1]) + good[501:],
        "foreign.parquet": b"PAR1 not PAR1",
    }
    for name, data in files.items():
        write_bytes(tmp_path, name, data)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "rows" / "other.parquet")
    (tmp_path / "rows" / "folder.parquet").mkdir()
    (tmp_path / "rows" / "link.parquet").symlink_to("nowhere")
    (tmp_path / "rows" / ".tmp-1").write_bytes(good)
    certificate = certify(tmp_path, 2)
    assert [item.file for item in certificate.damaged] == sorted(
        [*files, "other.parquet", "folder.parquet", "link.parquet"]
    )
    assert all(item.reason for item in certificate.damaged)
    assert certificate.missing == ("t0",)
    assert certificate.accepted == 1


def test_a_row_that_no_kgen_writes_is_named_among_many_good_ones(tmp_path: Path) -> None:
    """Values are checked over many files at once; one bad file must not cost the others."""
    for i in range(150):
        write(tmp_path, row(f"t{i}"))
    table = rows_to_table([row("t7", "bad")])
    table = table.set_column(table.schema.get_field_index("state"), "state", pa.array(["happy"]))
    write_bytes(tmp_path, "t7.bad.parquet", table_to_bytes(table))
    certificate = certify(tmp_path, 150)
    assert [(item.file, item.reason) for item in certificate.damaged] == [("t7.bad.parquet", "state is 'happy'")]
    assert certificate.complete


def test_rows_of_other_trials_are_foreign_and_named(tmp_path: Path) -> None:
    write(tmp_path, row("t0"))
    write(tmp_path, row("old", sweep="before"))
    certificate = certify(tmp_path, 1)
    assert certificate.complete
    assert certificate.foreign == (TrialFile("old", "old.a.parquet", "no trial of this sweep file (sweep before)"),)


def test_fused_trials_among_others_are_told(tmp_path: Path) -> None:
    for i, trainer in enumerate(["mine", "mine, fused in tiles of 16", "mine"]):
        write(tmp_path, row(f"t{i}", environment=Environment(trainer=trainer)))
    assert certify(tmp_path, 3).trainers == ("mine", "mine, fused in tiles of 16")


def test_different_images_and_revisions_are_told(tmp_path: Path) -> None:
    write(tmp_path, row("t0", image="i:1", revision="r1"))
    write(tmp_path, row("t1", image="i:2", revision="r1"))
    write(tmp_path, row("t2"))
    write(tmp_path, row("t2", "b", image="i:3", state=State.FAILED))
    certificate = certify(tmp_path, 3)
    assert (certificate.images, certificate.revisions) == (("i:1", "i:2"), ("r1",))


def test_a_store_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows").write_text("a file")
    with pytest.raises(StoreError, match="can't be listed"):
        certify(tmp_path, 1)


# -- the tables


def test_parameters_come_typed_from_the_sweep_file(tmp_path: Path) -> None:
    values: list[dict[str, Any]] = [
        {"rate": WrittenFloat("1e-3"), "units": 3, "deep": True, "name": "a", "long": 10**20, "mixed": 1},
        {"rate": 2, "units": 2**62, "deep": False, "name": "1", "long": 1, "mixed": "auto"},
        {},
    ]
    trials = [TrialSpec(f"t{i}", "s", "main", p, i, Budget()) for i, p in enumerate(values)]
    write(tmp_path, row("t0", parameters={"rate": 99}))
    frame = collect(FolderStore(tmp_path), trials).trials
    columns = [str(name) for name in frame.columns if str(name).startswith("param.")]
    kinds = {name.removeprefix("param."): str(frame[name].dtype) for name in columns}
    assert kinds == {"rate": "float64", "units": "Int64", "deep": "boolean", "name": "str", "long": "float64",
                     "mixed": "str"}  # fmt: skip
    assert list(frame["param.rate"][:2]) == [0.001, 2]
    assert list(frame["param.units"][:2]) == [3, 2**62]
    assert list(frame["param.mixed"][:2]) == ["1", "auto"]
    assert frame[columns].iloc[2].isna().all()
    stored = pq.read_schema(tmp_path / "collected" / "trials.parquet")
    assert stored.field("param.long").type == pa.decimal128(38, 0)


def test_metrics_become_columns_and_curves_become_lines(tmp_path: Path) -> None:
    write(tmp_path, row("t0", metrics=(MetricSummary("loss", 1, 0.5, 3), MetricSummary("acc", 0.9, 0.1, 0.95)),
                        curve=(CurvePoint(1, 0.5, "loss", 3.0), CurvePoint(1, 0.5, "acc", 0.1))))  # fmt: skip
    write(tmp_path, row("t2", metrics=(MetricSummary("loss", float("nan"), 2, 2),), curve=()))
    write(tmp_path, row("t3", metrics=(), curve=(CurvePoint(9, 1.5, "loss", 7.0),)))
    results = gather(tmp_path, 4)
    frame = results.trials
    assert frame["final.loss"].isna().tolist() == [False, True, True, True]
    assert [frame[name][0] for name in ("final.loss", "min.loss", "max.loss", "final.acc")] == [1, 0.5, 3, 0.9]
    assert frame.loc[2, "min.loss"] == 2
    assert results.curves.to_dict("list") == {
        "trial": ["t0", "t0", "t3"], "step": [1, 1, 9], "seconds": [0.5, 0.5, 1.5],
        "metric": ["loss", "acc", "loss"], "value": [3.0, 0.1, 7.0],
    }  # fmt: skip
    stored = pq.read_table(tmp_path / "collected" / "trials.parquet")
    # A metric that was not a number at the end, and one that was never reported, are two things.
    assert stored["final.loss"].is_null().to_pylist() == [False, True, False, True]


def test_lines_follow_the_sweep_file(tmp_path: Path) -> None:
    trials = expected(6)
    for spec in trials:
        write(tmp_path, row(spec.id))
    for order in (trials, trials[::-1]):
        assert list(collect(FolderStore(tmp_path), order).trials["trial"]) == [spec.id for spec in order]


def test_whole_numbers_stay_whole_where_some_are_missing(tmp_path: Path) -> None:
    write(tmp_path, row("t0"))
    write(tmp_path, row("t1", outcome=Outcome.CAPPED, steps_to_target=None))
    frame = gather(tmp_path, 2).trials
    assert str(frame["steps_to_target"].dtype) == "Int64"
    assert frame["steps_to_target"].tolist() == [50, pd.NA]
    assert list(frame["status"]) == ["reached", "capped"]


def same(one: Results, other: Results, *, but: tuple[str, ...] = ()) -> None:
    pd.testing.assert_frame_equal(one.trials.drop(columns=list(but)), other.trials.drop(columns=list(but)))
    pd.testing.assert_frame_equal(one.curves, other.curves)
    assert one.certificate == other.certificate


def test_results_do_not_depend_on_the_order_in_which_files_came(tmp_path: Path) -> None:
    history = [
        row("t0", "a", ended=2), row("t0", "b", ended=1), row("t1", "a", State.FAILED), row("t2", "z", ended=3),
        row("t2", "y", ended=3), row("other"), row("another"), row("t9"),
    ]  # fmt: skip
    found: list[Results] = []
    last = gather(tmp_path / "nothing", 4)
    for number, order in enumerate([history, history[::-1], random.Random(1).sample(history, len(history))]):
        root = tmp_path / str(number)
        for item in order:  # one after another, as a collection beside a running sweep sees them
            write(root, item)
            last = gather(root, 4)
        found.append(last)
    for other in found[1:]:
        same(found[0], other)
    tables = {(tmp_path / str(number) / "collected" / "trials.parquet").read_bytes() for number in range(len(found))}
    assert len(tables) == 1


# -- reading once


def test_a_second_collection_reads_no_row_file_again(tmp_path: Path) -> None:
    for i in range(5):
        write(tmp_path, row(f"t{i}"))
    write(tmp_path, row("t5"), row("t6"), name="pack.parquet")
    store = CountingStore(tmp_path)
    first = collect(store, expected(7))
    assert len(store.read_rows) == 6
    store.read_rows.clear()
    same(first, collect(store, expected(7)))
    assert store.read_rows == []
    write(tmp_path, row("t6", "new", ended=-1))
    assert "new" in set(collect(store, expected(7)).trials["attempt"])
    assert store.read_rows == ["t6.new.parquet"]


def test_observing_uses_what_was_read_but_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path, row("t0"))
    store = CountingStore(tmp_path)
    observe(store, expected(1))
    assert not (tmp_path / "collected").exists()
    collect(store, expected(1))
    store.read_rows.clear()
    observe(store, expected(1))
    assert store.read_rows == []


def test_a_changed_file_is_read_again_and_a_removed_one_forgotten(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path, row(f"t{i}", steps=1))
    store = CountingStore(tmp_path)
    collect(store, expected(3))
    store.read_rows.clear()
    write(tmp_path, row("t1", steps=777, log="longer than before"))
    (tmp_path / "rows" / "t2.a.parquet").unlink()
    results = collect(store, expected(3))
    assert store.read_rows == ["t1.a.parquet"]
    assert list(results.trials["steps"][:2]) == [1, 777]
    assert results.certificate.missing == ("t2",)
    (tmp_path / "rows" / "t0.a.parquet").unlink()
    assert collect(store, expected(3)).certificate.missing == ("t0", "t2")
    assert pq.read_table(tmp_path / "collected" / "rows.parquet")["file"].to_pylist() == ["t1.a.parquet"]
    store.read_rows.clear()
    collect(store, expected(3))
    assert store.read_rows == []


def test_a_file_that_was_damaged_and_is_whole_again_is_taken(tmp_path: Path) -> None:
    good = rows_to_bytes([row("t0")])
    path = write_bytes(tmp_path, "t0.a.parquet", good[:100])
    assert certify(tmp_path, 1).damaged[0].file == "t0.a.parquet"
    path.write_bytes(good)
    assert certify(tmp_path, 1).complete


@pytest.mark.parametrize("how", ["empty", "torn", "flipped", "foreign", "folder", "older"])
def test_a_damaged_cache_is_made_again(tmp_path: Path, how: str) -> None:
    for i in range(3):
        write(tmp_path, row(f"t{i}"))
    first = gather(tmp_path, 3)
    cache = tmp_path / "collected" / "rows.parquet"
    data = cache.read_bytes()
    cache.unlink()
    if how == "folder":
        cache.mkdir()
        cache.rmdir()
    elif how == "foreign":
        pq.write_table(pa.table({"file": ["t0.a.parquet"]}), cache)
    elif how == "older":
        cache.write_bytes(table_to_bytes(pq.read_table(pa.BufferReader(data)).drop_columns(["log", "node"])))
    else:
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]
        cache.write_bytes({"empty": b"", "torn": data[:middle], "flipped": flipped}[how])
    store = CountingStore(tmp_path)
    same(first, collect(store, expected(3)))
    assert len(store.read_rows) == 3
    assert cache.read_bytes() == data


def test_removing_everything_derived_changes_nothing(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path, row(f"t{i}", ended=i))
    first = gather(tmp_path, 3)
    for path in (tmp_path / "collected").iterdir():
        path.unlink()
    same(first, gather(tmp_path, 3))


# -- what a plan sees


def test_a_plan_sees_one_state_per_trial(tmp_path: Path) -> None:
    write(tmp_path, row("t0", "a", State.FAILED, ended=1))
    write(tmp_path, row("t0", "b", ended=2, steps=70))
    write(tmp_path, row("t1", "a", State.FAILED, ended=1))
    write(tmp_path, row("t1", "b", State.INTERRUPTED, ended=2))
    write(tmp_path, row("t2", timing=Timing.SHARED))
    write(tmp_path, row("foreign"))
    seen = observe(FolderStore(tmp_path), expected(4, SECONDS))
    assert {trial: item.state for trial, item in seen.items()} == {
        "t0": State.COMPLETE, "t1": State.INTERRUPTED, "t2": State.INTERRUPTED,
    }  # fmt: skip
    ended = START + dt.timedelta(seconds=2)
    assert seen["t0"] == Observed("t0", State.COMPLETE, "reached", "b ended", "t0.b.parquet", 70, 2.0, "", 0, ended)


# -- any history

ATTEMPTS = st.lists(
    st.tuples(
        st.integers(0, 5),  # of which trial; 5 is foreign
        st.sampled_from("abc"),
        st.sampled_from([*State]),
        st.sampled_from([*Outcome]),
        st.sampled_from([*Timing]),
        st.integers(0, 3),  # when it ended
    ),
    max_size=12,
    unique_by=lambda item: item[:2],
)


def history(attempts: list[tuple[int, str, State, Outcome, Timing, int]]) -> Iterator[TrialRow]:
    for trial, attempt, state, outcome, timing, ended in attempts:
        yield row(f"t{trial}", attempt, state, outcome=outcome if state is State.COMPLETE else None, timing=timing,
                  ended=ended, metrics=(), curve=())  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(ATTEMPTS, st.sampled_from([STEPS, SECONDS]), st.booleans())
def test_a_certificate_adds_up_whatever_happened(
    attempts: list[tuple[int, str, State, Outcome, Timing, int]], objective: Objective, packed: bool
) -> None:
    rows = list(history(attempts))
    with TemporaryDirectory() as folder:
        root = Path(folder)
        if packed and rows:
            write(root, *rows, name="pack.parquet")
        else:
            for item in rows:
                write(root, item)
        results = collect(FolderStore(root), expected(5, objective))
        seen = observe(FolderStore(root), expected(5, objective))
    c = results.certificate
    parts = [c.missing, *([item.trial for item in items] for items in (c.failed, c.interrupted, c.shared))]
    without = list(itertools.chain(*parts))
    assert c.accepted + len(without) == c.expected == 5
    assert len(set(without)) == len(without)
    good = [item for item in rows if item.counts_for(objective)]
    wanted = {f"t{i}" for i in range(5)}
    assert {item.trial for item in good} & wanted == wanted - set(without)
    assert set(c.missing) == wanted - {item.trial for item in rows}
    assert sorted(item.trial for item in c.foreign) == sorted(item.trial for item in rows if item.trial == "t5")
    complete = Counter(item.trial for item in rows if item.state is State.COMPLETE)
    with_result = {item.trial for item in good} & wanted
    beside = Counter({d.trial: len(d.others) for d in c.duplicates}) + Counter(item.trial for item in c.timed)
    assert beside == Counter({t: n - 1 for t, n in complete.items() if n > 1 and t in with_result})
    for spec, line in zip(expected(5), results.trials.to_dict("records"), strict=True):
        mine = sorted((item for item in good if item.trial == spec.id), key=lambda item: (item.ended, item.attempt))
        if mine:
            assert (line["attempt"], line["status"]) == (mine[0].attempt, mine[0].outcome)
        assert (spec.id in seen and seen[spec.id].state is State.COMPLETE) == bool(mine)


def test_many_files_are_all_read(tmp_path: Path) -> None:
    """More than a batch, with holes and packs in between."""
    count = 300
    for i in range(0, count, 3):
        write(tmp_path, row(f"t{i}", ended=i))
        write(tmp_path, row(f"t{i + 1}", ended=i), row(f"t{i + 2}", ended=i), name=row_file(f"t{i + 1}", "pack"))
        if i % 30 == 0:
            write_bytes(tmp_path, f"t{i}.bad.parquet", b"bad")
    results = gather(tmp_path, count)
    assert results.certificate.complete
    assert len(results.certificate.damaged) == 10
    assert list(results.trials["trial"]) == [f"t{i}" for i in range(count)]
    assert results.trials["ended"].is_monotonic_increasing
    assert results.trials["ended"].iloc[0] == dt.datetime(2025, 1, 1, 12, tzinfo=dt.UTC)
    assert len(results.curves) == 2 * count
