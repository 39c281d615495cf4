"""Rows of trials that end close together, written into one file by a thread of its own.

A row waits for seven more, or two seconds, whichever is shorter. The thread keeps that promise whatever the trainer
does, which may compute for a minute without a word to kgen; and a bucket that takes its time stalls no training: what
ends meanwhile is in the next file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from kgen.errors import UnreadableFileError
from kgen.names import pack_row_file
from kgen.results.rows import TrialRow, bytes_to_rows, rows_to_bytes
from kgen.results.store import Store

ROWS: Final = 8
"""So many rows wait for nothing."""
SECONDS: Final = 2.0
"""Nor does one that has waited for so long."""


class RowBatch:
    """Takes rows and publishes them; a row is in exactly one file."""

    def __init__(
        self,
        store: Store,
        *,
        on_written: Callable[[Sequence[TrialRow]], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """Both are called on the writing thread: with the rows of a file that is there now, in its order, or with the
        error for which no row can be written any more (StoreError, or a bug)."""
        self._store = store
        self._on_written = on_written
        self._on_failure = on_failure
        self._changed = threading.Condition()
        self._waiting: list[TrialRow] = []
        self._oldest = 0.0
        self._hurried = 0
        self._is_writing = False
        self._files = 0
        self._thread: threading.Thread | None = None

    def add(self, rows: Sequence[TrialRow]) -> None:
        """More rows, those given together for one file; returns at once."""
        with self._changed:
            if not self._waiting:
                self._oldest = time.monotonic()
            self._waiting += rows
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_all, name="kgen rows", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self) -> None:
        """Return when every row added so far is written, and ``on_written`` has heard of it."""
        with self._changed:
            self._hurried += 1
            self._changed.notify_all()
            try:
                self._changed.wait_for(lambda: not self._waiting and not self._is_writing)
            finally:
                self._hurried -= 1

    def _write_all(self) -> None:
        try:
            while True:
                with self._changed:
                    while (wait := self._time_left()) is None or wait > 0:
                        self._changed.wait(wait)
                    rows, self._waiting = self._waiting, []
                    self._is_writing = True
                self._write(rows)
                self._on_written(rows)
                with self._changed:
                    self._is_writing = False
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001  a thread that ends in silence would let its process wait for ever
            self._on_failure(error)

    def _time_left(self) -> float | None:
        """Seconds until the next file is due; None while no row waits."""
        if not self._waiting:
            return None
        if self._hurried or len(self._waiting) >= ROWS:
            return 0.0
        return self._oldest + SECONDS - time.monotonic()

    def _write(self, rows: Sequence[TrialRow]) -> None:
        data = rows_to_bytes(rows)
        while True:
            self._files += 1
            if self._store.write_row_file(pack_row_file(rows[0].trial, rows[0].attempt, self._files), data):
                return


def rows_left_behind(store: Store, attempts: Mapping[str, str]) -> list[TrialRow]:
    """Rows of attempts, by trial, that a fused worker wrote before it went without a word of them.

    Each stands in a file that is named after one of these trials (see :mod:`kgen.trial.channel`), so only those are
    read. Raises StoreError.
    """
    found: dict[str, TrialRow] = {}
    for file in store.row_files():
        trial, attempt, *_ = file.name.split(".")
        if attempts.get(trial) != attempt:
            continue
        try:
            rows = bytes_to_rows(store.read_row_file(file.name))
        except (ValueError, UnreadableFileError):
            continue
        found.update({row.trial: row for row in rows if attempts.get(row.trial) == row.attempt})
    return list(found.values())
