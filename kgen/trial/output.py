"""What a trial prints: kept for its row, and JSON lines that ``logs`` and ``watch`` can read."""

from __future__ import annotations

import collections
import sys
import threading
import time
from collections.abc import Mapping
from typing import Final, TextIO

from kgen.spec import dump_json

LOG_LINES: Final = 30
"""Lines of output that a row keeps."""
LOG_LINE_LENGTH: Final = 2_000
REPORT_INTERVAL: Final = 1.0
"""Seconds between two JSON lines of one trial."""


class Tail:
    """The last lines that went through standard output and standard error, in the order of writing."""

    def __init__(self) -> None:
        self._lines: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self._open = ""
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget everything: the next trial begins."""
        with self._lock:
            self._lines.clear()
            self._open = ""

    def add(self, text: str) -> None:
        """More output, not necessarily whole lines."""
        with self._lock:
            *lines, self._open = (self._open + text).split("\n")
            self._lines.extend(line[:LOG_LINE_LENGTH] for line in lines)
            self._open = self._open[-LOG_LINE_LENGTH:]

    def text(self) -> str:
        """The lines kept, the unfinished one included."""
        with self._lock:
            return "\n".join([*self._lines, self._open] if self._open else self._lines)


class TeeStream:
    """Stands before ``sys.stdout`` or ``sys.stderr``: everything goes on to it, and a copy into the tail."""

    def __init__(self, stream: TextIO, tail: Tail) -> None:
        self._stream = stream
        self._tail = tail

    def write(self, text: str) -> int:
        """As a text stream."""
        self._tail.add(text)
        return self._stream.write(text)

    def flush(self) -> None:
        """As a text stream."""
        self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def tee_output() -> Tail:
    """Keep a tail of this process's standard output and standard error from now on."""
    tail = Tail()
    sys.stdout = TeeStream(sys.stdout, tail)  # type: ignore[assignment]
    sys.stderr = TeeStream(sys.stderr, tail)  # type: ignore[assignment]
    return tail


class ReportPrinter:
    """Prints a trial's reports as JSON lines, one a second at the most."""

    def __init__(self, trial: str) -> None:
        self._trial = trial
        self._next = 0.0

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """One report; a value that is not a number is printed as text, because JSON has no NaN."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + REPORT_INTERVAL
        values = {k: v if v - v == 0 else str(v) for k, v in metrics.items()}
        print(dump_json({"trial": self._trial, "step": step, **values}), flush=True)
