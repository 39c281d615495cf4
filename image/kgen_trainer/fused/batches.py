"""What all lanes of one seed share at a step: patches of the batch, its labels, the dropout mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from kgen_trainer.backend import Tensor, keras, tf
from kgen_trainer.fused.geometry import PHASES, Geometry
from kgen_trainer.models import KERNEL
from kgen_trainer.randomness import Purpose, word

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One batch, as the layers want it."""

    patches: Floats
    """[blocks, taps, columns]; see :mod:`kgen_trainer.fused.geometry`."""
    labels: NDArray[np.int32]
    """[batch]."""


class Patches:
    """Makes batches of images [batch, height, width, channels]; keeps its memory from one to the next."""

    def __init__(self, geometry: Geometry) -> None:
        g = self._geometry = geometry
        edge = KERNEL // 2
        self._padded = np.zeros((g.channels, g.height + 2 * edge, g.width + 2 * edge, g.batch), np.float32)
        self._inner = self._padded[:, edge : edge + g.height, edge : edge + g.width]
        columns = g.places1[1]
        channel, row, column, example = self._padded.strides
        # The places of a pooling window are one pixel apart, the windows two; a block is some rows of windows.
        seen = as_strided(
            self._padded,
            (KERNEL, KERNEL, g.channels, 2, 2, g.blocks, g.rows_per_block, columns, g.batch),
            (row, column, channel, row, column, 2 * row * g.rows_per_block, 2 * row, 2 * column, example),
            writeable=False,
        )
        self._seen = np.moveaxis(seen, 5, 0)
        self._patches = np.ones((g.blocks, g.taps, g.columns), np.float32)
        shape = (g.blocks, KERNEL, KERNEL, g.channels, 2, 2, g.rows_per_block, columns, g.batch)
        self._taps = self._patches[:, :-1].reshape(shape)
        assert np.shares_memory(self._taps, self._patches)
        assert PHASES * g.rows_per_block * columns * g.batch == g.columns

    def batch(self, images: Floats, labels: NDArray[np.int32]) -> Batch:
        """Valid until the next call."""
        np.copyto(self._inner, images.transpose(3, 1, 2, 0))
        np.copyto(self._taps, self._seen)
        return Batch(self._patches, labels)


class DropoutMasks:
    """The masks that Keras' dropout layer draws in the sequential program, from (seed of the trial, step) alone."""

    def __init__(self, rate: float, batch: int, units: int) -> None:
        self._rate = rate
        self._shape = (batch, units)
        self._generator = keras.random.SeedGenerator(0)
        self._draw = tf.function(self._drawn, input_signature=[tf.TensorSpec([], tf.int32)])

    def of(self, seed: int, step: int, steps: int) -> Floats:
        """For ``steps`` steps from ``step`` on: [steps, units, batch], zero or 1 / (1 - rate)."""
        if not self._rate:
            return np.ones((steps, *reversed(self._shape)), np.float32)
        self._generator.state.assign([word(seed, Purpose.DROPOUT), step])
        masks: Floats = self._draw(steps).numpy()
        return np.ascontiguousarray(masks.transpose(0, 2, 1))

    def _drawn(self, steps: Tensor) -> Tensor:
        masks = tf.TensorArray(tf.float32, steps, element_shape=self._shape)
        for step in tf.range(steps):
            masks = masks.write(step, keras.random.dropout(tf.ones(self._shape), self._rate, seed=self._generator))
        return masks.stack()
