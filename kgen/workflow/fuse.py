"""When to stop a sweep early because its trials fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from kgen.errors import TrialExit
from kgen.results.rows import State
from kgen.spec import TrialSpec, Value
from kgen.status import FIRST_FAILURES, fingerprint
from kgen.trial.channel import Ended


class Fuse:
    """Counts failures; ``limit`` None means :data:`FIRST_FAILURES` before any result, 0 means never stop."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._results = 0
        self._causes: Counter[str] = Counter()
        self._shown: dict[str, str] = {}
        self._common: dict[str, dict[str, Value]] = {}
        """Of each cause: the parameters that are the same in all trials which failed for it."""

    def blow(
        self, ended: Ended, *, beside: int = 0, trial: TrialSpec | None = None, left: Iterable[TrialSpec] = ()
    ) -> str | None:
        """The reason to stop after this trial, or None.

        ``beside``: how many others train on in the same programs. While there are more of them than have failed for
        one cause, the cause is not all trials': of a whole grid in one program those with bad parameters come first.
        ``left``: those that train on or wait. Where the parameters of a ``trial`` are bad, and some of these have
        another value of what all that failed so have in common, such as a misspelt optimizer, those have their turn.
        """
        if ended.state == State.COMPLETE:
            self._results += 1
        if ended.state != State.FAILED:
            return None
        cause = fingerprint(ended.reason)
        self._causes[cause] += 1
        self._shown.setdefault(cause, ended.reason)
        if trial is not None:
            common = self._common.get(cause, trial.parameters)
            self._common[cause] = {k: v for k, v in common.items() if trial.parameters.get(k) == v}
        if self._limit is None:
            count = self._causes[cause]
            is_all = count >= beside and not (ended.exit_code == TrialExit.BAD_PARAMETERS and self._spares(cause, left))
            if self._results == 0 and count >= FIRST_FAILURES and (is_all or ended.ends_worker):
                return f"the first {count} trials failed for one cause: {self._shown[cause]}"
        elif self._limit and self._causes.total() >= self._limit:
            commonest, count = self._causes.most_common(1)[0]
            return f"{self._causes.total()} trials failed, {count} of them with: {self._shown[commonest]}"
        return None

    def _spares(self, cause: str, left: Iterable[TrialSpec]) -> bool:
        common = self._common.get(cause, {}).items()
        return any(trial.parameters.get(name) != value for trial in left for name, value in common)


class Fuses:
    """A fuse for each stage, because what fails all trials of one may spare another; a given limit is that of all."""

    def __init__(self, limit: int | None = None) -> None:
        self._common = None if limit is None else Fuse(limit)
        self._own: dict[str, Fuse] = {}

    def of(self, stage: str) -> Fuse:
        """The one of that stage."""
        return self._common or self._own.setdefault(stage, Fuse())
