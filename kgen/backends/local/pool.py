"""Pending trials → slots → rows: resident workers, replaced when they crash or grow.

One thread, one ``select``; what runs is one set of workers, each of which knows its slot and its trials.

One after another, a worker is fed a trial whenever it has ended one. Fused, it asks for as many as it can take, and
gets its share (:mod:`kgen.backends.local.deal`). When such a worker dies, nobody knows which of its trials it died of:
they are trained again in groups of half as many, each apart from all others, until one has died alone.

Where a sweep comes part by part, a worker that has nothing more to do waits for the next part: to load a framework
takes longer than many a trial. It stays if it is what would be started for that part, in that slot; else it ends first.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from kgen.backends.local.devices import Slot
from kgen.backends.local.events import Dealt, OnEvent, PutBack
from kgen.backends.local.left import rows_left, write_rows
from kgen.backends.local.part import Part
from kgen.backends.local.worker import Worker, describe_exit
from kgen.errors import InputError, TrialExit
from kgen.interrupt import check_interrupt
from kgen.results.store import Store
from kgen.spec import Packing, TrialSpec
from kgen.sweep import SweepSpec
from kgen.trial.channel import Ended, Want

GROWTH_BYTES: Final = 1 << 30
"""A worker that has grown by this much since its first trials is replaced: something leaks."""
STOP_SECONDS: Final = 8.0
"""How long workers may take to write their interrupted rows before they are killed."""
_TICK_SECONDS: Final = 0.25


class Pool:
    """Runs trials on this machine, part after part of a sweep; a context manager, behind which no process is left."""

    def __init__(self, store: Store, *, stay: bool = False, environ: Mapping[str, str] = os.environ) -> None:
        """Rows go to ``store``. With ``stay`` workers that have nothing more to do wait for the next part."""
        self._store = store
        self._stay = stay
        self._environ = environ
        self._workers: set[Worker] = set()
        self._selector = selectors.DefaultSelector()
        self._part: Part | None = None
        self._stopped: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.closing(self._selector), self._ending_all():
            if error is not None:
                self._interrupt_all("the run was stopped")
            for worker in self._workers:
                worker.let_go()
            while self._workers:
                self._poll()

    @property
    def beside(self) -> int:
        """Trials that are trained now in the same programs; none where each has its process to itself."""
        began = (item.has_begun for worker in self._workers for item in worker.handed.values())
        return sum(began) if self._now.is_fused else 0

    @property
    def left(self) -> list[TrialSpec]:
        """Trials that are to be trained in the same programs, now or later; none where each has its process to
        itself."""
        handed = (item.trial for worker in self._workers for item in worker.handed.values())
        return [*self._now.deal.waiting, *handed] if self._now.is_fused else []

    def stop(self, reason: str) -> None:
        """Start no more trials and end the running ones as interrupted; may be called from ``on_event``."""
        self._stopped = self._stopped or reason

    def run(
        self,
        spec: SweepSpec,
        trials: Sequence[TrialSpec],
        on_event: OnEvent = lambda event: None,
        *,
        slots: Sequence[Slot],
        packing: Packing | None = None,
    ) -> None:
        """Run trials until each has a row, or until :meth:`stop`; ``on_event`` hears of each start, report and end.

        ``packing`` other than the sweep's is for trials that are to be trained alone to be timed. Raises StoreError
        when rows can't be written and InputError when the program can't start.

        Whatever is raised, also KeyboardInterrupt, no process is left behind then, and every trial that had begun has
        a row if one can be written at all.
        """
        self._part = Part.of(
            spec, trials, on_event, packing=packing or spec.packing, slots=slots, results=self._store.address,
            environ=self._environ,
        )  # fmt: skip
        self._stopped = None
        with self._ending_all():
            self._serve()

    @property
    def _now(self) -> Part:
        assert self._part is not None, "there are workers while a part is worked off, and between two"
        return self._part

    def _serve(self) -> None:
        for worker in self._workers:
            if not self._now.needs(worker):
                worker.let_go()
        if any(worker.room for worker in self._workers):
            self._now.launcher.check_files()
        self._fill()
        while self._stopped is None and not all(worker.room for worker in self._workers):
            self._poll()
        if self._stopped is not None:
            self._interrupt_all(self._stopped)

    # -- starting and feeding

    def _fill(self) -> None:
        """Work for whoever waits for it and a worker for each slot that has none, while there is work left."""
        now = self._now
        for place, slot in enumerate(now.slots):
            if not now.deal or self._stopped is not None:
                return
            worker = next((worker for worker in self._workers if worker.place == place), None)
            if worker is None:
                worker = now.launcher.start(place, slot, now.deal.first)
                self._workers.add(worker)
                self._selector.register(worker.socket, selectors.EVENT_READ, (worker, "socket"))
                self._selector.register(worker.output, selectors.EVENT_READ, (worker, "output"))
                if not self._now.is_fused:  # the others ask
                    self._offer(worker, 1)
            elif worker.room:
                self._offer(worker, worker.room)

    def _offer(self, worker: Worker, most: int) -> None:
        """Hand a worker that can take so many what it gets now. If that is nothing and it runs none, it waits where
        more may come, and ends where not."""
        trials = self._share(worker, most)
        waits = self._stay and self._stopped is None and not worker.retiring
        if not trials and not worker.handed and waits:
            worker.wait(most)
        elif self._now.is_fused:
            worker.answer(trials)
            if trials:
                self._now.on_event(Dealt(tuple(trial.id for trial in trials), worker.place))
        elif trials:
            worker.start(*trials)
            worker.retiring = not self._now.launcher.is_resident
        else:
            worker.finish()

    def _share(self, worker: Worker, most: int) -> list[TrialSpec]:
        """What a worker that can take so many gets now: as many as bring it to its equal part of all that is left."""
        deal = self._now.deal
        if self._stopped is not None or worker.retiring or worker.on_probation:
            return []
        if not self._now.is_fused:
            return deal.take(0, most)
        if not worker.handed and (suspects := deal.take_suspects(most)):
            worker.on_probation = True
            return suspects
        left = deal.unsuspected + sum(len(other.handed) for other in self._workers if not other.on_probation)
        return deal.take(worker.place, min(most, -(-left // len(self._now.slots)) - len(worker.handed)))

    # -- listening

    def _poll(self) -> None:
        check_interrupt()
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
                self._offer(worker, message.most)
                continue
            self._now.on_event(message)
            if isinstance(message, Ended):
                worker.retiring = worker.retiring or worker.growth(message) > GROWTH_BYTES
                if not self._now.is_fused:
                    self._offer(worker, 1)

    # -- workers that are gone

    def _lost(self, worker: Worker) -> None:
        """Its process is gone: by itself after its work, or in the middle of it."""
        code = self._remove(worker)
        self._settle(worker, code)
        self._fill()

    def _settle(self, worker: Worker, code: int) -> None:
        """Rows, or another try, for all trials of the end of which a worker that is gone has not told."""
        now = self._now
        for row in rows_left(self._store, worker, is_fused=now.is_fused):
            del worker.handed[row.trial]
            now.on_event(Ended.of(row))
        if now.is_fused and not (worker.has_asked or worker.retiring) and self._stopped is None:
            self._blame_for_start(worker, code)
        began = [item for item in worker.handed.values() if item.has_begun or not worker.has_begun]
        now.deal.put_back([item.trial for item in worker.handed.values() if item not in began])
        if len(began) > 1 and self._stopped is None:
            if code == TrialExit.NO_DATA:
                self._store.check()  # before all of it is trained again, for no row that could be written
            now.deal.suspect([item.trial for item in began])
            now.on_event(PutBack(tuple(item.trial.id for item in began), describe_exit(code)))
        elif began:
            for row in write_rows(self._store, now, worker, began, code, is_stopped=self._stopped is not None):
                now.on_event(Ended.of(row))

    def _blame_for_start(self, worker: Worker, code: int) -> None:
        """A worker that ends before it has asked for trials would do so for each: as if it had been handed one."""
        now = self._now
        if code == TrialExit.BAD_PARAMETERS:
            said = worker.tail().strip().splitlines() or [describe_exit(code)]
            raise InputError.of(
                str(now.spec.file), "execution.packing", f"{Packing.FUSED}: {said[-1].removeprefix('kgen: ')}",
                f"{Packing.SEQUENTIAL}, or a trainer that gives kgen.trial.main a train_many",
            )  # fmt: skip
        worker.hand(now.deal.take(worker.place, 1) or now.deal.take_suspects(1))

    def _remove(self, worker: Worker) -> int:
        code = worker.end()  # first: it takes a moment, and one that Ctrl-C interrupts in it is still to be removed
        for source in (worker.socket, worker.output):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(source)
        worker.close()
        self._workers.discard(worker)
        return code

    @contextlib.contextmanager
    def _ending_all(self) -> Iterator[None]:
        """Where something is raised inside, end everything."""
        try:
            yield
        except BaseException:
            try:
                self._interrupt_all("the run was stopped")
            finally:
                for worker in list(self._workers):
                    self._remove(worker)
            raise

    def _interrupt_all(self, reason: str) -> None:
        """End running trials as interrupted and wait for their rows, but not for ever."""
        self._stopped = self._stopped or reason
        for worker in [worker for worker in self._workers if worker.has_exited]:
            self._lost(worker)
        for worker in self._workers:
            worker.interrupt(reason)
            worker.finish()
        deadline = time.monotonic() + STOP_SECONDS
        while self._workers and time.monotonic() < deadline:
            self._poll()
        for worker in list(self._workers):
            worker.process.kill()
            self._lost(worker)
