"""Results in a claim, read from outside the cluster: a short-lived pod mounts it, and a program in it is asked.

What comes is checked, and a connection that breaks costs only the file that was on its way.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from kgen.backends.kubernetes.api import backoff
from kgen.backends.kubernetes.exec import EndedError, Exec, run
from kgen.backends.kubernetes.failure import ApiError, lacks_right, may_pass
from kgen.backends.kubernetes.fetch_pod import RIGHTS, FetchPod, OnEvent
from kgen.errors import ClusterError, StoreError
from kgen.results.store import RowFile
from kgen.sweep import SweepSpec

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

BATCH_FILES: Final = 500
BATCH_BYTES: Final = 64 << 20
"""So much is asked for at a time at most, but for a file that is larger."""
RESUMES: Final = 5
"""How often the conversation is begun again without one more whole file before an error stands."""

Answer = TypeVar("Answer")


class DamagedError(ClusterError):
    """A file did not come as it left."""


class Claim:
    """A sweep's results in a claim; a context manager, whose pod is there from the first question to its end.

    Every method raises ClusterError where the cluster does not let it, StoreError where the volume can't be read.
    """

    def __init__(
        self,
        api: Api,
        spec: SweepSpec,
        *,
        image: str = "",
        writable: bool = False,
        on_event: OnEvent = lambda _: None,
    ) -> None:
        """``image`` needs a ``python``; by default it is the trainer's. ``writable`` is needed to remove."""
        self.location = str(spec.location)
        self._api = api
        self._pod = FetchPod(api, spec, image=image, writable=writable, on_event=on_event)
        self._on_event = on_event
        self._program: Exec | None = None
        self._sizes: dict[str, int] = {}

    def row_files(self, prefix: str = "") -> list[RowFile]:
        """Every row file, by name; or those whose names begin so."""
        if not self._pod.claim_has_volume():
            return []
        found = self._ask(lambda program: _listing(program, prefix))
        self._sizes.update({file.name: file.size for file in found})
        return sorted(found, key=lambda file: file.name)

    def read_row_files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Their bytes, as they come; those that are gone are left out."""
        left = dict.fromkeys(names)
        failures = 0
        try:
            while left:
                try:
                    for name, data in _files(self._running(), self._batch(left)):
                        del left[name]
                        failures = 0
                        if data is not None:
                            yield name, data
                except ClusterError as error:
                    failures += 1
                    self._go_on_after(error, failures)
        except BaseException:  # the rest of an answer is on its way
            self._hang_up()
            raise

    def find(self, name: str) -> bytes | None:
        """Any file of the results; None where there is none of that name."""
        return self._ask(lambda program: _found(program, name)) if self._pod.claim_has_volume() else None

    def remove(self) -> int:
        """Remove everything of this sweep's results; returns how many files that were."""
        return self._ask(_removing) if self._pod.claim_has_volume() else 0

    def _ask(self, question: Callable[[Exec], Answer]) -> Answer:
        for failures in range(1, RESUMES + 2):
            try:
                return question(self._running())
            except ClusterError as error:
                self._go_on_after(error, failures)
        raise AssertionError("the last failure is raised")

    def _running(self) -> Exec:
        if self._program is None:
            pod = self._pod.ensure()
            try:
                self._program = run(self._api, pod, self._pod.container, self._pod.command)
            except ApiError as error:
                if lacks_right(error):
                    raise ClusterError(f"{error}, {RIGHTS}") from error
                if error.status in (400, 404):  # the pod is gone, or not quite there
                    raise EndedError(str(error)) from error
                raise
        return self._program

    def _go_on_after(self, error: ClusterError, failures: int) -> None:
        """Raises it unless the next attempt may do better."""
        self._hang_up()
        if failures > RESUMES or not (may_pass(error) or isinstance(error, EndedError | DamagedError)):
            raise error
        self._on_event(f"{error}; going on")
        time.sleep(backoff(failures - 1))

    def _hang_up(self) -> None:
        if self._program is not None:
            self._program.close()
            self._program = None

    def _batch(self, left: Iterable[str]) -> list[str]:
        chosen: list[str] = []
        size = 0
        for name in left:
            size += self._sizes.get(name, 0)
            if chosen and (size > BATCH_BYTES or len(chosen) == BATCH_FILES):
                break
            chosen.append(name)
        return chosen

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._hang_up()
        self._pod.remove()


def _answer(program: Exec, *shape: type) -> list[Any]:
    """A line of what it says: a list of values of these types, or an empty one. Raises StoreError with what it can't
    do."""
    said = program.read_line()
    try:
        answer = json.loads(said)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        raise StoreError(f"the claim can't be used: {answer.get('error')}")
    if not isinstance(answer, list) or (answer and [type(each) for each in answer] != list(shape)):
        raise DamagedError(f"the pod that reads the claim said {said[:80]!r}")
    return answer


def _request(program: Exec, *words: str) -> None:
    program.send(json.dumps(words).encode() + b"\n")


def _listing(program: Exec, prefix: str) -> list[RowFile]:
    _request(program, "list", prefix)
    found = []
    while answer := _answer(program, str, int, int):
        found.append(RowFile(*answer))
    return found


def _files(program: Exec, names: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
    """Each of them, None for one that is gone."""
    _request(program, "get", *names)
    for name in names:
        yield name, _given(program, name)


def _found(program: Exec, name: str) -> bytes | None:
    _request(program, "find", name)
    return _given(program, name)


def _given(program: Exec, name: str) -> bytes | None:
    """One file as it was sent; None if it is not there."""
    said, size = _answer(program, str, int) or ("nothing", 0)
    if said != name:
        raise DamagedError(f"the pod that reads the claim sent {said!r} instead of {name}")
    return None if size < 0 else _whole(program, name, size)


def _whole(program: Exec, name: str, size: int) -> bytes:
    digest, data = hashlib.sha256(), io.BytesIO()
    for piece in program.read(size):
        digest.update(piece)
        data.write(piece)
    if program.read_line().decode(errors="replace") != digest.hexdigest():
        raise DamagedError(f"{name} came damaged")
    return data.getvalue()


def _removing(program: Exec) -> int:
    _request(program, "remove")
    while True:
        number, is_all = _answer(program, int, bool) or (0, False)
        if is_all:
            return int(number)
