"""Objects of one sweep, kept current by one list and one watch per kind: never a request per Job."""

from __future__ import annotations

import enum
import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from kgen.backends.kubernetes.api import Stream, backoff
from kgen.backends.kubernetes.failure import ApiError, UnreachableError, may_pass, refused
from kgen.backends.kubernetes.objects import Kind, Object, Source, list_source, path_of, sources
from kgen.errors import ClusterError
from kgen.interrupt import check_interrupt

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

WATCH_SECONDS: Final = (300, 600)
"""A watch lasts a random time between these, as those of Kubernetes' own clients do."""
IDLE_SECONDS: Final = 90.0
"""A watch without a word for so long has lost its connection: bookmarks come every minute."""
PATIENCE_SECONDS: Final = 300.0
"""How long a watch is begun again while the cluster can't be reached."""
_SHORT_SECONDS: Final = 1.0
"""A watch that brings nothing and ends so soon is not begun again at once."""
_LOOK_SECONDS: Final = 1.0
"""How often whoever waits for changes looks for a swallowed Ctrl-C."""


class Type(enum.StrEnum):
    """What happened to an object."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Change:
    """One object that is not as it was; a deleted one as it was last seen."""

    type: Type
    kind: Kind
    item: Object


class Mirror:
    """The objects of some kinds as they are now; a context manager, inside which it is kept current.

    Entering lists them. Then each kind has a watch in a thread of its own, which goes on from where it was when its
    connection breaks or its time is over, and lists anew where the server no longer knows that place.
    """

    def __init__(
        self,
        api: Api,
        selector: str,
        kinds: Iterable[Kind] = (Kind.JOB, Kind.POD),
        *,
        prefix: str = "",
        on_trouble: Callable[[str], None] | None = None,
    ) -> None:
        """``selector`` and ``prefix`` are those of ``list_objects``. ``on_trouble`` hears, from another thread and
        once per outage, why the view is not current."""
        self._news = _News()
        self._followers = [
            _Follower(api, source, self._news, on_trouble)
            for kind in kinds
            for source in sources(kind, selector, prefix)
        ]

    def __enter__(self) -> Self:
        """Raises ClusterError where something can't be listed."""
        for follower in self._followers:
            follower.relist()
        self._news.changes.clear()  # what is there at the beginning is no change
        for follower in self._followers:
            follower.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._news.closing.set()
        for follower in self._followers:
            follower.stop()

    def objects(self, kind: Kind) -> list[Object]:
        """Those that are there now. Raises ClusterError where they can't be followed any more."""
        with self._news.condition:
            self._news.check()
            return [item for follower in self._followers for item in follower.items.values() if follower.kind is kind]

    def changes(self, timeout: float | None = None) -> Sequence[Change]:
        """What changed since the last call, in order; waits for something, at most ``timeout`` seconds.

        Raises ClusterError where the objects can't be followed any more.
        """
        news = self._news
        left = float("inf") if timeout is None else timeout
        until = time.monotonic() + left
        with news.condition:
            check_interrupt()
            while left > 0 and not news.condition.wait_for(
                lambda: news.changes or news.failure, min(left, _LOOK_SECONDS)
            ):
                check_interrupt()
                left = until - time.monotonic()
            found, news.changes = news.changes, []
            if not found:
                news.check()
            return found


class _News:
    """What the followers of one mirror have for its reader."""

    def __init__(self) -> None:
        self.condition = threading.Condition()
        """Held by whoever reads or writes the changes, the failure, or a follower's items."""
        self.changes: list[Change] = []
        self.failure: Exception | None = None
        self.closing = threading.Event()

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def fail(self, error: Exception) -> None:
        with self.condition:
            self.failure = self.failure or error
            self.condition.notify_all()


