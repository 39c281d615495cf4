"""Trainers in processes of their own, started as a Job or a local worker would start them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kgen import names
from kgen.results.rows import TrialRow, bytes_to_rows
from kgen.spec import Budget, Objective, TrialSpec
from kgen.trial.channel import Message, Start, decode, encode

PATIENCE = 60.0
"""Seconds after which something that should happen never will."""


def body(*lines: str) -> str:
    """A trainer of these lines."""
    return HEAD + "def train(trial):\n" + "".join(f"    {line}\n" for line in lines) + "main(train)\n"


def many(*lines: str, before: str = "") -> str:
    """A trainer of many at a time, with these lines before each trial's report: ten steps each time."""
    return (
        HEAD
        + before
        + """
def train(trial):
    raise AssertionError("should train many")

def train_many(trials):
    running, done = [], {}
    while running := running + trials.take(int(os.environ.get("CAPACITY", "8")) - len(running)):
        for trial in list(running):
            step = done[trial.id] = done.get(trial.id, 0) + 10
"""
        + "".join(f"            {line}\n" for line in lines)
        + """\
            if trial.report(step=step, loss=1 / step, x=trial.parameters["x"]).stop:
                trials.end(trial)
                running.remove(trial)

main(train, train_many)
"""
    )


def specs(number: int, **budget: Any) -> list[TrialSpec]:
    """So many trials; ``x`` counts them."""
    return [spec({"x": i}, trial_id(i), **(budget or {"steps": 10 * (1 + i % 3)})) for i in range(number)]


def trial_id(i: int) -> str:
    """The id of the trial with that ``x``."""
    letters = "abcdefghij"
    return "trial" + "".join(letters[int(digit)] for digit in f"{i:05d}")


def spec(parameters: Mapping[str, Any] | None = None, trial: str = "aaaaaaaaaa", **budget: Any) -> TrialSpec:
    """A trial that should run; a target is a pair of metric and value."""
    return TrialSpec(trial, "sweep", "main", parameters or {}, 7, Budget(**budget), Objective("loss"))


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that is sure to come."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.005)


def environment(results: Path, **more: str) -> dict[str, str]:
    """A process's environment, without anything of kgen that these tests may run under."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KGEN_")}
    return {**clean, names.ENV_RESULTS: str(results), "PYTHONUNBUFFERED": "1", **more}


def rows(results: Path) -> list[TrialRow]:
    """Every row that is there, by file."""
    found = sorted((results / names.ROWS_DIR).glob("*.parquet"))
    return [row for file in found for row in bytes_to_rows(file.read_bytes())]


HEAD = "import os, sys, time\nfrom kgen.trial import *\n"
_started: list[subprocess.Popen[Any]] = []
_sockets: list[socket.socket] = []
_watches: list[threading.Timer] = []


def end_all() -> None:
    """End what a test has started, whatever came of it."""
    while _watches:
        _watches.pop().cancel()
    while _sockets:
        _sockets.pop().close()
    while _started:
        process = _started.pop()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _watch(process: subprocess.Popen[Any]) -> None:
    """So that nobody waits for ever for what it should print or send."""
    _started.append(process)
    watch = threading.Timer(PATIENCE, process.kill)
    watch.daemon = True
    watch.start()
    _watches.append(watch)


class Job:
    """One trial in a process of its own, as a Job starts it."""

    def __init__(
        self, results: Path, trainer: str | Sequence[str], trial: TrialSpec | None = None, **more: str
    ) -> None:
        words = [sys.executable, "-c", trainer] if isinstance(trainer, str) else [*trainer]
        self.results = results
        self.process = subprocess.Popen(
            words,
            env=environment(results, **{names.ENV_TRIAL: (trial or spec()).to_json(), **more}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        _watch(self.process)
        self.output = ""

    def wait_for(self, word: str) -> str:
        """Read output up to the first line with that word; returns the line."""
        assert self.process.stdout is not None
        for line in self.output.splitlines():
            if word in line:
                return line
        for line in self.process.stdout:
            self.output += line
            if word in line:
                return line
        raise AssertionError(f"never printed {word!r}, but:\n{self.output}")

    def end(self) -> int:
        """Wait for its end; the exit code."""
        rest, _ = self.process.communicate(timeout=PATIENCE)
        self.output += rest
        return self.process.returncode

    @property
    def row(self) -> TrialRow:
        """The only row that there is."""
        (row,) = rows(self.results)
        return row


class PackJob(Job):
    """Several trials in a process of their own, as the Job of a pack starts it."""

    def __init__(self, results: Path, trainer: str, trials: Sequence[TrialSpec], packing: str, **more: str) -> None:
        results.mkdir(parents=True, exist_ok=True)
        file = results / "trials.jsonl"
        file.write_text("".join(f"{trial.to_json()}\n" for trial in trials))
        self.last_words = results / "termination-log"
        self.last_words.write_text("")
        patch = f"import kgen.names\nkgen.names.TERMINATION_LOG = {str(self.last_words)!r}\n"
        words = ["env", "-u", names.ENV_TRIAL, sys.executable, "-c", patch + trainer]
        super().__init__(results, words, None, **{names.ENV_TRIALS: str(file), names.ENV_PACKING: packing, **more})

    @property
    def files(self) -> dict[str, list[str]]:
        """Row files, and the trials in each."""
        return files(self.results)


def files(results: Path) -> dict[str, list[str]]:
    """Row files, and the trials in each."""
    found = sorted((results / names.ROWS_DIR).glob("*.parquet"))
    return {file.name: [row.trial for row in bytes_to_rows(file.read_bytes())] for file in found}


class Fed:
    """A resident worker and the socket that feeds it."""

    def __init__(self, results: Path, trainer: str, **more: str) -> None:
        self.results = results
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(PATIENCE)
        _sockets.append(self._socket)
        self._buffer = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", trainer],
            env=environment(results, **{names.ENV_WORKER: str(theirs.fileno()), **more}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        _watch(self.process)
        theirs.close()

    def send(self, *messages: Message) -> None:
        """Send messages in one piece."""
        self.send_bytes(b"".join(encode(message) for message in messages))

    def send_bytes(self, data: bytes) -> None:
        """Send anything."""
        self._socket.sendall(data)

    def start(self, trial: TrialSpec, attempt: str) -> None:
        """Hand it a trial."""
        self.send(Start(trial, attempt))

    def next(self, kind: type[Message] | None = None) -> Message:
        """The next message (of a kind); EOFError at the end."""
        while True:
            while b"\n" not in self._buffer:
                data = self._socket.recv(65536)
                if not data:
                    raise EOFError
                self._buffer += data
            line, _, self._buffer = self._buffer.partition(b"\n")
            message = decode(line)
            if kind is None or isinstance(message, kind):
                return message

    def hang_up(self) -> None:
        """Close the socket, as a killed owner does."""
        self._socket.close()

    def end(self) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(PATIENCE)


def json_lines(output: str) -> list[dict[str, Any]]:
    """The reports among what was printed."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]
