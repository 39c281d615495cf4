"""A tile of networks: forward, and the gradients of the mean cross-entropy, for all lanes at once.

T lanes, B examples, F₁ and F₂ filters, D units, L classes; P places of a block, whose patches are X [taps, 4·P·B].
``⟨4⟩`` is the phase within a pooling window. Each line is one pass over memory that is there already.

Forward::

    Z₁ = W₁ X                          [T, F₁, 4·P·B]     many lanes in one product, per block
    A₁ = max(0, max over ⟨4⟩ of Z₁)    [T, rows, columns, F₁, B]
    Z₂ = M(W₂) A₁                      [T, bands, ⟨4⟩ · …, B]   M: the Toeplitz matrix of a lane's second kernel
    A₂ = max(0, max over ⟨4⟩ of Z₂ + b₂)                [T, features, B]
    A₃ = max(0, W₃ A₂ + b₃)            [T, D, B];   A₃ ← A₃ · mask
    S  = softmax(W₄ A₃ + b₄)           [T, L, B]

Pooling before bias and ReLU gives the same to the bit as Keras' order, because adding a number and cutting at zero
never change which of four is the largest.

Backward, Δ being the gradient with respect to what a layer's ReLU or softmax is given::

    Δ₄ = (S - onehot) / B;  ∂W₄ = Δ₄ A₃ᵀ;  ∂b₄ = Σ Δ₄
    Δ₃ = (W₄ᵀ Δ₄ · mask) where A₃ > 0;  ∂W₃ = Δ₃ A₂ᵀ;  ∂b₃ = Σ Δ₃
    Δ₂ = (W₃ᵀ Δ₃) where A₂ > 0, given to the first largest of ⟨4⟩;  ∂b₂ = Σ Δ₂
    ∂M = Σ over bands of Δ₂ A₁ᵀ;  ∂W₂ = sums of ∂M over the places of each weight
    Δ₁ = (M(W₂)ᵀ Δ₂, added over bands) where A₁ > 0, given to the first largest of ⟨4⟩
    ∂W₁ = Σ over blocks of X Δ₁ᵀ       (as Keras shapes it; its last row, where X is 1, is ∂b₁)

(Goodfellow, Bengio, Courville, *Deep Learning*, 2016, sections 6.5 and 9.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgen_trainer.fused.batches import Batch, Floats
from kgen_trainer.fused.geometry import PHASES, Geometry
from kgen_trainer.fused.products import SharedProducts
from kgen_trainer.fused.strip import StripPass, give_to_first, largest_of


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What a forward pass says of each lane and example."""

    logits: Floats
    """[lanes, classes, batch], less the largest of each example."""
    loss: Floats
    """[lanes, batch]: cross-entropy in nats."""
    right: NDArray[np.bool_]
    """[lanes, batch]: whether the first largest logit is the label's."""


