"""A compiled training program: one per model, data and kind of optimizer, used for one trial after another."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kgen_trainer.backend import Tensor, tf
from kgen_trainer.bounds import lowest_dead_layer
from kgen_trainer.data import Dataset, load
from kgen_trainer.models import PRESETS, build_model, dropout_state, images_at_a_time, initialise, weights_of
from kgen_trainer.optimizers import build_optimizer
from kgen_trainer.settings import Settings

SAME_LOGITS: Final = 1e-5
"""Relative; only a hint to look closer, so it may be wide."""
_WARM_UP_STEPS: Final = 50
_KEPT_PROGRAMS: Final = 8
_KEPT_WEIGHTS: Final = 2**25
"""Of all kept programs together; with the optimizers' own variables up to 512 MiB."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The network on some examples, dropout off."""

    accuracy: float
    """Share of examples whose largest logit is that of their label."""
    loss: float
    """Mean cross-entropy, in nats."""
    constant: bool
    """Whether all examples have the same logits but for rounding, as those of a dead network have."""
    finite: bool
    """Whether every weight is a number and not infinite."""


class Program:
    """Model, optimizer and the compiled functions over them. The learning rate and all state are variables.

    Everything is traced once: the number of steps in a chunk, and of examples in an evaluation, may vary freely.
    """

    def __init__(self, settings: Settings, data: Dataset) -> None:
        self.data = data
        widths = PRESETS[settings.model].scaled(settings.scale)
        self._model = build_model(widths, data.image_shape, data.classes, settings.dropout)
        self._weights = weights_of(self._model)
        self._optimizer = build_optimizer(settings.optimizer, settings.overrides, self._weights)
        self._fresh = [_copy(variable) for variable in self._optimizer.variables]
        self._tile = images_at_a_time(self._model)
        self._batch_size = settings.batch_size
        indices = tf.TensorSpec([None], tf.int32)
        images, labels = tf.TensorSpec([None, *data.image_shape], tf.float32), tf.TensorSpec([None], tf.int32)
        batches = tf.TensorSpec([None, settings.batch_size], tf.int32)
        self._train = tf.function(self._train_chunk, input_signature=[batches])
        self._measure = tf.function(self._measure_tiles, input_signature=[images, labels, indices])
        self._all_test = tf.range(int(data.y_test.shape[0]))

    @property
    def weights(self) -> int:
        """How many numbers are trained."""
        return sum(int(weight.shape.num_elements()) for weight in self._weights)

    def warm_up(self, steps: int) -> None:
        """Compile, and let the framework choose its kernels and get its memory, by a real chunk. Spoils the state:
        call :meth:`reset` next."""
        self.train(np.zeros((min(steps, _WARM_UP_STEPS), self._batch_size), np.int32))

    def reset(self, seed: int, learning_rate: float) -> None:
        """The state before the first step of a trial; nothing of earlier trials is left."""
        initialise(self._model, seed)
        for variable, value in zip(self._optimizer.variables, self._fresh, strict=True):
            variable.assign(value)
        self._optimizer.learning_rate = learning_rate

    def set_learning_rate(self, learning_rate: float) -> None:
        """The rate of the steps to come."""
        self._optimizer.learning_rate = learning_rate

    def state(self) -> list[NDArray[Any]]:
        """Copies of all that the next step depends on: weights, the optimizer's variables, the dropout's place."""
        return [_copy(variable) for variable in self._variables]

    def restore(self, state: Sequence[NDArray[Any]]) -> None:
        """Go on from what :meth:`state` gave. Raises ValueError, and changes nothing, for what another model gave."""
        variables = self._variables
        wanted = [(tuple(variable.shape), np.dtype(variable.dtype)) for variable in variables]
        if [(values.shape, values.dtype) for values in state] != wanted:
            raise ValueError("the state of another model or optimizer")
        for variable, values in zip(variables, state, strict=True):
            variable.assign(values)

    @property
    def _variables(self) -> list[Any]:
        return [*self._weights, *self._optimizer.variables, *dropout_state(self._model)]

    def train(self, batches: NDArray[np.int32]) -> tuple[float, int]:
        """One training step per row of ``batches`` [steps, batch size], which holds indices into the training set.

        Returns the mean loss, and how many examples were right, both with dropout on and with the weights before
        each step. The work is done when this returns.
        """
        loss, right = self._train(batches)
        return float(loss.numpy()), int(right.numpy())

    def measure_train(self, indices: NDArray[np.int32]) -> Measured:
        """The network as it is now on these examples of the training set."""
        return self._measured(self.data.x_train, self.data.y_train, indices)

    def measure_test(self) -> Measured:
        """The network as it is now on all held-out examples."""
        return self._measured(self.data.x_test, self.data.y_test, self._all_test)

    def non_finite_weights(self) -> list[str]:
        """Names of the weights that are not numbers or infinite, such as ``dense/kernel``."""
        return [w.path for w in self._weights if not np.isfinite(_copy(w)).all()]

    def lowest_dead_layer(self) -> int | None:
        """As :func:`kgen_trainer.bounds.lowest_dead_layer`, on the training set."""
        return lowest_dead_layer(self._model, self.data.x_train)

    def lowest_weights(self, layers: int) -> list[NDArray[np.float32]]:
        """Copies of kernel and bias of the ``layers`` lowest layers."""
        return [_copy(weight) for weight in self._weights[: 2 * layers]]

    def moves_without_gradient(self, layers: int) -> bool:
        """Whether a step of the optimizer with all gradients zero would change a weight of the ``layers`` lowest
        layers. The state stays as it is."""
        variables = [*self._weights, *self._optimizer.variables]
        before = [_copy(variable) for variable in variables]
        self._optimizer.apply([tf.zeros(weight.shape) for weight in self._weights], self._weights)
        after = self.lowest_weights(layers)
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        return not all(map(np.array_equal, after, before))

    def _measured(self, x: Tensor, y: Tensor, indices: Any) -> Measured:
        right, loss, constant, finite = self._measure(x, y, indices)
        examples = len(indices)
        return Measured(int(right.numpy()) / examples, float(loss.numpy()) / examples, bool(constant.numpy()),
                        bool(finite.numpy()))  # fmt: skip

    # The methods below are traced: what they do in Python happens once, when they are compiled.

    def _train_chunk(self, batches: Tensor) -> tuple[Tensor, Tensor]:
        total, right = tf.constant(0.0, tf.float64), tf.constant(0, tf.int64)
        steps = tf.shape(batches)[0]
        for step in tf.range(steps):
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            rows = batches[step]
            y = tf.gather(self.data.y_train, rows)
            with tf.GradientTape() as tape:
                logits = self._model(tf.gather(self.data.x_train, rows), training=True)
                loss = tf.reduce_mean(_cross_entropy(y, logits))
            gradients = tape.gradient(loss, [weight.value for weight in self._weights])
            self._optimizer.apply(gradients, self._weights)
            total += tf.cast(loss, tf.float64)
            right += _count_right(y, logits)
        return total / tf.cast(steps, tf.float64), right

    def _measure_tiles(self, x: Tensor, y: Tensor, indices: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        total, right, constant = tf.constant(0.0, tf.float64), tf.constant(0, tf.int64), tf.constant(True)
        first = self._model(tf.gather(x, indices[:1]), training=False)
        for start in tf.range(0, tf.shape(indices)[0], self._tile):
            rows = indices[start : start + self._tile]
            labels = tf.gather(y, rows)
            logits = self._model(tf.gather(x, rows), training=False)
            total += tf.cast(tf.reduce_sum(_cross_entropy(labels, logits)), tf.float64)
            right += _count_right(labels, logits)
            same = tf.abs(logits - first) <= SAME_LOGITS * (1 + tf.abs(first))
            constant = tf.logical_and(constant, tf.reduce_all(same))
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(weight.value)) for weight in self._weights])
        return right, total, constant, finite


