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
    from kgen.results.collect import RowCache

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

    def __init__(self, spec: SweepSpec | None) -> None:
        self._spec = spec
        self._store: Store | None = None
        self._cache: RowCache | None = None

    def read(self) -> SeenRows:
        """The rows now. Raises StoreError for a folder that is there and can't be read."""
        if self._spec is None or self._spec.location.scheme is Scheme.PVC:
            return _UNREACHABLE
        if self._spec.location.in_bucket:
            try:
                return SeenRows(self._of_bucket(self._spec))
            except StoreError as error:
                return SeenRows(UNREAD, f"{error}; so a finished Job counts as a result")
        folder = Path(self._spec.location.path)
        try:
            if not folder.is_dir():  # no trial has written yet, or the volume is not here
                return SeenRows({}) if folder.parent.is_dir() else _UNREACHABLE
        except PermissionError:
            return _UNREACHABLE
        return SeenRows(self._observe(open_store(folder), self._spec))

    def _of_bucket(self, spec: SweepSpec) -> Rows:
        if self._store is None:
            self._store = store_of(spec, PATIENCE_SECONDS)
        if self._cache is None and not self._store.has_rows():
            return {}  # and pandas need not be imported
        return self._observe(self._store, spec)

    def _observe(self, store: Store, spec: SweepSpec) -> Rows:
        from kgen.results.collect import RowCache, observe

        self._cache = self._cache or RowCache()
        found = observe(store, expand(spec), spec.objective, self._cache)
        return {
            trial: (Row(str(row.state), row.outcome or "", row.reason, row.exit_code, row.ended), row.image)
            for trial, row in found.items()
        }


def read_rows(spec: SweepSpec | None) -> SeenRows:
    """What the results say now. Raises as :meth:`RowReader.read` does."""
    return RowReader(spec).read()
