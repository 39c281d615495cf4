"""The second convolution of a strip of columns, forward and backward, for all lanes of a tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from kgen_trainer.fused.batches import Floats
from kgen_trainer.fused.geometry import PHASES, Geometry, Strip

_CACHED: Final = 1 << 18
"""Numbers of four bytes in a MiB."""


class StripPass:
    """The arrays of one strip, and the passes over them (symbols as in :mod:`kgen_trainer.fused.network`)."""

    def __init__(self, geometry: Geometry, strip: Strip, lanes: int) -> None:
        batch, bands = geometry.batch, geometry.bands
        self._strip = strip
        self.seen = strip.seen
        """The columns of A₁ that belong into :attr:`image`."""
        rows = geometry.places1[0]
        padded = np.zeros((lanes, rows + 2 * strip.margin, strip.columns_seen, strip.filters[0], batch), np.float32)
        self.image = padded[:, strip.margin : strip.margin + rows]
        """A₁ of these columns [lanes, rows, columns, F₁, B]; whoever made it writes it here."""
        lane, row, _, feature, example = padded.strides
        shape = (lanes, bands, strip.inputs, batch)
        self._bands = as_strided(padded, shape, (lane, 2 * row, feature, example), writeable=False)
        self._matrix = np.empty((lanes, strip.outputs, strip.inputs), np.float32)
        self._z = np.empty((lanes, bands, PHASES, strip.rows, strip.columns, strip.filters[1], batch), np.float32)
        self._first = np.empty((PHASES - 1, lanes, bands, *self._z.shape[3:]), np.bool_)
        values = bands * strip.outputs * batch + 3 * strip.outputs * strip.inputs + strip.inputs * batch
        together = min(lanes, max(1, _CACHED // values))
        self._groups = [slice(start, min(lanes, start + together)) for start in range(0, lanes, together)]
        self._delta_matrix = np.empty_like(self._matrix)
        self._band_matrix = np.empty((together, strip.outputs, strip.inputs), np.float32)
        self._delta = np.empty((together, *padded.shape[1:]), np.float32)
        self._band_delta = np.empty((together, strip.inputs, batch), np.float32)

    def forward(self, kernel: Floats, pooled: Floats, *, training: bool) -> None:
        """The largest of each pooling window of Z₂ = M(W₂) A₁ into the strip's columns of ``pooled`` [lanes, rows,
        columns, F₂, B]; ``kernel`` [lanes, weights of the kernel + 1] ends with a zero."""
        columns = pooled[:, :, self._strip.pooled]
        for lanes in self._groups:
            matrix, phases = self._matrix[lanes], self._phases(lanes)
            np.take(kernel[lanes], self._strip.toeplitz, axis=1, out=matrix.reshape(len(matrix), -1), mode="clip")
            np.matmul(matrix[:, np.newaxis], self._bands[lanes], out=self._products(lanes))
            largest = columns[lanes].reshape(phases[0].shape)
            largest_of(phases, largest)
            for first, phase in zip(self._first[:, lanes] if training else (), phases, strict=False):
                np.equal(phase, largest, out=first)
            columns[lanes] = largest.reshape(columns[lanes].shape)

    def backward(self, pooled: Floats, kernel: Floats, below: Floats) -> None:
        """Add to ``kernel`` [lanes, weights of the kernel] the strip's part of ∂W₂, and to ``below`` [lanes, rows,
        columns, F₁, B] that of Δ₁, from Δ₂ of the pooled places."""
        strip = self._strip
        columns = pooled[:, :, strip.pooled]
        for lanes in self._groups:
            phases = self._phases(lanes)
            give_to_first(np.array(columns[lanes]).reshape(phases[0].shape), self._first[:, lanes], phases)
            delta = self._delta[: len(phases[0])]
            self._bands_back(lanes, delta)
            inner = delta[:, strip.margin : strip.margin + self.image.shape[1]]
            inner *= self.image[lanes] > 0
            below[lanes, :, self.seen] += inner
        order, starts, which = strip.occurrences
        sums = np.add.reduceat(self._delta_matrix.reshape(len(kernel), -1).take(order, axis=1), starts, axis=1)
        kernel[:, which] += sums

    def _bands_back(self, lanes: slice, below: Floats) -> None:
        """From Δ₂ of all places to ∂M, and to Δ₁ before its ReLU, with the margins, of some lanes."""
        delta, seen = self._products(lanes), self._bands[lanes]
        transposed = self._matrix[lanes].transpose(0, 2, 1)
        gradient = self._delta_matrix[lanes]
        one_band, one_delta = self._band_matrix[: len(seen)], self._band_delta[: len(seen)]
        below.fill(0)
        for band in range(seen.shape[1]):
            np.matmul(delta[:, band], seen[:, band].transpose(0, 2, 1), out=one_band if band else gradient)
            if band:
                gradient += one_band
            np.matmul(transposed, delta[:, band], out=one_delta)
            rows = below[:, 2 * band : 2 * band + self._strip.band_rows]
            rows += one_delta.reshape(rows.shape)

    def _products(self, lanes: slice) -> Floats:
        z = self._z[lanes]
        return z.reshape(len(z), z.shape[1], self._strip.outputs, -1)

    def _phases(self, lanes: slice) -> list[Floats]:
        return [self._z[lanes, :, phase] for phase in range(PHASES)]


def largest_of(phases: Sequence[Floats], out: Floats) -> None:
    """The largest of each pooling window, whose four places are ``phases``."""
    np.maximum(phases[0], phases[1], out=out)
    for phase in phases[2:]:
        np.maximum(out, phase, out=out)


def give_to_first(delta: Floats, first: NDArray[np.bool_], phases: Sequence[Floats]) -> None:
    """The gradient of :func:`largest_of` into ``phases``: all of it to the first of the largest, as pooling in Keras
    does. ``first`` [3, …] says which of the first three are as large as the largest; ``delta`` is spoilt."""
    for phase, is_largest in zip(phases, first, strict=False):
        np.multiply(delta, is_largest, out=phase)
        delta -= phase
    phases[-1][...] = delta
