"""Pending trials → slots → rows: resident workers, replaced when they crash or grow.

One thread, one ``select``; what runs is one set of workers, each of which knows its slot and its trial.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import os
import selectors
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from kgen import names
from kgen.backends.local.devices import Slot
from kgen.backends.local.worker import Worker, describe_exit
from kgen.errors import InputError
from kgen.names import row_file
from kgen.results.rows import State, TrialRow, bytes_to_rows, rows_to_bytes
from kgen.results.store import Store
from kgen.spec import TrialSpec
from kgen.sweep import SweepSpec
from kgen.sweep.command import command_line, is_same_for_all, wrapped
from kgen.sweep.model import Arguments, Metrics
from kgen.trial.attempt import Ending, row_without_process
from kgen.trial.channel import Ended, Message
from kgen.trial.environment import Surroundings

GROWTH_BYTES: Final = 1 << 30
"""A worker that has grown by this much since its first trial is replaced: something leaks."""
STOP_SECONDS: Final = 8.0
"""How long workers may take to write their interrupted rows before they are killed."""
_TICK_SECONDS: Final = 0.25
_OF_ONE_TRIAL: Final = frozenset({names.ENV_TRIAL, names.ENV_ATTEMPT, names.ENV_WORKER, names.ENV_PARENT})
"""Variables that this process may have been started with itself."""

OnEvent = Callable[[Message], None]


class Pool:
    """Runs trials until each has a row, or until :meth:`stop`."""

    def __init__(
        self,
        spec: SweepSpec,
        trials: Sequence[TrialSpec],
        *,
        slots: Sequence[Slot],
        store: Store,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._spec = spec
        self._pending = collections.deque(trials)
        self._slots = slots[: max(1, len(trials))]
        self._store = store
        self._on_event: OnEvent = lambda message: None
        self._environ = environ
        self._workers: set[Worker] = set()
        self._selector = selectors.DefaultSelector()
        self._stopped: str | None = None
        trainer = spec.trainer
        flags = trainer.arguments is Arguments.FLAGS
        self._resident = trainer.metrics is Metrics.REPORT and is_same_for_all(trainer.command, flags=flags)

    def stop(self, reason: str) -> None:
        """Start no more trials and end the running ones as interrupted; may be called from ``on_event``."""
        self._stopped = self._stopped or reason

    def run(self, on_event: OnEvent = lambda message: None) -> None:
        """Run everything; ``on_event`` hears of each start, report and end. Raises StoreError when rows can't be
        written and InputError when the program can't start.

        Whatever happens, also KeyboardInterrupt, no process is left behind, and every trial that had begun has a row
        if one can be written at all.
        """
        self._on_event = on_event
        try:
            self._serve()
        except BaseException:
            self._interrupt_all("the run was stopped")
            raise
        finally:
            for worker in list(self._workers):
                self._remove(worker)
            self._selector.close()

    def _serve(self) -> None:
        for slot in self._slots:
            self._fill(slot)
        while self._workers and self._stopped is None:
            self._poll()
        if self._stopped is not None:
            self._interrupt_all(self._stopped)

    # -- starting and feeding

    def _fill(self, slot: Slot) -> None:
        """A worker for the slot, with its first trial, if there is work left."""
        if not self._pending or self._stopped is not None:
            return
        worker = self._spawn(slot, self._pending[0])
        self._workers.add(worker)
        self._selector.register(worker.socket, selectors.EVENT_READ, (worker, "socket"))
        self._selector.register(worker.output, selectors.EVENT_READ, (worker, "output"))
        self._feed(worker)

    def _feed(self, worker: Worker) -> None:
        if self._pending and self._stopped is None and not worker.retiring:
            worker.start(self._pending.popleft())
            worker.retiring = not self._resident
        else:
            worker.finish()

    def _spawn(self, slot: Slot, first: TrialSpec) -> Worker:
        trainer = self._spec.trainer
        self._check_files()
        words = command_line(trainer.command, first.parameters, first.seed, flags=trainer.arguments is Arguments.FLAGS)
        if words[0] in ("python", "python3"):
            words[0] = sys.executable  # the one that kgen is installed in, whether or not its venv is activated
        if trainer.metrics is not Metrics.REPORT:
            self._check_program(words[0])
            words = wrapped(words, trainer.metrics, [sys.executable, "-m", "kgen.trial.wrap"])
        try:
            return Worker(words, slot, self._environment(slot), self._spec.folder.resolve())
        except OSError as error:
            raise InputError.of(
                str(self._spec.file), "trainer.command", f"{words[0]}: {str(error.strerror).lower()}", "a program here"
            ) from error

    def _check_program(self, program: str) -> None:
        """Say of a wrapped program what starting it would say, before each trial fails for it."""
        path = self._environ.get("PATH")
        found = Path(self._spec.folder, program) if "/" in program else shutil.which(program, path=path)
        if found is None or not os.access(found, os.X_OK):
            why = "no such program" if found is None or not Path(found).exists() else "not executable"
            raise InputError.of(str(self._spec.file), "trainer.command", f"{program}: {why}", "a program here")

    def _environment(self, slot: Slot) -> dict[str, str]:
        trainer = self._spec.trainer
        bucket = {
            name: value
            for name, value in self._spec.location.variables.items()
            if not any(map(self._environ.get, names.SAME_MEANING[name]))
        }
        return {
            **bucket,
            **{name: value for name, value in self._environ.items() if name not in _OF_ONE_TRIAL},
            **slot.environment(),
            **trainer.env,
            names.ENV_RESULTS: self._store.address,
            names.ENV_IMAGE: trainer.image,
            names.ENV_REVISION: trainer.revision,
            "PYTHONUNBUFFERED": "1",
        }

    def _check_files(self) -> None:
        """The files that trials were named after must be what now runs."""
        for name, digest in self._spec.trainer.file_hashes().items():
            path = Path(self._spec.folder, name)
            try:
                same = hashlib.sha256(path.read_bytes()).hexdigest() == digest
            except OSError:
                same = False
            if not same:
                raise InputError.of(
                    str(path), "trainer.files", "another content than at the start of this run",
                    "files that stay as they are while a sweep runs; run again for the new content",
                )  # fmt: skip

    # -- listening

    def _poll(self) -> None:
        ready = self._selector.select(_TICK_SECONDS)
        for key, _ in ready:  # output first: what a crashing worker printed last belongs into its row
            worker, kind = key.data
            if kind == "output" and not worker.read_output():
                self._selector.unregister(worker.output)
        for key, _ in ready:
            worker, kind = key.data
            if kind == "socket" and worker in self._workers:
                self._hear(worker)
        for worker in [worker for worker in self._workers if worker.has_exited]:
            while worker in self._workers and worker.is_readable:
                self._hear(worker)
            if worker in self._workers:
                self._lost(worker)

    def _hear(self, worker: Worker) -> None:
        messages = worker.receive()
        if messages is None:
            self._lost(worker)
            return
        for message in messages:
            self._on_event(message)
            if isinstance(message, Ended):
                if not worker.first_resident_bytes:
                    worker.first_resident_bytes = message.resident_bytes
                elif message.resident_bytes > worker.first_resident_bytes + GROWTH_BYTES:
                    worker.retiring = True
                self._feed(worker)

    def _lost(self, worker: Worker) -> None:
        """Its process is gone: by itself after its work, or in the middle of a trial."""
        trial, attempt = worker.trial, worker.attempt
        code = self._remove(worker)
        if worker.never_began is not None:
            self._pending.appendleft(worker.never_began)
        elif trial is not None:
            row = self._row_of(trial, attempt) or self._write_row(worker, trial, attempt, code)
            self._on_event(Ended.of(row))
        self._fill(worker.slot)

    def _row_of(self, trial: TrialSpec, attempt: str) -> TrialRow | None:
        """The row that the worker wrote before it went without a word, such as after a signal."""
        name = row_file(trial.id, attempt)
        if not self._store.exists(f"{names.ROWS_DIR}/{name}"):
            return None
        return bytes_to_rows(self._store.read_row_file(name))[0]

    def _write_row(self, worker: Worker, trial: TrialSpec, attempt: str, code: int) -> TrialRow:
        state = State.FAILED if self._stopped is None else State.INTERRUPTED
        reason = describe_exit(code)
        if code == 0 and self._spec.trainer.metrics is Metrics.REPORT:
            reason += ": does it call kgen.trial.main? If it knows nothing of kgen, set trainer.metrics: stdout"
        row = row_without_process(
            trial,
            attempt,
            Ending(state, None, reason, code, worker.tail()),
            started=worker.started,
            timing=worker.slot.timing,
            environment=Surroundings.read(self._environment(worker.slot)).describe({}),
        )
        if not self._store.write_row_file(row_file(trial.id, attempt), rows_to_bytes([row])):
            return self._row_of(trial, attempt) or row  # the worker's own came after all
        return row

    def _remove(self, worker: Worker) -> int:
        self._workers.discard(worker)
        for source in (worker.socket, worker.output):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(source)
        return worker.end()

    def _interrupt_all(self, reason: str) -> None:
        """End running trials as interrupted and wait for their rows, but not for ever."""
        self._stopped = self._stopped or reason
        for worker in self._workers:
            worker.interrupt(reason)
            worker.finish()
        deadline = time.monotonic() + STOP_SECONDS
        while self._workers and time.monotonic() < deadline:
            self._poll()
        for worker in list(self._workers):
            worker.process.kill()
            self._lost(worker)
