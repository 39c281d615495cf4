"""What should run, as frozen values with a JSON form: the contract between sweep, back end and trial.

Standard library only, so that a trial in anybody's image can read it. Everything here has been validated by
:mod:`kgen.sweep` (or comes from a JSON that it wrote).
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

STEPS_TO_TARGET: Final = "steps_to_target"
SECONDS_TO_TARGET: Final = "seconds_to_target"
TO_TARGET: Final = (STEPS_TO_TARGET, SECONDS_TO_TARGET)
"""Objectives that are times until an event: a trial that never gets there is censored, not slow."""

# One encoder for all calls: json.dumps with these options makes a new one each time.
_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_NUMBER: Final = re.compile(r"([-+]?)([0-9]*)(?:\.([0-9]*))?([eE][-+]?[0-9]+)?")


class WrittenFloat(float):
    """A float that remembers how its owner wrote it: ``1e-3`` stays ``1e-3`` in flags, logs and tables.

    Equal to, and hashed as, the plain float of the same bits.
    """

    text: str

    def __new__(cls, text: str) -> WrittenFloat:
        """The float that this text means."""
        value = super().__new__(cls, text)
        value.text = text
        return value

    def __reduce__(self) -> tuple[type[WrittenFloat], tuple[str]]:
        return (WrittenFloat, (self.text,))


def written(number: float) -> WrittenFloat:
    """A made-up float as a person would write it: four significant digits, which is as well as anybody knows it.

    >>> written(12345.678).text, written(1e-05).text, written(0.1).text
    ('1.235e4', '1e-5', '0.1')
    """
    digits, e, exponent = f"{number:.4g}".partition("e")
    return WrittenFloat(f"{digits}e{int(exponent)}" if e else digits)


Value = bool | int | float | str
"""A parameter's value. Ints may have any number of digits."""


def text_of(value: Value) -> str:
    """The value as a person or a command line reads it: a float as written, or the shortest text with its bits."""
    if isinstance(value, WrittenFloat):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def shown(value: Value) -> str:
    """The value in a list, a table or a sentence: one spelling of a number, however it was written or computed, of at
    most six digits. What is read again (flags, ids, files) has :func:`text_of`.

    >>> shown(WrittenFloat("1e-1")), shown(0.03162277660168379), shown(10.0), shown(1e-6), shown(2_000_000.0)
    ('0.1', '0.0316228', '10', '1e-6', '2e6')
    """
    if not isinstance(value, float):
        return text_of(value)
    mantissa, e, exponent = f"{value:.6g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def dump_json(value: Any, *, written: bool = False) -> str:
    """Compact JSON with sorted keys. ``written=True`` keeps the text of floats as far as JSON allows it."""
    if not written:
        return _COMPACT(value)
    if isinstance(value, WrittenFloat):
        return _json_number(value)
    if isinstance(value, Mapping):
        return f"{{{','.join([f'{_COMPACT(k)}:{dump_json(value[k], written=True)}' for k in sorted(value)])}}}"
    if isinstance(value, (list, tuple)):
        return f"[{','.join([dump_json(item, written=True) for item in value])}]"
    return _COMPACT(value)


def _json_number(value: WrittenFloat) -> str:
    """Its text with the digits that JSON demands, and never that of an integer: ``.5`` is 0.5, ``100`` is 100.0."""
    found = _NUMBER.fullmatch(value.text)
    if found is None:
        return json.dumps(float(value), allow_nan=False)
    sign, whole, fraction, exponent = (part or "" for part in found.groups())
    fraction = fraction or ("" if exponent else "0")
    return f"{sign.strip('+')}{whole.lstrip('0') or '0'}{fraction and '.'}{fraction}{exponent}"


def load_json(text: str) -> Any:
    """JSON as :func:`dump_json` wrote it; floats keep their text."""
    return json.loads(text, parse_float=WrittenFloat)


class Direction(enum.StrEnum):
    """On which side of a target's value the metric has reached it."""

    AT_LEAST = "at_least"
    AT_MOST = "at_most"


class Goal(enum.StrEnum):
    """Which way the objective is better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class At(enum.StrEnum):
    """Which value of a reported metric stands for the trial."""

    FINAL = "final"
    BEST = "best"


class Timing(enum.StrEnum):
    """Whether a trial had its device (one GPU, or its pinned cores) to itself."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"


