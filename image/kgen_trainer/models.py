"""The article's network: the "basic CNN" of the TensorFlow tutorials, in two sizes and at any scale.

Two convolutions (5×5, same padding, ReLU, each followed by 2×2 max pooling), a dense layer (ReLU, dropout) and the
logits. On MNIST ``cnn-small`` has 3,371 weights, ``cnn-tutorial`` 3,274,634.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from kgen_trainer.backend import keras
from kgen_trainer.randomness import Purpose, word

KERNEL: Final = 5
"""Side of a convolution's kernel."""
RELU_LAYERS: Final = ("conv1", "conv2", "dense")
"""Layers whose output goes through a ReLU, from the input upwards."""
_WEIGHTED_LAYERS: Final = (*RELU_LAYERS, "logits")
_VALUES: Final = 2**21
"""Of the widest layer that an evaluation holds at a time: 8 MiB."""


@dataclass(frozen=True, slots=True)
class Widths:
    """Filters of the two convolutions, units of the first dense layer."""

    conv1: int
    conv2: int
    dense: int

    def scaled(self, scale: float) -> Widths:
        """Each times ``scale``, rounded (halves up), at least 1."""
        return Widths(*(max(1, math.floor(width * scale + 0.5)) for width in (self.conv1, self.conv2, self.dense)))


PRESETS: Final = {"cnn-small": Widths(2, 4, 15), "cnn-tutorial": Widths(32, 64, 1024)}


def build_model(widths: Widths, image_shape: tuple[int, int, int], classes: int, dropout: float) -> Any:
    """A Keras model from images [n, height, width, channels] to logits [n, classes]."""
    layers = keras.layers
    images = keras.Input(image_shape)
    flow = images
    for name, filters in (("conv1", widths.conv1), ("conv2", widths.conv2)):
        flow = layers.Conv2D(filters, KERNEL, padding="same", name=name)(flow)
        flow = layers.MaxPooling2D(2)(layers.ReLU()(flow))
    flow = layers.ReLU()(layers.Dense(widths.dense, name="dense")(layers.Flatten()(flow)))
    flow = layers.Dropout(dropout, seed=0, name="dropout")(flow)
    return keras.Model(images, layers.Dense(classes, name="logits")(flow))


def images_at_a_time(model: Any) -> int:
    """How many images an evaluation should hold at a time: near to a cache, whatever the model."""
    _, height, width, _ = model.inputs[0].shape
    return max(1, _VALUES // int(height * width * model.get_layer("conv1").filters))


def weights_of(model: Any) -> list[Any]:
    """The trained variables, from the input upwards: kernel and bias of each layer."""
    layers = [model.get_layer(name) for name in _WEIGHTED_LAYERS]
    return [variable for layer in layers for variable in (layer.kernel, layer.bias)]


def initialise(model: Any, seed: int) -> None:
    """Give the model the initial weights of ``seed``: Keras' defaults (Glorot uniform kernels, zero biases), keyed by
    the layer; and set its dropout to the first step of ``seed``.

    The dropout layer counts its own steps from there: its mask hangs on (seed, step) alone.
    """
    for index, name in enumerate(_WEIGHTED_LAYERS):
        layer = model.get_layer(name)
        glorot = keras.initializers.GlorotUniform(seed=word(seed, Purpose.WEIGHTS, index))
        layer.kernel.assign(glorot(layer.kernel.shape))
        layer.bias.assign(keras.ops.zeros_like(layer.bias))
    for state in dropout_state(model):
        state.assign([word(seed, Purpose.DROPOUT), 0])


def dropout_state(model: Any) -> list[Any]:
    """The variable that holds seed and step of the dropout's masks; without a rate the layer has none."""
    dropout = model.get_layer("dropout")
    return [dropout.seed_generator.state] if dropout.rate > 0 else []
