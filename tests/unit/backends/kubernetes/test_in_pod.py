"""What runs in the pod that reads a claim, as a process with Python's own library alone."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest

from tests.unit.backends.kubernetes.programs import start
from tests.unit.results.made import write_bytes


def said(tmp_path: Path, *requests: list[str]) -> bytes:
    """All that it answers to these requests; it must end well."""
    process = start(tmp_path, "serve", str(tmp_path / "results"))
    out, err = process.communicate("".join(json.dumps(each) + "\n" for each in requests).encode(), timeout=30)
    assert (process.returncode, err) == (0, b"")
    return out


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("abc.1.parquet", "abd.1.parquet", ".tmp-x.parquet", "notes.txt"):
        write_bytes(tmp_path / "results", name, name.encode())
    return tmp_path / "results"


def test_it_lists_row_files_by_the_beginning_of_their_names(tmp_path: Path, root: Path) -> None:
    (root / "rows" / "folder.parquet").mkdir()
    (root / "rows" / "link.parquet").symlink_to("/etc/passwd")
    *rows, end = map(json.loads, said(tmp_path, ["list", ""]).splitlines())
    status = (root / "rows" / "abc.1.parquet").stat()
    assert sorted(row[0] for row in rows) == ["abc.1.parquet", "abd.1.parquet"]
    assert ["abc.1.parquet", status.st_size, status.st_mtime_ns] in rows
    assert end == []
    assert len(said(tmp_path, ["list", "abd."]).splitlines()) == 2


def test_nothing_there_is_nothing_listed(tmp_path: Path) -> None:
    assert said(tmp_path, ["list", ""]) == b"[]\n"
    assert said(tmp_path, ["remove"]) == b"[0, true]\n"


def test_files_come_with_their_digests(tmp_path: Path, root: Path) -> None:
    data = os.urandom(3_000_000)
    write_bytes(root, "big.1.parquet", data)
    (root / "collected").mkdir()
    (root / "collected" / "pods.parquet").write_bytes(b"pods")
    wanted = b'["big.1.parquet", 3000000]\n' + data + hashlib.sha256(data).hexdigest().encode() + b"\n"
    out = said(tmp_path, ["get", "big.1.parquet", "gone.parquet"], ["find", "collected/pods.parquet"])
    found = b'["collected/pods.parquet", 4]\npods' + hashlib.sha256(b"pods").hexdigest().encode() + b"\n"
    assert out == wanted + b'["gone.parquet", -1]\n' + found


def test_everything_of_the_sweep_is_removed_and_nothing_else(tmp_path: Path, root: Path) -> None:
    beside = write_bytes(tmp_path / "other", "a.parquet", b"")
    (root / "checkpoints" / "abc").mkdir(parents=True)
    (root / "checkpoints" / "other").symlink_to(tmp_path / "other")
    for number in range(600):
        write_bytes(root, f"{number}.parquet", b"")
    answers = [json.loads(line) for line in said(tmp_path, ["remove"]).splitlines()]
    assert answers == [[500, False], [604, True]]
    assert not root.exists()
    assert beside.exists()


def test_what_can_not_be_read_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "rows").write_text("a file")
    assert json.loads(said(tmp_path, ["list", ""])) == {"error": f"{tmp_path}/results/rows: Not a directory"}


def test_the_pod_ends_when_nobody_asks_for_anything(tmp_path: Path) -> None:
    process = start(tmp_path, "wait", "0.2")
    assert process.wait(timeout=30) == 0
    process.communicate()


def test_the_pod_ends_at_once_when_it_is_deleted(tmp_path: Path) -> None:
    process = start(tmp_path, "wait", "3600")
    while not (tmp_path / "alive").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    process.communicate()
