"""Training of many trials of one model shape and seed: tile by tile, step by step."""

from __future__ import annotations

import itertools
import os
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from kgen_trainer.data import Dataset, load
from kgen_trainer.fused.batches import DropoutMasks, Floats, Patches
from kgen_trainer.fused.geometry import Geometry
from kgen_trainer.fused.lanes import LaneOptimizer, Lanes
from kgen_trainer.fused.network import Outputs, Tile
from kgen_trainer.fused.updates import SLOTS, fresh_slots, update
from kgen_trainer.models import PRESETS, build_model, initialise, weights_of
from kgen_trainer.program import SAME_LOGITS, Measured
from kgen_trainer.settings import Settings

WIDTH: Final = 16
"""Lanes of a tile: enough that what Python does once per operation costs little, few enough that a tile's arrays stay
in a cache, and a multiple of 4, so that the products' kernels have no edge in which a lane could get other bits."""
_MOST_LANES: Final = 1024
_BUDGET: Final = 1 << 30
"""Bytes for the lanes of one program, or a quarter of this process's memory where that is less."""
_TILE_SHARE: Final = 4
"""The arrays of one tile take at most this part of the memory, one by so many."""
_COPIES: Final = 3
"""Of a lane's weights and variables that there are at a time."""
_STEPS_AT_A_TIME: Final = 64
"""Dropout masks that are drawn together."""
_KEPT_PROGRAMS: Final = 4
_NOBODY: Final = LaneOptimizer("sgd", (), 0.0)
"""Fills a tile up."""


class Stopped(Exception):  # noqa: N818  not an error
    """Training was asked to stop between two checks; nothing has changed."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Lanes of a tile that have the same optimizer with the same settings: they stand side by side."""

    kind: LaneOptimizer
    lanes: slice


