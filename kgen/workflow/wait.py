"""Waiting for a sweep on a cluster: to its end, or until it can't succeed any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from kgen.errors import TimedOutError
from kgen.status import Fuse, State, Verdict
from kgen.workflow.follow import Following
from kgen.workflow.observe import SeenSweep, SeenTrial

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

LOOK_SECONDS: Final = 5.0
"""How often deadlines are looked at while nothing changes; nothing is asked of the cluster for it."""


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

    @property
    def succeeded(self) -> bool:
        """Whether every trial of the file has."""
        return all(t.status.state is State.SUCCEEDED for t in self.seen.trials if t.spec is not None)


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

    ``fail_fast`` ends it with the first failure. Nothing is changed on the cluster. Raises InputError if there is no
    such sweep, TimedOutError after ``timeout`` seconds, ClusterError when the sweep can't be followed any more.
    """
    until = None if timeout is None else clock() + timeout
    fuse = Fuse()
    with Following.stored(api, name, on_trouble=watcher.say) as following:
        changed: list[SeenTrial] = []
        while True:
            seen = following.see()
            watcher.show(seen, changed)
            verdict = fuse.see([trial.status for trial in seen.trials], clock())
            failed = fail_fast and seen.counts[State.FAILED]
            if seen.ended or failed or _is_hopeless(seen, verdict):
                return Waited(seen, verdict)
            left = LOOK_SECONDS if until is None else min(LOOK_SECONDS, until - clock())
            if left <= 0:
                raise TimedOutError(f"waited {timeout:g} s; {summary(seen)}")
            changed = following.wait(left)


def _is_hopeless(seen: SeenSweep, verdict: Verdict) -> bool:
    """Whether it can't succeed any more: stopped by a shared cause, or all that is left can't start."""
    left = [trial for trial in seen.trials if not trial.status.state.ended]
    return bool(verdict.stop) or all(trial.id in verdict.give_up for trial in left)


def summary(seen: SeenSweep) -> str:
    """``288 trials: 12 succeeded, 8 running, 268 pending``."""
    counts = seen.counts
    parts = [f"{counts[state]:,} {state.lower()}" for state in State if counts[state]]
    return f"{len(seen.trials):,} trial{'s' * (len(seen.trials) != 1)}: {', '.join(parts) or 'none'}"
