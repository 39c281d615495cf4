"""The program that reads a claim, run on this machine as its pod runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from kgen.backends.kubernetes import in_pod
from kgen.backends.kubernetes.exec import EndedError

TEXT = Path(in_pod.__file__).read_text()


def start(scratch: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Without kgen and without any library, as in an image that knows nothing of it."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", TEXT, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(scratch)},
    )


class Program:
    """What stands for `Exec`: the same conversation over pipes."""

    def __init__(self, root: Path, scratch: Path) -> None:
        self.process = start(scratch, "serve", str(root))
        assert self.process.stdin
        assert self.process.stdout
        self._in, self._out = self.process.stdin, self.process.stdout

    def send(self, data: bytes) -> None:
        self._in.write(data)
        self._in.flush()

    def read(self, size: int) -> Iterator[bytes]:
        yield self._out.read(size)

    def read_line(self) -> bytes:
        line = self._out.readline()
        if not line:
            raise EndedError("it ended")
        return line.removesuffix(b"\n")

    def close(self) -> None:
        self.process.communicate(timeout=30)
