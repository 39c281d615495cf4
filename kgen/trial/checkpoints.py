"""Files of a trial that outlast its attempt, wherever its results lie: in a folder or in a bucket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kgen.results.store import Store, open_store


class CheckpointFiles:
    """Files by name, each there whole or not at all: the same for all attempts of a trial, and for all trials of its
    lineage.

    Nothing is looked at before the first call. Every method raises StoreError (:mod:`kgen.errors`) where the place
    can't be used.
    """

    def __init__(self, store: Callable[[], Store], folder: str) -> None:
        """``store`` opens the place; ``folder`` is where they lie in it."""
        self._open = store
        self._folder = folder
        self._opened: Store | None = None

    @classmethod
    def in_folder(cls, folder: Path) -> CheckpointFiles:
        """Those in a folder of this machine."""
        return cls(lambda: open_store(folder.parent), folder.name)

    def place(self, name: str) -> str:
        """Where a file lies, as users know it: a path or a URL."""
        return f"{self._store.location}/{self._folder}/{name}"

    def names(self) -> list[str]:
        """Of all that are there, sorted."""
        return self._store.files(self._folder)

    def read(self, name: str) -> bytes:
        """The bytes of one; UnreadableFileError, a StoreError, where there is none."""
        return self._store.read(f"{self._folder}/{name}")

    def write(self, name: str, data: bytes) -> None:
        """Keep these bytes, in place of those that were there."""
        self._store.write(f"{self._folder}/{name}", data)

    def remove(self, *names: str) -> None:
        """Remove these; those that are not there are no error."""
        self._store.discard_files(self._folder, names)

    @property
    def _store(self) -> Store:
        if self._opened is None:
            self._opened = self._open()
        return self._opened
