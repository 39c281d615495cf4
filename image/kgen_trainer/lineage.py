"""Checkpoints of trials that differ by their steps alone: a longer one goes on where a shorter one ended.

They lie in one place. Each has a file of its own in it, named after its budget, so that whatever is killed, repeated or
late, none takes away what another one needs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from kgen.trial import Decision, Trial
from kgen_trainer.backend import device, versions
from kgen_trainer.checkpoint import Checkpoint, Checkpoints
from kgen_trainer.settings import Settings

_NAME: Final = "kgen_trainer.{}.checkpoint"
_PATTERN: Final = re.compile(r"kgen_trainer\.(\d+)\.checkpoint")


def checkpoints_of(trial: Trial, settings: Settings, packing: str) -> Checkpoints | None:
    """Where a trial keeps them, or None for one that keeps none; they go when its result is written, but for what a
    longer trial of its lineage needs.

    ``packing`` says what trains it: alone and among others it would not get the same bits.
    """
    every, steps = settings.checkpoint_every_seconds, trial.budget.steps
    has_lineage = bool(trial.lineage) and steps is not None and settings.range_test is None
    if every is None and not has_lineage:
        return None
    owner = {"packing": packing, "device": device()[0], **versions()}
    # A row that goes on from an earlier attempt has no seconds to compare, so it could never be the result.
    resumes = not trial.spec.objective.needs_exclusive
    checkpoints: Checkpoints
    if has_lineage:
        owner = {"lineage": trial.lineage, "seed": str(trial.seed), **owner}
        checkpoints = LineageCheckpoints(trial, owner, math.inf if every is None else every, resumes=resumes)
    else:
        assert every is not None, "only a lineage keeps them without"
        owner = {"trial": trial.id, **owner}
        checkpoints = Checkpoints(trial.checkpoints, owner, every, resumes=resumes)
    trial.when_done(checkpoints.remove)
    return checkpoints


class LineageCheckpoints(Checkpoints):
    """Those of one trial of a lineage."""

    def __init__(self, trial: Trial, owner: Mapping[str, str], every: float, *, resumes: bool) -> None:
        """As :class:`Checkpoints`; the trial has a budget of steps."""
        assert trial.budget.steps is not None, "what else would they differ by"
        self._trial = trial
        self._steps = trial.budget.steps
        self._budget_spent = False
        """Whether the last check was the end for that reason."""
        super().__init__(trial.checkpoints, owner, every, resumes=resumes, name=_NAME.format(self._steps))

    def candidates(self) -> Sequence[str]:
        """Its own, then those of shorter trials, the longest first. Raises StoreError."""
        return [*super().candidates(), *self._shorter()]

    def load(self, name: str) -> tuple[Checkpoint | None, str]:
        """As of any; one from which no step is left is its own, from an end whose result was not written any more."""
        found, why = super().load(name)
        return (None, "") if found is not None and found.step >= self._steps else (found, why)

    def wants(self, decision: Decision, *, is_dead: bool) -> bool:
        """Also at the last check that a longer trial makes at the same step."""
        self._budget_spent = decision.budget_spent
        return super().wants(decision, is_dead=is_dead) or (not is_dead and self._is_shared_last(decision))

    def _is_shared_last(self, decision: Decision) -> bool:
        every, step = self._trial.budget.check_every_steps, self._trial.steps
        if not decision.stop:
            return self._steps - step < every  # the next check is this trial's last, and too early for a longer one
        return decision.budget_spent and step == self._steps and step % every == 0

    def to_remove(self) -> Sequence[str]:
        """What no longer trial goes on from: whatever is there of shorter ones, if there is better; all that is not of
        longer ones, where a longer one would end as this one did. Raises StoreError."""
        if not self._budget_spent:
            return [*super().to_remove(), *self._shorter()]
        return self._shorter() if self._is_kept or self._name in self.found() else []

    def _shorter(self) -> list[str]:
        named = [(_PATTERN.fullmatch(name), name) for name in self.found()]
        found = [(int(match[1]), name) for match, name in named if match]
        return [name for steps, name in sorted(found, reverse=True) if steps < self._steps]
