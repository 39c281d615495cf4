"""One node for all processes of a test run: the first that needs it starts it, with the last it ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def started(folder: Path, before: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """What `python -m tests.node --json` tells, until the end of the block; `folder` is shared by the processes.

    Calls a function before it starts one. Raises `RuntimeError` with what it said if it can't be started.
    """
    started_here: subprocess.Popen[bytes] | None = None
    with _locked(folder):
        found = _join(folder)
        if found is None:
            before()
            found, started_here = _start(folder)
    told, lifeline = found
    try:
        yield told
    finally:
        with _locked(folder):
            users = _count(folder, -1)
            if users == 0:
                (folder / "node.json").unlink()
            os.close(lifeline)
        if started_here:  # others may still use it
            started_here.wait()


def _join(folder: Path) -> tuple[dict[str, Any], int] | None:
    told = folder / "node.json"
    if not told.exists():
        return None
    try:
        lifeline = os.open(folder / "node.lifeline", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # nobody at the other end: its users were killed, and so it has ended
        return None
    _count(folder, 1)
    return json.loads(told.read_text()), lifeline


def _start(folder: Path) -> tuple[tuple[dict[str, Any], int], subprocess.Popen[bytes]]:
    pipe = folder / "node.lifeline"
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    lifeline = os.open(pipe, os.O_WRONLY)
    errors = folder / "node.errors"
    with errors.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.node", "--json"],
            cwd=ROOT,
            stdin=reading,  # it ends when nobody has this pipe open for writing any more
            stdout=subprocess.PIPE,
            stderr=said,
        )
    os.close(reading)
    assert process.stdout
    with process.stdout:
        line = process.stdout.readline()
    if not line:
        process.wait()
        os.close(lifeline)
        raise RuntimeError(errors.read_text(errors="replace").strip())
    (folder / "node.json").write_bytes(line)
    (folder / "node.users").write_text("0")
    _count(folder, 1)
    return (json.loads(line), lifeline), process


def _count(folder: Path, change: int) -> int:
    file = folder / "node.users"
    users = int(file.read_text()) + change
    file.write_text(str(users))
    return users


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "node.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
