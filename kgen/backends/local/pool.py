"""Pending trials → slots → rows: resident workers, replaced when they crash or grow.

One thread, one ``select``; what runs is one set of workers, each of which knows its slot and its trials.

One after another, a worker is fed a trial whenever it has ended one. Fused, it asks for as many as it can take, and
gets its share (:mod:`kgen.backends.local.deal`). When such a worker dies, nobody knows which of its trials it died of:
they are trained again in groups of half as many, each apart from all others, until one has died alone.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kgen import names
from kgen.backends.local.deal import Deal, in_order_of_programs
from kgen.backends.local.devices import Slot
from kgen.backends.local.launch import Launcher
from kgen.backends.local.worker import Handed, Worker, describe_exit
from kgen.errors import InputError, TrialExit
from kgen.names import row_file
from kgen.results.rows import State, TrialRow, bytes_to_rows, rows_to_bytes
from kgen.results.store import Store
from kgen.spec import Packing, Timing, TrialSpec
from kgen.sweep import SweepSpec
from kgen.sweep.model import Metrics
from kgen.trial.attempt import Ending, row_without_process
from kgen.trial.batch import rows_left_behind
from kgen.trial.channel import Ended, Message, Want
from kgen.trial.environment import Surroundings

GROWTH_BYTES: Final = 1 << 30
"""A worker that has grown by this much since its first trials is replaced: something leaks."""
STOP_SECONDS: Final = 8.0
"""How long workers may take to write their interrupted rows before they are killed."""
_TICK_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Dealt:
    """A worker that trains many at a time was handed these."""

    trials: tuple[str, ...]
    place: int
    """Which slot the worker has."""


@dataclass(frozen=True, slots=True)
class PutBack:
    """A worker died with several trials begun: they will be trained again."""

    trials: tuple[str, ...]
    reason: str


Event = Message | Dealt | PutBack
OnEvent = Callable[[Event], None]


class Pool:
    """Runs trials until each has a row, or until :meth:`stop`."""

    def __init__(
        self,
        spec: SweepSpec,
        trials: Sequence[TrialSpec],
        *,
        slots: Sequence[Slot],
        store: Store,
        packing: Packing | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """``packing`` other than the sweep's is for trials that are to be trained alone to be timed."""
        packing = packing or spec.packing
        self._spec = spec
        self._is_fused = packing is Packing.FUSED
        self._slots = slots[: max(1, len(trials))]
        self._deal = Deal(in_order_of_programs(trials), len(self._slots)) if self._is_fused else Deal(trials)
        self._store = store
        self._launcher = Launcher(spec, packing, store.address, environ)
        self._on_event: OnEvent = lambda event: None
        self._workers: set[Worker] = set()
        self._selector = selectors.DefaultSelector()
        self._stopped: str | None = None

    @property
    def beside(self) -> int:
        """Trials that are trained now in the same programs; none where each has its process to itself."""
        began = (item.has_begun for worker in self._workers for item in worker.handed.values())
        return sum(began) if self._is_fused else 0

    @property
    def left(self) -> list[TrialSpec]:
        """Trials that are to be trained in the same programs, now or later; none where each has its process to
        itself."""
        handed = (item.trial for worker in self._workers for item in worker.handed.values())
        return [*self._deal.waiting, *handed] if self._is_fused else []

    def stop(self, reason: str) -> None:
        """Start no more trials and end the running ones as interrupted; may be called from ``on_event``."""
        self._stopped = self._stopped or reason

    def run(self, on_event: OnEvent = lambda event: None) -> None:
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
        self._fill()
        while self._workers and self._stopped is None:
            self._poll()
        if self._stopped is not None:
            self._interrupt_all(self._stopped)

    # -- starting and feeding

    def _fill(self) -> None:
        """A worker for each slot that has none, while there is work left."""
        for place, slot in enumerate(self._slots):
            if self._deal and self._stopped is None and all(worker.place != place for worker in self._workers):
                worker = self._launcher.start(place, slot, self._deal.first)
                self._workers.add(worker)
                self._selector.register(worker.socket, selectors.EVENT_READ, (worker, "socket"))
                self._selector.register(worker.output, selectors.EVENT_READ, (worker, "output"))
                if not self._is_fused:  # the others ask
                    self._feed(worker)

    def _feed(self, worker: Worker) -> None:
        if self._deal and self._stopped is None and not worker.retiring:
            worker.start(*self._deal.take(0, 1))
            worker.retiring = not self._launcher.is_resident
        else:
            worker.finish()

    def _answer(self, worker: Worker, most: int) -> None:
        trials = self._share(worker, most)
        worker.answer(trials)
        if trials:
            self._on_event(Dealt(tuple(trial.id for trial in trials), worker.place))

    def _share(self, worker: Worker, most: int) -> list[TrialSpec]:
        """What a worker that can take so many gets now: as many as bring it to its equal part of all that is left."""
        if self._stopped is not None or worker.retiring or worker.on_probation:
            return []
        if not worker.handed and (suspects := self._deal.take_suspects(most)):
            worker.on_probation = True
            return suspects
        left = self._deal.unsuspected + sum(len(other.handed) for other in self._workers if not other.on_probation)
        return self._deal.take(worker.place, min(most, -(-left // len(self._slots)) - len(worker.handed)))

    # -- listening

    def _poll(self) -> None:
        ready = self._wait()
        for key, _ in ready:  # output first: what a crashing worker printed last belongs into its row
            worker, kind = key.data
            if kind == "output" and not worker.read_output():
                self._selector.unregister(worker.output)
        for key, events in ready:
            worker, kind = key.data
            if kind == "socket" and worker in self._workers:
                worker.send_rest()
                if events & selectors.EVENT_READ:
                    self._hear(worker)
        for worker in [worker for worker in self._workers if worker.has_exited]:
            while worker in self._workers and worker.is_readable:
                self._hear(worker)
            if worker in self._workers:
                self._lost(worker)

    def _wait(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Until a worker has said or printed something, or takes the rest of what it was sent, or a moment."""
        for worker in self._workers:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.has_unsent else 0)
            self._selector.modify(worker.socket, events, (worker, "socket"))
        return self._selector.select(_TICK_SECONDS)

    def _hear(self, worker: Worker) -> None:
        messages = worker.receive()
        if messages is None:
            self._lost(worker)
            return
        for message in messages:
            if isinstance(message, Want):
                worker.has_asked = True
                self._answer(worker, message.most)
                continue
            self._on_event(message)
            if isinstance(message, Ended):
                worker.retiring = worker.retiring or worker.growth(message) > GROWTH_BYTES
                if not self._is_fused:
                    self._feed(worker)

    # -- workers that are gone

    def _lost(self, worker: Worker) -> None:
        """Its process is gone: by itself after its work, or in the middle of it."""
        code = self._remove(worker)
        self._settle(worker, code)
        self._fill()

    def _settle(self, worker: Worker, code: int) -> None:
        """Rows, or another try, for all trials of the end of which a worker that is gone has not told."""
        for row in self._rows_of(worker):
            del worker.handed[row.trial]
            self._on_event(Ended.of(row))
        if self._is_fused and not worker.has_asked and self._stopped is None:
            self._blame_for_start(worker, code)
        began = [item for item in worker.handed.values() if item.has_begun or not worker.has_begun]
        self._deal.put_back([item.trial for item in worker.handed.values() if item not in began])
        if len(began) > 1 and self._stopped is None:
            if code == TrialExit.NO_DATA:
                self._store.check()  # before all of it is trained again, for no row that could be written
            self._deal.suspect([item.trial for item in began])
            self._on_event(PutBack(tuple(item.trial.id for item in began), describe_exit(code)))
        elif began:
            for row in self._write_rows(worker, began, code):
                self._on_event(Ended.of(row))

    def _blame_for_start(self, worker: Worker, code: int) -> None:
        """A worker that ends before it has asked for trials would do so for each: as if it had been handed one."""
        if code == TrialExit.BAD_PARAMETERS:
            said = worker.tail().strip().splitlines() or [describe_exit(code)]
            raise InputError.of(
                str(self._spec.file), "execution.packing", f"{Packing.FUSED}: {said[-1].removeprefix('kgen: ')}",
                f"{Packing.SEQUENTIAL}, or a trainer that gives kgen.trial.main a train_many",
            )  # fmt: skip
        worker.hand(self._deal.take(worker.place, 1) or self._deal.take_suspects(1))

    def _rows_of(self, worker: Worker) -> list[TrialRow]:
        """The rows that it wrote before it went without a word, such as after a signal."""
        attempts = {trial: item.attempt for trial, item in worker.handed.items()}
        if self._is_fused:
            return rows_left_behind(self._store, attempts) if attempts else []
        return [row for item in worker.handed.values() if (row := self._row_of(item)) is not None]

    def _row_of(self, item: Handed) -> TrialRow | None:
        name = row_file(item.trial.id, item.attempt)
        if not self._store.exists(f"{names.ROWS_DIR}/{name}"):
            return None
        return bytes_to_rows(self._store.read_row_file(name))[0]

    def _write_rows(self, worker: Worker, items: Sequence[Handed], code: int) -> list[TrialRow]:
        """The rows of trials whose process has left none, all in one file but those whose own came after all."""
        state = State.FAILED if self._stopped is None else State.INTERRUPTED
        reason = describe_exit(code)
        if code == 0 and self._spec.trainer.metrics is Metrics.REPORT:
            reason += ": does it call kgen.trial.main? If it knows nothing of kgen, set trainer.metrics: stdout"
        ending = Ending(state, None, reason, code, worker.tail())
        timing = Timing.SHARED if self._is_fused else worker.slot.timing
        environment = Surroundings.read(self._launcher.environment(worker.slot)).describe({})
        rows = [
            row_without_process(item.trial, item.attempt, ending, started=item.since, timing=timing,
                                environment=environment)
            for item in items
        ]  # fmt: skip
        for number, item in enumerate(items):
            if self._store.write_row_file(row_file(item.trial.id, item.attempt), rows_to_bytes(rows[number:])):
                break
            rows[number] = self._row_of(item) or rows[number]
        return rows

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
