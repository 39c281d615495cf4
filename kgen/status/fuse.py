"""When to give up trials that can't start, and when to stop a sweep whose trials all fail for one cause.

The half that judges. Whoever watches the sweep calls it with what is seen and the time; deleting Jobs, which releases
their GPUs, and creating no more of them is up to the caller.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from kgen.status.model import Reason, State, TrialStatus

FIRST_FAILURES: Final = 5
"""Failures of one cause, with no result at all, that stop a sweep unless the user says otherwise: a bug that all
trials share shows at once, while single bad points of a grid do not hinder the rest. What happens to the Job of several
trials, and tells nothing of them, is one failure."""

PATIENCE: Final[Mapping[Reason, float]] = MappingProxyType(
    {
        Reason.CONFIG_ERROR: 120.0,
        Reason.REFUSED: 120.0,
        Reason.IMAGE_PULL: 300.0,
        Reason.VOLUME: 600.0,
        Reason.UNSCHEDULABLE: 600.0,
    }
)
"""Seconds that a trial may be kept from starting, by what keeps it; by anything else (a queue, a quota, GPUs that
others use) for ever. Unschedulable counts only where no node could ever take the pod."""

_NOT_ITS_FAULT: Final = frozenset(
    [Reason.PREEMPTED, Reason.NODE_LOST, Reason.INTERRUPTED, Reason.UNKNOWN, Reason.DELETED]
)
"""Ends that tell nothing about the next trial."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What should be done now."""

    give_up: Mapping[str, str] = field(default_factory=dict)
    """Trials that wait past their deadline, and why in words: their Jobs should be deleted."""
    stop: str = ""
    """Why no more trials should be started; empty: go on."""


@dataclass(frozen=True, slots=True)
class _Cause:
    """What two failures have in common."""

    reason: Reason
    exit_code: int | None
    message: str
    stuck: bool


@dataclass(frozen=True, slots=True)
class _Failure:
    """What a trial adds to the count."""

    cause: _Cause
    shown: str
    """The cause in words, with its numbers."""
    of: str
    """The trial, or the Job that failed for several: those of one Job are counted once."""
    is_job: bool


class Fuse:
    """Judges one sweep over time; ``limit`` None means :data:`FIRST_FAILURES` before any result, 0 never stops it.

    Another limit stops after that many failures of any cause, results or not. Deadlines run from when a trial is first
    seen to be kept from starting, by the caller's clock: the cluster's may be another.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._since: dict[str, tuple[Reason, float]] = {}
        self._given_up: dict[str, _Failure] = {}

    def see(self, statuses: Iterable[TrialStatus], now: float) -> Verdict:
        """The verdict on a sweep: all its trials as they are, at a time in seconds that never goes back."""
        give_up: dict[str, str] = {}
        failures: dict[tuple[_Cause, str], _Failure] = {}
        results = runs = 0
        for status in statuses:
            results += status.state is State.SUCCEEDED and status.reason is not Reason.NO_ROW
            runs += status.state is State.RUNNING
            if waited := self._overdue(status, now):
                give_up[status.trial] = f"could not start for {_duration(waited)}: {status.message}"
                # The first words count: those of a pod whose Job is gone by then differ, and are no other cause.
                self._given_up.setdefault(status.trial, _failure(status, stuck=True))
            if found := self._failure(status):
                failures.setdefault((found.cause, found.of), found)
        return Verdict(give_up, self._stop(list(failures.values()), results, runs))

    def _overdue(self, status: TrialStatus, now: float) -> float:
        """Seconds that a trial was kept from starting, if that is too long; else 0."""
        patience = _patience(status)
        if patience is None:
            self._since.pop(status.trial, None)
            return 0
        reason, since = self._since.get(status.trial, (status.reason, now))
        if reason is not status.reason:
            since = now
        self._since[status.trial] = status.reason, since
        return now - since if now - since >= patience else 0

    def _failure(self, status: TrialStatus) -> _Failure | None:
        """What a trial adds to the count of failures."""
        if status.state is State.FAILED and status.reason not in _NOT_ITS_FAULT:
            return _failure(status, stuck=False)
        if _patience(status) is None and status.state is not State.MISSING and status.reason is not Reason.TERMINATING:
            self._given_up.pop(status.trial, None)  # it has another chance
        return self._given_up.get(status.trial)

    def _stop(self, failures: Sequence[_Failure], results: int, runs: int) -> str:
        if self._limit == 0 or not failures:
            return ""
        causes = Counter(failure.cause for failure in failures)
        if self._limit is not None:
            [(common, number)] = causes.most_common(1)
            words = f"{len(failures)} {_what(failures)} failed, {number} of them: {_of(common, failures)[0].shown}"
            return words if len(failures) >= self._limit else ""
        for cause, number in causes.most_common():
            # One node may lack what the others have: while any trial runs, the stuck ones say nothing of the rest.
            if number >= FIRST_FAILURES and not results and not (cause.stuck and runs):
                same = _of(cause, failures)
                what = "can't start" if cause.stuck else "failed"
                return f"the first {number} {_what(same)} {what}, for one cause: {same[0].shown}"
        return ""


def _patience(status: TrialStatus) -> float | None:
    if status.state not in (State.QUEUED, State.PENDING):
        return None
    if status.reason is Reason.UNSCHEDULABLE and not status.hopeless:
        return None
    return PATIENCE.get(status.reason)


def _failure(status: TrialStatus, *, stuck: bool) -> _Failure:
    code = None if stuck else status.exit_code
    cause = _Cause(status.reason, code, fingerprint(status.message), stuck)
    shared = status.of_pack and status.address is not None
    return _Failure(cause, status.message, str(status.address) if shared else status.trial, is_job=shared)


def _of(cause: _Cause, failures: Sequence[_Failure]) -> list[_Failure]:
    return [failure for failure in failures if failure.cause == cause]


def _what(failures: Sequence[_Failure]) -> str:
    if not any(failure.is_job for failure in failures):
        return "trials"
    return "Jobs" if all(failure.is_job for failure in failures) else "trials and Jobs"


def fingerprint(reason: str) -> str:
    """The reason without what differs from trial to trial: numbers, addresses, quoted values."""
    return re.sub(r"0x[0-9a-f]+|[-+]?\d+(\.\d+)?(e[-+]?\d+)?|'[^']*'|\"[^\"]*\"", "#", reason)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
