"""The socket between a local worker and the process that feeds it: JSON lines, a few closed message types.

One after another (:attr:`kgen.spec.Packing.SEQUENTIAL`): the owner sends a :class:`Start`, the worker answers with
:class:`Started`, reports and one :class:`Ended`; the owner closes its end when there is nothing more.

Fused: the worker asks with :class:`Want`, at its start, whenever places are free, and when it has nothing left to do.
The owner answers each question, with any number of :class:`Start` and then one :class:`Begin` that says how many those
were: at once, but where a worker runs none, there is none now, and more may come, when it has come. Then there are
:class:`Started`, reports and one :class:`Ended` per trial as before. ``Begin(0)`` means none now, and for a worker that
runs none: none ever, it ends by itself. So the owner never closes its end on a worker that works: that means, as
before, that the owner is gone. A worker that has crashed on a trial asks for nothing more and ends when all that it had
begun have their rows.

Rows of several trials lie in one file (:func:`kgen.names.pack_row_file`), and :class:`Ended` is sent once that file is
there: for the trial that the file is named after last of all. So whoever has not heard of an end finds its row, if
there is one, in a file that is named after a trial that has not been heard of either
(:func:`kgen.trial.batch.rows_left_behind`).
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from kgen.errors import TrialExit
from kgen.results.rows import State, TrialRow
from kgen.spec import TrialSpec
from kgen.trial.output import Turns

REPORT_INTERVAL: Final = 0.25
"""Seconds between two reports of one worker."""
_ORDERLY: Final = frozenset({TrialExit.BAD_PARAMETERS, TrialExit.NO_DEVICE, TrialExit.NO_DATA})
"""Failures that a trainer has found out by itself."""


@dataclass(frozen=True, slots=True)
class Start:
    """To the worker: run this trial."""

    trial: TrialSpec
    attempt: str


@dataclass(frozen=True, slots=True)
class Begin:
    """To a fused worker, after the starts that answer its :class:`Want`: that many they are."""

    count: int


@dataclass(frozen=True, slots=True)
class Interrupt:
    """To the worker: end whatever is running as interrupted, take no other."""

    reason: str


@dataclass(frozen=True, slots=True)
class Want:
    """From a fused worker: it can take up to so many more trials now."""

    most: int


@dataclass(frozen=True, slots=True)
class Started:
    """From the worker: the trial has begun."""

    trial: str


@dataclass(frozen=True, slots=True)
class Report:
    """From the worker: the latest metrics."""

    trial: str
    step: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Ended:
    """From the worker: the trial's row is written."""

    trial: str
    state: str
    outcome: str | None
    reason: str
    exit_code: int
    steps: int
    steps_to_target: int | None
    seconds_to_target: float | None
    seconds: float
    total_seconds: float
    metrics: dict[str, tuple[float, float, float]]
    """Per metric: final, lowest, highest."""
    log: str
    resident_bytes: int
    """Memory of the worker now; one that grows is replaced."""

    @property
    def ends_worker(self) -> bool:
        """Whether the worker ends with this trial: whatever crashed may have broken the process for the next one."""
        return self.state == State.FAILED and self.exit_code not in _ORDERLY

    @classmethod
    def of(cls, row: TrialRow, resident_bytes: int = 0) -> Ended:
        """What a row says."""
        return cls(
            trial=row.trial,
            state=str(row.state),
            outcome=None if row.outcome is None else str(row.outcome),
            reason=row.exit_reason,
            exit_code=row.exit_code,
            steps=row.steps,
            steps_to_target=row.steps_to_target,
            seconds_to_target=row.seconds_to_target,
            seconds=row.seconds,
            total_seconds=row.total_seconds,
            metrics={m.metric: (m.final, m.min, m.max) for m in row.metrics},
            log=row.log,
            resident_bytes=resident_bytes,
        )


Message = Start | Begin | Interrupt | Want | Started | Report | Ended
_KINDS: Final = {kind.__name__: kind for kind in (Start, Begin, Interrupt, Want, Started, Report, Ended)}


def encode(message: Message) -> bytes:
    """One line of JSON. NaN and infinity pass, as Python's own reader takes them."""
    body: dict[str, Any]
    if isinstance(message, Start):
        body = {"trial": message.trial.to_json(), "attempt": message.attempt}
    else:
        body = asdict(message)
    return json.dumps({"kind": type(message).__name__, **body}).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Inverse of :func:`encode`. Raises ValueError for a line that is no message."""
    try:
        body = json.loads(line)
        kind = _KINDS[body.pop("kind")]
        if kind is Start:
            return Start(TrialSpec.from_json(body["trial"]), body["attempt"])
        message: Message = kind(**body)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"no message: {line[:200]!r} ({type(error).__name__}: {error})") from error
    return message


class Channel:
    """One end of the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._starts: queue.SimpleQueue[Start | Begin | None] = queue.SimpleQueue()
        self._turns = Turns(REPORT_INTERVAL)

    def fileno(self) -> int:
        """For ``select``."""
        return self._connection.fileno()

    def send(self, message: Message) -> bool:
        """Send one message; False when the other side is gone (its end of file tells the reader)."""
        with self._lock, contextlib.suppress(OSError):
            self._connection.sendall(encode(message))
            return True
        return False

    def send_limited(self, message: Report) -> None:
        """Send a report unless one was sent a moment ago; of many trials each in turn."""
        if self._turns.has(message.trial):
            self.send(message)

    def messages(self) -> Iterator[Message]:
        """Messages as they come, until the other side is gone. Raises ValueError for what is none."""
        buffer = b""
        while True:
            try:
                data = self._connection.recv(65536)
            except OSError:
                return
            if not data:
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                yield decode(line)

    def queue(self, item: Start | Begin | None) -> None:
        """Hand a start, or what ends an answer (or None: no more) from the listening thread to the one that trains."""
        self._starts.put(item)

    def next_start(self) -> Start | None:
        """The next trial to run, waiting for it; None when there will be no more."""
        while isinstance(item := self._starts.get(), Begin):
            pass
        return item

    def ask(self, most: int) -> list[Start] | None:
        """Up to so many trials, as the owner deals them, waiting for its answer; None when there will be no more."""
        self.send(Want(most))
        starts = []
        while isinstance(item := self._starts.get(), Start):
            starts.append(item)
        return None if item is None else starts

    def close(self) -> None:
        """Close this end; the other side's reader ends."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


class ChannelSource:
    """The trials that a fused worker is fed, for :class:`kgen.trial.crew.Crew`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._is_closed = False

    def next(self, most: int) -> Sequence[Start]:
        """What the owner deals out now."""
        starts = None if self._is_closed else self._channel.ask(most)
        self._is_closed = starts is None
        return starts or []

    def started(self, trial: str) -> None:
        """Tell the owner."""
        self._channel.send(Started(trial))

    def reported(self, trial: str, step: int, metrics: Mapping[str, float]) -> None:
        """Tell the owner, no faster than a display can use it."""
        self._channel.send_limited(Report(trial, step, dict(metrics)))

    def written(self, rows: Sequence[TrialRow]) -> None:
        """Tell the owner of rows that are there now: last of the one that their file is named after."""
        resident = resident_bytes()
        for row in reversed(rows):
            self._channel.send(Ended.of(row, resident))


def resident_bytes() -> int:
    """Resident memory of this process in bytes; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