class Packing(enum.StrEnum):
    """How the trials of one process share it."""

    SEQUENTIAL = "sequential"
    """One after another, each alone."""
    FUSED = "fused"
    """Many at a time in one program: far more of them an hour, but none with seconds of its own."""


@dataclass(frozen=True, slots=True)
class Target:
    """The value of a metric at which a trial has done its work."""

    metric: str
    value: float
    direction: Direction = Direction.AT_LEAST

    def reached_by(self, value: float) -> bool:
        """Whether this value of the metric meets the target; a NaN never does."""
        return value >= self.value if self.direction is Direction.AT_LEAST else value <= self.value

    def __str__(self) -> str:
        sign = ">=" if self.direction is Direction.AT_LEAST else "<="
        return f"{self.metric} {sign} {text_of(self.value)}"


@dataclass(frozen=True, slots=True)
class Budget:
    """How far a trial may go. A trial that spends it without reaching the target is censored there."""

    target: Target | None = None
    steps: int | None = None
    """Training steps."""
    seconds: float | None = None
    """Counted seconds: inside ``with trial.training()`` only."""
    check_every_steps: int = 50
    """How often a trainer looks at the target and the budget."""
    evaluate_every_steps: int | None = None
    """How often a trainer evaluates on held-out data; ``None`` means at the end only."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not set is left out, so that a new field does not change old identities."""
        out: dict[str, Any] = {"check_every_steps": self.check_every_steps}
        if self.target is not None:
            out["target"] = {
                "metric": self.target.metric,
                "value": self.target.value,
                "direction": str(self.target.direction),
            }
        for name in ("steps", "seconds", "evaluate_every_steps"):
            if getattr(self, name) is not None:
                out[name] = getattr(self, name)
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Budget:
        """Inverse of :meth:`to_json`."""
        values = dict(data)
        target = values.pop("target", None)
        if target is not None:
            target = Target(target["metric"], float(target["value"]), Direction(target["direction"]))
        return cls(target=target, **values)


@dataclass(frozen=True, slots=True)
class Objective:
    """What a sweep compares its trials by. Not part of a trial's identity."""

    metric: str = STEPS_TO_TARGET
    goal: Goal = Goal.MINIMIZE
    at: At = At.FINAL
    """Ignored for times to target."""

    @property
    def needs_exclusive(self) -> bool:
        """Seconds are only comparable when each trial had its device to itself."""
        return self.metric == SECONDS_TO_TARGET

    @property
    def is_time(self) -> bool:
        """Whether the objective is a time to an event, so that trials can be censored."""
        return self.metric in TO_TARGET

    def to_json(self) -> dict[str, str]:
        """Plain values."""
        return {"metric": self.metric, "goal": str(self.goal), "at": str(self.at)}

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> Objective:
        """Inverse of :meth:`to_json`."""
        return cls(data["metric"], Goal(data["goal"]), At(data["at"]))


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """One trial that should run: the same id on a laptop and on a cluster."""

    id: str
    sweep: str
    stage: str
    parameters: Mapping[str, Value]
    seed: int
    budget: Budget
    objective: Objective = Objective()
    config: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    lineage: str = ""
    """Trials of one lineage differ by their budgets only, and each goes on from the checkpoint that the one before it
    left; empty for a trial that stands alone. Names the folder of their checkpoints."""

    def to_json(self) -> str:
        """One line of JSON: what a trial's process is given."""
        values: dict[str, Any] = {
            "id": self.id,
            "sweep": self.sweep,
            "stage": self.stage,
            "parameters": dict(self.parameters),
            "seed": self.seed,
            "budget": self.budget.to_json(),
            "objective": self.objective.to_json(),
            "config": dict(self.config),
        }
        return dump_json(values | ({"lineage": self.lineage} if self.lineage else {}), written=True)

    @classmethod
    def from_json(cls, text: str) -> TrialSpec:
        """Inverse of :meth:`to_json`. Raises ``ValueError`` or ``KeyError`` for anything else."""
        data = load_json(text)
        return cls(
            id=data["id"],
            sweep=data["sweep"],
            stage=data["stage"],
            parameters=MappingProxyType(data["parameters"]),
            seed=data["seed"],
            budget=Budget.from_json(data["budget"]),
            objective=Objective.from_json(data["objective"]),
            config=MappingProxyType(data["config"]),
            lineage=data.get("lineage", ""),
        )
