"""Everything random, keyed by the trial's seed and by what it is for, never by what was drawn before.

So all trials of one seed see the same initial weights, batches and dropout masks, whatever their optimizer, and a
trial gives the same bits in whichever process, and after whichever other trials, it runs. Seeds are whole numbers of
any size and sign.
"""

from __future__ import annotations

import enum
import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Purpose(enum.IntEnum):
    """What random numbers are for. The values are part of every result: never change one."""

    WEIGHTS = 0
    SHUFFLE = 1
    DROPOUT = 2


def _sequence(seed: int, purpose: Purpose, index: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(2 * abs(seed) + (seed < 0), spawn_key=(purpose, index))


def word(seed: int, purpose: Purpose, index: int = 0) -> int:
    """32 bits: a seed for a generator of the framework."""
    return int(_sequence(seed, purpose, index).generate_state(1, np.uint32)[0])


@functools.lru_cache(maxsize=16)  # a check asks again for the epochs that its chunk has just used
def permutation(seed: int, epoch: int, examples: int) -> NDArray[np.int32]:
    """The order of one pass over the training set."""
    generator = np.random.Generator(np.random.Philox(_sequence(seed, Purpose.SHUFFLE, epoch)))
    order: NDArray[Any] = generator.permutation(examples)
    return order.astype(np.int32)


def examples_at(seed: int, start: int, stop: int, examples: int) -> NDArray[np.int32]:
    """Which examples of the training set stand at positions ``start`` … ``stop`` - 1 of the shuffled stream.

    Position p belongs to pass p // ``examples``; each pass holds every example once. Step s with batches of B
    trains on the positions s * B … s * B + B - 1, so a batch may end one pass and begin the next.
    """
    if stop <= start:
        return np.empty(0, np.int32)
    first, last = start // examples, (stop - 1) // examples
    order = np.concatenate([permutation(seed, epoch, examples) for epoch in range(first, last + 1)])
    return order[start - first * examples : stop - first * examples]
