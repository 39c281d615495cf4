"""Runs in the pod that reads a claim, as text: whatever version of kgen its image has, or none. Python alone is needed.

``wait`` keeps the pod alive as long as somebody talks to it; ``serve`` answers requests, a line of JSON each, with
lines of JSON and bytes of files:

- ``["list", prefix]``: ``[name, size, modified_ns]`` for each row file, then ``[]``
- ``["get", name, …]``: for each row file ``[name, size]``, the bytes, a line with their SHA-256; size -1: it is gone
- ``["find", name]``: the same for any file of the results
- ``["remove"]``: ``[number, is_all]``, now and then and at the end

``{"error": …}`` ends it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import stat
import sys
import time
from pathlib import Path

ALIVE = Path(os.environ.get("TMPDIR", "/tmp"), "alive")  # touched as long as somebody listens
SUFFIX, TEMPORARY = ".parquet", ".tmp-"
BLOCK = 1 << 20


def wait(seconds: float) -> None:
    """Until nobody has asked for anything for so long, or the pod is deleted: a program with number 1 must say so."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    touch()
    while time.time() - ALIVE.stat().st_mtime < seconds:
        time.sleep(0.5)


def touch() -> None:
    """Somebody listens."""
    ALIVE.touch()


def say(answer: object) -> None:
    """A line of JSON."""
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")


def serve(root: Path) -> None:
    """Answer what is asked about the results there, until nobody asks any more."""
    rows = root / "rows"
    try:
        for line in sys.stdin.buffer:
            touch()
            word, *names = json.loads(line)
            if word == "list":
                list_rows(rows, names[0])
            elif word == "get":
                for name in names:
                    give(rows / Path(name).name, name)
            elif word == "find":
                give(root / names[0], names[0])
            elif word == "remove":
                remove(root)
            sys.stdout.buffer.flush()
    except OSError as error:
        say({"error": f"{error.filename or root}: {error.strerror}"})
        sys.stdout.buffer.flush()


def list_rows(rows: Path, prefix: str) -> None:
    """Name, size and time of each row file; not of those that are being written."""
    try:
        entries = os.scandir(rows)
    except FileNotFoundError:
        say([])
        return
    with entries:
        for number, entry in enumerate(entries):
            if number % 500 == 0:
                touch()
            if entry.name.startswith(TEMPORARY) or not entry.name.endswith(SUFFIX) or not entry.name.startswith(prefix):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode):
                say([entry.name, status.st_size, status.st_mtime_ns])
    say([])


def give(path: Path, name: str) -> None:
    """One file, with what tells whether it came as it was."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
        except FileNotFoundError:
            say([name, -1])
            return
        left = os.fstat(file.fileno()).st_size
        say([name, left])
        digest = hashlib.sha256()
        while left:
            block = file.read(min(left, BLOCK))
            if not block:
                raise SystemExit(name + " became shorter")
            touch()
            digest.update(block)
            sys.stdout.buffer.write(block)
            left -= len(block)
        sys.stdout.buffer.write(digest.hexdigest().encode() + b"\n")


def remove(root: Path) -> None:
    """All of it; says from time to time how many files are gone, and at the end that these were all."""
    number = 0
    for folder, folders, files in os.walk(root, topdown=False):
        for name in files:
            Path(folder, name).unlink(missing_ok=True)
            number += 1
            if number % 500 == 0:
                touch()
                say([number, False])
                sys.stdout.buffer.flush()
        for name in folders:
            path = Path(folder, name)
            if path.is_symlink():
                path.unlink()
            else:
                path.rmdir()
    with contextlib.suppress(FileNotFoundError):
        root.rmdir()
    say([number, True])


if __name__ == "__main__":
    if sys.argv[1] == "wait":
        wait(float(sys.argv[2]))
    else:
        serve(Path(sys.argv[2]))
