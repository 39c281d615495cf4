"""What a search answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kgen.spec import Value


@dataclass(frozen=True, slots=True)
class Ask:
    """Points to train next, each with all seeds of the stage."""

    points: tuple[Mapping[str, Value], ...]
    """In order; empty when nothing can be said before a pending trial ends."""
    steps: int | None = None
    """Budget of these points in steps: a rung, or a range test; ``None``: the stage's own."""
    range_test: bool = False
    """These are range tests: their budget has no target, their points have :data:`kgen.sweep.stages.RISES_TO`."""


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more is asked for."""

    why: str
    """In words, such as ``12 trials of each optimizer``."""
