"""Copies of row files: what is new, whole, and nothing but row files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from kgen.errors import StoreError
from kgen.names import ROWS_DIR
from kgen.results.folder import FolderStore
from kgen.results.mirror import Fetched, fetch
from kgen.results.store import RowFile
from tests.unit.results.made import read_all, write_bytes


class Told:
    """A source that says what it is told to: names and bytes that no honest one would."""

    def __init__(self, files: dict[str, bytes], breaks_after: int | None = None) -> None:
        self.files = files
        self.breaks_after = breaks_after
        self.asked: list[str] = []

    def row_files(self) -> list[RowFile]:
        return [RowFile(name, len(data), 0) for name, data in self.files.items()]

    def read_row_files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        for number, name in enumerate(names):
            if number == self.breaks_after:
                raise StoreError("lost")
            self.asked.append(name)
            yield name, self.files[name]


@pytest.fixture
def far(tmp_path: Path) -> FolderStore:
    for name in ("a.1.parquet", "b.1.parquet", "c.1.parquet"):
        write_bytes(tmp_path / "far", name, name.encode())
    return FolderStore(tmp_path / "far")


@pytest.fixture
def near(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "near")


def contents(store: FolderStore) -> dict[str, bytes]:
    return {file.name: store.read_row_file(file.name) for file in store.row_files()}


def test_only_what_is_new_is_fetched(far: FolderStore, near: FolderStore) -> None:
    told: list[Fetched] = []
    assert fetch(far, near, told.append) == Fetched(3, 33, 3)
    assert told == [Fetched(1, 11, 3), Fetched(2, 22, 3), Fetched(3, 33, 3)]
    assert contents(near) == contents(far)
    assert fetch(far, near) == Fetched(0, 0, 0)
    write_bytes(far.root, "d.1.parquet", b"new")
    assert fetch(far, near) == Fetched(1, 3, 1)


def test_what_the_source_no_longer_has_is_counted_and_stays(far: FolderStore, near: FolderStore) -> None:
    fetch(far, near)
    (far.root / "rows" / "a.1.parquet").unlink()
    assert fetch(far, near) == Fetched(0, 0, 0, only_here=1)
    assert "a.1.parquet" in contents(near)


def test_rows_of_a_run_here_stay_beside_them(far: FolderStore, near: FolderStore) -> None:
    write_bytes(near.root, "mine.1.parquet", b"mine")
    fetch(far, near)
    assert contents(near) == contents(far) | {"mine.1.parquet": b"mine"}


def test_a_file_that_was_torn_here_is_replaced(far: FolderStore, near: FolderStore) -> None:
    write_bytes(near.root, "b.1.parquet", b"b.1")
    assert fetch(far, near).files == 3
    assert contents(near) == contents(far)


@pytest.mark.parametrize(
    "name", ["../../out.parquet", "/out.parquet", "a/b.parquet", "a\\b.parquet", ".tmp-1.parquet", "a.txt",
             "a\n.parquet", "\0.parquet", f"{'x' * 250}.parquet"],
)  # fmt: skip
def test_a_name_that_is_no_row_file_s_is_passed_over(near: FolderStore, tmp_path: Path, name: str) -> None:
    source = Told({name: b"bad", "good.1.parquet": b"good"})
    assert fetch(source, near).files == 1
    assert source.asked == ["good.1.parquet"]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["good.1.parquet"]


def test_what_was_fetched_before_it_broke_off_stays(near: FolderStore) -> None:
    files = {f"{number}.1.parquet": bytes(number) for number in range(1, 30)}
    with pytest.raises(StoreError, match="lost"):
        fetch(Told(files, breaks_after=20), near)
    assert contents(near) == dict(list(files.items())[:20])
    source = Told(files)
    assert fetch(source, near).files == 9
    assert source.asked == list(files)[20:]


def test_a_folder_that_can_not_be_written_is_said(far: FolderStore, near: FolderStore) -> None:
    near.root.mkdir()
    (near.root / ROWS_DIR).write_text("a file")
    with pytest.raises(StoreError, match="near/rows"):
        fetch(far, near)


def test_nothing_there_yet_is_nothing_fetched(near: FolderStore, tmp_path: Path) -> None:
    assert fetch(FolderStore(tmp_path / "none"), near) == Fetched(0, 0, 0)
    assert not near.root.exists()
    write_bytes(near.root, "a.1.parquet", b"")
    assert read_all(near.root) == ["a.1.parquet"]
