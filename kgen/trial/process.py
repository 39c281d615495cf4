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
from kgen.errors import DataError, StoreError, TrialError, TrialExit
from kgen.results.rows import State, bytes_to_rows
from kgen.results.store import Store
from kgen.spec import TrialSpec
from kgen.trial.attempt import Attempt, Describe, Ending, Train
from kgen.trial.channel import Channel, Ended, Interrupt, Report, Start, Started
from kgen.trial.environment import Surroundings
from kgen.trial.output import Tail, tee_output

GRACE_SECONDS: Final = 3.0
"""How long a trainer may take to return after SIGTERM before its row is written over its head. Kubernetes grants 30,
an impatient user five."""


def main(train: Train, *, describe: Describe = lambda: {}) -> NoReturn:
    """Run ``train`` for the trials that this process was started for, and exit with a code of :class:`TrialExit`.

    The environment says which: one trial (a Job), or the stream that a local worker is fed. ``describe`` is called
    before each trial and says what the row can't know: ``trainer``, ``framework``, ``framework_version``,
    ``device``, ``device_uuid``.
    """
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
        code = error.exit_code if isinstance(error, TrialError) else int(TrialExit.NO_DATA)
    sys.stdout.flush()
    sys.stderr.flush()
    # Frameworks' own exit hooks can hang or crash; the row is on disk, so nothing is left to wait for.
    os._exit(code)


class _Process:
    def __init__(self, train: Train, describe: Describe) -> None:
        self._train = train
        self._describe = describe
        self._surroundings = Surroundings.read()
        self._store = Store(self._surroundings.results)
        self._tail: Tail = tee_output()
        self._current: Attempt | None = None
        self._interrupted: str | None = None

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
        done = accepted_row_file(self._store, spec)
        if done is not None:
            print(f"kgen: trial {spec.id} has a result already ({done}); nothing to do")
            return TrialExit.OK
        with self._hearing_signals():
            return self._run(Attempt(spec, self._surroundings.attempt, store=self._store,
                                     surroundings=self._surroundings, tail=self._tail)).exit_code  # fmt: skip

    def serve(self, channel: Channel) -> int:
        """Trials as they come over the channel, until the other side is done with this process."""
        with self._hearing_signals():
            threading.Thread(target=self._listen, args=(channel,), daemon=True).start()
            while (start := channel.next_start()) is not None and self._interrupted is None:
                self._tail.clear()
                attempt = Attempt(start.trial, start.attempt, store=self._store, surroundings=self._surroundings,
                                  tail=self._tail, on_report=_Sender(channel, start.trial.id))  # fmt: skip
                channel.send(Started(start.trial.id))
                ended = Ended.of(attempt, self._run(attempt))
                channel.send(ended)
                if ended.ends_worker:
                    break
        return TrialExit.INTERRUPTED if self._interrupted else TrialExit.OK

    def _run(self, attempt: Attempt) -> Ending:
        self._current = attempt
        if self._interrupted is not None:
            attempt.trial.interrupt(self._interrupted)
        try:
            return attempt.run(self._train, self._describe)
        finally:
            self._current = None

    def _listen(self, channel: Channel) -> None:
        """On a thread of its own: hears an interrupt, or that the other side is gone, while a trial is training."""
        for message in channel.messages():
            if isinstance(message, Start):
                channel.queue(message)
            elif isinstance(message, Interrupt):
                self.interrupt(message.reason)
        if self._current is not None:
            self.interrupt("the process that fed this worker is gone")
        channel.queue(None)

    def interrupt(self, reason: str) -> None:
        """End the running trial as interrupted: by its own return if it is quick, else over its head."""
        self._interrupted = reason
        attempt = self._current
        if attempt is None:
            return
        attempt.trial.interrupt(reason)
        if attempt.ended.wait(GRACE_SECONDS):
            return
        code = int(TrialExit.INTERRUPTED)
        try:
            attempt.finish(Ending(State.INTERRUPTED, None, reason, code))
        except StoreError as error:
            print(f"kgen: {error}", file=sys.stderr, flush=True)
            code = int(TrialExit.NO_DATA)
        os._exit(code)

    @contextlib.contextmanager
    def _hearing_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the running trial, also while the main thread is deep inside a C library.

        A Python handler runs only between two bytecodes of the main thread; the wake-up file descriptor is written
        at once by the C-level handler, so a thread that reads it hears the signal in time.
        """
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        handled = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, lambda *_: None) for number in handled}
        old = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

        def hear() -> None:
            while data := reader.recv(1):
                if data[0] in handled:
                    idle = self._current is None
                    self.interrupt(signal.Signals(data[0]).name)
                    if idle:  # nothing is lost with a process between two trials
                        os._exit(int(TrialExit.INTERRUPTED))

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


def accepted_row_file(store: Store, spec: TrialSpec) -> str | None:
    """Name of a row file that is a result of this trial already, or None. Unreadable files are no results."""
    for file in store.row_files():
        if not file.name.startswith(f"{spec.id}."):
            continue
        try:
            rows = bytes_to_rows(store.read_row_file(file.name))
        except (ValueError, StoreError):
            continue
        if any(row.trial == spec.id and row.counts_for(spec.objective) for row in rows):
            return file.name
    return None
