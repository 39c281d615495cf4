"""The folder of a sweep's results: whole files or none, under any fault."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kgen.errors import StoreError
from kgen.results.folder import FolderStore
from kgen.results.rows import bytes_to_rows, rows_to_bytes
from tests.unit.results.made import read_all, row

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "results" / "sweep")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 KiB."""
    if not IS_ROOT:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def temporary(store: FolderStore) -> list[str]:
    return [name for name in read_all(store.root) if name.startswith(".tmp-")]


def test_nothing_written_yet_is_no_error(store: FolderStore) -> None:
    assert store.row_files() == []
    assert not store.exists("sweep.yaml")


def test_row_files_are_listed_by_name_with_what_tells_a_change(store: FolderStore) -> None:
    store.write_row_file("b.parquet", b"22")
    store.write_row_file("a.parquet", b"1")
    first, second = store.row_files()
    assert (first.name, first.size, second.name, second.size) == ("a.parquet", 1, "b.parquet", 2)
    assert first.modified_ns == (store.root / "rows" / "a.parquet").stat().st_mtime_ns


def test_what_is_no_row_file_is_not_listed(store: FolderStore) -> None:
    store.write_row_file("a.parquet", b"1")
    for name in (".tmp-0123", "notes.txt", "a.parquet.bak"):
        (store.root / "rows" / name).touch()
    assert [file.name for file in store.row_files()] == ["a.parquet"]


def test_a_link_to_nowhere_is_listed_and_hides_no_other(store: FolderStore) -> None:
    store.write_row_file("b.parquet", b"1")
    (store.root / "rows" / "a.parquet").symlink_to("nowhere")
    assert [file.name for file in store.row_files()] == ["a.parquet", "b.parquet"]
    with pytest.raises(StoreError, match=r"a\.parquet: can't be read: No such file"):
        store.read_row_file("a.parquet")


def test_a_row_file_is_never_overwritten(store: FolderStore) -> None:
    assert store.write_row_file("a.parquet", b"first")
    assert not store.write_row_file("a.parquet", b"second")
    assert store.read_row_file("a.parquet") == b"first"
    assert temporary(store) == []


def test_of_many_writers_of_one_name_exactly_one_wins(store: FolderStore) -> None:
    start = threading.Barrier(8)
    won: list[int] = []

    def write(writer: int) -> None:
        start.wait()
        if store.write_row_file("a.parquet", str(writer).encode() * 10_000):
            won.append(writer)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = won
    assert store.read_row_file("a.parquet") == str(winner).encode() * 10_000
    assert temporary(store) == []


def test_a_file_that_is_written_once_stays_and_can_be_removed(store: FolderStore) -> None:
    assert store.create("choices/a.json", b"first")
    assert not store.create("choices/a.json", b"first")
    assert not store.create("choices/a.json", b"second")
    assert store.read("choices/a.json") == b"first"
    store.discard("choices/a.json")
    store.discard("choices/a.json")
    assert not store.exists("choices/a.json")
    assert store.create("choices/a.json", b"second")
    assert [path.name for path in (store.root / "choices").iterdir()] == ["a.json"]


