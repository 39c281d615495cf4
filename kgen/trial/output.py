"""What a trial prints: kept for its row, and JSON lines that ``logs`` and ``watch`` can read."""

from __future__ import annotations

import collections
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TextIO, cast

from kgen.spec import dump_json

LOG_LINES: Final = 30
"""Lines of output that a row keeps."""
LOG_LINE_LENGTH: Final = 2_000
REPORT_INTERVAL: Final = 1.0
"""Seconds between two JSON lines of one trial."""


def printable(text: str) -> str:
    """The text as UTF-8 can hold it: lone surrogates, which undecodable bytes become, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


class Tail:
    """The last lines that went through standard output and standard error, in the order of writing."""

    def __init__(self) -> None:
        self._lines: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self._open: dict[str, str] = {}
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget everything: the next trial begins."""
        with self._lock:
            self._lines.clear()
            self._open.clear()

    def add(self, text: str, source: str = "") -> None:
        """More output, not necessarily whole lines; those of different sources are not mixed."""
        with self._lock:
            *lines, rest = (self._open.pop(source, "") + text).split("\n")
            self._lines.extend(_shown(line)[:LOG_LINE_LENGTH] for line in lines)
            if rest:
                self._open[source] = rest[-LOG_LINE_LENGTH:]

    def text(self) -> str:
        """The lines kept, unfinished ones included, as UTF-8 can hold them."""
        with self._lock:
            return printable("\n".join([*self._lines, *map(_shown, self._open.values())]))


def _shown(line: str) -> str:
    """What a terminal shows of a line in the end: progress bars write theirs many times over."""
    return line.rstrip("\r").rpartition("\r")[2]


class TeeStream:
    """Stands before ``sys.stdout`` or ``sys.stderr``: everything goes on to it, and a copy into the tail.

    What is written past it, to the file descriptor or to ``sys.stdout.buffer``, is not in the tail. When nobody reads
    the output any more, or its disk is full, training goes on without it.
    """

    def __init__(self, stream: TextIO, tail: Tail, name: str = "") -> None:
        self._stream = stream
        self._tail = tail
        self._name = name

    def write(self, text: str) -> int:
        """As a text stream."""
        self._tail.add(text, self._name)
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """As a text stream."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """As a text stream."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def tee_output() -> Tail:
    """Keep a tail of this process's standard output and standard error from now on, and of what logging, if it was
    set up before, writes to them."""
    tail = Tail()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        tee = cast(TextIO, TeeStream(stream, tail, name))
        setattr(sys, name, tee)
        if (logging := sys.modules.get("logging")) is not None:
            for handler in logging.root.handlers:
                if getattr(handler, "stream", None) is stream:
                    handler.setStream(tee)
    return tail


class ReportPrinter:
    """Prints a trial's reports as JSON lines, one a second at the most."""

    def __init__(self, trial: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._trial = trial
        self._clock = clock
        self._next = 0.0

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """One report; a value that is not a number is printed as text, because JSON has no NaN."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + REPORT_INTERVAL
        values = {k: v if v - v == 0 else str(v) for k, v in metrics.items()}
        # In one piece, since other threads print too.
        sys.stdout.write(dump_json({**values, "trial": self._trial, "step": step}) + "\n")
        sys.stdout.flush()
