"""When a network is provably dead: it can't learn any more, so the rest of its budget would be waste.

**The rule.** Some layer before a ReLU (conv1, conv2 or dense) has no active unit on any training example, in whatever
order training adds (:mod:`kgen_trainer.bounds`); at two consecutive checks; the weights of that layer and of all
layers below it are equal to the bit at both; and a step of the optimizer with all gradients zero would not move them
either.

**Why that is a proof.** A ReLU passes neither value nor gradient where its input is not above zero. So if no unit is
active on any example, the gradients of that layer and of all below it are exactly zero, whichever examples a batch
holds and whatever happens above (dropout acts above, too). With zero gradients SGD, Adagrad, Adadelta and RMSprop do
not move a weight; momentum and Adam still take steps from what they remember, but smaller ones each time
(:func:`kgen_trainer.optimizers.residual_shrinks`; for an Adam whose steps need not shrink the rule is not applied).
A step that rounding swallows is followed by smaller ones in the same direction, which it swallows too. Weight decay
would move a weight at rest by the same amount each time: if it does not move it now, it never will. So the weights
stay, so no unit becomes active, so the gradients stay zero. From then on the logits are the same for every training
example; only biases above the dead layer can still follow the frequencies of the labels.

Whether a layer is dead follows from the weights up to it. So a network is looked at only once the weights of its
lowest layers have rested between two checks: what is found then was so at the earlier check, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Network(Protocol):
    """What the rule asks of a network in training; layers are counted from the input upwards."""

    def lowest_weights(self, layers: int) -> list[NDArray[Any]]:
        """Copies of kernel and bias of each of the ``layers`` lowest layers."""

    def lowest_dead_layer(self) -> int | None:
        """Position of the lowest layer without an active unit on any training example; None if there is none."""

    def moves_without_gradient(self, layers: int) -> bool:
        """Whether a step with all gradients zero would move a weight of the ``layers`` lowest layers."""


class DeadWatch:
    """The rule over the checks of one trial."""

    def __init__(self, names: Sequence[str]) -> None:
        """``names`` of the layers that a ReLU follows, from the input upwards."""
        self._names = names
        self._weights: list[NDArray[Any]] = []
        """Of these layers at the last check, if the logits were constant."""

    def check(self, network: Network, *, constant: bool) -> str | None:
        """The reason to end the trial, or None.

        ``constant``: whether the logits were the same for all examples of the check, as they are where a layer is
        dead.
        """
        earlier, self._weights = self._weights, network.lowest_weights(len(self._names)) if constant else []
        resting = self._resting_since(earlier)
        if resting == 0:
            return None
        position = network.lowest_dead_layer()
        if position is None or position >= resting or network.moves_without_gradient(position + 1):
            return None
        return f"dead: no active unit in {self._names[position]} on any training example"

    def state(self) -> list[NDArray[Any]]:
        """What the last check left for the next: weights, or nothing."""
        return list(self._weights)

    def restore(self, weights: Sequence[NDArray[Any]]) -> None:
        """Go on from what :meth:`state` gave."""
        self._weights = list(weights)

    def _resting_since(self, earlier: Sequence[NDArray[Any]]) -> int:
        """How many of the lowest layers have the same weights as then, to the bit."""
        same = [np.array_equal(*pair) for pair in zip(self._weights, earlier, strict=False)]
        return [*same, False].index(False) // 2
