"""The first layer's two products with the patches that all lanes share: as many lanes in one as do not see their place.

Lanes lie side by side in one matrix there, and a BLAS need not treat all its rows alike: OpenBLAS' kernels for AVX2
take them by the dozen, and add up what is left over in another order. How many lanes are free of that is tried out once
for each shape, because it hangs on the processor. With one lane per product they all are, but up to four times slower.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kgen_trainer.fused.batches import Floats
from kgen_trainer.fused.geometry import Geometry


class SharedProducts:
    """Of the lanes of a tile with patches [taps, columns] of one block. To be made, as to be called, while BLAS has one
    thread: with more of them the matrices are cut elsewhere."""

    def __init__(self, geometry: Geometry, lanes: int) -> None:
        self._shape = lanes, geometry.widths.conv1, geometry.taps
        random = np.random.default_rng(0)
        patches = random.standard_normal((geometry.taps, geometry.columns), np.float32)
        filters = random.standard_normal((1, geometry.widths.conv1, geometry.taps), np.float32).repeat(lanes, axis=0)
        deltas = random.standard_normal((1, geometry.widths.conv1, geometry.columns), np.float32).repeat(lanes, axis=0)
        self.forward_together = self._most(lambda together: _forward(filters, patches, np.empty_like(deltas), together))
        """Lanes in one product of :meth:`forward`."""
        self.backward_together = self._most(lambda together: self._tried_backward(patches, deltas, together))
        """Lanes in one product of :meth:`backward`."""

    def forward(self, filters: Floats, patches: Floats, out: Floats) -> None:
        """Filters [lanes, F₁, taps] times patches, into ``out`` [lanes, F₁, columns]."""
        _forward(filters, patches, out, self.forward_together)

    def new_gradient(self) -> Floats:
        """Zeros in the shape that :meth:`backward` gives."""
        return self._zeros(self.backward_together)

    def backward(self, patches: Floats, deltas: Floats, out: Floats) -> None:
        """Patches times deltas [lanes, F₁, columns], into ``out`` of :meth:`new_gradient`."""
        together = len(deltas) // len(out)
        np.matmul(patches, _joined(deltas, together).transpose(0, 2, 1), out=out)

    def by_lane(self, gradient: Floats) -> Floats:
        """What :meth:`backward` gave as [lanes, taps, F₁]."""
        lanes, filters, taps = self._shape
        parts = gradient.reshape(len(gradient), taps, -1, filters)
        return parts.transpose(0, 2, 1, 3).reshape(lanes, taps, filters)

    def _zeros(self, together: int) -> Floats:
        lanes, filters, taps = self._shape
        return np.zeros((lanes // together, taps, together * filters), np.float32)

    def _tried_backward(self, patches: Floats, deltas: Floats, together: int) -> Floats:
        out = self._zeros(together)
        self.backward(patches, deltas, out)
        return self.by_lane(out)

    def _most(self, product: Callable[[int], Floats]) -> int:
        """So many lanes in one product as give equal lanes [lanes, …] equal bits."""
        lanes = self._shape[0]
        sizes = (size for size in range(lanes, 1, -1) if lanes % size == 0)
        return next((size for size in sizes if _are_equal(product(size))), 1)


def _forward(filters: Floats, patches: Floats, out: Floats, together: int) -> Floats:
    np.matmul(_joined(filters, together), patches, out=_joined(out, together))
    return out


def _joined(lanes: Floats, together: int) -> Floats:
    """Matrices [lanes, rows, …] below one another, so many in each."""
    return lanes.reshape(len(lanes) // together, -1, lanes.shape[2])


def _are_equal(lanes: Floats) -> bool:
    return bool((lanes == lanes[:1]).all())
