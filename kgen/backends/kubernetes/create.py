"""Creating a sweep's objects: each once, whatever the network does, and afterwards nothing is left unsaid."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kgen import names
from kgen.backends.kubernetes.api import ATTEMPTS, backoff
from kgen.backends.kubernetes.failure import ApiError, UnreachableError, is_unclear, may_pass
from kgen.backends.kubernetes.many import IN_FLIGHT, in_threads
from kgen.backends.kubernetes.objects import Kind, Object, path_of
from kgen.errors import ClusterError
from kgen.render.manifest import Manifest

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

LONGEST_QUOTA_PAUSE: Final = 30.0
"""Seconds between two attempts while a quota has no room."""
_QUOTA: Final = ("exceeded quota", "status unknown for quota")


class Outcome(enum.StrEnum):
    """What became of one object."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    """It was there as it should be."""
    CONFLICT = "conflict"
    """Another one of its name is there; it was left alone."""
    ABSENT = "absent"
    """It is not there: refused, or not tried after the end."""
    UNKNOWN = "unknown"
    """The cluster does not tell any more whether it is there."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One object is done with."""

    name: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Waiting:
    """A quota has no room: the rest is created when it has."""

    why: str
    """The API server's words."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """An object that has the name of another."""

    name: str
    why: str
    is_kgens: bool
    """Whether kgen made it, from another manifest."""


@dataclass(frozen=True, slots=True)
class Created:
    """What is there now: each object that was asked for is named once, in the order that it was asked for."""

    created: tuple[str, ...]
    unchanged: tuple[str, ...]
    conflicts: tuple[Conflict, ...]
    absent: tuple[str, ...]
    unknown: tuple[str, ...]
    error: ClusterError | None
    """Why it ended before everything was tried."""
    interrupted: bool
    """Whether somebody stopped it before everything was tried."""


def create(
    api: Api,
    manifests: Iterable[Manifest],
    *,
    in_flight: int = IN_FLIGHT,
    on_event: Callable[[Progress | Waiting], None] | None = None,
    stop: threading.Event | None = None,
) -> Created:
    """Create objects; one of the same name and ``kgen.dev/spec`` counts as that object, another is never overwritten.

    A quota without room is waited for; a server that fails is asked again a few times; any other refusal is the end.
    So is ``stop`` or Ctrl-C: requests under way are finished, the rest is not tried. ``on_event`` is called from other
    threads, but from one at a time.
    """
    wanted = list(manifests)
    work = _Work(api, on_event)
    stopped = in_threads(work.one, wanted, ending=work.ending, in_flight=in_flight, stop=stop)
    return work.result(wanted, stopped)


def spec_of(item: Object) -> str | None:
    """The hash of the manifest that an object was made from; None where kgen did not make it."""
    found: str | None = (item["metadata"].get("labels") or {}).get(names.LABEL_SPEC)
    return found


class _StoppedError(Exception):
    """Somebody said to end it while this object waited for a quota."""


class _Work:
    """One call of :func:`create`; :meth:`one` runs in many threads."""

    def __init__(self, api: Api, on_event: Callable[[Progress | Waiting], None] | None) -> None:
        self.ending = threading.Event()
        """Set when nothing more shall be begun."""
        self._api = api
        self._on_event = on_event
        self._telling = threading.Lock()
        self._outcomes: dict[tuple[str, str], Outcome] = {}
        self._conflicts: list[Conflict] = []
        self._error: ClusterError | None = None
        self._quota = threading.Lock()
        """Held by the one object that asks, for all that wait, whether the quota has room."""
        self._quota_is_full = False
        self._quota_pause = 0.0
        self._quota_told = False

    def one(self, manifest: Manifest) -> None:
        """See that one object is there."""
        outcome = self._create(manifest)
        self._outcomes[manifest.kind, manifest.name] = outcome
        self._tell(Progress(manifest.name, outcome))

    def result(self, wanted: Sequence[Manifest], stopped: bool) -> Created:
        """What became of all."""

        def named(outcome: Outcome) -> tuple[str, ...]:
            get = self._outcomes.get
            return tuple(m.name for m in wanted if get((m.kind, m.name), Outcome.ABSENT) is outcome)

        absent, unknown = named(Outcome.ABSENT), named(Outcome.UNKNOWN)
        return Created(
            created=named(Outcome.CREATED),
            unchanged=named(Outcome.UNCHANGED),
            conflicts=tuple(sorted(self._conflicts, key=lambda conflict: conflict.name)),
            absent=absent,
            unknown=unknown,
            error=self._error,
            interrupted=stopped and bool(absent or unknown),
        )

    def _create(self, manifest: Manifest) -> Outcome:
        unclear = False  # whether an earlier attempt may have created it
        for attempt in range(ATTEMPTS):
            try:
                self._post(manifest)
                return Outcome.CREATED
            except _StoppedError:
                break
            except ClusterError as error:
                exists = _is_conflict(error, "AlreadyExists")
                if exists and (outcome := self._compare(manifest, unclear=unclear)) is not None:
                    return outcome
                unclear = unclear or is_unclear(error)
                passes = exists or may_pass(error) or _is_conflict(error, "Conflict")  # such as over the same quota
                if not passes or attempt == ATTEMPTS - 1:
                    self._end(_still_going(manifest) if exists else error)
                    break
                if self.ending.wait(backoff(attempt)):
                    break
        return (self._compare(manifest, unclear=True) or Outcome.ABSENT) if unclear else Outcome.ABSENT

    def _post(self, manifest: Manifest) -> None:
        """Create it as soon as quotas let it in. Raises ApiError, UnreachableError, _StoppedError."""
        if not self._quota_is_full:
            try:
                return self._send(manifest)
            except ApiError as error:
                if not _is_quota(error):
                    raise
                self._note_quota(error)
        with self._quota:
            while not self.ending.wait(self._quota_pause):
                try:
                    self._send(manifest)
                except ApiError as error:
                    if not _is_quota(error):
                        raise
                    self._note_quota(error)
                    self._quota_pause = min(max(1.0, 2 * self._quota_pause), LONGEST_QUOTA_PAUSE)
                else:
                    self._quota_is_full, self._quota_pause = False, 0.0
                    return None
        raise _StoppedError

    def _send(self, manifest: Manifest) -> None:
        self._api.post(
            path_of(self._api, Kind(manifest.kind)),
            manifest.text,
            stop=self.ending,
            fieldManager=names.FIELD_MANAGER,
            fieldValidation="Strict",
        )

    def _note_quota(self, error: ApiError) -> None:
        self._quota_is_full = True
        with self._telling:
            told, self._quota_told = self._quota_told, True
        if not told:
            self._tell(Waiting(error.message))

    def _compare(self, manifest: Manifest, *, unclear: bool) -> Outcome | None:
        """What the object of that name is; None where it is about to go, or has just gone."""
        try:
            found = self._api.get(path_of(self._api, Kind(manifest.kind), manifest.name))
        except ClusterError as error:
            if isinstance(error, ApiError) and error.status == 404:
                return None
            self._end(error)
            return Outcome.UNKNOWN
        if "deletionTimestamp" in found["metadata"]:
            return None
        spec = spec_of(found)
        if spec == manifest.spec:
            return Outcome.CREATED if unclear else Outcome.UNCHANGED
        why = "it is there, but kgen did not make it" if spec is None else "it is there, made from another manifest"
        self._conflicts.append(Conflict(manifest.name, why, spec is not None))
        return Outcome.CONFLICT

    def _end(self, error: ClusterError) -> None:
        with self._telling:
            self._error = self._error or error
        self.ending.set()

    def _tell(self, event: Progress | Waiting) -> None:
        if self._on_event is not None:
            with self._telling:
                self._on_event(event)


def _is_conflict(error: ClusterError, reason: str) -> bool:
    return isinstance(error, ApiError) and (error.status, error.reason) == (409, reason)


def _still_going(manifest: Manifest) -> ClusterError:
    return ClusterError(f"{manifest.kind} {manifest.name} is being deleted and does not go: what are its finalizers?")


def _is_quota(error: ApiError) -> bool:
    return error.status == 403 and any(words in error.message for words in _QUOTA)


def put(
    api: Api,
    manifest: Manifest,
    *,
    on_event: Callable[[Progress | Waiting], None] | None = None,
    stop: threading.Event | None = None,
) -> str:
    """Create an object, or make it what the manifest says: ``created``, ``configured`` or ``unchanged``.

    For ConfigMaps, which may change; an object that kgen did not make is left alone. Raises ClusterError, and
    KeyboardInterrupt after Ctrl-C.
    """
    path = path_of(api, Kind(manifest.kind), manifest.name)
    for attempt in range(ATTEMPTS):
        made = create(api, [manifest], on_event=on_event, stop=stop)
        if made.created or made.unchanged:
            return "created" if made.created else "unchanged"
        if made.interrupted and (stop is None or not stop.is_set()):
            raise KeyboardInterrupt
        if not made.conflicts:
            raise made.error or ClusterError(f"{manifest.kind} {manifest.name} was not created")
        if not made.conflicts[0].is_kgens:
            raise ClusterError(f"{manifest.kind} {manifest.name} can't be created: {made.conflicts[0].why}")
        try:
            found = api.get(path)
            new = manifest.object()
            new["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]  # what was seen, no newer one
            api.put(path, new, fieldManager=names.FIELD_MANAGER, fieldValidation="Strict")
            return "configured"
        except (ApiError, UnreachableError) as error:
            is_gone = isinstance(error, ApiError) and error.status == 404
            if attempt == ATTEMPTS - 1 or not (may_pass(error) or is_gone or _is_conflict(error, "Conflict")):
                raise
            time.sleep(backoff(attempt))
    raise AssertionError("the last attempt returns or raises")
