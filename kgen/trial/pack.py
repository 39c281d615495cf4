"""The trials of one pod: read from their file, those with a result left out, and how the pod ends."""

from __future__ import annotations

import collections
import itertools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from kgen import pack_message
from kgen.errors import DataError, TrialExit, UnreadableFileError
from kgen.names import ENV_TRIALS, may_hold_others
from kgen.pack_message import Failure, PackMessage
from kgen.results.rows import State, TrialRow, bytes_to_rows
from kgen.results.store import Store
from kgen.spec import TrialSpec
from kgen.trial.begun import Notebook, Noted, deaths, read_notes
from kgen.trial.channel import Start

AHEAD: Final = 8
"""Trials noted as begun before their turn, where many train together: for one note in that many beginnings."""
_PARTS: Final = 4
"""Into so many groups are those cut among which one has ended a process, each group being trained alone."""
_SAME_FOR_ALL = (TrialExit.BAD_PARAMETERS, TrialExit.NO_DATA, TrialExit.NO_DEVICE)


def read_pack(file: str) -> list[TrialSpec]:
    """The trials of a file with one per line. Raises DataError for a file that is none."""
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{ENV_TRIALS} is {file!r}: can't be read: {error}") from error
    trials: dict[str, TrialSpec] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            spec = TrialSpec.from_json(line)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file}:{number}: not a trial: {error}") from error
        trials.setdefault(spec.id, spec)
    if not trials:
        raise DataError(f"{ENV_TRIALS} is {file!r}: it holds no trial")
    return list(trials.values())