class FusedProgram:
    """What trains lanes of one shape. One lane's results are the same to the bit whichever others there are: tiles
    always have :attr:`width` lanes, products are made by one thread, and everything else is done element by element or
    within a lane."""

    def __init__(self, settings: Settings, data: Dataset) -> None:
        self.data = data
        self.geometry = _geometry(settings, data)
        self.width = WIDTH
        self.model = build_model(self.geometry.widths, data.image_shape, data.classes, settings.dropout)
        """The same in Keras. Its weights are nobody's."""
        self._x_train, self._y_train = data.x_train.numpy(), data.y_train.numpy()
        self._x_test, self._y_test = data.x_test.numpy(), data.y_test.numpy()
        self._threads = ThreadpoolController()
        with self._threads.limit(limits=1, user_api="blas"):
            self._tile = Tile(self.geometry, WIDTH)
        self._patches = Patches(self.geometry)
        self._masks = DropoutMasks(settings.dropout, settings.batch_size, self.geometry.widths.dense)
        self._warm_up(settings.batch_size)
        _living.add(self)

    def _warm_up(self, batch: int) -> None:
        """Make a step of a lane that is nobody's: what the first one traces and builds is no trial's time."""
        zeros = np.zeros((1, 1 + SLOTS, self.geometry.weights), np.float32)
        self.train(Lanes((_NOBODY,), zeros[:, 0], zeros[:, 1:]), 0, 0, np.zeros((1, batch), np.int32))

    @property
    def capacity(self) -> int:
        """Lanes that fit into this process's memory beside the arrays of all its programs, in whole tiles."""
        bytes_per_lane = 4 * self.geometry.weights * (1 + SLOTS) * _COPIES
        programs = sum(program.geometry.tile_bytes(WIDTH) for program in list(_living))
        budget = min(_BUDGET, _memory() // 4, max(0, _memory() // 2 - programs))
        return max(1, min(_MOST_LANES, budget // bytes_per_lane) // WIDTH) * WIDTH

    def fresh(self, seed: int, members: Sequence[Settings]) -> Lanes:
        """Lanes before their first step: all with the initial weights of this seed."""
        initialise(self.model, seed)
        initial = np.concatenate([weight.value.numpy().ravel() for weight in weights_of(self.model)])
        optimizers = tuple(LaneOptimizer(m.optimizer, m.overrides, m.learning_rate) for m in members)
        slots = [fresh_slots(each.kind, each.overrides, initial.size) for each in optimizers]
        return Lanes(optimizers, np.tile(initial, (len(members), 1)), np.stack(slots))

    def train(
        self,
        lanes: Lanes,
        seed: int,
        step: int,
        batches: NDArray[np.int32],
        stopping: Callable[[], bool] = lambda: False,
    ) -> tuple[Lanes, NDArray[np.float64], NDArray[np.int64]]:
        """One step per row of ``batches`` [steps, batch size], which holds indices into the training set; ``step`` were
        made before.

        Returns the lanes afterwards, and for each the mean loss over the steps, and how many examples were right, both
        with dropout on and the weights before each step. Raises Stopped, with nothing changed, once ``stopping()``.
        """
        order, padded = self._in_tiles(lanes)
        weights, slots = padded.weights, padded.slots
        rates = np.array([[each.learning_rate] for each in padded.optimizers], np.float32)
        tiles = [(tile, self._groups(padded.optimizers[tile])) for tile in self._tiles(padded)]
        losses, right = np.zeros(len(padded)), np.zeros(len(padded), np.int64)
        with self._threads.limit(limits=1, user_api="blas"), np.errstate(all="ignore"):
            for number, (rows, mask) in enumerate(zip(batches, self._all_masks(seed, step, len(batches)), strict=True)):
                if stopping():
                    raise Stopped
                batch = self._patches.batch(self._x_train[rows], self._y_train[rows])
                for tile, groups in tiles:
                    outputs = self._tile.forward(weights[tile], batch, mask)
                    losses[tile] += outputs.loss.mean(axis=1)
                    right[tile] += np.count_nonzero(outputs.right, axis=1)
                    gradients = self._tile.backward(weights[tile], batch, mask)
                    for group in groups:
                        own, kind = group.lanes, group.kind
                        update(kind.kind, kind.overrides, step + number + 1, rates[tile][own], weights[tile][own],
                               slots[tile][own], gradients[own])  # fmt: skip
        back = np.argsort(order)
        trained = Lanes(lanes.optimizers, weights[back], slots[back])
        return trained, losses[back] / len(batches), right[back]

    def measure_train(
        self, lanes: Lanes, indices: NDArray[np.int32], stopping: Callable[[], bool] = lambda: False
    ) -> list[Measured]:
        """Each network as it is now on these examples of the training set. Raises Stopped as :meth:`train` does."""
        return self._measure(lanes, self._x_train, self._y_train, indices, stopping)

    def measure_test(self, lanes: Lanes) -> list[Measured]:
        """Each network as it is now on all held-out examples."""
        return self._measure(lanes, self._x_test, self._y_test, np.arange(len(self._y_test)), lambda: False)

    def unpack(self, lanes: Lanes, which: int) -> list[Floats]:
        """Kernel and bias of each layer of one lane, as Keras shapes them."""
        shapes = [tuple(weight.shape) for weight in weights_of(self.model)]
        ends = [*itertools.accumulate(int(np.prod(shape)) for shape in shapes)]
        parts = np.split(lanes.weights[which], ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def moves_without_gradient(self, lanes: Lanes, which: int, layers: int, step: int) -> bool:
        """Whether the step after ``step``, with all gradients zero, would change a weight of the ``layers`` lowest
        layers of one lane."""
        one, optimizer = lanes.pick([which]), lanes.optimizers[which]
        rate = np.array([[optimizer.learning_rate]], np.float32)
        with np.errstate(all="ignore"):
            update(optimizer.kind, optimizer.overrides, step + 1, rate, one.weights, one.slots,
                   np.zeros_like(one.weights))  # fmt: skip
        end = sum(part.size for part in self.unpack(lanes, which)[: 2 * layers])
        return not np.array_equal(one.weights[0, :end], lanes.weights[which, :end])

    # -- tiles

    def _in_tiles(self, lanes: Lanes) -> tuple[NDArray[np.intp], Lanes]:
        """Copies of the lanes, those with the same optimizer side by side, filled up to whole tiles; and which lane
        stands where."""
        kinds = [(each.kind, each.overrides) for each in lanes.optimizers]
        order = np.array(sorted(range(len(kinds)), key=lambda lane: kinds[lane]), np.intp)
        missing = -len(order) % WIDTH
        sorted_lanes = lanes.pick(list(order))
        filling = Lanes(
            (_NOBODY,) * missing,
            np.zeros((missing, lanes.weights.shape[1]), np.float32),
            np.zeros((missing, *lanes.slots.shape[1:]), np.float32),
        )
        return order, Lanes.joined(sorted_lanes, filling)

    @staticmethod
    def _tiles(lanes: Lanes) -> list[slice]:
        return [slice(start, start + WIDTH) for start in range(0, len(lanes), WIDTH)]

    @staticmethod
    def _groups(optimizers: Sequence[LaneOptimizer]) -> list[_Group]:
        groups = []
        start = 0
        for _, group in itertools.groupby(optimizers, key=lambda each: (each.kind, each.overrides)):
            same = list(group)
            groups.append(_Group(same[0], slice(start, start + len(same))))
            start += len(same)
        return groups

    def _all_masks(self, seed: int, step: int, steps: int) -> Iterator[Floats]:
        for start in range(0, steps, _STEPS_AT_A_TIME):
            yield from self._masks.of(seed, step + start, min(_STEPS_AT_A_TIME, steps - start))

    # -- measuring

    def _measure(
        self, lanes: Lanes, x: Floats, y: NDArray[np.int32], indices: NDArray[Any], stopping: Callable[[], bool]
    ) -> list[Measured]:
        order, padded = self._in_tiles(lanes)
        examples, size = len(indices), self.geometry.batch
        right, loss = np.zeros(len(padded), np.int64), np.zeros(len(padded))
        constant, first = np.ones(len(padded), np.bool_), np.empty((len(padded), self.geometry.classes), np.float32)
        with self._threads.limit(limits=1, user_api="blas"), np.errstate(all="ignore"):
            for start in range(0, examples, size):
                if stopping():
                    raise Stopped
                count = min(size, examples - start)
                rows = indices[start : start + count]
                rows = np.concatenate([rows, np.broadcast_to(rows[:1], size - count)])
                batch = self._patches.batch(x[rows], y[rows])
                for tile in self._tiles(padded):
                    outputs = self._tile.forward(padded.weights[tile], batch)
                    right[tile] += np.count_nonzero(outputs.right[:, :count], axis=1)
                    loss[tile] += outputs.loss[:, :count].sum(axis=1)
                    if not start:
                        first[tile] = outputs.logits[:, :, 0]
                    constant[tile] &= _are_same(outputs, first[tile], constant[tile])
        finite: NDArray[np.bool_] = np.all(np.isfinite(padded.weights), axis=1)
        each = zip(right / examples, loss / examples, constant, finite, strict=True)
        measured = [Measured(float(accuracy), float(mean), bool(c), bool(f)) for accuracy, mean, c, f in each]
        return [measured[place] for place in np.argsort(order)]


def _are_same(outputs: Outputs, first: Floats, candidates: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the candidates have, but for rounding, these logits for every example."""
    same = candidates.copy()
    near = outputs.logits[candidates] - first[candidates, :, np.newaxis]
    bound = SAME_LOGITS * (1 + np.abs(first[candidates, :, np.newaxis]))
    same[candidates] = (np.abs(near) <= bound).all(axis=(1, 2))
    return same


def _memory() -> int:
    """Bytes that this process may use: the machine's, or its container's limit."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(file).read_text(encoding="ascii").strip()
        except OSError:
            continue
        limits += [int(text)] if text.isdigit() else []
    return min(limits)


_programs: OrderedDict[Settings, FusedProgram] = OrderedDict()
_living: weakref.WeakSet[FusedProgram] = weakref.WeakSet()
"""Also those that are not kept any more, while trials need them."""


def _geometry(settings: Settings, data: Dataset) -> Geometry:
    widths = PRESETS[settings.model].scaled(settings.scale)
    return Geometry(*data.image_shape, widths, data.classes, settings.batch_size)


def is_too_large(settings: Settings) -> str | None:
    """Why a program for these settings would not fit into this process's memory, in words; None where it does. Raises
    DataError when the data can't be used."""
    shape = settings.shape()
    if shape in _programs:
        return None
    need, memory = _geometry(shape, load(shape.dataset, shape.data)).tile_bytes(WIDTH), _memory()
    if need <= memory // _TILE_SHARE:
        return None
    gib = 1 << 30
    return f"{WIDTH} at a time need {need / gib:.1f} GiB, over a quarter of the {memory / gib:.1f} GiB that there are"


def program_for(settings: Settings) -> FusedProgram:
    """The program for these settings' shape, from earlier trials if there was one. Raises DataError when the data can't
    be used."""
    shape = settings.shape()
    program = _programs.get(shape)
    if program is None:
        program = FusedProgram(shape, load(shape.dataset, shape.data))
        while len(_programs) >= _KEPT_PROGRAMS:
            _programs.popitem(last=False)
        _programs[shape] = program
    _programs.move_to_end(shape)
    return program
