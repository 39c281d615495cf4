"""What each attempt of a pack has begun, noted beside the rows before it begins.

A trial that takes its process with it leaves no row. The next attempt sees here which it may have been, and trains
those last; else it would meet the same one first, and the others would never have their turn. Whoever has a row is
cleared by it, so nothing has to be removed. A note is a hint: one that is lost costs time and no result.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kgen.errors import StoreError, UnreadableFileError
from kgen.names import begun_file
from kgen.results.store import Store
from kgen.trial.output import complain

PATIENCE_SECONDS: Final = 5.0
"""How long a bucket may fail to take a note: training waits for it."""


@dataclass(frozen=True, slots=True)
class Noted:
    """One attempt."""

    job: str
    """UID of its Job; empty outside a cluster."""
    begun: tuple[str, ...]
    """Trials that it has begun, or was about to, and that had no row of it then."""


def read_notes(store: Store, first_trial: str) -> dict[str, Noted]:
    """The attempts of the pack whose first trial that is, by name; of a damaged file none. Raises StoreError."""
    try:
        found = json.loads(store.read(begun_file(first_trial)))
        return {str(name): _noted(attempt) for name, attempt in found["attempts"].items()}
    except UnreadableFileError:
        return {}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}


def _noted(attempt: Mapping[str, Any]) -> Noted:
    return Noted(str(attempt["job"]), tuple(map(str, attempt["begun"])))


def deaths(notes: Mapping[str, Noted], rows: Collection[tuple[str, str]]) -> Counter[str]:
    """In how many attempts a trial was begun and left no row; ``rows``: trials and attempts of those that there are."""
    return Counter(trial for name, attempt in notes.items() for trial in attempt.begun if (trial, name) not in rows)


class Notebook:
    """Writes what one attempt begins, with what is known of those before it."""

    def __init__(self, store: Store, first_trial: str, attempt: str, job: str, earlier: Mapping[str, Noted]) -> None:
        self._store = store
        self._file = begun_file(first_trial)
        self._attempt = attempt
        self._job = job
        self._earlier = dict(earlier)
        self._has_complained = False

    def note(self, begun: Iterable[str]) -> None:
        """These are begun now and have no row; those noted before have one by now, or are named again."""
        attempts = {**self._earlier, self._attempt: Noted(self._job, tuple(begun))}
        told = {name: {"job": each.job, "begun": each.begun} for name, each in attempts.items()}
        try:
            self._store.write(self._file, json.dumps({"attempts": told}).encode())
        except StoreError as error:
            if not self._has_complained:
                complain(f"kgen: what begins can't be noted: {error}\n")
            self._has_complained = True