def test_a_derived_file_is_replaced_in_one_step(store: FolderStore) -> None:
    assert store.write("collected/a.csv", b"first") == str(store.root / "collected" / "a.csv")
    with (store.root / "collected" / "a.csv").open("rb") as reader:
        store.write("collected/a.csv", b"second, and longer")
        assert reader.read() == b"first"  # who has it open reads the old one to its end
    assert store.read("collected/a.csv") == b"second, and longer"


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_without_hard_links_a_rename_does(store: FolderStore, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def no_link(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", no_link)
    assert store.write_row_file("a.parquet", b"first")
    assert not store.write_row_file("a.parquet", b"second")
    assert store.read_row_file("a.parquet") == b"first"
    assert temporary(store) == []


def test_a_folder_that_cannot_be_synced_does_not_undo_a_write(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert store.write_row_file("a.parquet", b"1")


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fails_leaves_nothing(store: FolderStore, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError, match=f"a.parquet: can't be written: {os.strerror(number)}"):
        store.write_row_file("a.parquet", b"1")
    assert read_all(store.root) == []


def test_a_full_disk_is_said_and_leaves_nothing(small_disk: Path) -> None:
    store = FolderStore(small_disk)
    assert store.write_row_file("a.parquet", b"x" * 60_000)
    with pytest.raises(StoreError, match="No space left on device"):
        store.write_row_file("b.parquet", b"x" * 120_000)
    assert read_all(store.root) == ["a.parquet"]
    assert store.write_row_file("b.parquet", b"x" * 10_000)


def test_a_read_only_folder_is_said(tmp_path: Path) -> None:
    if not IS_ROOT:
        (tmp_path / "results").mkdir(mode=0o500)
        with pytest.raises(StoreError, match="Permission denied"):
            FolderStore(tmp_path / "results").write_row_file("a.parquet", b"1")
        return
    folder = tmp_path / "results"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no read-only folder here")
    try:
        with pytest.raises(StoreError, match="Read-only file system"):
            FolderStore(folder).write_row_file("a.parquet", b"1")
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("name", ["results", "results/sweep", "results/sweep/rows"])
def test_a_file_where_a_folder_should_be_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("a file")
    store = FolderStore(tmp_path / "results" / "sweep")
    with pytest.raises(StoreError, match="can't be listed: Not a directory"):
        store.row_files()
    with pytest.raises(StoreError, match="can't be written"):
        store.write_row_file("a.parquet", b"1")


def test_a_folder_that_may_not_be_read_is_an_error_and_not_empty(store: FolderStore) -> None:
    store.write_row_file("a.parquet", b"1")
    folder = store.root / "rows"
    folder.chmod(0)
    program = f"""
import os, sys
from pathlib import Path
from kgen.errors import StoreError
from kgen.results.folder import FolderStore
if os.geteuid() == 0:
    os.setuid(65534)
try:
    print(FolderStore(Path({str(store.root)!r})).row_files())
except StoreError as error:
    print(error)
"""
    try:
        for path in (store.root, *store.root.parents[:4]):
            if path.stat().st_uid == os.geteuid() and path.is_relative_to("/tmp/pytest-of-root"):
                path.chmod(0o755)
        done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=False)
    finally:
        folder.chmod(0o755)
    if "kgen" in done.stderr or "ModuleNotFoundError" in done.stderr:
        pytest.skip("nobody else may read the checkout here")
    assert "can't be listed: Permission denied" in done.stdout, done.stderr


WRITER = """
import os, sys
from pathlib import Path
from kgen.results.folder import FolderStore
store = FolderStore(Path(sys.argv[1]))
data = Path(sys.argv[2]).read_bytes()
for generation in range(60):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        number = 0
        while True:
            assert store.write_row_file(f"g{generation}-{number}.parquet", data)
            store.write("derived", data)
            os.write(writer, b".")
            number += 1
    os.read(reader, 1)
    # Somewhere in the writes that follow: another place each time, and each place must do.
    for _ in range(generation * 311):
        pass
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    os.close(reader)
    os.close(writer)
print("done")
"""


def test_a_writer_killed_at_any_moment_leaves_whole_files_only(tmp_path: Path) -> None:
    data = rows_to_bytes([row(log="x" * 20_000)])
    (tmp_path / "data").write_bytes(data)
    root = tmp_path / "store"
    done = subprocess.run(
        [sys.executable, "-c", WRITER, root, tmp_path / "data"], text=True, capture_output=True, check=False
    )
    assert done.stdout == "done\n", done.stderr
    store = FolderStore(root)
    files = store.row_files()
    assert len(files) >= 60
    for file in files:
        assert bytes_to_rows(store.read_row_file(file.name))[0].log == "x" * 20_000
    assert store.read("derived") == data


def test_a_folder_of_the_results_goes_with_its_last_file(store: FolderStore) -> None:
    assert store.files("kept") == []
    for name in ("b", "a"):
        store.write(f"kept/{name}", b"1")
    half = store.root / "kept" / ".tmp-of-one-that-was-killed"
    half.touch()
    (store.root / "kept" / "folder").mkdir()
    assert store.files("kept") == ["a", "b"]
    (store.root / "kept" / "folder").rmdir()
    store.discard_files("kept", ["a", "never-there"])
    assert (store.files("kept"), half.exists()) == (["b"], True)
    store.discard_files("kept", ["b"])
    assert not (store.root / "kept").exists()


def test_a_folder_that_cannot_be_listed_is_said(store: FolderStore) -> None:
    store.write("kept", b"a file")
    with pytest.raises(StoreError, match="kept: can't be listed: Not a directory"):
        store.files("kept")
