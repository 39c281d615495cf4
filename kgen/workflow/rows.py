"""What a sweep's results say of its trials, for commands that look at a cluster from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kgen.errors import StoreError
from kgen.results.store import Store, open_store
from kgen.status import UNREAD, Row, Unread
from kgen.sweep import SweepSpec, expand
from kgen.sweep.sweepspec import Scheme
from kgen.workflow.store import store_of

if TYPE_CHECKING:
    from kgen.results.read import RowCache

PATIENCE_SECONDS: Final = 5.0
"""How long a bucket may take to answer a command that can do without it."""

Rows = Mapping[str, tuple[Row, str]]
"""Trial → what the results say of it, and the image that made it."""


@dataclass(frozen=True, slots=True)
class SeenRows:
    """The rows, as far as this machine can see them."""

    rows: Rows | Unread
    trouble: str = ""
    """Why they can't be read, where they should be; empty for a claim, which only pods can reach."""


_UNREACHABLE: Final = SeenRows(UNREAD)


class RowReader:
    """Reads the rows of a sweep again and again; of those in a bucket only what is new."""

    def __init__(self, spec: SweepSpec | None, store: Store | None = None) -> None:
        """``store`` has the results where this process reaches them by another way than the sweep says."""
        self._spec = spec
        self._given = store
        self._store: Store | None = None
        self._cache: RowCache | None = None

    def store(self) -> Store | None:
        """The results, where they can be read from here at all; a bucket may fail to answer all the same."""
        if self._given is not None:
            return self._given
        if self._spec is None or self._spec.location.scheme is Scheme.PVC:
            return None
        if self._spec.location.in_bucket:
            try:
                return self._bucket(self._spec)
            except StoreError:
                return None
        folder = Path(self._spec.location.path)
        try:
            return open_store(folder) if folder.is_dir() else None
        except PermissionError:
            return None

    def read(self, known: SweepSpec | None = None) -> SeenRows:
        """The rows now, of the trials of ``known``, where more of the sweep is known than its file says.

        Raises StoreError for a folder that is there and can't be read.
        """
        spec = self._spec if known is None else known
        if spec is not None and self._given is not None:
            return SeenRows(self._observe(self._given, spec) if self._given.has_rows() else {})
        if spec is None or spec.location.scheme is Scheme.PVC:
            return _UNREACHABLE
        if spec.location.in_bucket:
            try:
                return SeenRows(self._of_bucket(spec))
            except StoreError as error:
                return SeenRows(UNREAD, f"{error}; so a finished Job counts as a result")
        folder = Path(spec.location.path)
        try:
            if not folder.is_dir():  # no trial has written yet, or the volume is not here
                return SeenRows({}) if folder.parent.is_dir() else _UNREACHABLE
        except PermissionError:
            return _UNREACHABLE
        return SeenRows(self._observe(open_store(folder), spec))

    def _bucket(self, spec: SweepSpec) -> Store:
        self._store = self._store or store_of(spec, PATIENCE_SECONDS)
        return self._store

    def _of_bucket(self, spec: SweepSpec) -> Rows:
        store = self._bucket(spec)
        if self._cache is None and not store.has_rows():
            return {}  # and pandas need not be imported
        return self._observe(store, spec)

    def _observe(self, store: Store, spec: SweepSpec) -> Rows:
        from kgen.results.collect import observe
        from kgen.results.read import RowCache

        self._cache = self._cache or RowCache()
        found = observe(store, expand(spec), self._cache)
        return {
            trial: (Row(str(row.state), row.outcome or "", row.reason, row.exit_code, row.ended), row.image)
            for trial, row in found.items()
        }


def read_rows(spec: SweepSpec | None) -> SeenRows:
    """What the results say now. Raises as :meth:`RowReader.read` does."""
    return RowReader(spec).read()
