"""Brings row files from where a sweep's results lie into a folder of this machine: only what is not there yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from kgen.names import ROW_SUFFIX, ROWS_DIR, TEMPORARY_PREFIX
from kgen.results.folder import FolderStore
from kgen.results.store import RowFile

_WRITERS: Final = 4
_LARGE: Final = 1 << 20
"""Bytes of a file beside which no other is held in memory."""


class Source(Protocol):
    """Results that can be read from here, near or far."""

    def row_files(self) -> Sequence[RowFile]:
        """Every row file."""

    def read_row_files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """The bytes of many, as they come; what is gone meanwhile is left out."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was brought, so far or in all."""

    files: int
    bytes: int
    wanted: int
    """Files that were not here before."""
    only_here: int = 0
    """Files of the copy that the source does not have: of a run here, or of results that were deleted there."""
    there: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    """Names of all files of the source."""

    def and_one(self, size: int, on_progress: Callable[[Fetched], None] | None) -> Fetched:
        """This and one more of that size, which is told."""
        more = replace(self, files=self.files + 1, bytes=self.bytes + size)
        if on_progress is not None:
            on_progress(more)
        return more


def fetch(source: Source, target: FolderStore, on_progress: Callable[[Fetched], None] | None = None) -> Fetched:
    """Copy the row files that the folder lacks. Each is there whole or not at all, so this can be ended anywhere and
    done again: what has been brought stays.

    Row files never change, so one of the same name and size is the same; one of another size was damaged here, and is
    replaced. Memory is needed for one file at a time, or a few small ones. Raises what the source does, and StoreError
    where the folder can't be written.
    """
    here = {file.name: file.size for file in target.row_files()}
    sizes = {file.name: file.size for file in source.row_files() if is_row_file(file.name)}
    wanted = [name for name, size in sizes.items() if here.get(name) != size]
    so_far = Fetched(0, 0, len(wanted), len(here.keys() - sizes.keys()), frozenset(sizes))
    pending: deque[Future[int]] = deque()

    def write(name: str, data: bytes) -> int:
        if name in here:
            target.write(f"{ROWS_DIR}/{name}", data)
        else:
            target.write_row_file(name, data)
        return len(data)

    with ThreadPoolExecutor(_WRITERS) as writers:  # a disk takes its time for each, and several at once
        for name, data in source.read_row_files(wanted) if wanted else ():
            pending.append(writers.submit(write, name, data))
            while len(pending) > (_WRITERS if len(data) < _LARGE else 0):
                so_far = so_far.and_one(pending.popleft().result(), on_progress)
        while pending:
            so_far = so_far.and_one(pending.popleft().result(), on_progress)
    return so_far


def is_row_file(name: str) -> bool:
    """Whether a name that comes from elsewhere is that of a row file, and of nothing outside the folder of rows.

    >>> [is_row_file(name) for name in ("abc.1.parquet", "../abc.1.parquet", ".tmp-1.parquet", "abc.txt")]
    [True, False, False, False]
    """
    return (
        name.endswith(ROW_SUFFIX)
        and not name.startswith(TEMPORARY_PREFIX)
        and name.isprintable()
        and not {"/", "\\"} & set(name)
        and len(name.encode()) <= 255
    )
