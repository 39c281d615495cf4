"""How high a network's values before its ReLUs can be, whatever the order in which products are added.

Training may add the same products in another order than a check does (other batch sizes, other kernels). Adding n
products of 32-bit floats in any order is off by at most about n·u·Σ|product|, u = 2⁻²⁴ (Higham, *Accuracy and Stability
of Numerical Algorithms*, 2002, section 3.1), and a layer passes on what its input was off by, times the absolute
values of its weights. A value that can't be above zero is exactly zero after the ReLU, and off by nothing.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from kgen_trainer.backend import Tensor, keras, tf
from kgen_trainer.models import RELU_LAYERS, images_at_a_time

_UNIT_ROUNDOFF: Final = 2.0**-24
_SAFETY: Final = 4.0
"""Once for the check, once for training, and as much again for the higher-order terms of the bound."""


def highest_before_relu(model: Any, images: Tensor) -> Tensor:
    """For each of :data:`RELU_LAYERS` the highest value over all units, places and images [n, height, width, channels]
    that any order of additions could give: a tensor of three.

    Where it is not above zero, no unit of that layer is active on any of these images.
    """
    values, errors = images, tf.zeros_like(images)
    highest = []
    for name in RELU_LAYERS:
        layer = model.get_layer(name)
        values, errors = _as_input(layer, values), _as_input(layer, errors)
        kernel, bias = tf.abs(layer.kernel.value), tf.abs(layer.bias.value)
        terms = int(kernel.shape.num_elements()) // int(kernel.shape[-1]) + 1
        sizes = _product(layer, tf.abs(values), kernel) + bias
        errors = _product(layer, errors, kernel) + terms * _UNIT_ROUNDOFF * sizes
        values = layer(values)
        at_most = values + _SAFETY * errors
        highest.append(tf.reduce_max(at_most))
        values, errors = tf.nn.relu(values), tf.where(at_most > 0, errors, 0.0)
        if _convolves(layer):
            # The maximum of a window is off by no more than the one of its values that is off most.
            values, errors = keras.ops.max_pool(values, 2), keras.ops.max_pool(errors, 2)
    return tf.stack(highest)


def lowest_dead_layer(model: Any, images: Tensor) -> int | None:
    """Position in :data:`RELU_LAYERS` of the lowest layer that has no active unit on any of these images, in whatever
    order training adds; None if there is none."""
    size = images_at_a_time(model)
    highest = np.max([highest_before_relu(model, images[at : at + size]) for at in range(0, len(images), size)], axis=0)
    return next((position for position, value in enumerate(highest) if value <= 0), None)


def _convolves(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Conv2D)


def _as_input(layer: Any, tensor: Tensor) -> Tensor:
    return tensor if _convolves(layer) else tf.reshape(tensor, [-1, layer.kernel.shape[0]])


def _product(layer: Any, inputs: Tensor, kernel: Tensor) -> Tensor:
    """What the layer does with its own kernel, with another one and without bias."""
    return keras.ops.conv(inputs, kernel, padding="same") if _convolves(layer) else inputs @ kernel
