"""`python -m kgen.trial.check`, in a process of its own as in a pod."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kgen
from kgen.results.folder import FolderStore
from kgen.trial import check
from tests.unit.trial.trainers import environment


def said(results: Path, **more: str) -> dict[str, dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "kgen.trial.check"],
        env=environment(results, **more),
        capture_output=True,
        text=True,
        check=True,
    )
    return {each["check"]: each for each in map(json.loads, done.stdout.splitlines())}


def test_results_that_can_be_written(tmp_path: Path) -> None:
    found = said(tmp_path / "x" / "first")
    assert found["image"]["found"].startswith(f"kgen {kgen.__version__} on Python 3.")
    assert found["results"]["state"] in ("ok", "warning")  # a disk that is nearly full
    assert found["results"]["found"].startswith(f"{tmp_path}/x/first can be written, ")
    assert list(tmp_path.iterdir()) == [], "it is as it was"


def test_what_was_there_stays(tmp_path: Path) -> None:
    FolderStore(tmp_path).write_row_file("a.b.parquet", b"x")
    said(tmp_path)
    assert [path.name for path in (tmp_path / "rows").iterdir()] == ["a.b.parquet"]


def test_results_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "rows").touch()
    found = said(tmp_path)["results"]
    assert found["state"] == "missing"
    assert found["found"].startswith(f"{tmp_path}/rows: can't be written: ")
    assert found["found"].endswith(f"(user {os.getuid()}:{os.getgid()})")
    assert found["fix"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "kubernetes.run_as_user"),
        (errno.EROFS, "not mounted or bound read-only"),
        (errno.ENOSPC, "a larger volume"),
        (errno.EDQUOT, "a larger quota"),
    ],
)
def test_each_cause_has_its_fix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, words: str) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    found = check.results(str(tmp_path))
    assert os.strerror(number) in found["found"]
    assert words in found["fix"]


def test_a_volume_with_little_room_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(check, "LITTLE_BYTES", 1 << 62)
    found = check.results(str(tmp_path))
    assert (found["state"], found["fix"]) == ("warning", "a larger volume, or fewer files on it")


def test_a_gpu_that_is_asked_for_and_not_there(tmp_path: Path) -> None:
    found = said(tmp_path, KGEN_GPUS="64")["gpu"]
    assert found["state"] == "missing"
    assert found["found"].startswith("64 asked for, the container sees ")
    assert "gpu" not in said(tmp_path, KGEN_GPUS="0")