def _copy(variable: Any) -> NDArray[Any]:
    values: NDArray[Any] = variable.value.numpy()
    return values


def _cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def _count_right(labels: Tensor, logits: Tensor) -> Tensor:
    predicted = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.math.count_nonzero(tf.equal(predicted, labels))


_programs: OrderedDict[Settings, Program] = OrderedDict()


def program_for(settings: Settings, steps: int) -> Program:
    """The compiled and warm program for these settings, from an earlier trial if there was one; ``steps`` is the
    length of a chunk. Call :meth:`Program.reset` before training.

    A few programs are kept: the optimizers of a sweep, or the last sizes of a model. Raises DataError when the data
    can't be used, BadParametersError for optimizer settings that exclude each other.
    """
    key = settings.without_learning_rate()
    program = _programs.get(key)
    if program is None:
        program = Program(settings, load(settings.dataset, settings.data))
        _make_room(program.weights)
        program.warm_up(steps)
        _programs[key] = program
    _programs.move_to_end(key)
    return program


def _make_room(weights: int) -> None:
    dropped = False
    while _programs and (
        len(_programs) >= _KEPT_PROGRAMS or weights + sum(p.weights for p in _programs.values()) > _KEPT_WEIGHTS
    ):
        _programs.popitem(last=False)
        dropped = True
    if dropped:
        gc.collect()  # a program is full of cycles; Python would not free its memory on the device in time by itself
