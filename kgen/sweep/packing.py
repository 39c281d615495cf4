"""How trials share a process: what ``execution.packing: auto`` means for a sweep, and what can't be packed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from kgen.spec import Budget, Objective, Packing, Value, text_of
from kgen.sweep.cluster import ExecutionModel
from kgen.sweep.command import is_same_for_all
from kgen.sweep.document import Path
from kgen.sweep.model import BUILT_IN, Arguments, Metrics

if TYPE_CHECKING:
    from kgen.sweep.sweepspec import Trainer

LEAST_FUSED: Final = 6
"""Trials that must share a program for it to pay (measured: one alone in it is no faster than without)."""
_IN_ONE_PROGRAM: Final = ("optimizer", "learning_rate")
"""Parameters by which trials of the built-in trainer may differ and still share a program."""


def packing_of(
    asked: Packing | None,
    alternatives: Sequence[Mapping[str, Sequence[Value]]],
    trainer: Trainer,
    objective: Objective,
    budget: Budget,
) -> Packing:
    """What the file asks for, or what is best for it where it says ``auto`` (None): a function of the file alone, so
    that the same trial gives the same bits on every machine."""
    if asked is not None:
        return asked
    if tuple(trainer.command) != BUILT_IN or trainer.arguments is Arguments.FLAGS or needs_clock(objective, budget):
        return Packing.SEQUENTIAL
    return Packing.FUSED if _sharing(alternatives) >= LEAST_FUSED else Packing.SEQUENTIAL


def needs_clock(objective: Objective, budget: Budget) -> bool:
    """Whether each trial's own seconds decide something."""
    return objective.needs_exclusive or budget.seconds is not None


def _sharing(alternatives: Sequence[Mapping[str, Sequence[Value]]]) -> float:
    """How many trials of one seed share a program, on average."""
    programs: dict[tuple[tuple[str, tuple[Value, ...]], ...], int] = {}
    trials: Counter[tuple[tuple[str, tuple[Value, ...]], ...]] = Counter()
    for grid in alternatives:
        others = tuple(sorted((name, tuple(values)) for name, values in grid.items() if name not in _IN_ONE_PROGRAM))
        programs[others] = math.prod(len(values) for _, values in others)
        trials[others] += math.prod(len(values) for values in grid.values())
    return trials.total() / max(1, sum(programs.values()))


def packing_mistakes(
    given: ExecutionModel, trainer: Trainer, objective: Objective, budget: Budget
) -> Iterator[tuple[Path, str, str]]:
    """Field, what was found, what is allowed: for what can't be trained together."""
    if given.packing == "fused" and objective.needs_exclusive:
        allowed = "auto or sequential, because the objective is in seconds and fused trials have none of their own"
        yield ("execution", "packing"), "fused", allowed
    elif given.packing == "fused" and budget.seconds is not None:
        found = f"fused with budget.seconds: {text_of(budget.seconds)}"
        yield ("execution", "packing"), found, "budget.steps instead: fused trials share the clock"
    several = "fused" if given.packing == "fused" else ""
    if given.trials_per_pod > 1:
        several = several or f"{given.trials_per_pod} trials in a pod"
        if objective.needs_exclusive and given.packing != "sequential":
            found = f"{given.trials_per_pod} with an objective in seconds"
            allowed = "1, or packing: sequential beside it, so that each trial has the pod's device to itself"
            yield ("execution", "trials_per_pod"), found, allowed
    path: Path = ("execution", "packing" if given.packing == "fused" else "trials_per_pod")
    if several and trainer.metrics is not Metrics.REPORT:
        found = f"{several} with trainer.metrics: {trainer.metrics}"
        yield path, found, "a trainer that uses kgen.trial (metrics: report), which takes one trial after another"
    elif several and not is_same_for_all(trainer.command, flags=trainer.arguments is Arguments.FLAGS):
        allowed = "a command that is the same for all: without places such as {learning_rate} and arguments: flags"
        yield path, f"{several} with parameters on the command line", allowed
