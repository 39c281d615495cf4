"""Results in a folder, and the only code that writes there.

A file becomes visible whole or not at all: temporary name, fsync, then a link to the final name that fails if the
name is taken.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from kgen.errors import StoreError, UnreadableFileError
from kgen.names import ROW_SUFFIX, ROWS_DIR, TEMPORARY_PREFIX
from kgen.results.store import CHECK_SECONDS, RowFile, Store

_NO_HARD_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""What a link is answered with on some shared file systems."""
_PROBE_BYTES: Final = 64 * 1024
"""About a row; a full disk may still take an empty file."""


class FolderStore(Store):
    """The folder ``<results>/<sweep name>/`` of this machine, or of a volume mounted here."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def location(self) -> str:
        """The path as it was given."""
        return str(self.root)

    @property
    def address(self) -> str:
        """The absolute path."""
        return str(self.root.resolve())

    def has_rows(self) -> bool:
        """Whether the folder of row files is there. Raises StoreError."""
        folder = self.root / ROWS_DIR
        try:
            return folder.is_dir()
        except OSError as error:
            raise StoreError(f"{folder}: can't be read: {error.strerror}") from error

    def row_files(self, prefix: str = "") -> list[RowFile]:
        """Every row file, by name. Nothing there yet is an empty list; an unreadable folder is a StoreError."""
        try:
            found = [file for file in self._scan() if file.name.startswith(prefix)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.root / ROWS_DIR}: can't be listed: {error.strerror}") from error
        return sorted(found, key=lambda file: file.name)

    def _scan(self) -> Iterator[RowFile]:
        with os.scandir(self.root / ROWS_DIR) as entries:
            for entry in entries:
                if entry.name.startswith(TEMPORARY_PREFIX) or not entry.name.endswith(ROW_SUFFIX):
                    continue
                try:
                    status = entry.stat()
                except FileNotFoundError:
                    if entry.is_symlink():  # named now, so that whoever reads it says what is wrong
                        yield RowFile(entry.name, 0, 0)
                    continue  # removed since the folder was opened
                yield RowFile(entry.name, status.st_size, status.st_mtime_ns)

    def write_row_file(self, name: str, data: bytes) -> bool:
        """Publish a row file, whole, once. False if that name exists already (it is then left as it is).

        Raises StoreError when it can't be written: disk full, read-only, gone.
        """
        return self._publish(Path(ROWS_DIR, name), data, replace=False)

    def read(self, name: str) -> bytes:
        """Any file below the root. Raises UnreadableFileError when it can't be read."""
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise UnreadableFileError(f"{self.root / name}: can't be read: {error.strerror}") from error

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name below the root. Raises StoreError where this user may not look."""
        try:
            return (self.root / name).is_file()
        except PermissionError as error:
            raise StoreError(f"{self.root / name}: can't be read: {error.strerror}") from error

    def write(self, name: str, data: bytes) -> str:
        """Write a derived file, replacing an older one in one step; returns its path. Raises StoreError."""
        self._publish(Path(name), data, replace=True)
        return str(self.root / name)

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one of that name. Raises StoreError."""
        return self._publish(Path(name), data, replace=False)

    def discard(self, name: str) -> None:
        """Remove a file, if it is there. Raises StoreError."""
        try:
            (self.root / name).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self.root / name}: can't be removed: {error.strerror}") from error

    def keep_only(self, folder: str, names: Collection[str]) -> None:
        """Remove files that an earlier run left in a folder of derived ones, of the kinds that were written now.

        Raises StoreError when it can't.
        """
        kinds = {PurePosixPath(name).suffix for name in names}
        for path in (self.root / folder).glob("*"):
            if path.suffix in kinds and path.name not in names:
                try:
                    path.unlink()
                except OSError as error:
                    raise StoreError(f"{path}: can't be removed: {error.strerror}") from error

    def files(self, folder: str) -> list[str]:
        """Names of the whole files in a folder, sorted. Raises StoreError when it can't be listed."""
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted(entry.name for entry in entries if not _is_half_written(entry.name) and entry.is_file())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.root / folder}: can't be listed: {error.strerror}") from error

    def discard_files(self, folder: str, names: Collection[str]) -> None:
        """Remove files of a folder, if they are there; the folder too, if nothing whole is left in it.

        Raises StoreError.
        """
        for name in names:
            self.discard(f"{folder}/{name}")
        with contextlib.suppress(OSError):  # somebody may be about to write there
            left = list((self.root / folder).iterdir())
            if all(_is_half_written(path.name) for path in left):
                for path in left:
                    path.unlink(missing_ok=True)
                (self.root / folder).rmdir()

    def check(self, patience: float = CHECK_SECONDS) -> None:
        """Write a file beside the rows and remove it. Raises StoreError."""
        folder = self.root / ROWS_DIR
        probe = folder / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                with probe.open("xb") as file:
                    file.write(bytes(_PROBE_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{folder}: can't be written: {error.strerror}") from error

    def remove(self) -> int:
        """Remove the folder. Raises StoreError."""
        try:
            number = sum(len(files) for _, _, files in os.walk(self.root))
            shutil.rmtree(self.root)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise StoreError(f"{error.filename or self.root}: can't be removed: {error.strerror}") from error
        return number

    def _publish(self, name: Path, data: bytes, *, replace: bool) -> bool:
        target = self.root / name
        temporary = target.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                if replace:
                    temporary.replace(target)
                elif not _create(temporary, target):
                    return False
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folder(target.parent)
        except OSError as error:
            raise StoreError(f"{target}: can't be written: {error.strerror}") from error
        return True


def _is_half_written(name: str) -> bool:
    return name.startswith(TEMPORARY_PREFIX)


def _create(temporary: Path, target: Path) -> bool:
    """Give a file its final name unless that is taken."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # Names are unique per attempt, so a look first is enough where only a rename is to be had.
        if target.exists():
            return False
        temporary.rename(target)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # the file is there; some shared file systems can't sync a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
