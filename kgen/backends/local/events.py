"""What a pool tells of its trials as it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kgen.trial.channel import Message


@dataclass(frozen=True, slots=True)
class Dealt:
    """A worker that trains many at a time was handed these."""

    trials: tuple[str, ...]
    place: int
    """Which slot the worker has."""


@dataclass(frozen=True, slots=True)
class PutBack:
    """A worker died with several trials begun: they will be trained again."""

    trials: tuple[str, ...]
    reason: str


Event = Message | Dealt | PutBack
OnEvent = Callable[[Event], None]
