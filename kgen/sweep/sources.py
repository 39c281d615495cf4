"""The files beside a sweep file that belong to it, each read once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class Sources:
    """Reads them. ``given`` are contents that stand for files of those names, where the folder is not at hand."""

    def __init__(self, file: Path, given: Mapping[str, bytes]) -> None:
        self.file = file
        self._given = given
        self._read: dict[tuple[str, int], bytes] = {}

    def read(self, name: str, limit: int) -> bytes:
        """The content of that file, at most one byte more than the limit. Raises OSError."""
        if name in self._given:
            return self._given[name][: limit + 1]
        if (name, limit) not in self._read:
            self._read[name, limit] = read_at_most(self.file.parent / name, limit)
        return self._read[name, limit]


def read_at_most(path: Path, limit: int) -> bytes:
    """A file's bytes, one more than the limit if it is larger: devices and data sets have no end."""
    with path.open("rb") as file:
        return file.read(limit + 1)
