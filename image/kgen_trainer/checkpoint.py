"""The checkpoint of one trial: a file that is there whole or not at all, and is used only by the trial it is of.

Its bytes are a line with format and SHA-256 of the rest, a line of JSON (whose it is, where it stands), and arrays of
NumPy.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kgen.names import TEMPORARY_PREFIX
from kgen.trial import Decision

FILE: Final = "kgen_trainer.checkpoint"
_TOGETHER: Final = 16
"""Files that are written at a time."""
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
        folder: Path,
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
        self._file = folder / name
        self._owner = dict(owner)
        self._every = every
        self._clock = clock
        self._resumes = resumes
        self._last = clock()

    def resume(self, restore: Callable[[Checkpoint], None]) -> None:
        """Hand the one that an earlier attempt left to ``restore``. One that can't be used, or at which that raises
        ValueError, having changed nothing, is passed over with a printed line."""
        files = self.files() if self._resumes else []
        for number, file in enumerate(files, 1):
            found, why = self.load(file)
            if found is not None:
                try:
                    restore(found)
                except ValueError as error:
                    why = str(error)
                else:
                    return
            if why:
                then = "training starts anew" if number == len(files) else "an earlier one is looked at"
                print(f"kgen_trainer: the checkpoint {file} is not used: {why}; {then}", flush=True)

    def files(self) -> Sequence[Path]:
        """Where one may lie that can be used, the best first."""
        return [self._file]

    def load(self, file: Path) -> tuple[Checkpoint | None, str]:
        """The checkpoint in a file; or why it can't be used, which is empty for one that is not there."""
        try:
            return _decode(file.read_bytes(), self._owner), ""
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            return None, f"it can't be read: {error.strerror}"
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
        try:
            _write(self._file, _encode(checkpoint, self._owner))
        except OSError as error:
            print(f"kgen_trainer: the checkpoint {self._file} can't be written: {error.strerror}", flush=True)
        self._last = self._clock()

    def remove(self) -> None:
        """Remove it and what killed attempts have left half written; the folder too, if nothing else is in it."""
        with contextlib.suppress(OSError):
            for path in [self._file, *self._file.parent.glob(f"{TEMPORARY_PREFIX}*")]:
                path.unlink(missing_ok=True)
            self._file.parent.rmdir()


def save_all(kept: Iterable[tuple[Checkpoints, Checkpoint]]) -> None:
    """Save many trials at once: nearly all the time is waiting for the disk, which can do so for many together."""
    pairs = list(kept)
    if pairs:
        with ThreadPoolExecutor(min(_TOGETHER, len(pairs))) as threads:
            list(threads.map(lambda pair: pair[0].save(pair[1]), pairs))


def _write(file: Path, data: bytes) -> None:
    temporary = file.with_name(TEMPORARY_PREFIX + uuid.uuid4().hex)
    try:
        with temporary.open("xb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


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
