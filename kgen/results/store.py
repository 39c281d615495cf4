"""Where a sweep's results lie: ``<results>/<sweep name>/``, in a folder or in a bucket, the same names in both."""

from __future__ import annotations

import abc
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kgen.names import ROWS_DIR

PATIENCE_SECONDS: Final = 30.0
"""How long a bucket may take to answer, where nobody says otherwise."""
CHECK_SECONDS: Final = 10.0
"""The usual patience of a check: somebody waits for it."""


@dataclass(frozen=True, slots=True)
class RowFile:
    """One row file as a listing shows it; unchanged size and time mean an unchanged file, since none is rewritten."""

    name: str
    size: int
    modified_ns: int


class Store(abc.ABC):
    """A sweep's results. A file becomes visible whole or not at all. Every method raises StoreError when the place
    can't be used, and UnreadableFileError when one file can't be read."""

    readers = 4
    """Threads that may well read row files at the same time."""

    @property
    @abc.abstractmethod
    def location(self) -> str:
        """The place as users know it: a path, ``s3://bucket/prefix/sweep`` or ``gs://…``."""

    @property
    def address(self) -> str:
        """The location as any other process of this machine finds it, whatever folder it runs in."""
        return self.location

    @abc.abstractmethod
    def row_files(self, prefix: str = "") -> list[RowFile]:
        """Every row file, by name; or those whose names begin so. Nothing there yet is an empty list."""

    def has_rows(self) -> bool:
        """Whether there may be row files: said without reading any."""
        return bool(self.row_files())

    def read_row_file(self, name: str) -> bytes:
        """The bytes of one row file."""
        return self.read(f"{ROWS_DIR}/{name}")

    def read_row_files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Many of them, as they come: names and bytes. The first that can't be read ends it."""
        for name in names:
            yield name, self.read_row_file(name)

    @abc.abstractmethod
    def write_row_file(self, name: str, data: bytes) -> bool:
        """Publish a row file, whole, once. False if that name is taken (what is there is then left as it is)."""

    @abc.abstractmethod
    def read(self, name: str) -> bytes:
        """Any file of the results."""

    @abc.abstractmethod
    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""

    @abc.abstractmethod
    def write(self, name: str, data: bytes) -> str:
        """Write a derived file, replacing an older one in one step; returns its place as users know it."""

    @abc.abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Write a file that is written once, whole. False if that name is taken (what is there is left as it is)."""

    @abc.abstractmethod
    def discard(self, name: str) -> None:
        """Remove a file; none of that name is no error."""

    @abc.abstractmethod
    def keep_only(self, folder: str, names: Collection[str]) -> None:
        """Remove files that an earlier run left in a folder of derived ones, of the kinds that were written now."""

    @abc.abstractmethod
    def files(self, folder: str) -> list[str]:
        """Names of the whole files in a folder of the results, sorted; of one that is not there: none."""

    @abc.abstractmethod
    def discard_files(self, folder: str, names: Collection[str]) -> None:
        """Remove these files of a folder; those that are not there are no error. With the last one goes the folder, and
        what was left half written in it."""

    @abc.abstractmethod
    def check(self, patience: float = CHECK_SECONDS) -> None:
        """Whether results can be written, said before any training: StoreError says why not.

        ``patience``: seconds for which a place that fails to answer is asked again.
        """

    @abc.abstractmethod
    def remove(self) -> int:
        """Remove everything of this sweep's results; returns how many files that were."""


def is_bucket(location: str) -> bool:
    """Whether that is the location of a bucket and not of a folder."""
    return location.startswith(("s3://", "gs://"))


def open_store(
    location: str | Path, *, endpoint: str = "", region: str = "", patience: float = PATIENCE_SECONDS
) -> Store:
    """The results at a place: ``s3://…`` and ``gs://…`` are buckets, all else is a folder.

    ``endpoint`` and ``region`` of a bucket are used where the environment names none; ``patience`` are the seconds for
    which it may fail to answer before that is an error. Nothing is looked at yet; but
    StoreError is raised where no bucket can be used at all: a library is missing.
    """
    if isinstance(location, str) and is_bucket(location):
        from kgen.results.bucket import BucketStore

        return BucketStore(location, endpoint=endpoint, region=region, patience=patience)
    from kgen.results.folder import FolderStore

    return FolderStore(Path(location))
