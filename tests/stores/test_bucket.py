"""Results in a bucket: whole objects or none, each name once."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from kgen.errors import StoreError, UnreadableFileError
from kgen.results.collect import collect, observe
from kgen.results.read import RowCache
from kgen.results.rows import rows_to_bytes
from kgen.results.store import RowFile, open_store
from tests.stores import front
from tests.stores.place import BUCKET, Place
from tests.unit.results.made import expected, row


def test_nothing_written_yet_is_no_error(place: Place) -> None:
    store = place.store()
    assert (store.row_files(), store.has_rows(), store.exists("sweep.yaml"), store.remove()) == ([], False, False, 0)


def test_row_files_are_listed_by_name_with_what_tells_a_change(place: Place) -> None:
    store = place.store()
    assert store.write_row_file("b.parquet", b"22")
    assert store.write_row_file("a.parquet", b"1")
    store.write("rows/notes.txt", b"none of them")
    store.write("rows/.tmp-x.parquet", b"none of them")
    first, second = store.row_files()
    assert (first.name, first.size, second.name, second.size) == ("a.parquet", 1, "b.parquet", 2)
    assert first.modified_ns > 1_600_000_000 * 10**9
    assert store.row_files() == [first, second]


def test_a_trial_lists_only_its_own_row_files(place: Place) -> None:
    store = place.store()
    for name in ("aaa.1", "aab.1", "aab.2", "aac.1"):
        store.write_row_file(f"{name}.parquet", b"1")
    place.front.seen.clear()
    assert [file.name for file in store.row_files("aab.")] == ["aab.1.parquet", "aab.2.parquet"]
    (request,) = place.front.seen
    assert "start-after" in request


def test_more_row_files_than_one_listing_holds(s3: Place) -> None:
    folder = s3.objects / "sweep" / "rows"
    folder.mkdir(parents=True)
    names = [f"t{number:04}.a.parquet" for number in range(2100)]
    for name in names:
        (folder / name).write_bytes(b"1")
    assert [file.name for file in s3.store().row_files()] == names
    assert s3.front.count("GET", "list-type") == 3
    assert [file.name for file in s3.store().row_files("t2099.")] == ["t2099.a.parquet"]
    s3.front.forget()
    assert s3.store().has_rows()
    s3.store().check()
    assert s3.front.count("GET", "list-type") == 2


def test_row_files_are_found_in_a_listing_without_order(s3: Place) -> None:
    store = s3.store()
    names = ["aab.1.parquet", "aab.2.parquet", "aac.1.parquet"]
    for name in names:
        store.write_row_file(name, b"1")
    fault = s3.front.on("GET", "list-type", front.lists_backwards, times=2)
    assert [file.name for file in store.row_files("aab.")] == names[:2]
    assert [file.name for file in store.row_files()] == names
    assert fault.met == 2


def test_a_row_file_is_never_overwritten(place: Place) -> None:
    store = place.store()
    assert store.write_row_file("a.parquet", b"first")
    assert not store.write_row_file("a.parquet", b"second")
    assert store.read_row_file("a.parquet") == b"first"


def test_of_many_writers_of_one_name_exactly_one_wins(place: Place) -> None:
    start = threading.Barrier(8)
    won: list[int] = []

    def write(writer: int) -> None:
        store = place.store()
        start.wait()
        if store.write_row_file("a.parquet", str(writer).encode() * 10_000):
            won.append(writer)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = won
    assert place.store().read_row_file("a.parquet") == str(winner).encode() * 10_000


def test_a_file_that_is_written_once_stays_and_can_be_removed(place: Place) -> None:
    store = place.store()
    assert store.create("choices/a.json", b"first")
    assert not place.store().create("choices/a.json", b"second")
    assert store.create("choices/a.json", b"first"), "its answer may have been lost: it is this writer's own"
    assert store.read("choices/a.json") == b"first"
    store.discard("choices/a.json")
    store.discard("choices/a.json")
    assert not store.exists("choices/a.json")
    assert store.create("choices/a.json", b"second")


def test_many_are_read_together_in_order(place: Place) -> None:
    store = place.store()
    wanted = {f"t{number}.parquet": os.urandom(number * 100) for number in range(70)}
    for name, data in wanted.items():
        store.write_row_file(name, data)
    assert dict(store.read_row_files(iter(wanted))) == wanted
    with pytest.raises(UnreadableFileError, match=r"rows/none: can't be read: there is no such object"):
        list(store.read_row_files(["t1.parquet", "none"]))


def test_a_derived_file_is_replaced_and_old_ones_go(place: Place) -> None:
    store = place.store()
    assert store.write("figures/a.svg", b"first") == f"{place.location}/figures/a.svg"
    for name in ("a.svg", "b.svg", "b.png"):
        store.write(f"figures/{name}", b"second, and longer")
    store.keep_only("figures", ["a.svg"])
    assert store.read("figures/a.svg") == b"second, and longer"
    assert [store.exists(f"figures/{name}") for name in ("a.svg", "b.svg", "b.png")] == [True, False, True]


def test_files_of_a_folder_are_listed_and_removed(place: Place) -> None:
    store = place.store()
    assert store.files("kept") == []
    for name in ("kept/b", "kept/a", "kept/deeper/c", "kept-not/d"):
        store.write(name, b"1")
    assert store.files("kept") == ["a", "b"]
    store.discard_files("kept", ["a", "never-there"])
    assert (store.files("kept"), store.files("kept-not")) == (["b"], ["d"])
    store.discard_files("kept", [])
    assert store.files("kept") == ["b"]


def test_a_check_leaves_nothing(place: Place) -> None:
    store = place.store()
    store.check()
    assert store.row_files() == []
    assert store.remove() == 0


def test_only_the_sweeps_own_objects_are_removed(place: Place) -> None:
    store, other = place.store(), open_store(f"{place.results}/sweep-2")
    for one in (store, other):
        one.write_row_file("a.parquet", b"1")
        one.write("collected/a.csv", b"1")
    assert store.remove() == 2
    assert (store.row_files(), len(other.row_files())) == ([], 1)


def test_what_is_collected_from_it_is_what_is_collected_from_a_folder(place: Place, tmp_path: Path) -> None:
    stores = [place.store(), open_store(tmp_path)]
    for store in stores:
        for number in range(40):
            trial = row(f"t{number}", ended=number)
            store.write_row_file(f"t{number}.a.parquet", rows_to_bytes([trial]))
        store.write_row_file("torn.parquet", b"PAR1")
    one, two = (collect(store, expected(41)) for store in stores)
    assert one.trials.equals(two.trials)
    assert one.certificate == two.certificate
    assert [item.file for item in one.certificate.damaged] == ["torn.parquet"]


def test_who_looks_again_reads_only_what_is_new(place: Place) -> None:
    store, cache = place.store(), RowCache()
    for number in range(20):
        store.write_row_file(f"t{number}.a.parquet", rows_to_bytes([row(f"t{number}")]))
    assert len(observe(store, expected(30), cache)) == 20
    store.write_row_file("t20.a.parquet", rows_to_bytes([row("t20")]))
    place.front.seen.clear()
    assert len(observe(store, expected(30), cache)) == 21
    assert place.front.count("GET") == 2, place.front.seen
    assert [line for line in place.front.seen if "t20.a.parquet" in line]


def test_rows_that_cannot_be_read_now_are_no_damaged_ones(place: Place) -> None:
    """Else a plan would train again what is done."""
    store = place.store(patience=0.5)
    store.write_row_file("t0.a.parquet", rows_to_bytes([row("t0")]))
    place.front.on("GET", "t0.a.parquet", front.says(503, "SlowDown"), times=99)
    with pytest.raises(StoreError, match="answers 503 SlowDown"):
        observe(store, expected(1))


def test_a_bucket_without_obstore_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    with pytest.raises(StoreError, match="s3://b/x: results in a bucket need obstore: pip install obstore"):
        open_store("s3://b/x")


def test_a_name_tells_no_more_than_it_should(place: Place) -> None:
    assert place.store().location == place.store().address == place.location
    assert RowFile("a", 1, 2) == RowFile("a", 1, 2)
    assert BUCKET in place.location
