"""What a search is told, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from kgen.analysis.outcomes import COMPLETE, Status
from kgen.spec import Value
from kgen.sweep.stages import RISES_TO


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial of the search: it has a result, or an attempt of it failed (one for each), or it is pending."""

    parameters: Mapping[str, Value]
    seed: int
    steps_budget: int | None
    """``budget.steps`` of its own: the rung that it was in."""
    status: Status
    value: float | None
    """Of the stage's objective; ``None`` where it has none: it missed the target, or has no result."""
    spent_steps: int = 0
    """That this trial trained itself: without those before the checkpoint that it went on from."""
    spent_seconds: float = 0.0
    """Counted seconds, likewise."""
    metric: float | None = None
    """Last value of the target's metric; ``None`` without a target or without a finite value."""
    resumed: bool = False
    """Whether it went on from a checkpoint of its lineage."""
    curve: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=lambda: MappingProxyType({}))
    """Metric → its values at each check, (step, value), ascending. Tells how far a trial that missed the target came,
    and is all that a range test has; empty where it is not known."""

    @property
    def complete(self) -> bool:
        """Whether it has a result."""
        return self.status in COMPLETE

    @property
    def is_range_test(self) -> bool:
        """Whether its rate rose: it is no trial of that rate."""
        return RISES_TO in self.parameters


@dataclass(frozen=True, slots=True)
class Ask:
    """Points to train next, each with all seeds of the stage."""

    points: tuple[Mapping[str, Value], ...]
    """In order; empty when nothing can be said before a pending trial ends."""
    steps: int | None = None
    """Budget of these points in steps: a rung, or a range test; ``None``: the stage's own."""
    range_test: bool = False
    """These are range tests: their budget has no target, their points have :data:`RISES_TO`."""


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more is asked for."""

    why: str
    """In words, such as ``12 trials of each optimizer``."""
