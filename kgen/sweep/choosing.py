"""How trials are found on the way: from what an earlier stage found, or by a search."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from kgen.spec import Objective, Value


@dataclass(frozen=True, slots=True)
class From:
    """``parameters: {from: …}``: a stage's parameters are the best of an earlier one's."""

    stage: str
    objective: Objective
    """What makes the best; by default the earlier stage's own objective."""
    per: tuple[str, ...]
    """One best for each combination of these parameters' values; empty for the best of all."""
    top: int | None
    """Only the best so many of these; None for all."""
    along: str
    """The parameter that neighbours differ in; empty for the number with most values."""
    neighbours: int
    """So many values of the earlier stage to each side of the best."""
    factor: float | None
    """Instead of neighbours: values evenly spread on a logarithmic scale, from best / factor to best × factor."""
    num: int
    """With a factor: how many values, an odd number, the best in their middle."""
    where: Mapping[str, tuple[Value, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Only groups with one of these values of a parameter; empty for all."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, to see whether a choice was made for the same question."""
        plain = {
            "stage": self.stage,
            "objective": self.objective.to_json(),
            "per": list(self.per),
            "top": self.top,
            "along": self.along,
            "neighbours": self.neighbours,
            "factor": self.factor,
            "num": self.num,
            "where": {name: list(values) for name, values in self.where.items()},
        }
        return {name: value for name, value in plain.items() if value not in (None, "", {})}


class Spacing(enum.StrEnum):
    """How a range is measured."""

    LINEAR = "linear"
    LOG = "log"
    INT = "int"


@dataclass(frozen=True, slots=True)
class Range:
    """All numbers between two, both included, for a search to choose from."""

    spacing: Spacing
    start: Value
    stop: Value


Dimension = tuple[Value, ...] | Range
"""What a search may choose one parameter from."""


class Method(enum.StrEnum):
    """How a search chooses what to try next."""

    RANDOM = "random"
    SOBOL = "sobol"
    TPE = "tpe"
    HALVING = "halving"
    RANGE_TEST = "range-test"
    BISECTION = "bisection"


DEFAULT_METHOD: Final = Method.BISECTION
"""Of a search that names none, and suits it: the one that does best in ``tests/benchmarks/bench_search.py``."""
DEFAULT_OTHERWISE: Final = Method.TPE
"""Of any other one that names none."""


@dataclass(frozen=True, slots=True)
class Search:
    """``search: …``: instead of every combination only those that a method asks for."""

    method: Method
    spaces: tuple[Mapping[str, Dimension], ...]
    """Alternatives, each with its own ranges."""
    per: tuple[str, ...]
    """A search of its own, with all of the limits below, for each combination of these parameters' values."""
    trials: int
    """At the most; every repeat counts, and every rung of ``halving``."""
    steps: int | None
    """Training steps of all trials together after which nothing more is asked for."""
    seconds: float | None
    """The same in counted seconds."""
    improvement: float | None
    """Nothing more is asked for when another trial is expected to better the best by less than this share of it."""
    parallel: int
    """Points that are asked for at a time."""
    reduction: int
    """Of ``halving``: each rung keeps one in so many, and trains these so many times as long."""
    min_steps: int | None
    """Of ``halving``: steps of the first rung; of ``range-test``: steps of the run. None: a share of budget.steps."""
