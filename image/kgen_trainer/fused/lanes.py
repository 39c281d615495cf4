"""The state of trials that are trained together: plain arrays, to be picked, joined and saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgen_trainer.optimizers import Overrides


@dataclass(frozen=True, slots=True)
class LaneOptimizer:
    """The optimizer of one trial."""

    kind: str
    """One of :data:`kgen_trainer.optimizers.OPTIMIZERS`."""
    overrides: Overrides
    learning_rate: float


@dataclass(frozen=True, slots=True, eq=False)
class Lanes:
    """n trials of one model shape and seed, all at the same step."""

    optimizers: tuple[LaneOptimizer, ...]
    weights: NDArray[np.float32]
    """[n, weights of the model]: kernel and bias of each layer from the input upwards, each as Keras shapes it, in C
    order."""
    slots: NDArray[np.float32]
    """[n, :data:`kgen_trainer.fused.updates.SLOTS`, weights]: the optimizers' own variables, unused ones zero."""

    def __len__(self) -> int:
        return len(self.optimizers)

    def pick(self, which: Sequence[int]) -> Lanes:
        """Copies of these lanes, in this order."""
        rows = np.asarray(which, np.intp)
        return Lanes(tuple(self.optimizers[row] for row in rows), self.weights[rows], self.slots[rows])

    @staticmethod
    def joined(*lanes: Lanes) -> Lanes:
        """All of them, one after another. Raises ValueError when there are none, or of different models."""
        if not lanes:
            raise ValueError("no lanes to join")
        return Lanes(
            tuple(optimizer for part in lanes for optimizer in part.optimizers),
            np.concatenate([part.weights for part in lanes]),
            np.concatenate([part.slots for part in lanes]),
        )
