from __future__ import annotations

import numpy as np
import pytest

from kgen_trainer.models import PRESETS, Widths, build_model, initialise, weights_of
from kgen_trainer.randomness import examples_at

MNIST, DIGITS, CIFAR10 = (28, 28, 1), (8, 8, 1), (32, 32, 3)


@pytest.mark.parametrize(
    ("preset", "scale", "images", "weights"),
    [
        ("cnn-small", 1, MNIST, 3_371),
        ("cnn-tutorial", 1, MNIST, 3_274_634),
        ("cnn-small", 1, DIGITS, 671),
        ("cnn-small", 2, MNIST, 13_012),  # 4·(25+1) + 8·(25·4+1) + 30·(7·7·8+1) + 10·(30+1)
        ("cnn-small", 1, CIFAR10, 4_371),  # 2·(75+1) + 4·(25·2+1) + 15·(8·8·4+1) + 10·(15+1)
    ],
)
def test_models_have_the_articles_number_of_weights(
    preset: str, scale: float, images: tuple[int, int, int], weights: int
) -> None:
    model = build_model(PRESETS[preset].scaled(scale), images, 10, 0.4)
    assert sum(int(np.prod(variable.shape)) for variable in model.trainable_variables) == weights
    assert {id(variable) for variable in weights_of(model)} == {id(variable) for variable in model.trainable_variables}
    assert model.output.shape == (None, 10)


def test_widths_are_rounded_halves_up_and_never_vanish() -> None:
    assert Widths(2, 4, 15).scaled(1.25) == Widths(3, 5, 19)
    assert Widths(2, 4, 15).scaled(0.01) == Widths(1, 1, 1)


def test_initial_weights_hang_on_the_seed_alone() -> None:
    def initial(seed: int) -> list[np.ndarray]:
        initialise(model, seed)
        return [weight.value.numpy() for weight in weights_of(model)]

    model = build_model(PRESETS["cnn-small"], DIGITS, 10, 0.4)
    first = initial(1)
    other = [initial(seed) for seed in (2, -1, 2**32 + 1, 0, 10**40)]
    assert all(map(np.array_equal, first, initial(1)))
    for kernel in (0, 2, 4, 6):
        assert all(not np.array_equal(weights[kernel], first[kernel]) for weights in other)
        assert np.abs(first[kernel]).max() <= _glorot_limit(first[kernel])  # Keras' default
        assert np.abs(first[kernel]).max() > 0.8 * _glorot_limit(first[kernel])
        assert not first[kernel + 1].any()
    assert not np.array_equal(first[4].ravel()[:50], first[2].ravel()[:50])


def _glorot_limit(kernel: np.ndarray) -> float:
    field = int(np.prod(kernel.shape[:-2]))
    return float(np.sqrt(6 / (field * (kernel.shape[-2] + kernel.shape[-1]))))


def test_each_pass_holds_every_example_once_in_an_order_of_its_own() -> None:
    stream = examples_at(5, 0, 300, 100)
    passes = stream.reshape(3, 100)
    assert all(sorted(one) == list(range(100)) for one in passes.tolist())
    assert len({tuple(one) for one in passes.tolist()}) == 3
    assert not np.array_equal(stream, examples_at(6, 0, 300, 100))
    assert not np.array_equal(stream, examples_at(-5, 0, 300, 100))


def test_any_piece_of_the_stream_can_be_asked_for() -> None:
    stream = examples_at(5, 0, 300, 7)
    for start, stop in ((0, 1), (3, 250), (7, 14), (13, 15), (299, 300)):
        assert examples_at(5, start, stop, 7).tolist() == stream[start:stop].tolist()
