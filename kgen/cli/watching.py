"""A sweep on a cluster while somebody waits for it: a line whenever the counts have changed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from kgen.cli.arguments import cluster_command
from kgen.cli.text import count

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.workflow.observe import SeenSweep, SeenTrial
    from kgen.workflow.wait import Waited

_PAUSE: Final = 2.0
"""Seconds between two lines, so that 500 trials that start at once make one."""
_CAUSES: Final = 5


class Lines:
    """Prints how many trials stand where, and each failure once; nothing when quiet but failures."""

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet = quiet
        self._clock = clock
        self._last = ""
        self._when = float("-inf")

    def show(self, seen: SeenSweep, changed: list[SeenTrial]) -> None:
        """As Watcher."""
        for failed in _failed(changed):
            self.say(failed)
        line = _counts(seen)
        now = self._clock()
        if self._quiet or line == self._last or (now - self._when < _PAUSE and not seen.ended):
            return
        self._last, self._when = line, now
        print(line, flush=True)

    def say(self, line: str) -> None:
        """As Watcher."""
        print(line, file=sys.stderr, flush=True)


def _failed(changed: Iterable[SeenTrial]) -> Iterator[str]:
    """A line for each trial that failed, and one for each Job that failed for several."""
    from collections import Counter

    from kgen.status import State

    jobs: Counter[tuple[str, str]] = Counter()
    for trial in changed:
        if trial.status.state is not State.FAILED:
            continue
        if trial.status.of_pack and trial.job is not None:
            jobs[trial.job_name, trial.status.message] += 1
        else:
            yield f"failed: {trial.id} {_words(trial)}: {trial.status.message}"
    for (job, message), number in jobs.items():
        yield f"failed: {job} with {count(number, 'trial')}: {message}"


def _words(trial: SeenTrial) -> str:
    from kgen.cli.text import short

    return " ".join(f"{name}={short(value)}" for name, value in trial.parameters.items())


def _counts(seen: SeenSweep) -> str:
    """``12/288 succeeded, 8 running, 268 pending (Unschedulable)``."""
    from collections import Counter

    from kgen.status import Reason, State

    parts = [f"{sum(t.has_result for t in seen.asked):,}/{len(seen.asked):,} succeeded"]
    if without := sum(t.status.reason is Reason.NO_ROW for t in seen.asked):
        parts.append(f"{without:,} complete without a row")
    for state in (State.RUNNING, State.PENDING, State.QUEUED, State.FAILED, State.MISSING):
        reasons = Counter(t.status.reason for t in seen.asked if t.status.state is state)
        if reasons:
            known = [str(reason) for reason, _ in reasons.most_common(2) if reason is not Reason.NONE]
            parts.append(f"{reasons.total():,} {state.lower()}" + (f" ({', '.join(known)})" if known else ""))
    return ", ".join(parts)


def success(seen: SeenSweep) -> str:
    """That all went well, which a command ends with."""
    number = len(seen.asked)
    return f"{'all ' if number > 1 else ''}{count(number, 'trial')} of sweep/{seen.name} succeeded"


def failures(seen: SeenSweep, api: Api, deleted: Mapping[str, str] = MappingProxyType({})) -> str:
    """What has no result and why, for the error that ends a command. ``deleted`` says why Jobs were deleted just now,
    by trial."""
    from collections import Counter

    wanted = seen.asked
    lacking = [trial for trial in wanted if not trial.has_result]
    causes = Counter(
        f"deleted: {deleted[t.id]}" if t.id in deleted else f"{t.status.state.lower()}: {t.status.message}"
        for t in lacking
    )
    lines = [f"{len(lacking):,} of {count(len(wanted), 'trial')} have no result"]
    lines += [f"  {number:,} {cause}" for cause, number in causes.most_common(_CAUSES)]
    if len(causes) > _CAUSES:
        lines.append(f"  … and {len(causes) - _CAUSES:,} other causes")
    lines.append(f"to see them: {cluster_command('get trials', seen.name, api)} -o wide")
    lines.append(f"to run them again: {cluster_command('retry', seen.name, api)} --failed --missing")
    return "\n".join(lines)


def verdict_lines(waited: Waited) -> list[str]:
    """Why a sweep can't succeed any more."""
    lines = [waited.verdict.stop] if waited.verdict.stop else []
    jobs = {trial.id: trial.job_name for trial in waited.seen.trials if trial.pack}
    stuck = dict.fromkeys(f"{jobs.get(trial) or trial}: {why}" for trial, why in waited.verdict.give_up.items())
    return lines + list(stuck)[:_CAUSES]
