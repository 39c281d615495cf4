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
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from kgen import names
from kgen.backends.local.devices import Slot
from kgen.spec import TrialSpec
from kgen.trial.channel import Ended, Interrupt, Message, Start, Started, decode, encode

_TAIL_LINES = 30
_READ = 65536


class Worker:
    """A process that runs trials one after another. Used from one thread only."""

    def __init__(self, command: Sequence[str], slot: Slot, environment: Mapping[str, str], folder: Path) -> None:
        """Start the process. Raises OSError when the program can't be started."""
        self.slot = slot
        self.trial: TrialSpec | None = None
        self.attempt = ""
        self.started = dt.datetime.now(dt.UTC)
        self.first_resident_bytes = 0
        """Memory after its first trial: what later growth is measured against."""
        self.retiring = False
        """Takes no further trial."""
        self.has_begun = False
        """Whether it ever began a trial: if not, it can't even be started."""
        self._begun = False
        self._tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
        self._partial = b""
        self._buffer = b""
        ours, theirs = socket.socketpair()
        output, output_end = os.pipe()
        try:
            with slot.pinned():
                self.process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env={**environment, names.ENV_WORKER: str(theirs.fileno()), names.ENV_PARENT: str(os.getpid())},
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

    def start(self, trial: TrialSpec) -> None:
        """Hand it a trial. A process that is gone is noticed at the socket's end."""
        self.trial = trial
        self._begun = False
        self.attempt = uuid.uuid4().hex[:12]
        self.started = dt.datetime.now(dt.UTC)
        self._tail.clear()
        self._partial = b""
        self._send(Start(trial, self.attempt))

    def interrupt(self, reason: str) -> None:
        """Ask it to end its trial as interrupted and to take no other."""
        self._send(Interrupt(reason))

    def finish(self) -> None:
        """Say that there is nothing more: it ends by itself."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def _send(self, message: Message) -> None:
        with contextlib.suppress(OSError):
            self.socket.sendall(encode(message))

    def receive(self) -> list[Message] | None:
        """Messages that have come; None when the process has closed its end. Call when the socket is readable."""
        try:
            data = self.socket.recv(_READ)
        except OSError:
            data = b""
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        messages = [decode(line) for line in lines]
        for message in messages:
            if isinstance(message, Started):
                self.has_begun = self._begun = True
            elif isinstance(message, Ended):
                self.trial = None
                self.retiring = self.retiring or message.ends_worker
        return messages

    @property
    def is_readable(self) -> bool:
        """Whether :meth:`receive` has something, if only the end."""
        return bool(select.select([self.socket], [], [], 0)[0])

    @property
    def has_exited(self) -> bool:
        """Whether the process is gone, also where a child of it still holds its end of the socket open."""
        return self.process.poll() is not None

    @property
    def never_began(self) -> TrialSpec | None:
        """The trial that it was handed but, having run others, did not begin any more."""
        return self.trial if self.has_begun and not self._begun else None

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
        """The last lines that it printed during its trial."""
        last = [self._partial.decode(errors="replace")] if self._partial else []
        return "\n".join([*self._tail, *last])

    def end(self) -> int:
        """Make sure that it, and everything it started, is gone; returns its exit code (negative: signal)."""
        self.finish()
        try:
            self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
        kill_session(self.process.pid)
        code = self.process.wait()
        while self.read_output() and select.select([self.output], [], [], 0)[0]:
            pass
        self.socket.close()
        os.close(self.output)
        return code


def kill_session(leader: int) -> None:
    """SIGKILL what is left of the session that a worker led, such as the program that it wrapped."""
    if sys.platform != "linux":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)
        return
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            # After the command's name, which may hold anything: state, parent, group, session.
            session = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()[3]
            if int(session) == leader:
                os.kill(int(entry.name), signal.SIGKILL)


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
