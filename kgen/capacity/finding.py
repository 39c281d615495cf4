"""What a look at a cluster found, in the words of the house."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

FieldPath = tuple[str | int, ...]
"""Path of a field in the sweep file; empty for what is the cluster's side."""

RESOURCES: FieldPath = ("kubernetes", "resources")


class Severity(enum.StrEnum):
    """What a finding means for a submit."""

    REFUSE = "refuse"
    """It can't work: nothing is created."""
    WARN = "warn"
    """It may not work, or not as fast as it looks."""
    NOTE = "note"
    """Worth knowing; also what could not be read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: what is there, and what to write or do instead."""

    severity: Severity
    field: FieldPath
    """Where in the sweep file it can be changed; empty where only the cluster can."""
    found: str
    allowed: str = ""
    """What would do, or the command that mends it."""

    def __str__(self) -> str:
        where = f"{'.'.join(map(str, self.field))}: " if self.field else ""
        return where + "; ".join(filter(None, [self.found, self.allowed]))


def refuse(field: Sequence[str | int], found: str, allowed: str) -> Finding:
    """A finding because of which nothing is created."""
    return Finding(Severity.REFUSE, tuple(field), found, allowed)


def warn(field: Sequence[str | int], found: str, allowed: str = "") -> Finding:
    """A finding that somebody should read before going on."""
    return Finding(Severity.WARN, tuple(field), found, allowed)


def note(found: str, allowed: str = "", field: Sequence[str | int] = ()) -> Finding:
    """A finding that is good to know."""
    return Finding(Severity.NOTE, tuple(field), found, allowed)