class _Follower:
    """Keeps the objects of one source current."""

    def __init__(self, api: Api, source: Source, news: _News, on_trouble: Callable[[str], None] | None) -> None:
        self.kind = source.kind
        self.items: dict[str, Object] = {}
        """By name."""
        self._api = api
        self._source = source
        self._news = news
        self._on_trouble = on_trouble
        self._thread = threading.Thread(target=self._run, name=f"watch {source.kind}", daemon=True)
        self._versions: dict[str, int] = {}
        """Name → resource version of the last word about it since the list, also if it is gone."""
        self._listed = 0
        """Resource version of the list: what happened until then is in it."""
        self._position = 0
        """Resource version from which a watch goes on; 0 where only a list helps."""
        self._stream: Stream | None = None
        self._failures = 0
        """Watches in a row that could not begin, or ended at once."""
        self._failing_since: float | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when no thread is left, unless that hangs in a connection."""
        if self._stream is not None:
            self._stream.close()
        self._thread.join(timeout=5.0)

    def relist(self) -> None:
        """Replace everything by what the cluster has now. Raises ClusterError."""
        listed, version = list_source(self._api, self._source)
        found = {str(item["metadata"]["name"]): item for item in listed}
        with self._news.condition:
            for name in self.items.keys() - found.keys():
                self._put(Type.DELETED, name, self.items[name])
            for name, item in found.items():
                if name not in self.items or _version(item) != _version(self.items[name]):
                    self._put(Type.MODIFIED, name, item)
            self._versions.clear()
            self._listed = self._position = int(version)

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as error:  # noqa: BLE001  whoever reads must not wait for a thread that has ended
            self._news.fail(error)

    def _follow(self) -> None:
        while not self._news.closing.is_set():
            try:
                if self._position == 0:
                    self.relist()
                self._watch()
            except ClusterError as error:
                if isinstance(error, ApiError) and error.status == 410:
                    self._position = 0
                elif not self._bears(error):
                    raise
                self._pause()

    def _bears(self, error: ClusterError) -> bool:
        """Whether it may pass by itself; says so once."""
        if not may_pass(error):
            return False
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
            if self._on_trouble is not None and not self._news.closing.is_set():
                self._on_trouble(str(error))
        return now - self._failing_since < PATIENCE_SECONDS

    def _pause(self) -> None:
        self._news.closing.wait(backoff(self._failures))
        self._failures += 1

    def _watch(self) -> None:
        """One watch until its end. Raises ClusterError where it can't begin, or the server says that it can't go on."""
        began = time.monotonic()
        before = self._position
        stream = self._api.stream(
            path_of(self._api, self.kind),
            idle=IDLE_SECONDS,
            stop=self._news.closing,
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=self._position,
            timeoutSeconds=random.randint(*WATCH_SECONDS),
            **self._source.params,
        )
        with stream:
            self._stream = stream
            if self._news.closing.is_set():  # which came before there was a stream to close
                return
            self._failing_since = None
            try:
                for line in stream:
                    if self._news.closing.is_set():
                        return
                    self._hear(line)
            except UnreachableError:
                pass  # a connection that breaks is begun anew; only if that fails there is something to tell
        if self._position == before and time.monotonic() - began < _SHORT_SECONDS:
            self._pause()
        else:
            self._failures = 0

    def _hear(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            kind, item = event["type"], event["object"]
            if kind == "ERROR":
                code = int(item.get("code") or 500)
                body = json.dumps({"kind": "Status", **item}).encode()
                raise refused(code, {}, body, server=self._api.server, context=self._api.context)
            version = _version(item)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnreachableError(self._api.server, f"a watch was cut off: {line[:80]!r}", sent=True) from error
        with self._news.condition:
            if kind != "BOOKMARK" and self._source.wants(item):
                name = str(item["metadata"]["name"])
                if version > self._versions.get(name, self._listed):
                    self._versions[name] = version
                    self._put(Type(kind), name, self._source.named(item))
            self._position = max(self._position, version)

    def _put(self, kind: Type, name: str, item: Object) -> None:
        """Note a change against what is known, whatever the server calls it."""
        known = name in self.items
        if kind is Type.DELETED:
            if not known:
                return
            del self.items[name]
        else:
            self.items[name] = item
            kind = Type.MODIFIED if known else Type.ADDED
        self._news.changes.append(Change(kind, self.kind, item))
        self._news.condition.notify_all()


def _version(item: Object) -> int:
    """Resource versions of one kind are numbers that grow; Kubernetes has promised that since 1.35."""
    return int(item["metadata"]["resourceVersion"])
