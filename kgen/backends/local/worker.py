"""One worker process as its owner sees it: started pinned, fed over a socket, ended with everything it started."""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import os
import select
import signal
import socket
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kgen import names
from kgen.backends.local.devices import Slot
from kgen.spec import TrialSpec
from kgen.trial.channel import Begin, Ended, Interrupt, Message, Start, Started, decode, encode
from kgen.trial.session import kill_session

_TAIL_LINES = 30
_READ = 65536


@dataclass(slots=True)
class Handed:
    """A trial that a worker has been handed, of the end of which it has not told yet."""

    trial: TrialSpec
    attempt: str
    since: dt.datetime
    has_begun: bool = False


@dataclass(frozen=True, slots=True)
class Birth:
    """All that a process gets at its start, and of which nothing can be changed later."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    files: Mapping[str, str]
    """Of the trainer → hashes of their content."""


class Worker:
    """A process that runs trials, one after another or many at a time. Used from one thread only."""

    def __init__(self, birth: Birth, place: int, slot: Slot) -> None:
        """Start the process. Raises OSError when the program can't be started."""
        self.birth = birth
        self.place = place
        """The number of its slot."""
        self.slot = slot
        self.handed: dict[str, Handed] = {}
        """By id, in the order in which they were handed over."""
        self.retiring = False
        """Takes no further trial."""
        self.on_probation = False
        """One of those that it was handed may have killed another worker: it gets no others beside them."""
        self.has_asked = False
        """Whether it ever asked for trials, as one does that trains many at a time."""
        self.has_begun = False
        """Whether it ever began a trial, or waited for one: if not, it can't even be started."""
        self.room = 0
        """While it has nothing to do and waits: how many trials it could take."""
        self._first: set[str] | None = None
        self._usual_bytes = 0
        self._unsent = bytearray()
        self._is_finished = False
        self._is_broken = False
        self._tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
        self._partial = b""
        self._buffer = b""
        ours, theirs = socket.socketpair()
        output, output_end = os.pipe()
        try:
            with slot.pinned():
                self.process = subprocess.Popen(
                    birth.command,
                    cwd=birth.folder,
                    env={
                        **birth.environment,
                        names.ENV_WORKER: str(theirs.fileno()),
                        names.ENV_PARENT: str(os.getpid()),
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=output_end,
                    stderr=output_end,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # Ctrl-C in the terminal is for the owner, who then stops workers in order
                )
        except OSError:
            ours.close()
            os.close(output)
            raise
        finally:
            theirs.close()
            os.close(output_end)
        self.socket = ours
        self.output = output
        os.set_blocking(output, False)

    def hand(self, trials: Sequence[TrialSpec]) -> list[Handed]:
        """Note that these are its own now, without telling it."""
        self.room = 0
        now = dt.datetime.now(dt.UTC)
        handed = [Handed(trial, uuid.uuid4().hex[:12], now) for trial in trials]
        self.handed |= {item.trial.id: item for item in handed}
        if handed and self._first is None:
            self._first = set(self.handed)
        return handed

    def start(self, *trials: TrialSpec) -> None:
        """Hand it trials. A process that is gone is noticed at the socket's end."""
        if not self.handed:
            self._tail.clear()
            self._partial = b""
        self._send(*(Start(item.trial, item.attempt) for item in self.hand(trials)))

    def answer(self, trials: Sequence[TrialSpec]) -> None:
        """Hand one that trains many at a time what it has asked for, which may be nothing."""
        self.start(*trials)
        self._send(Begin(len(trials)))

    def wait(self, room: int) -> None:
        """Leave it without trials, of which it could take so many, until there are some."""
        self.room = room
        self.has_begun = True

    def let_go(self) -> None:
        """Say to one that waits that there is nothing more: it ends by itself."""
        self.room = 0
        self.retiring = True
        if self.has_asked:
            self.answer([])
        else:
            self.finish()

    def interrupt(self, reason: str) -> None:
        """Ask it to end its trials as interrupted and to take no other."""
        self._send(Interrupt(reason))

    def finish(self) -> None:
        """Say that there is nothing more: it ends by itself."""
        self._is_finished = True
        self.send_rest()

    def _send(self, *messages: Message) -> None:
        self._unsent += b"".join(map(encode, messages))
        self.send_rest()

    @property
    def has_unsent(self) -> bool:
        """Whether :meth:`send_rest` is to be called once the socket takes more."""
        return bool(self._unsent)

    def send_rest(self) -> None:
        """Send what the socket takes now. Never waits: a worker that is stuck must not stop its owner."""
        try:
            while self._unsent:
                del self._unsent[: self.socket.send(self._unsent[:_READ], socket.MSG_DONTWAIT)]
            if self._is_finished:
                self.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()

    def receive(self) -> list[Message] | None:
        """Messages that have come; None when the process has closed its end. Call when the socket is readable.

        A process that says what is no message is broken: it is killed, and nothing that follows is listened to.
        """
        try:
            data = b"" if self._is_broken else self.socket.recv(_READ)
        except OSError:
            data = b""
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        messages: list[Message] = []
        try:
            for line in lines:
                messages.append(message := decode(line))
                self._note(message)
        except (ValueError, KeyError) as error:
            self._is_broken = True
            self.process.kill()
            self._tail.append(f"kgen: the worker was killed, for it said what is no message: {error}")
        return messages

    def _note(self, message: Message) -> None:
        if isinstance(message, Started):
            self.has_begun = True
            self.handed[message.trial].has_begun = True
        elif isinstance(message, Ended):
            self.handed.pop(message.trial, None)
            self.on_probation = self.on_probation and bool(self.handed)
            self.retiring = self.retiring or message.ends_worker

    def growth(self, ended: Ended) -> int:
        """Bytes by which its memory has grown since it ended the first trials that it was handed together: by then all
        that it needs for so many is there."""
        if self._first:
            self._first.discard(ended.trial)
            self._usual_bytes = max(self._usual_bytes, ended.resident_bytes)
        return ended.resident_bytes - self._usual_bytes

    @property
    def is_readable(self) -> bool:
        """Whether :meth:`receive` has something, if only the end."""
        return bool(select.select([self.socket], [], [], 0)[0])

    @property
    def has_exited(self) -> bool:
        """Whether the process is gone, also where a child of it still holds its end of the socket open."""
        return self.process.poll() is not None

    def read_output(self) -> bool:
        """Take what it has printed into the tail; False at the end of it."""
        try:
            data = os.read(self.output, _READ)
        except BlockingIOError:
            return True
        except OSError:
            return False
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._tail.extend(line.decode(errors="replace")[:2000] for line in lines)
        self._partial = self._partial[-2000:]
        return bool(data)

    def tail(self) -> str:
        """The last lines that it printed since it was handed trials while it had none."""
        last = [self._partial.decode(errors="replace")] if self._partial else []
        return "\n".join([*self._tail, *last])

    def end(self) -> int:
        """Make sure that it, and everything it started, is gone; returns its exit code (negative: signal).

        Can be called again, as after an interrupt in here.
        """
        self._unsent.clear()
        self.finish()
        try:
            self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
        kill_session(self.process.pid)
        code = self.process.wait()
        while self.read_output() and select.select([self.output], [], [], 0)[0]:
            pass
        return code

    def close(self) -> None:
        """Nothing more is to be heard of one that has ended."""
        self.socket.close()
        with contextlib.suppress(OSError):  # closed before, by one that was interrupted
            os.close(self.output)


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"the process ended with code {code} and left no row"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ": out of memory, or killed by somebody" if -code == signal.SIGKILL else ""
    return f"the process was ended by {name}{hint}"