class Pack:
    """Trials of one process, what is known of each, and the code that the process ends with."""

    def __init__(self, trials: Sequence[TrialSpec]) -> None:
        self.trials = tuple(trials)
        self._done: set[str] = set()
        self._failed: dict[str, Failure] = {}
        self._given_up: set[str] = set()
        self._used: set[str] = set()
        """Names of attempts that have left row files or notes of these trials."""
        self._notes: Mapping[str, Noted] = {}
        self._deaths: collections.Counter[str] = collections.Counter()

    def look_up(self, store: Store, job: str = "") -> None:
        """Find what earlier attempts have left, those of this ``job`` above all: results, failures, notes.

        A file is read once, and one that is named after no trial of the pack only while results are missing: trials
        may have been in other company before. Raises StoreError when the place can't be used. Unreadable files are
        no results.
        """
        ids = {spec.id for spec in self.trials}
        files = [file.name for file in store.row_files()]
        own = [name for name in files if name.partition(".")[0] in ids]
        self._notes = read_notes(store, self.trials[0].id)
        self._used = {name.split(".")[1] for name in own} | self._notes.keys()
        rows = self._read(store, own)
        if self.missing:
            named = set(own)
            rows += self._read(store, [name for name in files if may_hold_others(name) and name not in named])
        self._deaths = deaths(self._notes, {(row.trial, row.attempt) for row in rows})
        for row in rows:
            noted = self._notes.get(row.attempt)
            if job and noted and noted.job == job and row.exit_code == TrialExit.BAD_PARAMETERS:
                self.note(row)
                self._given_up.add(row.trial)

    def _read(self, store: Store, files: Iterable[str]) -> list[TrialRow]:
        """Rows of these trials in those files; notes the results."""
        ids = {spec.id: spec for spec in self.trials}
        with ThreadPoolExecutor(store.readers) as readers:
            found = readers.map(lambda name: readable_rows(store, name), files)
            rows = [row for rows in found for row in rows if row.trial in ids]
        self._done.update(row.trial for row in rows if row.counts_for(ids[row.trial].objective))
        return rows

    @property
    def missing(self) -> list[TrialSpec]:
        """Trials without a result, in their order."""
        return [spec for spec in self.trials if spec.id not in self._done]

    def turns(self) -> list[list[TrialSpec]]:
        """Trials to train, in groups: the next begins when the one before has ended.

        First all that nothing speaks against. Then those that were begun when a process ended without a row of them,
        in a few groups, so that the one at fault takes fewer with it; then, alone, those that saw it more than once.
        What failed in this Job for its parameters has no turn: they are the same still.
        """
        waiting = [spec for spec in self.missing if spec.id not in self._given_up]
        first = [spec for spec in waiting if not self._deaths[spec.id]]
        second = [spec for spec in waiting if self._deaths[spec.id] == 1]
        last = [spec for spec in waiting if self._deaths[spec.id] > 1]
        size = max(1, -(-len(second) // _PARTS))
        groups = [first, *(second[start : start + size] for start in range(0, len(second), size))]
        groups += [[spec] for spec in sorted(last, key=lambda spec: self._deaths[spec.id])]
        return [group for group in groups if group]

    def notebook(self, store: Store, attempt: str, job: str) -> Notebook:
        """Where this attempt notes what it begins, beside what those before it have left undone.

        Of attempts of the same Job the names are kept in any case: what they refused is not tried again.
        """
        missing = {spec.id for spec in self.missing}
        earlier = {}
        for name, noted in self._notes.items():
            begun = tuple(trial for trial in noted.begun if trial in missing)
            if begun or noted.job == job:
                earlier[name] = Noted(noted.job, begun)
        return Notebook(store, self.trials[0].id, attempt, job, earlier)

    def free_name(self, attempt: str) -> str:
        """The attempt's name, with a number if it is taken: a container that was started again in its pod has the
        pod's name still."""
        number = 1
        while (name := attempt if number == 1 else f"{attempt}-{number}") in self._used:
            number += 1
        return name

    def note(self, row: TrialRow) -> None:
        """A row that was written."""
        if row.state is State.COMPLETE:
            self._done.add(row.trial)
        elif row.state is State.FAILED:
            self._failed[row.trial] = Failure(row.trial, row.exit_code, row.exit_reason)

    def exit_code(self, *, is_interrupted: bool) -> int:
        """0 if every trial has a result; else 143 if it was interrupted; else the failures' code, if they all have the
        same and it says whose fault it is; else 1."""
        if not self.missing:
            return TrialExit.OK
        if is_interrupted:
            return TrialExit.INTERRUPTED
        codes = {self._failed[spec.id].code if spec.id in self._failed else 1 for spec in self.missing}
        code = codes.pop() if len(codes) == 1 else TrialExit.CRASH
        return code if code in _SAME_FOR_ALL else TrialExit.CRASH

    def message(self) -> str:
        """How its trials stand, in a line for the pod's status."""
        missing = [spec.id for spec in self.missing]
        failed = tuple(self._failed[trial] for trial in missing if trial in self._failed)
        left = tuple(trial for trial in missing if trial not in self._failed)
        return pack_message.write(PackMessage(len(self._done), len(self.trials), failed, left))


class PackSource:
    """The trials of a pack, for a process that trains many at a time."""

    def __init__(self, pack: Pack, attempt: str, note: Callable[[Iterable[str]], None] = lambda begun: None) -> None:
        """``note`` gets those that are begun and have no row, before more of them begin."""
        self._pack = pack
        self._note = note
        self._groups = collections.deque(
            collections.deque(Start(spec, attempt) for spec in group) for group in pack.turns()
        )
        self._lock = threading.Lock()
        self._out: set[str] = set()
        self._started: set[str] = set()
        self._noted: set[str] = set()

    def next(self, most: int) -> Sequence[Start]:
        """The next that wait; none of the next group before all of this one have their rows."""
        with self._lock:
            if self._groups and not self._groups[0] and not self._out:
                self._groups.popleft()
            if not self._groups or not self._groups[0]:
                return []
            group = self._groups[0]
            starts = [group.popleft() for _ in range(min(most, len(group)))]
            begun = {start.trial.id for start in starts}
            self._out |= begun
            is_news = not begun <= self._noted
            if is_news:
                self._noted = self._out | {start.trial.id for start in itertools.islice(group, AHEAD)}
        if is_news:
            self._note(sorted(self._noted))
        return starts

    def started(self, trial: str) -> None:
        """For what is noted at the end."""
        with self._lock:
            self._started.add(trial)

    def note_end(self) -> None:
        """The process ends in order: of those that were noted before their turn nothing is suspected."""
        with self._lock:
            begun = self._out & self._started
            is_news = not self._noted <= self._started
        if is_news:
            self._note(sorted(begun))

    def reported(self, trial: str, step: int, metrics: Mapping[str, float]) -> None:
        """It is printed."""

    def written(self, rows: Sequence[TrialRow]) -> None:
        """For the code and the message of the end, and for who may begin."""
        for row in rows:
            self._pack.note(row)
        with self._lock:
            self._out -= {row.trial for row in rows}


def readable_rows(store: Store, name: str) -> list[TrialRow]:
    """The rows of a file; none of one that can't be read."""
    try:
        return bytes_to_rows(store.read_row_file(name))
    except (ValueError, UnreadableFileError):
        return []


def accepted_row_file(store: Store, spec: TrialSpec) -> str | None:
    """Name of a row file that is a result of this trial already, or None. Unreadable files are no results."""
    files = [file.name for file in store.row_files()]
    own = [name for name in files if name.startswith(f"{spec.id}.")]
    others = [name for name in files if may_hold_others(name) and not name.startswith(f"{spec.id}.")]
    readers = ThreadPoolExecutor(store.readers)
    try:
        for names in (own, others):
            for name, rows in zip(names, readers.map(lambda name: readable_rows(store, name), names), strict=True):
                if any(row.trial == spec.id and row.counts_for(spec.objective) for row in rows):
                    return name
    finally:
        readers.shutdown(cancel_futures=True)
    return None
