"""Trials that are trained side by side: of one shape and seed, at one step, with one budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgen.spec import Budget, Packing
from kgen.trial import Decision, Trial
from kgen_trainer.backend import products
from kgen_trainer.bounds import lowest_dead_layer
from kgen_trainer.checkpoint import Checkpoint
from kgen_trainer.course import Course
from kgen_trainer.fused import FusedProgram, Lanes
from kgen_trainer.lineage import checkpoints_of
from kgen_trainer.models import weights_of
from kgen_trainer.settings import Settings

Key = tuple[Settings, int, Budget]
"""Shape, seed and budget: what trials must share, beside the step, to be of one cohort."""


class Member:
    """One trial among many."""

    def __init__(self, trial: Trial, settings: Settings, program: FusedProgram) -> None:
        self.trial = trial
        self.settings = settings
        self.program = program
        self.course = Course(trial, settings, program.data.examples, program.geometry.weights)
        self.key: Key = (settings.shape(), trial.seed, trial.budget)
        self.resumed: Lanes | None = None
        """Where it goes on, if an earlier attempt left a checkpoint."""
        self.checkpoints = checkpoints_of(trial, settings, f"{packing(program)}, {products()}")

    def resume(self) -> None:
        """Go on where an earlier attempt ended, if it left a checkpoint that fits."""
        if self.checkpoints is not None:
            self.checkpoints.resume(self._restore)

    def _restore(self, kept: Checkpoint) -> None:
        fresh = self.program.fresh(self.trial.seed, [self.settings])
        kinds = [(array.shape[1:], array.dtype) for array in (fresh.weights, fresh.slots)]
        if [(array.shape, array.dtype) for array in kept.program] != kinds:
            raise ValueError("the state of another model or optimizer")
        self.course.restore(kept)
        weights, slots = kept.program
        self.resumed = Lanes(fresh.optimizers, weights[np.newaxis], slots[np.newaxis])


def packing(program: FusedProgram) -> str:
    """In words that a row and a checkpoint keep: other widths may give other bits."""
    return f"{Packing.FUSED} in tiles of {program.width}"


class Cohort:
    """Members and their lanes, in the same order."""

    def __init__(self, members: Iterable[Member]) -> None:
        """Of trials that have the same key and step, and are not in a cohort yet."""
        listed = list(members)
        fresh = [member for member in listed if member.resumed is None]
        resumed = [(member, member.resumed) for member in listed if member.resumed is not None]
        self.members = [*fresh, *(member for member, _ in resumed)]
        first = self.members[0]
        self.key = first.key
        self.program = first.program
        parts = [lanes for _, lanes in resumed]
        if fresh:
            parts.insert(0, self.program.fresh(first.trial.seed, [member.settings for member in fresh]))
        self._lanes = Lanes.joined(*parts)

    @property
    def step(self) -> int:
        """Steps that each of them has made."""
        return self.members[0].course.step

    def advance(
        self, training: Callable[[], AbstractContextManager[None]], stopping: Callable[[], bool]
    ) -> list[Decision]:
        """One chunk of steps and the check after it; the answer to each member's report.

        Raises Stopped once ``stopping()``; then all are where they were at the check before.
        """
        course, program = self.members[0].course, self.program
        batches = course.batches()
        with training():
            lanes, losses, right = program.train(self._lanes, course.trial.seed, course.step, batches, stopping)
        measured = program.measure_train(lanes, course.window(len(batches)), stopping)
        self._lanes = lanes
        asks = []
        for which, member in enumerate(self.members):
            member.course.trained(len(batches), float(losses[which]), int(right[which]))
            if member.course.check(measured[which], _Lane(program, lanes, which, member.course.step)):
                asks.append(which)
        held_out = dict(zip(asks, program.measure_test(lanes.pick(asks)), strict=True)) if asks else {}
        return [member.course.report(held_out.get(which)) for which, member in enumerate(self.members)]

    def checkpoint(self, which: int) -> Checkpoint:
        """Of the member in this place."""
        lanes = self._lanes
        return self.members[which].course.checkpoint([lanes.weights[which], lanes.slots[which]])

    def keep(self, which: list[int]) -> None:
        """Only the members in these places go on."""
        if len(which) < len(self.members):
            self.members = [self.members[place] for place in which]
            self._lanes = self._lanes.pick(which)

    def join(self, other: Cohort) -> None:
        """Those of another cohort that has come to the same step go on in this one."""
        self.members += other.members
        self._lanes = Lanes.joined(self._lanes, other._lanes)


class _Lane:
    """One lane as a check sees it."""

    def __init__(self, program: FusedProgram, lanes: Lanes, which: int, step: int) -> None:
        self._program = program
        self._lanes = lanes
        self._which = which
        self._step = step

    def _weights(self) -> list[NDArray[Any]]:
        return [np.array(values) for values in self._program.unpack(self._lanes, self._which)]

    def lowest_weights(self, layers: int) -> list[NDArray[Any]]:
        return self._weights()[: 2 * layers]

    def lowest_dead_layer(self) -> int | None:
        for weight, values in zip(weights_of(self._program.model), self._weights(), strict=True):
            weight.assign(values)
        return lowest_dead_layer(self._program.model, self._program.data.x_train)

    def moves_without_gradient(self, layers: int) -> bool:
        return self._program.moves_without_gradient(self._lanes, self._which, layers, self._step)

    def non_finite_weights(self) -> list[str]:
        named = zip(weights_of(self._program.model), self._weights(), strict=True)
        return [weight.path for weight, values in named if not np.isfinite(values).all()]