class Tile:
    """The arrays of ``lanes`` networks, and the passes over them. What a lane gets depends on its own weights and the
    batch alone: products have the same shapes for every tile and no lane sees its place in them, and every other
    operation is elementwise or within a lane. To be made, as to be called, while BLAS has one thread."""

    def __init__(self, geometry: Geometry, lanes: int) -> None:
        g, widths, batch = geometry, geometry.widths, geometry.batch
        self._geometry = g
        self.lanes = lanes
        rows, columns = g.places1
        self._products = SharedProducts(g, lanes)
        self._z1 = _empty(lanes, widths.conv1, g.columns)
        self._pooled1 = _empty(lanes, widths.conv1, g.rows_per_block, columns, batch)
        self._first1 = np.empty((g.blocks, PHASES - 1, *self._pooled1.shape), np.bool_)
        self._strips = [StripPass(g, strip, lanes) for strip in g.strips]
        self._kernel2 = np.zeros((lanes, g.strips[0].kernel + 1), np.float32)
        self._a2 = _empty(lanes, *g.places2, widths.conv2, batch)
        self._a3 = _empty(lanes, widths.dense, batch)
        self._dropped = _empty(lanes, widths.dense, batch)
        self._logits = _empty(lanes, g.classes, batch)
        self._delta1 = _empty(lanes, rows, columns, widths.conv1, batch)
        self._spread1 = _empty(lanes, widths.conv1, PHASES, g.rows_per_block * columns, batch)
        self._block_gradient = self._products.new_gradient()
        self.gradients = _empty(lanes, g.weights)
        """Of the last :meth:`backward`."""

    # -- forward

    def forward(self, weights: Floats, batch: Batch, mask: Floats | None = None) -> Outputs:
        """The networks with these weights [lanes, weights] on a batch; ``mask`` [units, batch] is the dropout's."""
        self._first_layer(weights, batch, training=mask is not None)
        self._second_layer(weights, training=mask is not None)
        parts, g = self._geometry.parts, self._geometry
        units, classes = g.widths.dense, g.classes
        a2 = self._a2.reshape(self.lanes, g.features, g.batch)
        np.matmul(_transposed(weights[:, parts["dense"]], units), a2, out=self._a3)
        self._a3 += weights[:, parts["bias3"], np.newaxis]
        np.maximum(self._a3, 0, out=self._a3)
        dropped = self._a3 if mask is None else np.multiply(self._a3, mask, out=self._dropped)
        np.matmul(_transposed(weights[:, parts["logits"]], classes), dropped, out=self._logits)
        self._logits += weights[:, parts["bias4"], np.newaxis]
        return self._judge(batch.labels)

    def _first_layer(self, weights: Floats, batch: Batch, *, training: bool) -> None:
        g = self._geometry
        taps = weights[:, g.first_layer].reshape(self.lanes, g.taps, g.widths.conv1)
        filters = np.ascontiguousarray(taps.transpose(0, 2, 1))
        z = self._z1.reshape(self.lanes, g.widths.conv1, PHASES, *self._pooled1.shape[2:])
        largest = self._pooled1
        for block, patches in enumerate(batch.patches):
            self._products.forward(filters, patches, self._z1)
            largest_of([z[:, :, phase] for phase in range(PHASES)], largest)
            if training:
                for phase in range(PHASES - 1):
                    np.equal(z[:, :, phase], largest, out=self._first1[block, phase])
            rows = slice(block * g.rows_per_block, (block + 1) * g.rows_per_block)
            for strip in self._strips:
                np.maximum(largest[:, :, :, strip.seen].transpose(0, 2, 3, 1, 4), 0, out=strip.image[:, rows])

    def _second_layer(self, weights: Floats, *, training: bool) -> None:
        g = self._geometry
        self._kernel2[:, :-1] = weights[:, g.parts["kernel2"]]
        for strip in self._strips:
            strip.forward(self._kernel2, self._a2, training=training)
        by_filter = self._a2.reshape(self.lanes, -1, g.widths.conv2, g.batch)
        by_filter += weights[:, np.newaxis, g.parts["bias2"], np.newaxis]
        np.maximum(self._a2, 0, out=self._a2)

    def _judge(self, labels: NDArray[np.int32]) -> Outputs:
        logits, classes = self._logits, self._geometry.classes
        logits -= logits.max(axis=1, keepdims=True)
        own = logits[:, labels, np.arange(self._geometry.batch)]
        # Of equal largest logits the first counts, as in argmax; networks that say nothing have them all equal.
        ranks = (logits == 0) * np.arange(classes, 0, -1, dtype=np.min_scalar_type(classes))[:, np.newaxis]
        right = ranks.max(axis=1) == classes - labels
        return Outputs(logits, np.log(np.exp(logits).sum(axis=1)) - own, right)

    # -- backward

    def backward(self, weights: Floats, batch: Batch, mask: Floats) -> Floats:
        """The gradients [lanes, weights] of the mean loss, after :meth:`forward` of the same."""
        g, parts, gradients = self._geometry, self._geometry.parts, self.gradients
        dense = weights[:, parts["dense"]].reshape(self.lanes, g.features, g.widths.dense)
        logits = weights[:, parts["logits"]].reshape(self.lanes, g.widths.dense, g.classes)
        a2 = self._a2.reshape(self.lanes, g.features, g.batch)
        delta4 = np.exp(self._logits, out=self._logits)
        delta4 /= delta4.sum(axis=1, keepdims=True)
        delta4[:, batch.labels, np.arange(g.batch)] -= 1
        delta4 *= np.float32(1 / g.batch)
        self._put("logits", np.matmul(self._dropped, delta4.transpose(0, 2, 1)))
        gradients[:, parts["bias4"]] = delta4.sum(axis=2)
        delta3 = np.matmul(logits, delta4)
        delta3 *= mask
        delta3 *= self._a3 > 0
        self._put("dense", np.matmul(a2, delta3.transpose(0, 2, 1)))
        gradients[:, parts["bias3"]] = delta3.sum(axis=2)
        delta2 = np.matmul(dense, delta3)
        delta2 *= a2 > 0
        by_filter = delta2.reshape(self.lanes, -1, g.widths.conv2, g.batch)
        gradients[:, parts["bias2"]] = by_filter.sum(axis=3).sum(axis=1)
        self._second_layer_back(delta2.reshape(self._a2.shape))
        self._first_layer_back(batch)
        return gradients

    def _second_layer_back(self, delta: Floats) -> None:
        """From Δ₂ of the pooled places to ∂W₂ and Δ₁."""
        kernel = self.gradients[:, self._geometry.parts["kernel2"]]
        kernel.fill(0)
        self._delta1.fill(0)
        for strip in self._strips:
            strip.backward(delta, kernel, self._delta1)

    def _first_layer_back(self, batch: Batch) -> None:
        """From Δ₁ of the pooled places to ∂W₁."""
        g, gradient = self._geometry, self._products.new_gradient()
        phases = [self._spread1[:, :, phase] for phase in range(PHASES)]
        for block, patches in enumerate(batch.patches):
            rows = slice(block * g.rows_per_block, (block + 1) * g.rows_per_block)
            delta = np.ascontiguousarray(self._delta1[:, rows].transpose(0, 3, 1, 2, 4)).reshape(phases[0].shape)
            give_to_first(delta, self._first1[block].reshape(PHASES - 1, *delta.shape), phases)
            deltas = self._spread1.reshape(self.lanes, g.widths.conv1, g.columns)
            self._products.backward(patches, deltas, self._block_gradient)
            gradient += self._block_gradient
        self.gradients[:, g.first_layer] = self._products.by_lane(gradient).reshape(self.lanes, -1)

    def _put(self, part: str, values: Floats) -> None:
        self.gradients[:, self._geometry.parts[part]] = values.reshape(self.lanes, -1)


def _transposed(weights: Floats, outputs: int) -> Floats:
    """A dense kernel of each lane as [lanes, outputs, inputs]."""
    return weights.reshape(len(weights), -1, outputs).transpose(0, 2, 1)


def _empty(*shape: int) -> Floats:
    return np.empty(shape, np.float32)
