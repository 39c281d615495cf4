"""Desired × observed → Plan: what ``kgen plan`` prints is the object that ``kgen run`` works off."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kgen.spec import Budget, TrialSpec, Value, text_of


class Action(enum.StrEnum):
    """What will be done about one trial."""

    CREATE = "create"
    """It has never run."""
    DONE = "done"
    """It has a result."""
    RETRY = "retry"
    """Its last attempt failed or was interrupted: it will run again."""


class Seen(enum.StrEnum):
    """What is known of a trial from its rows."""

    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """One trial and what will be done about it."""

    trial: TrialSpec
    action: Action
    reason: str = ""
    """Why its last attempt gave no result."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do."""

    name: str
    planned: tuple[PlannedTrial, ...]
    budget: Budget
    workers: int
    """Trials at the same time."""
    seconds_per_trial: float | None
    """Mean wall time of the trials that are done, if there are any."""

    @property
    def counts(self) -> dict[Action, int]:
        """Trials per action; every action is there."""
        counted = Counter(item.action for item in self.planned)
        return {action: counted[action] for action in Action}

    @property
    def pending(self) -> tuple[TrialSpec, ...]:
        """The trials to run, in order."""
        return tuple(item.trial for item in self.planned if item.action is not Action.DONE)

    @property
    def worst_steps(self) -> int | None:
        """Training steps if no pending trial stops early; None without a cap on steps."""
        return None if self.budget.steps is None else self.budget.steps * len(self.pending)

    @property
    def worst_seconds(self) -> float | None:
        """Wall seconds of counted training if no pending trial stops early; None without a cap on seconds."""
        if self.budget.seconds is None:
            return None
        return self.budget.seconds * -(-len(self.pending) // self.workers)

    @property
    def expected_seconds(self) -> float | None:
        """Wall seconds left, from the mean of what is done; None before anything is."""
        if self.seconds_per_trial is None:
            return None
        return self.seconds_per_trial * len(self.pending) / self.workers


def plan(
    name: str,
    trials: Sequence[TrialSpec],
    seen: Mapping[str, tuple[Seen, str]],
    *,
    budget: Budget,
    workers: int,
    seconds_per_trial: float | None = None,
) -> Plan:
    """One action per trial. ``seen`` maps a trial's id to what its rows say and why."""
    planned = []
    for trial in trials:
        state, reason = seen.get(trial.id, (None, ""))
        if state is None:
            planned.append(PlannedTrial(trial, Action.CREATE))
        elif state is Seen.DONE:
            planned.append(PlannedTrial(trial, Action.DONE))
        else:
            planned.append(PlannedTrial(trial, Action.RETRY, f"{state}: {reason}"))
    return Plan(name, tuple(planned), budget, workers, seconds_per_trial)


def ranges(trials: Sequence[TrialSpec], text: Callable[[Value], str] = text_of) -> dict[str, str]:
    """Each parameter with its values in short: all of them if few, else their number and range."""
    values: dict[str, dict[tuple[bool, Value], Value]] = {}  # true is not 1
    for trial in trials:
        for name, value in trial.parameters.items():
            values.setdefault(name, {}).setdefault((isinstance(value, bool), value), value)
    return {name: _range(list(found.values()), text) for name, found in values.items()}


def _range(values: list[Value], text: Callable[[Value], str]) -> str:
    if len(values) <= 8:
        return ", ".join(map(text, values))
    numbers: list[Any] = [v for v in values if isinstance(v, int | float)]
    if len(numbers) == len(values):
        return f"{len(values):,} values from {text(min(numbers))} to {text(max(numbers))}"
    return f"{len(values):,} values: {text(values[0])} … {text(values[-1])}"
