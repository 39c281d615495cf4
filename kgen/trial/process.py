"""``main``: what a trainer's process does around its ``train`` function."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Final, NoReturn

from kgen import names
from kgen.errors import DataError, StoreError, TrialError, TrialExit, UnreadableFileError
from kgen.results.rows import State, bytes_to_rows
from kgen.results.store import Store, open_store
from kgen.spec import TrialSpec
from kgen.trial.attempt import Attempt, Describe, Ending, Train
from kgen.trial.channel import Channel, Ended, Interrupt, Report, Start, Started, resident_bytes
from kgen.trial.environment import Surroundings
from kgen.trial.output import Tail, printable, tee_output

GRACE_SECONDS: Final = 3.0
"""How long a trainer may take to return after SIGTERM before its row is written over its head. Kubernetes grants 30,
an impatient user five."""
PATIENCE_SECONDS: Final = 600.0
"""How long a trial tries to write its row into a bucket that does not answer: training went into it."""
START_SECONDS: Final = 60.0
"""How long a bucket may fail to answer before a trial begins: after that the trial has failed for good, and a restart
of a service should not cost a night's sweep."""
_PARENT: Final = int(os.environ.pop(names.ENV_PARENT, "0")) or os.getppid()
"""Who started this process; it may be gone before this line runs, so a local worker is told."""


def main(train: Train, *, describe: Describe = dict) -> NoReturn:
    """Run ``train`` for the trials that this process was started for, and exit with a code of :class:`TrialExit`.

    The environment says which: one trial (a Job), or the stream that a local worker is fed. ``describe`` is called
    before each trial and says what the row can't know: ``trainer``, ``framework``, ``framework_version``,
    ``device``, ``device_uuid``.
    """
    process = None
    try:
        process = _Process(train, describe)
        worker = os.environ.pop(names.ENV_WORKER, None)
        if worker is not None:
            os.set_inheritable(int(worker), False)  # a trainer's own children must not hold the socket open
            code = process.serve(Channel(socket.socket(fileno=int(worker))))
        else:
            code = process.run_one()
    except (TrialError, StoreError) as error:
        print(f"kgen: {error}", file=sys.stderr)
        tell_kubelet(str(error))
        code = error.exit_code if isinstance(error, TrialError) else int(TrialExit.NO_DATA)
    sys.stdout.flush()
    sys.stderr.flush()
    if process is not None:
        process.leave(code)
    os._exit(code)


