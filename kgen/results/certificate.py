"""What a collection proves about the completeness of a sweep's results, and what it found beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DamagedFile:
    """A file among the rows that can't be read as one."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class TrialFile:
    """A row that is not accepted, and why."""

    trial: str
    file: str
    """Empty for an attempt that left no row: its pod is known to have failed."""
    reason: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A trial with more than one result of one timing: which one counts, and the others, which are kept."""

    trial: str
    accepted: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is proven about the completeness of a sweep's results."""

    expected: int
    accepted: int
    missing: tuple[str, ...]
    """Trials without any row."""
    failed: tuple[TrialFile, ...]
    """Trials whose last attempt failed, with no result."""
    interrupted: tuple[TrialFile, ...]
    """Trials whose last attempt was stopped from outside, with no result."""
    shared: tuple[TrialFile, ...]
    """Trials that have results, but on a shared device while the objective is in seconds."""
    duplicates: tuple[Duplicate, ...]
    timed: tuple[TrialFile, ...]
    """Results beside an accepted one whose timing is the other: trained alone to be timed, or in company after that."""
    damaged: tuple[DamagedFile, ...]
    foreign: tuple[TrialFile, ...]
    """Rows of trials that the sweep file does not (or no longer) ask for."""
    images: tuple[str, ...]
    """Different image references among accepted rows."""
    revisions: tuple[str, ...]
    """Different trainer revisions among accepted rows."""
    digests: tuple[str, ...]
    """Different digests of images among the pods that made accepted rows, as far as they are known."""
    trainers: tuple[str, ...] = ()
    """Different trainers among accepted rows, such as of versions, or one by one and fused."""
    waiting: Mapping[str, str] = field(default_factory=dict)
    """Stages that may still get trials which nobody knows yet, and why."""
    incomplete_choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Stages that were chosen from an earlier one before that was complete, and which of its trials it lacked then."""
    outdated_choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Stages that were chosen by trials which the sweep file does not ask for any more, and which these are."""

    @property
    def complete(self) -> bool:
        """Whether every expected trial has exactly one accepted row, and no more trials are to come."""
        return self.accepted == self.expected and not self.waiting

    @property
    def without_result(self) -> dict[str, str]:
        """Each trial that has no accepted row, and what is known of it."""
        found = dict.fromkeys(self.missing, "")
        for word, items in (("failed", self.failed), ("interrupted", self.interrupted), ("shared", self.shared)):
            found |= {item.trial: f"{word}: {item.reason}" for item in items}
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values, ``complete`` first."""
        return {"complete": self.complete, **asdict(self)}
