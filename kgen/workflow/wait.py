"""Waiting for a sweep on a cluster: to its end, or until it can't succeed any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from kgen.errors import TimedOutError
from kgen.status import Fuse, State, Verdict
from kgen.workflow.follow import Following
from kgen.workflow.later import later_of
from kgen.workflow.observe import SeenSweep, SeenTrial
from kgen.workflow.submitting import submitting_words

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

LOOK_SECONDS: Final = 5.0
"""How often deadlines are looked at while nothing changes; nothing is asked of the cluster for it."""


CREATED_SECONDS: Final = 30.0
"""How long after the newest Job an attached submission may take to create the next one that it held back."""


class Watcher(Protocol):
    """Shows a sweep while somebody waits."""

    def show(self, seen: SeenSweep, changed: list[SeenTrial]) -> None:
        """The sweep now, and what of it changed."""

    def say(self, line: str) -> None:
        """Something that is not in the objects, such as that the cluster can't be reached just now."""


@dataclass(frozen=True, slots=True)
class Waited:
    """What waiting came to."""

    seen: SeenSweep
    verdict: Verdict
    """Why it can't succeed, if that ended the waiting."""
    later: Mapping[str, str] = field(default_factory=dict)
    """Stages that may still get trials which nobody knows yet, and why, in words."""


def wait(
    api: Api,
    name: str,
    watcher: Watcher,
    *,
    timeout: float | None = None,
    fail_fast: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Waited:
    """Wait until all trials have ended, or those that have not never will by themselves.

    Of a sweep with stages these are the trials that are known: more become known while somebody submits it and stays,
    and are waited for then. ``fail_fast`` ends it with the first failure. Nothing is changed on the cluster. Raises
    InputError if there is no such sweep, TimedOutError after ``timeout`` seconds, ClusterError when the sweep can't be
    followed any more.
    """
    until = None if timeout is None else clock() + timeout
    fuse = Fuse()
    with Following.stored(api, name, on_trouble=watcher.say) as following:
        submitter = _Submitter(api, name, watcher)
        changed: list[SeenTrial] = []
        known, newest = -1, clock()
        stages = _Stages(clock)
        while True:
            seen = following.see()
            watcher.show(seen, changed)
            verdict = fuse.see([trial.status for trial in seen.asked], clock())
            failed = fail_fast and seen.counts[State.FAILED]
            if len(following.met) != known:
                known, newest = len(following.met), clock()
            may_come = _may_come(seen, following) and clock() - newest < CREATED_SECONDS
            over = not (may_come or stages.may_begin(seen)) and (seen.ended or _is_hopeless(seen, verdict))
            if failed or (over and (verdict.stop or not submitter.brings_more(seen, following, stages.later))):
                later = later_of(seen)  # before the next look: what is chosen in between is either
                if len(following.look_again().asked) == len(seen.asked):
                    return Waited(seen, verdict, later)
            left = LOOK_SECONDS if until is None else min(LOOK_SECONDS, until - clock())
            if left <= 0:
                raise TimedOutError(f"waited {timeout:g} s; {summary(seen)}")
            changed = following.wait(left)


class _Stages:
    """The stages of a sweep that may get more trials: somebody who submits and stays chooses these when all others have
    ended, which takes a moment."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._going = False
        self._ended: float | None = None
        self.later: Mapping[str, str] = {}
        """As far as it was needed to know: once all that is known has ended."""

    def may_begin(self, seen: SeenSweep) -> bool:
        """Whether somebody may be about to begin one: what is known has ended just now, while it was waited for."""
        if not seen.ended:
            self._going, self._ended, self.later = True, None, {}
            return False
        if self._ended is None:
            self._ended, self.later = self._clock(), later_of(seen)
        return bool(self.later) and self._going and self._clock() - self._ended < CREATED_SECONDS


class _Submitter:
    """The Job of a submission inside the cluster: as long as it is at work, what is missing may come."""

    def __init__(self, api: Api, sweep: str, watcher: Watcher) -> None:
        self._api = api
        self._sweep = sweep
        self._watcher = watcher
        self._said = ""

    def brings_more(self, seen: SeenSweep, following: Following, later: Mapping[str, str]) -> bool:
        """Whether it is about to create Jobs of trials that have none, or of ``later`` stages; says what is waited for.
        Raises ClusterError."""
        if not _never_met(seen, following) and not later:
            return False
        words = submitting_words(self._api, self._sweep)
        if words and words != self._said:
            self._watcher.say(words)
            self._said = words
        return bool(words)


def _never_met(seen: SeenSweep, following: Following) -> bool:
    """Whether a trial has no Job, and had none since the waiting began."""
    return any(t.status.state is State.MISSING and t.id not in following.met for t in seen.asked)


def _may_come(seen: SeenSweep, following: Following) -> bool:
    """Whether somebody may be about to create Jobs: none was ever there, or ``execution.max_parallel`` holds some
    back."""
    absent = _never_met(seen, following)
    holds_back = seen.spec is not None and seen.spec.max_parallel is not None
    return absent and (holds_back or not following.met)


def _is_hopeless(seen: SeenSweep, verdict: Verdict) -> bool:
    """Whether it can't succeed any more: stopped by a shared cause, or all that is left can't start."""
    left = [trial for trial in seen.asked if not trial.status.state.ended]
    return bool(verdict.stop) or all(trial.id in verdict.give_up for trial in left)


def summary(seen: SeenSweep) -> str:
    """``288 trials: 12 succeeded, 8 running, 268 pending``."""
    counts = seen.counts
    parts = [f"{counts[state]:,} {state.lower()}" for state in State if counts[state]]
    return f"{len(seen.asked):,} trial{'s' * (len(seen.asked) != 1)}: {', '.join(parts) or 'none'}"
