"""When to give up trials that can't start, and when to stop a sweep whose trials all fail for one cause.

The half that judges. Whoever watches the sweep calls it with what is seen and the time; deleting Jobs, which releases
their GPUs, and creating no more of them is up to the caller.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from kgen.status.model import Reason, State, TrialStatus

FIRST_FAILURES: Final = 5
"""Failures of one cause, with no result at all, that stop a sweep unless the user says otherwise: a bug that all
trials share shows at once, while single bad points of a grid do not hinder the rest."""

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


class Fuse:
    """Judges one sweep over time; ``limit`` None means :data:`FIRST_FAILURES` before any result, 0 never stops it.

    Another limit stops after that many failures of any cause, results or not. Deadlines run from when a trial is first
    seen to be kept from starting, by the caller's clock: the cluster's may be another.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._since: dict[str, tuple[Reason, float]] = {}
        self._given_up: dict[str, tuple[_Cause, str]] = {}

    def see(self, statuses: Iterable[TrialStatus], now: float) -> Verdict:
        """The verdict on a sweep: all its trials as they are, at a time in seconds that never goes back."""
        give_up: dict[str, str] = {}
        causes: Counter[_Cause] = Counter()
        shown: dict[_Cause, str] = {}
        results = runs = 0
        for status in statuses:
            results += status.state is State.SUCCEEDED and status.reason is not Reason.NO_ROW
            runs += status.state is State.RUNNING
            if waited := self._overdue(status, now):
                give_up[status.trial] = f"could not start for {_duration(waited)}: {status.message}"
                # The first words count: those of a pod whose Job is gone by then differ, and are no other cause.
                self._given_up.setdefault(status.trial, (_cause(status, stuck=True), status.message))
            if found := self._failure(status):
                causes[found[0]] += 1
                shown.setdefault(*found)
        return Verdict(give_up, self._stop(causes, shown, results, runs))

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

    def _failure(self, status: TrialStatus) -> tuple[_Cause, str] | None:
        """What a trial adds to the count of failures."""
        if status.state is State.FAILED and status.reason not in _NOT_ITS_FAULT:
            return _cause(status, stuck=False), status.message
        if _patience(status) is None and status.state is not State.MISSING and status.reason is not Reason.TERMINATING:
            self._given_up.pop(status.trial, None)  # it has another chance
        return self._given_up.get(status.trial)

    def _stop(self, causes: Counter[_Cause], shown: Mapping[_Cause, str], results: int, runs: int) -> str:
        if self._limit == 0 or not causes:
            return ""
        if self._limit is not None:
            failures = causes.total()
            [(common, number)] = causes.most_common(1)
            return f"{failures} trials failed, {number} of them: {shown[common]}" if failures >= self._limit else ""
        for cause, number in causes.most_common():
            # One node may lack what the others have: while any trial runs, the stuck ones say nothing of the rest.
            if number >= FIRST_FAILURES and not results and not (cause.stuck and runs):
                what = "can't start" if cause.stuck else "failed"
                return f"the first {number} trials {what}, for one cause: {shown[cause]}"
        return ""


def _patience(status: TrialStatus) -> float | None:
    if status.state not in (State.QUEUED, State.PENDING):
        return None
    if status.reason is Reason.UNSCHEDULABLE and not status.hopeless:
        return None
    return PATIENCE.get(status.reason)


def _cause(status: TrialStatus, *, stuck: bool) -> _Cause:
    code = None if stuck else status.exit_code
    return _Cause(status.reason, code, fingerprint(status.message), stuck)


def fingerprint(reason: str) -> str:
    """The reason without what differs from trial to trial: numbers, addresses, quoted values."""
    return re.sub(r"0x[0-9a-f]+|[-+]?\d+(\.\d+)?(e[-+]?\d+)?|'[^']*'|\"[^\"]*\"", "#", reason)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
