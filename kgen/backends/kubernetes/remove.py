"""Deleting objects: only those that were seen, not others that have taken their names since."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kgen.backends.kubernetes.api import ATTEMPTS, backoff
from kgen.backends.kubernetes.failure import ApiError, UnreachableError, may_pass
from kgen.backends.kubernetes.many import IN_FLIGHT, in_threads
from kgen.backends.kubernetes.objects import Kind, Object, list_objects, path_of
from kgen.backends.kubernetes.watch import Mirror
from kgen.errors import ClusterError, TimedOutError

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

GONE_SECONDS: Final = 120.0
"""How long what makes room for others of its name may take to go; a pod has 30 seconds to end."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What is deleted: each object that was given is named once."""

    deleted: tuple[str, ...]
    gone: tuple[str, ...]
    """Were not there any more, or another one has the name."""
    left: tuple[str, ...]
    """Not deleted, or not known to be."""
    error: ClusterError | None
    """Why it ended before everything was tried."""
    interrupted: bool


def delete(
    api: Api,
    items: Iterable[Object],
    *,
    foreground: bool = False,
    in_flight: int = IN_FLIGHT,
    on_event: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> Deleted:
    """Delete these very objects, with what belongs to them.

    ``foreground`` leaves each until its pods are gone (see :func:`wait_until_gone`); else their end is not waited for.
    ``on_event`` hears the name of each that is deleted, one at a time. ``stop`` or Ctrl-C ends it as in ``create``.
    """
    given = list(items)
    ending = threading.Event()
    telling = threading.Lock()
    outcomes: dict[str, bool] = {}
    errors: list[ClusterError] = []
    policy = "Foreground" if foreground else "Background"

    def one(item: Object) -> None:
        metadata = item["metadata"]
        options = {"propagationPolicy": policy, "preconditions": {"uid": metadata["uid"]}}
        try:
            there = _delete(api, path_of(api, Kind(item["kind"]), metadata["name"]), options, ending)
        except ClusterError as error:
            errors.append(error)
            ending.set()
            return
        outcomes[metadata["uid"]] = there
        if there and on_event is not None:
            with telling:
                on_event(metadata["name"])

    stopped = in_threads(one, given, ending=ending, in_flight=in_flight, stop=stop)

    def named(outcome: bool | None) -> tuple[str, ...]:
        return tuple(i["metadata"]["name"] for i in given if outcomes.get(i["metadata"]["uid"]) is outcome)

    left = named(None)
    return Deleted(named(True), named(False), left, errors[0] if errors else None, stopped and bool(left))


def delete_all(api: Api, kind: Kind, selector: str) -> int:
    """Delete every object of a kind that has these labels, in one request if that is allowed; returns how many.

    Raises ClusterError.
    """
    assert selector, "everything in a namespace is never meant"
    try:
        return _delete_collection(api, kind, selector)
    except ApiError as error:
        if error.status not in (403, 405):
            raise
    made = delete(api, list_objects(api, kind, selector)[0])
    if made.error is not None:
        raise made.error
    return len(made.deleted)


def _delete_collection(api: Api, kind: Kind, selector: str) -> int:
    for attempt in range(ATTEMPTS):
        try:
            answer = api.delete(path_of(api, kind), {"propagationPolicy": "Background"}, labelSelector=selector)
            return len(answer.get("items") or ())
        except (ApiError, UnreachableError) as error:
            if attempt == ATTEMPTS - 1 or not may_pass(error):
                raise
            time.sleep(backoff(attempt))
    raise AssertionError("the last attempt returns or raises")


def _delete(api: Api, path: str, options: dict[str, Any], ending: threading.Event) -> bool:
    """Whether the object was there. Raises ClusterError."""
    unclear = False  # whether an earlier attempt may have deleted it
    for attempt in range(ATTEMPTS):
        try:
            api.delete(path, options, stop=ending)
            return True
        except (ApiError, UnreachableError) as error:
            if isinstance(error, ApiError) and error.status in (404, 409):
                return unclear  # 409: the name is another object's now, as its uid says
            if attempt == ATTEMPTS - 1 or not may_pass(error) or ending.wait(backoff(attempt)):
                raise
            unclear = True
    raise AssertionError("the last attempt returns or raises")


def wait_until_gone(
    api: Api, items: Iterable[Object], selector: str, *, timeout: float, stop: threading.Event | None = None
) -> None:
    """Wait until none of these objects, which ``selector`` finds, is there any more; at most ``timeout`` seconds.

    A list and a watch, however many there are. Raises TimedOutError naming those that are left, ClusterError.
    """
    given = list(items)
    until = time.monotonic() + timeout
    for kind in {Kind(item["kind"]) for item in given}:
        uids = {item["metadata"]["uid"] for item in given if item["kind"] == kind}
        with Mirror(api, selector, [kind]) as mirror:
            while left := [i["metadata"]["name"] for i in mirror.objects(kind) if i["metadata"]["uid"] in uids]:
                remaining = until - time.monotonic()
                if remaining <= 0:
                    more = f" and {len(left) - 5:,} more" if len(left) > 5 else ""
                    raise TimedOutError(f"not gone after {timeout:g} s: {', '.join(sorted(left)[:5])}{more}")
                if stop is not None and stop.is_set():
                    return
                mirror.changes(min(remaining, 0.5 if stop is not None else remaining))
