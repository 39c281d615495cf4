"""The rival of bench_fused.py: the same small CNN with Keras' own `compile` and `fit`, as its documentation shows it.

    python tests/benchmarks/plain_keras.py digits|FILE.npz

A resident process: it says `ready` when everything is imported and loaded, then reads trials as JSON lines on standard
input (optimizer, learning_rate, steps) and says `done` after each. It makes no checks and writes nothing.
"""

from __future__ import annotations

import functools
import json
import sys
from typing import Any

import keras
import numpy as np

BATCH, SEED = 100, 3141592
OPTIMIZERS: dict[str, Any] = {
    "sgd": keras.optimizers.SGD,
    "momentum": functools.partial(keras.optimizers.SGD, momentum=0.5),
    "adam": keras.optimizers.Adam,
    "adagrad": keras.optimizers.Adagrad,
    "adadelta": keras.optimizers.Adadelta,
    "rmsprop": keras.optimizers.RMSprop,
}


def main() -> None:
    """Load, then one trial after the other."""
    x, y = load(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        fit(x, y, **json.loads(line))
        keras.backend.clear_session()
        print("done", flush=True)


def load(name: str) -> tuple[Any, Any]:
    """The training set that kgen's trainer uses."""
    if name == "digits":
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        train = np.arange(len(labels)) % 5 != 4
        return (images[train] / 16).reshape(-1, 8, 8, 1).astype("float32"), labels[train]
    with np.load(name) as arrays:
        return (arrays["x_train"] / 255).astype("float32")[..., None], arrays["y_train"]


def fit(x: Any, y: Any, *, optimizer: str, learning_rate: float, steps: int) -> None:
    """Train one network for so many steps."""
    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    model = keras.Sequential([
        keras.Input(x.shape[1:]),
        layers.Conv2D(2, 5, padding="same", activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(4, 5, padding="same", activation="relu"), layers.MaxPooling2D(),
        layers.Flatten(), layers.Dense(15, activation="relu"), layers.Dropout(0.4), layers.Dense(10),
    ])  # fmt: skip
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(OPTIMIZERS[optimizer](learning_rate), loss, metrics=["accuracy"])
    epochs, rest = divmod(steps, -(-len(y) // BATCH))
    if epochs:
        model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)
    if rest:
        model.fit(x[: rest * BATCH], y[: rest * BATCH], batch_size=BATCH, epochs=1, verbose=0)


if __name__ == "__main__":
    main()
