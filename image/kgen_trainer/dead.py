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
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Network(Protocol):
    """What the rule asks of a network in training; layers are counted from the input upwards."""

    def lowest_dead_layer(self) -> int | None:
        """Position of the lowest layer without an active unit on any training example; None if there is none."""

    def lowest_weights(self, layers: int) -> list[NDArray[Any]]:
        """The weights of the ``layers`` lowest layers."""

    def moves_without_gradient(self, layers: int) -> bool:
        """Whether a step with all gradients zero would move a weight of the ``layers`` lowest layers."""


@dataclass(frozen=True, slots=True, eq=False)
class _Suspect:
    """A dead layer as it was at one check."""

    position: int
    weights: Sequence[NDArray[Any]]
    """Its own and those of all layers below it."""

    def unmoved_since(self, earlier: _Suspect | None) -> bool:
        if earlier is None or earlier.position != self.position:
            return False
        return all(map(np.array_equal, self.weights, earlier.weights))


class DeadWatch:
    """The rule over the checks of one trial."""

    def __init__(self, network: Network, names: Sequence[str]) -> None:
        self._network = network
        self._names = names
        self._suspect: _Suspect | None = None

    def check(self, *, constant: bool) -> str | None:
        """The reason to end the trial, or None.

        ``constant``: whether the logits were the same for all examples of the check. They always are where a layer
        is dead, so the whole training set is looked at in that case only.
        """
        earlier, self._suspect = self._suspect, self._find() if constant else None
        now = self._suspect
        if now is None or not now.unmoved_since(earlier) or self._network.moves_without_gradient(now.position + 1):
            return None
        return f"dead: no active unit in {self._names[now.position]} on any training example"

    def state(self) -> tuple[int | None, list[NDArray[Any]]]:
        """What the last check left for the next: a suspicious layer's position, and weights."""
        return (None, []) if self._suspect is None else (self._suspect.position, list(self._suspect.weights))

    def restore(self, position: int | None, weights: Sequence[NDArray[Any]]) -> None:
        """Go on from what :meth:`state` gave."""
        self._suspect = None if position is None else _Suspect(position, list(weights))

    def _find(self) -> _Suspect | None:
        position = self._network.lowest_dead_layer()
        return None if position is None else _Suspect(position, self._network.lowest_weights(position + 1))
