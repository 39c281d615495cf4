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
from kgen.status import UNREAD, Object
from kgen.sweep import SweepSpec
from kgen.workflow.observe import (
    Objects,
    SeenSweep,
    SeenTrial,
    assemble,
    needs_events,
    no_sweep,
    stored_spec,
    trials_of,
    trials_selector,
)
from kgen.workflow.rows import RowReader, SeenRows

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

_EVENTS_AFTER: Final = 3.0
"""Seconds that something may lack a pod, or a pod its container, before events are read for the reason."""


class Following:
    """A sweep as it is now; a context manager, inside which it is kept current, else ClusterError."""

    def __init__(
        self,
        api: Api,
        name: str,
        spec: SweepSpec | None,
        *,
        on_trouble: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._name = name
        self._spec = spec
        self._on_trouble = on_trouble
        self._clock = clock
        self._stack = contextlib.ExitStack()
        self._mirror = Mirror(api, trials_selector(name), on_trouble=on_trouble)
        self._events: Mirror | None = None
        self._wanting_events: float | None = None
        self._may_read_events = True
        self._deleted: set[str] = set()
        self._met: set[str] = set()
        self._shown: dict[str, object] = {}
        self._reader = RowReader(spec)
        self._rows = SeenRows(UNREAD)
        self._trials = trials_of(spec)
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
        self._met.update(map(_trial_of, jobs))
        self._read_rows()
        self._changed()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    @property
    def met(self) -> Set[str]:
        """Trials whose Jobs are there, or have been since it began."""
        return self._met

    def see(self) -> SeenSweep:
        """The sweep now."""
        if self._seen is None:
            jobs, pods = self._mirror.objects(Kind.JOB), self._mirror.objects(Kind.POD)
            events = self._read_events(jobs, pods)
            objects = Objects(None, jobs, pods, events, frozenset(self._deleted))
            self._seen = assemble(self._api.namespace, self._name, self._spec, objects, self._rows, self._trials)
        return self._seen

    def wait(self, timeout: float) -> list[SeenTrial]:
        """The trials that changed what is shown of them, at most after ``timeout`` seconds; maybe none."""
        ended = False
        changes = self._mirror.changes(timeout)
        if self._events is not None:
            self._events.changes(0)
        for change in changes:
            if change.kind is Kind.JOB:
                trial = _trial_of(change.item)
                self._met.add(trial)
                (self._deleted.add if change.type is Type.DELETED else self._deleted.discard)(trial)
                ended = ended or bool(change.item.get("status", {}).get("conditions"))
        if ended:
            self._read_rows()
        self._seen = None
        return self._changed()

    def _read_rows(self) -> None:
        before, self._rows = self._rows, self._reader.read()
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


def _trial_of(job: Object) -> str:
    return str(job["metadata"].get("labels", {}).get(names.LABEL_TRIAL, ""))
