"""One thing that was looked at, and what was found."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import asdict, dataclass


class State(enum.StrEnum):
    """What a check came to."""

    OK = "ok"
    WARNING = "warning"
    """Something works less well than it could, or could not be looked at."""
    MISSING = "missing"
    """Without it sweeps don't work here."""
    SKIPPED = "skipped"
    """It could not be looked at because something before it is missing."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of ``kgen doctor``."""

    check: str
    """What was looked at, in a word or two."""
    state: State
    found: str
    fix: str = ""
    """A command, or what to change; empty where nothing needs it."""

    def to_json(self) -> dict[str, str]:
        """Plain values."""
        return {name: str(value) for name, value in asdict(self).items()}


def ok(check: str, found: str, fix: str = "") -> Check:
    """All is well; ``fix`` then is what could be better still."""
    return Check(check, State.OK, found, fix)


def warning(check: str, found: str, fix: str = "") -> Check:
    """See :attr:`State.WARNING`."""
    return Check(check, State.WARNING, found, fix)


def missing(check: str, found: str, fix: str) -> Check:
    """See :attr:`State.MISSING`."""
    return Check(check, State.MISSING, found, fix)


def skipped(checks: Sequence[str], why: str) -> list[Check]:
    """Those that could not be looked at."""
    return [Check(check, State.SKIPPED, why) for check in checks]
