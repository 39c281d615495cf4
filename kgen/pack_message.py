"""What the process of a pack leaves in its pod when it ends: which of its trials have a result, which failed and why.

For whoever can't read the results: with a claim, the pod is all that tells about its trials from outside the cluster.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kgen.names import TRIAL_ID_LENGTH

LIMIT: Final = 4096
"""Bytes of a container's termination message that Kubernetes keeps."""
_REASON_LENGTHS: Final = (300, 120, 60, 30, 15, 0)
"""Characters of a reason, the first with which everything fits into the message."""
_ID: Final = rf"[a-z2-7]{{{TRIAL_ID_LENGTH}}}"
_MESSAGE: Final = re.compile(r"kgen: (\d{1,9}) of (\d{1,9}) trials have a result(?:; (.*))?")
_FAILED: Final = re.compile(rf"(?:failed: )?({_ID}) \((\d{{1,9}})\)(?: (.*))?")
_LEFT: Final = re.compile(rf"not ended: ({_ID}(?:, {_ID})*)")
_SPACE: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Failure:
    """A trial of a pack that failed, and has no result."""

    trial: str
    code: int
    """What its process would have ended with, had it been alone (:class:`kgen.errors.TrialExit`)."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PackMessage:
    """How the trials of a pack stand when its process ends."""

    results: int
    """How many have a result."""
    trials: int
    failed: tuple[Failure, ...] = ()
    left: tuple[str, ...] = ()
    """Neither failed nor with a result: interrupted, or never begun."""

    @property
    def names_all(self) -> bool:
        """Whether every trial without a result is named; else the message was too short for them."""
        return self.results + len(self.failed) + len(self.left) == self.trials

    def has_result(self, trial: str) -> bool:
        """Whether that trial of the pack surely has a result."""
        return self.names_all and self.failure(trial) is None and trial not in self.left

    def failure(self, trial: str) -> Failure | None:
        """How that trial failed, if it is known to have."""
        return next((each for each in self.failed if each.trial == trial), None)


def write(message: PackMessage) -> str:
    """One line of at most :data:`LIMIT` bytes; what does not fit loses its reasons first, then names of trials.

    >>> write(PackMessage(14, 16, (Failure("aaaaaaaaaa", 64, "no such optimizer"),), ("bbbbbbbbbb",)))
    'kgen: 14 of 16 trials have a result; failed: aaaaaaaaaa (64) no such optimizer; not ended: bbbbbbbbbb'
    """
    failed, left = list(message.failed), list(message.left)
    for length in _REASON_LENGTHS:
        if _fits(text := _text(message, failed, left, length)):
            return text
    while not _fits(text := _text(message, failed, left, 0)):
        (left or failed).pop()
    return text


def _fits(text: str) -> bool:
    return len(text.encode()) <= LIMIT


def _text(message: PackMessage, failed: Sequence[Failure], left: Sequence[str], length: int) -> str:
    parts = [f"kgen: {message.results} of {message.trials} trials have a result"]
    parts += [f"{each.trial} ({each.code}) {_plain(each.reason, length)}".rstrip() for each in failed]
    if failed:
        parts[1] = f"failed: {parts[1]}"
    if left:
        parts.append(f"not ended: {', '.join(left)}")
    return "; ".join(parts)


def _plain(reason: str, length: int) -> str:
    """The reason on one line, without the sign that divides one trial from the next."""
    words = _SPACE.sub(" ", reason).replace(";", ",").encode("utf-8", "backslashreplace").decode().strip()
    return words if len(words) <= length else f"{words[: length - 1].rstrip()}…" if length else ""


def parse(text: str) -> PackMessage | None:
    """The last such line in a container's termination message; None where there is none.

    >>> parse("kgen: 1 of 2 trials have a result; failed: aaaaaaaaaa (1) ValueError: x").failure("aaaaaaaaaa").reason
    'ValueError: x'
    """
    for line in reversed(text[-2 * LIMIT :].splitlines()):
        if found := _MESSAGE.fullmatch(line.strip()):
            return _parsed(int(found[1]), int(found[2]), (found[3] or "").split("; "))
    return None


def _parsed(results: int, trials: int, parts: Sequence[str]) -> PackMessage:
    failed, left = {}, {}
    for part in parts:
        if each := _LEFT.fullmatch(part):
            left.update(dict.fromkeys(each[1].split(", ")))
        elif each := _FAILED.fullmatch(part):
            failed[each[1]] = Failure(each[1], int(each[2]), each[3] or "")
    return PackMessage(results, trials, tuple(failed.values()), tuple(left))
