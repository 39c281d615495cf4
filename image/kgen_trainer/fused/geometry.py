"""Sizes of a tile's arrays, and where each weight stands: everything that follows from a model's shape alone.

A convolution of 5×5 with the same padding, 2×2 pooling (an odd last row or column is dropped), another such pair, a
dense layer and the logits, as :mod:`kgen_trainer.models` builds them. Arrays have the batch as their innermost axis, so
that every operation runs over long rows of memory, and the trials (lanes) as their outermost.

The first convolution is one matrix product for all lanes: filters of all lanes [lanes · filters, 25 · channels + 1]
times patches of the shared batch [25 · channels + 1, 4 · places · batch]. The places are those *after* pooling, the 4
are the places within a pooling window (phases), so that pooling is the largest of four rows of memory; the last row of
the patches is 1, for the bias.

The second convolution is one product per lane with a Toeplitz matrix (Gray, *Toeplitz and Circulant Matrices*, 2006):
all outputs of two rows (a band) and a few columns (a strip) from all inputs that they can see. Most of its numbers are
not zero, because 5×5 windows are large for such images, and a plain product is several times faster than gathering
patches for 2 filters. Bands overlap in memory as they do in the image; each strip has a copy of its columns.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kgen_trainer.models import KERNEL, Widths

PHASES: Final = 4
"""Places of a 2×2 pooling window, row by row."""
_REACH: Final = KERNEL // 2
_SMALL_IMAGE: Final = 64
"""Values of an image before the second convolution up to which one Toeplitz matrix covers all of it."""
_COLUMNS: Final = 6400
"""Of patches that are looked at together: with a tile's first layer over them they stay in a cache of 1 MiB."""

_STRIP: Final = 3
"""Columns after pooling of one strip at most: wider ones multiply more zeros, narrower ones make small products."""


