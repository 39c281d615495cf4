"""One sweep kept current, for commands that stay: one list and one watch, whatever the number of trials."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Set
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from kgen import names
from kgen.backends.kubernetes.failure import ApiError
from kgen.backends.kubernetes.objects import Kind
from kgen.backends.kubernetes.watch import Mirror, Type
from kgen.status import UNREAD, Object, State, trials_of
from kgen.sweep import SweepSpec
from kgen.workflow.observe import Objects, SeenSweep, SeenTrial, asked_by, assemble, needs_events, read_known
from kgen.workflow.rows import RowReader, SeenRows
from kgen.workflow.stored import no_sweep, stored_spec, trials_selector

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

_EVENTS_AFTER: Final = 3.0
"""Seconds that something may lack a pod, or a pod its container, before events are read for the reason."""
_ROWS_AGAIN: Final = 30.0
"""Seconds between two readings of the rows while a pack runs: its trials end one by one, its Job after the last."""


class Following:
    """A sweep as it is now; a context manager, inside which it is kept current, else ClusterError."""

    def __init__(
        self,
        api: Api,
        name: str,
        spec: SweepSpec | None,
        *,
        stage: str = "",
        on_trouble: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """With a ``stage`` only its Jobs are seen, and ``spec`` is a part of it. Of a sweep with stages more becomes
        known while it is followed: choices and Jobs are looked at again when there is a Job that nobody asked for."""
        self._api = api
        self._name = name
        self._spec = spec
        self._on_trouble = on_trouble
        self._clock = clock
        self._stack = contextlib.ExitStack()
        chosen = f",{names.LABEL_STAGE}={stage}" if stage else ""
        self._mirror = Mirror(api, trials_selector(name) + chosen, on_trouble=on_trouble)
        self._events: Mirror | None = None
        self._wanting_events: float | None = None
        self._may_read_events = True
        self._deleted: set[str] = set()
        self._met: set[str] = set()
        self._met_jobs: set[str] = set()
        self._shown: dict[str, object] = {}
        self._reader = RowReader(spec)
        self._rows = SeenRows(UNREAD)
        self._rows_read = 0.0
        self._trials = asked_by(spec)
        self._seen: SeenSweep | None = None

    @classmethod
    def stored(cls, api: Api, name: str, *, on_trouble: Callable[[str], None] | None = None) -> Self:
        """The sweep with the file that the cluster holds. Raises ClusterError."""
        return cls(api, name, stored_spec(api, name)[0], on_trouble=on_trouble)

    def __enter__(self) -> Self:
        """Raises InputError if there is neither a file nor a Job of the sweep, ClusterError."""
        self._stack.enter_context(self._mirror)
        jobs = self._mirror.objects(Kind.JOB)
        if self._spec is None and not jobs:
            self._stack.close()
            raise no_sweep(self._api, self._name)
        for job in jobs:
            self._meet(job)
        self._read()
        self._changed()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    @property
    def met(self) -> Set[str]:
        """Trials whose Jobs are there, or have been since it began."""
        return self._met

    @property
    def met_jobs(self) -> Set[str]:
        """Names of the Jobs that are there, or have been since it began."""
        return self._met_jobs

    def see(self) -> SeenSweep:
        """The sweep now."""
        if self._seen is None:
            jobs, pods = self._mirror.objects(Kind.JOB), self._mirror.objects(Kind.POD)
            events = self._read_events(jobs, pods)
            objects = Objects(None, jobs, pods, events, frozenset(self._deleted))
            self._seen = assemble(self._api.namespace, self._name, self._spec, objects, self._rows, self._trials)
        return self._seen

    def look_again(self) -> SeenSweep:
        """The sweep now, of one with stages with what has become known meanwhile."""
        if self._has_stages:
            self._read()
            self._seen = None
        return self.see()

    def wait(self, timeout: float) -> list[SeenTrial]:
        """The trials that changed what is shown of them, at most after ``timeout`` seconds; maybe none."""
        ended = new = False
        due = self._rows_due()
        changes = self._mirror.changes(timeout if due is None else max(0.0, min(timeout, due - self._clock())))
        if self._events is not None:
            self._events.changes(0)
        for change in changes:
            if change.kind is Kind.JOB:
                new = new or not {*self._trials, *self._met}.issuperset(trials_of(change.item))
                trials = self._meet(change.item)
                (self._deleted.update if change.type is Type.DELETED else self._deleted.difference_update)(trials)
                ended = ended or bool(change.item.get("status", {}).get("conditions"))
        if ended or (new and self._has_stages) or (due is not None and self._clock() >= due):
            self._read()
        self._seen = None
        return self._changed()

    @property
    def _has_stages(self) -> bool:
        return self._spec is not None and bool(self._spec.stages)

    def _meet(self, job: Object) -> tuple[str, ...]:
        """Remember that it was there; gives its trials."""
        trials = trials_of(job)
        self._met.update(trials)
        self._met_jobs.add(str(job["metadata"]["name"]))
        return trials

    def _rows_due(self) -> float | None:
        """When the rows are to be read although no Job has ended; None while no pack runs."""
        runs = any(trial.pack and trial.status.state is State.RUNNING for trial in self.see().trials)
        return self._rows_read + _ROWS_AGAIN if runs else None

    def _read(self) -> None:
        """The rows; of a sweep with stages first which trials it has by now."""
        before = self._rows
        if self._has_stages and self._spec is not None:
            config = stored_spec(self._api, self._name)[1]
            jobs = self._mirror.objects(Kind.JOB)
            self._spec, self._rows, _ = read_known(self._api, self._spec, config, jobs, reader=self._reader)
            self._trials = asked_by(self._spec)
        else:
            self._rows = self._reader.read()
        self._rows_read = self._clock()
        if self._rows.trouble and self._rows.trouble != before.trouble and self._on_trouble is not None:
            self._on_trouble(self._rows.trouble)

    def _changed(self) -> list[SeenTrial]:
        found = []
        for trial in self.see().trials:
            if self._shown.get(trial.id) != trial.status:
                self._shown[trial.id] = trial.status
                found.append(trial)
        return found

    def _read_events(self, jobs: list[Object], pods: list[Object]) -> list[Object]:
        """Events once something waits for a cause that only they tell; watched from then on."""
        if self._events is None:
            if not self._may_read_events or not needs_events(jobs, pods):
                self._wanting_events = None
                return []
            now = self._clock()
            self._wanting_events = self._wanting_events or now
            if now - self._wanting_events < _EVENTS_AFTER:
                return []
            events = Mirror(self._api, "", (Kind.EVENT,), prefix=f"{self._name}-", on_trouble=self._on_trouble)
            try:
                self._events = self._stack.enter_context(events)
            except ApiError as error:
                if error.status != 403:
                    raise
                self._may_read_events = False
                if self._on_trouble is not None:
                    self._on_trouble(f"{error}; so not every reason for waiting is known")
                return []
        return self._events.objects(Kind.EVENT)