class _Process:
    def __init__(self, train: Train, describe: Describe) -> None:
        self._train = train
        self._describe = describe
        self._surroundings = Surroundings.read()
        self._store = open_store(self._surroundings.results, patience=PATIENCE_SECONDS)
        self._tail: Tail = tee_output()
        self._lock = threading.Lock()
        self._current: Attempt | None = None
        self._interrupted: str | None = None
        self._closed = False
        """Whether the other side of the channel is done with this process, or gone."""
        self._leads_session = False
        """Whether this is a worker, with a session of its own for what it starts."""

    def run_one(self) -> int:
        """The one trial that the environment names; returns the exit code."""
        text = os.environ.get(names.ENV_TRIAL)
        if text is None:
            raise DataError(
                f"no trial to run: {names.ENV_TRIAL} is not set. Start trainers through 'kgen run sweep.yaml'."
            )
        try:
            spec = TrialSpec.from_json(text)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{names.ENV_TRIAL} is not a trial: {error}") from error
        store = open_store(self._surroundings.results, patience=START_SECONDS)
        done = accepted_row_file(store, spec)
        if done is not None:
            print(f"kgen: trial {spec.id} has a result already ({done}); nothing to do")
            return TrialExit.OK
        store.check(START_SECONDS)  # better said now than after hours of training
        attempt = Attempt(spec, self._surroundings.attempt, store=self._store, surroundings=self._surroundings,
                          tail=self._tail, on_failure=_complain)  # fmt: skip
        with self._hearing_signals():
            if not self._begin(attempt):
                return TrialExit.INTERRUPTED
            ending = attempt.run(self._train, self._describe)
        if ending.exit_code:
            tell_kubelet(ending.reason)
        return ending.exit_code

    def leave(self, code: int) -> NoReturn:
        """End at once: frameworks' own exit hooks can hang or crash, and nothing is left to wait for."""
        if self._leads_session and os.getppid() != _PARENT:  # nobody else is there to end what the trainer has started
            os.killpg(0, signal.SIGKILL)
        os._exit(code)

    def serve(self, channel: Channel) -> int:
        """Trials as they come over the channel, until the other side is done with this process."""
        self._leads_session = os.getpid() == os.getpgrp()
        with self._hearing_signals():
            threading.Thread(target=self._listen, args=(channel,), daemon=True).start()
            while (start := channel.next_start()) is not None:
                self._tail.clear()
                attempt = Attempt(start.trial, start.attempt, store=self._store, surroundings=self._surroundings,
                                  tail=self._tail, on_report=_Sender(channel, start.trial.id))  # fmt: skip
                if not self._begin(attempt):
                    break
                channel.send(Started(start.trial.id))
                attempt.run(self._train, self._describe)
                assert attempt.row is not None, "an attempt has written its row when it ends"
                ended = Ended.of(attempt.row, resident_bytes())
                channel.send(ended)
                with self._lock:
                    self._current = None
                if ended.ends_worker or self._interrupted is not None:
                    break
        return TrialExit.OK if self._interrupted is None else TrialExit.INTERRUPTED

    def _begin(self, attempt: Attempt) -> bool:
        """Whether the trial may begin; from here on it leaves a row."""
        with self._lock:
            if self._interrupted is not None or self._closed:
                return False
            self._current = attempt
            return True

    def _listen(self, channel: Channel) -> None:
        """On a thread of its own: hears an interrupt, or that the other side is gone, while a trial is training."""
        for message in channel.messages():
            if isinstance(message, Start):
                channel.queue(message)
            elif isinstance(message, Interrupt):
                self.interrupt(message.reason)
                channel.queue(None)
        with self._lock:
            self._closed = True
            busy = self._current is not None and not self._current.ended.is_set()
        if busy:
            self.interrupt("the process that fed this worker is gone")
        channel.queue(None)

    def interrupt(self, reason: str) -> bool:
        """End the running trial as interrupted: by its own return if it is quick, else over its head.

        False if there is none; none will begin any more.
        """
        with self._lock:
            self._interrupted = self._interrupted or reason
            attempt = self._current
        if attempt is None:
            return False
        attempt.trial.interrupt(reason)
        if not attempt.ended.wait(GRACE_SECONDS):
            try:
                code = attempt.finish(Ending(State.INTERRUPTED, None, reason, TrialExit.INTERRUPTED)).exit_code
            except StoreError as error:
                print(f"kgen: {error}", file=sys.stderr, flush=True)
                code = int(TrialExit.NO_DATA)
            self.leave(code)
        return True

    @contextlib.contextmanager
    def _hearing_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the running trial, also while the main thread is deep inside a C library.

        A Python handler runs only between two bytecodes of the main thread; the wake-up file descriptor is written
        at once by the C-level handler, so a thread that reads it hears the signal in time. What no thread can help
        against is a single C call that holds the interpreter's lock throughout (a sort of millions, a regular
        expression that backtracks): the signal is heard when it is over, or whoever sent it kills the process, and
        then the local pool writes the row, or Kubernetes starts the trial again.
        """
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        handled = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, lambda *_: None) for number in handled}
        old = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

        def hear() -> None:
            while data := reader.recv(1):
                if data[0] in handled and not self.interrupt(signal.Signals(data[0]).name):
                    self.leave(TrialExit.INTERRUPTED)  # nothing is lost with a process between two trials

        threading.Thread(target=hear, daemon=True).start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(old)
            for number, handler in before.items():
                signal.signal(number, handler)
            writer.close()


class _Sender:
    """Sends a trial's reports over the channel, no faster than a display can use them."""

    def __init__(self, channel: Channel, trial: str) -> None:
        self._channel = channel
        self._trial = trial

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        self._channel.send_limited(Report(self._trial, step, dict(metrics)))


def _complain(text: str) -> None:
    """Into the log of the container; the tail has it already."""
    if sys.__stderr__ is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.__stderr__.write(text)


def tell_kubelet(reason: str) -> None:
    """Leave the reason of the end where Kubernetes takes it into the pod's status; elsewhere there is no such file."""
    with contextlib.suppress(OSError), os.fdopen(os.open(names.TERMINATION_LOG, os.O_WRONLY), "w") as file:
        file.write(printable(reason))


def accepted_row_file(store: Store, spec: TrialSpec) -> str | None:
    """Name of a row file that is a result of this trial already, or None. Unreadable files are no results."""
    for file in store.row_files(f"{spec.id}."):
        try:
            rows = bytes_to_rows(store.read_row_file(file.name))
        except (ValueError, UnreadableFileError):
            continue
        if any(row.trial == spec.id and row.counts_for(spec.objective) for row in rows):
            return file.name
    return None
