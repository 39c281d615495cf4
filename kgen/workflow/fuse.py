"""When to stop a sweep early because its trials fail."""

from __future__ import annotations

from collections import Counter

from kgen.results.rows import State
from kgen.status import FIRST_FAILURES, fingerprint
from kgen.trial.channel import Ended


class Fuse:
    """Counts failures; ``limit`` None means :data:`FIRST_FAILURES` before any result, 0 means never stop."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._results = 0
        self._causes: Counter[str] = Counter()
        self._shown: dict[str, str] = {}

    def blow(self, ended: Ended, *, beside: int = 0) -> str | None:
        """The reason to stop after this trial, or None.

        ``beside``: how many others train on in the same programs. While there are more of them than have failed for
        one cause, the cause is not all trials': of a whole grid in one program those with bad parameters come first.
        """
        if ended.state == State.COMPLETE:
            self._results += 1
        if ended.state != State.FAILED:
            return None
        cause = fingerprint(ended.reason)
        self._causes[cause] += 1
        self._shown.setdefault(cause, ended.reason)
        if self._limit is None:
            count = self._causes[cause]
            if self._results == 0 and count >= FIRST_FAILURES and (count >= beside or ended.ends_worker):
                return f"the first {count} trials failed for one cause: {self._shown[cause]}"
        elif self._limit and self._causes.total() >= self._limit:
            common, count = self._causes.most_common(1)[0]
            return f"{self._causes.total()} trials failed, {count} of them with: {self._shown[common]}"
        return None
