"""Results in a bucket of S3 or Google Cloud Storage, and the only code that writes there.

A file is one PUT, so it becomes visible whole or not at all; a row file's PUT says that the name must be free.
"""

from __future__ import annotations

import contextlib
import itertools
import mimetypes
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kgen.errors import StoreError, UnreadableFileError
from kgen.names import ROW_SUFFIX, ROWS_DIR, TEMPORARY_PREFIX
from kgen.results.bucket_access import Access
from kgen.results.bucket_failure import Failure, failure_of
from kgen.results.store import CHECK_SECONDS, PATIENCE_SECONDS, RowFile, Store

if TYPE_CHECKING:
    from obstore.store import GCSStore, S3Store

    Client = S3Store | GCSStore

T = TypeVar("T")

_CHECK_SECONDS: Final = 5.0
"""For one of the requests of :meth:`BucketStore.check`."""
_LIST_SECONDS: Final = 10.0
_GET_SECONDS: Final = 30.0
_PUT_SECONDS: Final = 120.0
"""A request that takes longer is given up and sent again."""
_PAUSES: Final = (0.1, 0.3, 1.0, 2.0, 5.0, 10.0)
"""Seconds between two tries; the last one again and again."""
_READERS: Final = 16
_BATCH: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class BucketStore(Store):
    """The objects below ``s3://bucket/prefix/<sweep name>/`` or ``gs://…``."""

    readers = _READERS

    def __init__(
        self, location: str, *, endpoint: str = "", region: str = "", patience: float = PATIENCE_SECONDS
    ) -> None:
        """``patience``: seconds for which a request is sent again while the bucket fails to answer as it should."""
        try:
            import obstore
        except ImportError:
            raise StoreError(f"{location}: results in a bucket need obstore: pip install obstore") from None
        self._obstore: Any = obstore
        self._location = location.rstrip("/")
        self._patience = patience
        self._access = Access(self._location, endpoint=endpoint, region=region)

    @property
    def location(self) -> str:
        """``s3://bucket/prefix/sweep`` or ``gs://…``."""
        return self._location

    def row_files(self, prefix: str = "") -> list[RowFile]:
        """Every row file, by name; one request for a thousand. Raises StoreError."""
        return self._try(f"{ROWS_DIR}/", "listed", lambda client: self._list_rows(client, prefix), _LIST_SECONDS)

    def _list_rows(self, client: Client, prefix: str) -> list[RowFile]:
        return sorted(self._find_rows(client, prefix), key=lambda file: file.name)

    def has_rows(self) -> bool:
        """Whether there is a row file: the listing ends with the first. Raises StoreError."""
        first = self._try(f"{ROWS_DIR}/", "listed", lambda client: next(self._find_rows(client), None), _LIST_SECONDS)
        return first is not None

    def _find_rows(self, client: Client, prefix: str = "") -> Iterator[RowFile]:
        offset = f"{ROWS_DIR}/{prefix}" if prefix else None  # the one way to begin within a folder
        for item in itertools.chain.from_iterable(self._obstore.list(client, ROWS_DIR, offset=offset)):
            name = str(item["path"]).removeprefix(f"{ROWS_DIR}/")
            if not name.startswith(prefix):
                continue  # not every service knows where a listing shall begin, or lists in order
            if "/" not in name and name.endswith(ROW_SUFFIX) and not name.startswith(TEMPORARY_PREFIX):
                modified = (item["last_modified"] - _EPOCH) // timedelta(microseconds=1) * 1000
                yield RowFile(name, item["size"], modified)

    def read_row_files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Many of them, several at a time, in the order of the names. The first that can't be read ends it."""
        rest = iter(names)
        with ThreadPoolExecutor(_READERS) as readers:
            while batch := list(itertools.islice(rest, _BATCH)):
                yield from zip(batch, readers.map(self.read_row_file, batch), strict=True)

    def write_row_file(self, name: str, data: bytes) -> bool:
        """Publish a row file, whole, once. False if that name exists already (it is then left as it is).

        Tries for as long as the store's patience is, whatever the trouble: training went into it. A row of which the
        answer was lost counts as written. Raises StoreError.
        """
        return self._create(f"{ROWS_DIR}/{name}", data, on_trouble=self._tell)

    def _create(self, path: str, data: bytes, on_trouble: Callable[[Failure], None] | None = None) -> bool:
        def put(client: Client) -> bool:
            from obstore.exceptions import AlreadyExistsError, PreconditionError

            try:
                self._obstore.put(client, path, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError) as taken:
                try:
                    return bytes(self._obstore.get(client, path).bytes()) == data
                except FileNotFoundError:  # S3 says so, too, while another writer of the name is at it
                    raise taken from None
            return True

        return self._try(path, "written", put, _PUT_SECONDS, on_trouble=on_trouble)

    def _tell(self, failure: Failure) -> None:
        """Whoever looks at a trial that seems to hang should know what it waits for."""
        print(f"kgen: the row can't be written yet: {failure.words}", file=sys.stderr, flush=True)

    def read(self, name: str) -> bytes:
        """Any object of the results. Raises UnreadableFileError where there is none, else StoreError."""
        return self._try(name, "read", lambda client: bytes(self._obstore.get(client, name).bytes()), _GET_SECONDS)

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name. Raises StoreError."""
        try:
            self._try(name, "read", lambda client: self._obstore.head(client, name), _LIST_SECONDS)
        except UnreadableFileError:
            return False
        return True

    def write(self, name: str, data: bytes) -> str:
        """Write a derived object, replacing an older one in one step; returns its URL. Raises StoreError."""
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        attributes = {"Content-Type": kind}  # so that a browser shows the page that it opens from the bucket
        self._try(
            name,
            "written",
            lambda client: self._obstore.put(client, name, data, attributes=attributes, use_multipart=False),
            _PUT_SECONDS,
        )
        return f"{self._location}/{name}"

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless there is one of that name; one with the same bytes counts as written.

        Raises StoreError.
        """
        return self._create(name, data)

    def discard(self, name: str) -> None:
        """Remove an object, if it is there. Raises StoreError."""
        self._delete(name, [name])

    def keep_only(self, folder: str, names: Collection[str]) -> None:
        """Remove objects that an earlier run left in a folder of derived ones, of the kinds that were written now.

        Raises StoreError.
        """
        kinds = {PurePosixPath(name).suffix for name in names}
        self.discard_files(
            folder, [name for name in self.files(folder) if PurePosixPath(name).suffix in kinds and name not in names]
        )

    def files(self, folder: str) -> list[str]:
        """Names of the objects right below a folder, sorted. Raises StoreError."""
        found = self._try(
            f"{folder}/",
            "listed",
            lambda client: self._obstore.list_with_delimiter(client, folder)["objects"],
            _LIST_SECONDS,
        )
        return sorted(PurePosixPath(item["path"]).name for item in found)

    def discard_files(self, folder: str, names: Collection[str]) -> None:
        """Remove objects of a folder, if they are there. Raises StoreError."""
        if names:
            self._delete(f"{folder}/", [f"{folder}/{name}" for name in names])

    def check(self, patience: float = CHECK_SECONDS) -> None:
        """List, write, read and remove an object beside the rows; each request takes five seconds at the most.

        What may pass is tried again for as long as ``patience`` is, what can't ends it at once. Raises StoreError.
        """
        until = time.monotonic() + min(patience, self._patience)
        seconds = min(_CHECK_SECONDS, self._patience)
        name = f"{ROWS_DIR}/{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
        data = name.encode()

        def put(client: Client) -> None:
            from obstore.exceptions import AlreadyExistsError, PreconditionError

            # As a row is written, for not every service takes that; another try may find what the first has written.
            with contextlib.suppress(AlreadyExistsError, PreconditionError):
                self._obstore.put(client, name, data, mode="create", use_multipart=False)

        def get(client: Client) -> bytes:
            return bytes(self._obstore.get(client, name).bytes())

        self._try("", "listed", lambda client: next(self._find_rows(client), None), seconds, until=until)
        self._try("", "written", put, seconds, until=until)
        read = self._try("", "read", get, seconds, until=until)
        with contextlib.suppress(StoreError):  # a trial can do without that right
            self._try("", "removed", lambda client: self._obstore.delete(client, name), seconds, until=until)
        if read != data:
            raise StoreError(f"{self._location}: can't be used: what was written there is read otherwise")

    def remove(self) -> int:
        """Remove every object of the sweep. Raises StoreError."""
        found = self._try("", "listed", lambda client: self._obstore.list(client).collect(), _LIST_SECONDS)
        paths = [str(item["path"]) for item in found]
        for i in range(0, len(paths), _BATCH):
            self._delete("", paths[i : i + _BATCH])
        return len(paths)

    def _delete(self, what: str, paths: list[str]) -> None:
        def remove(path: str) -> None:
            def delete(client: Client) -> None:
                with contextlib.suppress(FileNotFoundError):  # by an earlier try, or somebody else
                    self._obstore.delete(client, path)

            self._try(what, "removed", delete, _LIST_SECONDS)

        with ThreadPoolExecutor(_READERS) as removers:
            list(removers.map(remove, paths))

    def _try(
        self,
        name: str,
        verb: str,
        act: Callable[[Client], T],
        seconds: float,
        *,
        until: float | None = None,
        on_trouble: Callable[[Failure], None] | None = None,
    ) -> T:
        """Do something with a client until it succeeds, or can't, or patience ends.

        With ``on_trouble`` also what can't succeed by itself is tried to the end; it is told once.
        """
        until = time.monotonic() + self._patience if until is None else until
        number = 0
        while True:
            try:
                return act(self._access.client(min(seconds, self._patience)))
            except Exception as error:  # noqa: BLE001  obstore's own kinds, OSError, ValueError: all are put into words
                failure = failure_of(error, self._access, reading=verb == "read")
            pause = _PAUSES[min(number, len(_PAUSES) - 1)]
            hopeless = failure.no_object or (failure.lasting and on_trouble is None)
            if hopeless or time.monotonic() + pause >= until:
                kind = UnreadableFileError if failure.no_object else StoreError
                place = f"{self._location}/{name}".rstrip("/")
                raise kind(f"{place}: can't be {verb}: {failure.words}")
            if number == 0 and on_trouble is not None:
                on_trouble(failure)
            elif number == 0 and until - time.monotonic() > CHECK_SECONDS:  # somebody would wonder what it waits for
                print(f"kgen: {self._location} can't be {verb} yet: {failure.words}", file=sys.stderr, flush=True)
            time.sleep(pause)
            number += 1