@dataclass(frozen=True)
class Strip:
    """Some columns of the second convolution: where they lie, and their Toeplitz matrix."""

    pooled: slice
    """Its columns after pooling."""
    seen: slice
    """The columns before the convolution that they can see."""
    rows: int
    """Rows after pooling of one band."""
    band_rows: int
    """Rows before the convolution that one band sees, of which ``margin`` are above it."""
    margin: int
    filters: tuple[int, int]
    """Of the first and the second convolution."""

    @property
    def columns(self) -> int:
        """How many columns there are after pooling."""
        return int(self.pooled.stop - self.pooled.start)

    @property
    def columns_seen(self) -> int:
        """How many columns there are before the convolution."""
        return int(self.seen.stop - self.seen.start)

    @property
    def outputs(self) -> int:
        """Rows of the matrix: phase, pooled row, pooled column, filter."""
        return PHASES * self.rows * self.columns * self.filters[1]

    @property
    def inputs(self) -> int:
        """Columns of the matrix: row, column, filter of the first convolution."""
        return self.band_rows * self.columns_seen * self.filters[0]

    @property
    def kernel(self) -> int:
        """Weights of the second kernel."""
        return KERNEL * KERNEL * self.filters[0] * self.filters[1]

    @cached_property
    def toeplitz(self) -> NDArray[np.int32]:
        """Which weight of the second kernel stands at each place of the matrix [outputs · inputs]; the number of its
        weights, one too many, where there is a zero."""
        first, second = self.filters
        kernel = np.arange(self.kernel, dtype=np.int32).reshape(KERNEL, KERNEL, first, second)
        shape = (2, 2, self.rows, self.columns, second, self.band_rows, self.columns_seen, first)
        matrix = np.full(shape, kernel.size, np.int32)
        for down, right, row, column in np.ndindex(2, 2, self.rows, self.columns):
            for tap in np.ndindex(KERNEL, KERNEL):
                y = 2 * row + down + tap[0] - _REACH + self.margin
                x = 2 * (self.pooled.start + column) + right + tap[1] - _REACH - self.seen.start
                if 0 <= y < self.band_rows and 0 <= x < self.columns_seen:
                    matrix[down, right, row, column, :, y, x, :] = kernel[tap].T
        return matrix.ravel()

    @cached_property
    def occurrences(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """The places of the matrix sorted by their weight; where each weight's places begin; and which weights those
        are: on a very small image some never meet a pixel."""
        order = np.argsort(self.toeplitz, kind="stable")
        weights, starts = np.unique(self.toeplitz[order], return_index=True)
        used = weights < self.kernel
        end = order.size if used.all() else int(starts[~used][0])
        return order[:end], starts[used], weights[used].astype(np.intp)


@dataclass(frozen=True)
class Geometry:
    """The shape of a model, and of the arrays that train a tile of it."""

    height: int
    width: int
    channels: int
    widths: Widths
    classes: int
    batch: int

    # -- images

    @property
    def places1(self) -> tuple[int, int]:
        """Rows and columns after the first pooling."""
        return self.height // 2, self.width // 2

    @property
    def places2(self) -> tuple[int, int]:
        """Rows and columns after the second pooling."""
        rows, columns = self.places1
        return rows // 2, columns // 2

    @property
    def taps(self) -> int:
        """Rows of the patches: what one output of the first convolution sees, and 1 for the bias."""
        return KERNEL * KERNEL * self.channels + 1

    @property
    def features(self) -> int:
        """Inputs of the dense layer."""
        rows, columns = self.places2
        return rows * columns * self.widths.conv2

    @cached_property
    def rows_per_block(self) -> int:
        """Pooled rows of the first convolution whose patches are looked at together."""
        rows, columns = self.places1
        most = max(1, _COLUMNS // (PHASES * columns * self.batch))
        return next(count for count in range(min(rows, most), 0, -1) if rows % count == 0)

    @property
    def blocks(self) -> int:
        """How many such groups of rows there are."""
        return self.places1[0] // self.rows_per_block

    @property
    def columns(self) -> int:
        """Columns of one block of patches."""
        return PHASES * self.rows_per_block * self.places1[1] * self.batch

    # -- the second convolution

    @property
    def is_whole(self) -> bool:
        """Whether one Toeplitz matrix covers the whole image; else two rows at a time, of a strip of columns."""
        rows, columns = self.places1
        return rows * columns * self.widths.conv1 <= _SMALL_IMAGE

    @property
    def bands(self) -> int:
        """Groups of rows that the Toeplitz matrices are applied to."""
        return 1 if self.is_whole else self.places2[0]

    @property
    def margin(self) -> int:
        """Rows of zeros above and below the input, so that every band sees as many rows."""
        return 0 if self.is_whole else _REACH

    @property
    def band_rows(self) -> int:
        """Rows of input that one band sees."""
        return self.places1[0] if self.is_whole else 2 + 2 * _REACH

    @cached_property
    def strips(self) -> tuple[Strip, ...]:
        """What the image is cut into for the second convolution, from left to right."""
        columns, pooled = self.places1[1], self.places2[1]
        count = 1 if self.is_whole else -(-pooled // _STRIP)
        ends = [pooled * number // count for number in range(count + 1)]
        return tuple(
            Strip(
                pooled=slice(start, end),
                seen=slice(max(0, 2 * start - _REACH), min(columns, 2 * end + _REACH)),
                rows=self.places2[0] // self.bands,
                band_rows=self.band_rows,
                margin=self.margin,
                filters=(self.widths.conv1, self.widths.conv2),
            )
            for start, end in itertools.pairwise(ends)
        )

    def tile_bytes(self, lanes: int) -> int:
        """Memory for the arrays of a tile and its patches, nearly: they grow with the image, the batch and the lanes,
        and the index of each Toeplitz matrix does not."""
        (rows, columns), widths, batch = self.places1, self.widths, self.batch
        padded = (self.height + 2 * _REACH) * (self.width + 2 * _REACH) * self.channels * batch
        patches = self.blocks * self.taps * self.columns + padded
        block = widths.conv1 * self.columns  # 4 · places · batch
        first = 2 * block + block // PHASES + (self.blocks * (PHASES - 1) * block // PHASES + 3) // 4
        whole = rows * columns * widths.conv1 * batch
        last = (3 * self.features + 3 * widths.dense + 4 * self.classes) * batch + 2 * self.weights
        second = sum(
            2 * (rows + 2 * strip.margin) * strip.columns_seen * widths.conv1 * batch
            + self.bands * strip.outputs * batch * 2
            + 3 * strip.outputs * strip.inputs
            for strip in self.strips
        )
        index = sum(5 * strip.outputs * strip.inputs for strip in self.strips)
        return 4 * (patches + index + lanes * (first + whole + last + second))

    # -- the weights of a lane, one after another as in kgen_trainer.models.weights_of

    @cached_property
    def parts(self) -> dict[str, slice]:
        """Where each part stands among a lane's weights, each as Keras shapes it: ``kernel1`` [5, 5, channels, F₁],
        ``bias1``, ``kernel2`` [5, 5, F₁, F₂], ``bias2``, ``dense`` [features, units], ``bias3``,
        ``logits`` [units, classes], ``bias4``."""
        widths = self.widths
        sizes = {
            "kernel1": (self.taps - 1) * widths.conv1,
            "bias1": widths.conv1,
            "kernel2": KERNEL * KERNEL * widths.conv1 * widths.conv2,
            "bias2": widths.conv2,
            "dense": self.features * widths.dense,
            "bias3": widths.dense,
            "logits": widths.dense * self.classes,
            "bias4": self.classes,
        }
        ends = [*itertools.accumulate(sizes.values())]
        return {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}

    @property
    def first_layer(self) -> slice:
        """Kernel and bias of the first convolution: [taps, F₁]."""
        return slice(0, self.taps * self.widths.conv1)

    @property
    def weights(self) -> int:
        """How many numbers are trained per lane."""
        return int(self.parts["bias4"].stop)
