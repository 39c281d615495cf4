"""What a later stage was given by an earlier one, and why: written once, read by every command.

Pure values with a JSON form; :mod:`kgen.analysis.choose` makes them, :mod:`kgen.workflow.stages` keeps them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from kgen.spec import Value, dump_json, load_json

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one group of the earlier stage gave."""

    group: Mapping[str, Value]
    """Values of the parameters that make the groups (``per``); empty for a single group."""
    best: Mapping[str, Value]
    """All parameters of the best point."""
    points: tuple[Mapping[str, Value], ...]
    """Every point that the later stage takes from it: the best one and those around it, in ascending order."""
    value: float
    """The measure at the best point: over its repeats, smoothed along x where that is said in ``Choice.rule``."""
    low: float | None
    high: float | None
    """95 % interval of it; ``None`` at an end that the trials do not bound."""
    trials: tuple[str, ...]
    """Trials of the best point."""


@dataclass(frozen=True, slots=True)
class Choice:
    """All that a stage takes from an earlier one."""

    stage: str
    """The later one."""
    source: str
    """The earlier one."""
    asked: Mapping[str, Any]
    """``from`` as the file had it, so that an edit of it is seen."""
    rule: str
    """How the best was found, in words."""
    chosen: tuple[Chosen, ...]
    without: Mapping[str, str]
    """Groups that gave nothing, and why: label → words."""
    missing: tuple[str, ...]
    """Trials of the earlier stage that had no result then; empty where it was complete."""
    parent: str = ""
    """Where the earlier stage's trials come of a choice: :func:`digest_of` that one, without which this one is none."""
    edition: int = 1
    """How often it was made: of two that are there the larger one counts."""

    def gone(self, known: Collection[str]) -> tuple[str, ...]:
        """The trials that it was made by and that are none of those."""
        return tuple(trial for one in self.chosen for trial in one.trials if trial not in known)

    def to_json(self) -> str:
        """Indented JSON; floats as their owner wrote them."""
        plain = {
            "version": _VERSION,
            "stage": self.stage,
            "source": self.source,
            "asked": dict(self.asked),
            "rule": self.rule,
            "chosen": [
                {
                    "group": dict(one.group),
                    "best": dict(one.best),
                    "points": [dict(point) for point in one.points],
                    "value": one.value,
                    "low": one.low,
                    "high": one.high,
                    "trials": list(one.trials),
                }
                for one in self.chosen
            ],
            "without": dict(self.without),
            "missing": list(self.missing),
            "parent": self.parent,
            "edition": self.edition,
        }
        # Through the exact encoder first: json.dumps alone would write a float's bits, not its owner's text.
        return _indented(dump_json(plain, written=True))

    @classmethod
    def from_json(cls, text: str) -> Choice:
        """Inverse of :meth:`to_json`. Raises ``ValueError`` for anything else."""
        try:
            data = load_json(text)
            if data["version"] != _VERSION:
                raise ValueError(f"version {data['version']}, not {_VERSION}")
            return cls(
                stage=data["stage"],
                source=data["source"],
                asked=MappingProxyType(data["asked"]),
                rule=data["rule"],
                chosen=tuple(
                    Chosen(
                        group=MappingProxyType(one["group"]),
                        best=MappingProxyType(one["best"]),
                        points=tuple(MappingProxyType(point) for point in one["points"]),
                        value=float(one["value"]),
                        low=None if one["low"] is None else float(one["low"]),
                        high=None if one["high"] is None else float(one["high"]),
                        trials=tuple(one["trials"]),
                    )
                    for one in data["chosen"]
                ),
                without=MappingProxyType(data["without"]),
                missing=tuple(data["missing"]),
                parent=str(data.get("parent", "")),
                edition=int(data.get("edition", 1)),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it is no choice: {error}") from error


def digest_of(text: bytes) -> str:
    """What a choice that was made of another one knows that one by: a hash of its file."""
    return hashlib.sha256(text).hexdigest()


def is_newer(text: bytes, other: bytes) -> bool:
    """Whether the first of two files is the choice that counts, because it was made later; what is none never is."""
    return _edition(text) > _edition(other)


def _edition(text: bytes) -> int:
    try:
        return Choice.from_json(text.decode()).edition
    except ValueError:
        return 0


def _indented(compact: str) -> str:
    """The same JSON for people, its numbers untouched."""

    numbers: list[str] = []

    def keep(text: str) -> str:
        numbers.append(text)
        return f"\0{len(numbers) - 1}\0"

    plain = json.loads(compact, parse_float=keep)
    text = json.dumps(plain, indent=2, ensure_ascii=False)
    for at, number in enumerate(numbers):
        text = text.replace(f'"\\u0000{at}\\u0000"', number)
    return text + "\n"
