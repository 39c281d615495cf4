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
"""Seconds between two JSON lines of one process."""


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

    def text(self, more: str = "") -> str:
        """The lines kept, unfinished ones included, as UTF-8 can hold them; with ``more`` as the last of them."""
        with self._lock:
            lines = [*self._lines, *map(_shown, self._open.values())]
        lines += [_shown(line)[:LOG_LINE_LENGTH] for line in more.rstrip("\n").split("\n") if more]
        return printable("\n".join(lines[-LOG_LINES:]))


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


class Turns:
    """Who of many may speak, when one may at a time: each in turn, whatever the order in which they ask."""

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``interval``: seconds from one to the next."""
        self._interval = interval
        self._clock = clock
        self._next = 0.0
        self._asked: set[str] = set()
        self._spoke: set[str] = set()

    def has(self, who: str) -> bool:
        """Whether it is this one's turn. A round ends when all that asked have spoken, or the rest ask no more."""
        self._asked.add(who)
        now = self._clock()
        if now < self._next:
            return False
        if who in self._spoke:
            if self._asked != self._spoke and now < self._next + self._interval:
                return False
            self._spoke.clear()
            self._asked = {who}
        self._spoke.add(who)
        self._next = now + self._interval
        return True


class ReportPrinter:
    """Prints a trial's reports as JSON lines, one a second at the most."""

    def __init__(self, trial: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._trial = trial
        self._clock = clock
        self._next = 0.0

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """One report."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + REPORT_INTERVAL
        _print(sys.stdout, report_line(self._trial, step, metrics))


class SharedPrinter:
    """Prints reports of many trials of one process: one line a second, of each trial in turn, and the last of each.

    Past the tail: a row's log should hold what the trainer said, not the reports of a hundred other trials.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._turns = Turns(REPORT_INTERVAL, clock)

    def __call__(self, trial: str, step: int, metrics: Mapping[str, float], *, is_last: bool) -> None:
        """One report of one trial."""
        if (is_last or self._turns.has(trial)) and sys.__stdout__ is not None:
            with contextlib.suppress(OSError, ValueError):
                _print(sys.__stdout__, report_line(trial, step, metrics))


def report_line(trial: str, step: int, metrics: Mapping[str, float]) -> str:
    """A report as a line of JSON; a value that is not a number is text, because JSON has no NaN."""
    values = {k: v if v - v == 0 else str(v) for k, v in metrics.items()}
    return dump_json({**values, "trial": trial, "step": step}) + "\n"


def _print(stream: TextIO, line: str) -> None:
    # In one piece, since other threads print too.
    stream.write(line)
    stream.flush()


def say(text: str) -> None:
    """Into the log, and so into the tail."""
    sys.stderr.write(text)
    sys.stderr.flush()


def of_trial(trial: str, text: str) -> str:
    """Text about one trial among several in a log: each line names it, so that whoever looks for it finds them all."""
    return "".join(f"{trial}: {line}\n" for line in text.splitlines())


def complain(text: str) -> None:
    """Into the log of the container, past the tail: the row that it is about has it already."""
    if sys.__stderr__ is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.__stderr__.write(text)
