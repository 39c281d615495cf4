"""The checkpoint of one trial: a file that is there whole or not at all, and is used only by the trial it is of.

Its bytes are a line with format and SHA-256 of the rest, a line of JSON (whose it is, where it stands), and arrays of
NumPy.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kgen.errors import StoreError
from kgen.trial import CheckpointFiles, Decision

FILE: Final = "kgen_trainer.checkpoint"
_TOGETHER: Final = 16
"""Files that are read or written at a time."""
_FORMAT: Final = b"kgen-checkpoint-2"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trial after a check, as far as the steps after it depend on it."""

    step: int
    right: int
    """Examples that were right so far, for ``running_accuracy``."""
    progress: str
    """Of :meth:`kgen.trial.Trial.progress`."""
    program: Sequence[NDArray[Any]]
    """Of :meth:`kgen_trainer.program.Program.state`, or of a trial's place among many."""
    resting: Sequence[NDArray[Any]]
    """Of :meth:`kgen_trainer.dead.DeadWatch.state`."""


class Checkpoints:
    """Where a trial keeps its checkpoint, and when it is time for the next."""

    def __init__(
        self,
        files: CheckpointFiles,
        owner: Mapping[str, str],
        every: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        resumes: bool = True,
        name: str = FILE,
    ) -> None:
        """``owner`` says whose it is: the trial, and the versions of what trains it, without which its bits would be
        others; ``every`` is the least time between two, in seconds; ``resumes``: whether one that is there is used;
        ``name``: of the file."""
        self._files = files
        self._name = name
        self._owner = dict(owner)
        self._every = every
        self._clock = clock
        self._resumes = resumes
        self._last = clock()
        self._found: Sequence[str] | None = None
        """What was there when this attempt began, once that is known."""
        self._ahead: dict[str, tuple[Checkpoint | None, str]] = {}
        """Loaded before their time."""
        self._was_written = False
        """Whether its file may be of this attempt."""
        self._is_kept = False
        """Whether its file is surely of this attempt."""

    def look(self) -> None:
        """Load what :meth:`resume` takes first, so that many trials wait for it together."""
        for name in self._to_resume()[:1]:
            self._ahead[name] = self.load(name)

    def resume(self, restore: Callable[[Checkpoint], None]) -> None:
        """Hand the one that an earlier attempt left to ``restore``. One that can't be used, or at which that raises
        ValueError, having changed nothing, is passed over with a printed line."""
        names = self._to_resume()
        for number, name in enumerate(names, 1):
            found, why = self._ahead.pop(name) if name in self._ahead else self.load(name)
            if found is not None:
                try:
                    restore(found)
                except ValueError as error:
                    why = str(error)
                else:
                    return
            if why:
                then = "training starts anew" if number == len(names) else "an earlier one is looked at"
                print(f"kgen_trainer: the checkpoint {self._files.place(name)} is not used: {why}; {then}", flush=True)

    def _to_resume(self) -> Sequence[str]:
        if not self._resumes:
            return []
        try:
            return self.candidates()
        except StoreError as error:
            print(f"kgen_trainer: no checkpoint is used: {error}; training starts anew", flush=True)
            return []

    def candidates(self) -> Sequence[str]:
        """Names of the files that can be gone on from, the best first. Raises StoreError."""
        return [self._name] if self._name in self.found() else []

    def found(self) -> Sequence[str]:
        """Names of all files that were there when this was asked first. Raises StoreError."""
        if self._found is None:
            self._found = self._files.names()
        return self._found

    def load(self, name: str) -> tuple[Checkpoint | None, str]:
        """The checkpoint in a file; or why it can't be used, empty where that needs no words."""
        try:
            return _decode(self._files.read(name), self._owner), ""
        except StoreError as error:
            return None, f"it {str(error).removeprefix(f'{self._files.place(name)}: ')}"
        except ValueError as error:
            return None, str(error)

    def wants(self, decision: Decision, *, is_dead: bool) -> bool:
        """Whether a trial should be saved after the report that got this answer.

        An interrupted check that has found the network dead is not kept: a retry must find it at the same step.
        """
        return not is_dead and (decision.interrupted or (not decision.stop and self.due))

    @property
    def due(self) -> bool:
        """Whether the last one is old enough."""
        return self._clock() - self._last >= self._every

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the file in one step. One that can't be written is a printed line: the trial itself goes on."""
        self._was_written = True
        try:
            self._files.write(self._name, _encode(checkpoint, self._owner))
            self._is_kept = True
        except StoreError as error:
            print(f"kgen_trainer: no checkpoint is kept: {error}", flush=True)
        self._last = self._clock()

    def remove(self) -> None:
        """Remove it: the result is written, and nobody goes on from here."""
        with contextlib.suppress(StoreError):
            self._files.remove(*self.to_remove())

    def to_remove(self) -> Sequence[str]:
        """Names of the files that nobody needs once the result is written. Raises StoreError."""
        return [self._name] if self._was_written or self._name in self.found() else []


def look_all(checkpoints: Iterable[Checkpoints]) -> None:
    """:meth:`Checkpoints.look` of many at once: nearly all the time is waiting for the disk or the bucket."""
    listed = list(checkpoints)
    if listed:
        with ThreadPoolExecutor(min(_TOGETHER, len(listed))) as threads:
            list(threads.map(Checkpoints.look, listed))


def save_all(kept: Iterable[tuple[Checkpoints, Checkpoint]]) -> None:
    """Save many trials at once, likewise."""
    pairs = list(kept)
    if pairs:
        with ThreadPoolExecutor(min(_TOGETHER, len(pairs))) as threads:
            list(threads.map(lambda pair: pair[0].save(pair[1]), pairs))


def _encode(checkpoint: Checkpoint, owner: Mapping[str, str]) -> bytes:
    head = {
        "owner": dict(owner),
        "step": checkpoint.step,
        "right": checkpoint.right,
        "progress": checkpoint.progress,
        "arrays": [len(checkpoint.program), len(checkpoint.resting)],
    }
    body = io.BytesIO()
    body.write(json.dumps(head).encode() + b"\n")
    for array in (*checkpoint.program, *checkpoint.resting):
        np.save(body, array, allow_pickle=False)
    data = body.getvalue()
    return b"%s %s\n%s" % (_FORMAT, hashlib.sha256(data).hexdigest().encode(), data)


def _decode(data: bytes, owner: Mapping[str, str]) -> Checkpoint:
    """Raises ValueError for what is damaged or somebody else's."""
    first, _, body = data.partition(b"\n")
    kind, _, digest = first.partition(b" ")
    if kind != _FORMAT:
        raise ValueError("it is of another format")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("it is damaged")
    line, _, arrays = body.partition(b"\n")
    head = json.loads(line)
    others = [f"{name} {head['owner'].get(name)}" for name in owner if head["owner"].get(name) != owner[name]]
    if others:
        raise ValueError(f"it is of {', '.join(others)}")
    read = _arrays(io.BytesIO(arrays))
    program, resting = ([next(read) for _ in range(count)] for count in head["arrays"])
    return Checkpoint(head["step"], head["right"], head["progress"], program, resting)


def _arrays(body: io.BytesIO) -> Iterator[NDArray[Any]]:
    while True:
        yield np.load(body, allow_pickle=False)
