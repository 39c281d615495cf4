"""A verdict of death must be final: proven on real networks, and withheld where anything could still move."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from kgen.results.rows import Outcome
from kgen_trainer.bounds import highest_before_relu
from kgen_trainer.dead import DeadWatch
from kgen_trainer.models import RELU_LAYERS, Widths, build_model, initialise
from kgen_trainer.program import Program, program_for
from kgen_trainer.randomness import examples_at
from kgen_trainer.settings import Settings


@dataclass
class FakeNetwork:
    """Dead in the second of three layers, at rest, with two weights a layer, until told otherwise."""

    dead: int | None = 1
    weights: list[float] = field(default_factory=lambda: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    moves: bool = False
    looks: int = 0

    def lowest_dead_layer(self) -> int | None:
        self.looks += 1
        return self.dead

    def lowest_weights(self, layers: int) -> list[Any]:
        return [np.array([weight]) for weight in self.weights[: 2 * layers]]

    def moves_without_gradient(self, layers: int) -> bool:
        assert layers == 2, "those above may move"
        return self.moves

    def move(self, which: int) -> None:
        self.weights[which] += 1e-7


def test_a_network_is_dead_when_two_checks_find_it_dead_and_at_rest() -> None:
    network = FakeNetwork()
    watch = DeadWatch(RELU_LAYERS)
    assert watch.check(network, constant=True) is None
    network.move(4)  # above the dead layer
    assert watch.check(network, constant=True) == "dead: no active unit in conv2 on any training example"


@pytest.mark.parametrize(
    "between",
    [
        lambda network: setattr(network, "dead", None),
        lambda network: network.move(3),
        lambda network: network.move(0),
        lambda network: setattr(network, "moves", True),
    ],
    ids=["alive", "its weights moved", "weights below moved", "residual steps go on"],
)
def test_what_can_still_move_is_not_dead(between: Callable[[FakeNetwork], None]) -> None:
    network = FakeNetwork()
    watch = DeadWatch(RELU_LAYERS)
    watch.check(network, constant=True)
    between(network)
    assert watch.check(network, constant=True) is None


def test_two_checks_with_a_live_one_between_are_not_consecutive() -> None:
    watch, network = DeadWatch(RELU_LAYERS), FakeNetwork()
    assert [watch.check(network, constant=constant) for constant in (True, False, True)] == [None, None, None]


def test_the_whole_training_set_is_looked_at_only_when_the_weights_rest() -> None:
    watch, network = DeadWatch(RELU_LAYERS), FakeNetwork()
    for constant in (False, True, False, True):
        watch.check(network, constant=constant)
    network.move(0)
    watch.check(network, constant=True)
    assert network.looks == 0


def train(program: Program, seed: int, first: int, steps: int) -> None:
    size = program._batch_size
    rows = examples_at(seed, first * size, (first + steps) * size, program.data.examples)
    program.train(rows.reshape(steps, size))


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 10.0), ("momentum", 10.0), ("adam", 10.0), ("rmsprop", 10.0)])
def test_a_dead_network_ends_its_trial_and_would_never_have_moved(run: Any, optimizer: str, rate: float) -> None:
    trial = run({"optimizer": optimizer, "learning_rate": rate}, seed=3141592, steps=2000, check_every_steps=50)
    assert trial.verdict.outcome is Outcome.DIVERGED
    assert trial.verdict.reason in {f"dead: no active unit in {name} on any training example" for name in RELU_LAYERS}
    assert trial.steps <= 400
    assert {"val_accuracy", "val_loss"} <= {point.metric for point in trial.snapshot()[1] if point.step == trial.steps}

    program = program_for(Settings(optimizer=optimizer), 50)
    program.reset(3141592, rate)
    train(program, 3141592, 0, trial.steps)
    dead = program.lowest_dead_layer()
    assert dead is not None
    before = program.lowest_weights(dead + 1)
    train(program, 3141592, trial.steps, 1000)
    assert program.lowest_dead_layer() == dead
    assert all(map(np.array_equal, program.lowest_weights(dead + 1), before))


def test_dead_networks_that_come_back_are_never_given_up() -> None:
    """Momentum and Adam go on by what they remember, and some networks wake up again: found by search, so that on
    another machine one or the other may not."""
    cases = [("momentum", 0.99, 2, 1.0), ("momentum", 0.99, 3, 2.0), ("momentum", 0.99, 3, 4.0), ("adam", None, 2, 0.3)]
    came_back = 0
    for optimizer, momentum, seed, rate in cases:
        overrides = (("momentum", momentum),) if momentum else ()
        program = program_for(Settings(optimizer=optimizer, overrides=overrides), 10)
        program.reset(seed, rate)
        watch = DeadWatch(RELU_LAYERS)
        dead, given_up = [], []
        for check in range(14):
            train(program, seed, check * 10, 10)
            dead.append(program.lowest_dead_layer() is not None)
            given_up.append(watch.check(program, constant=True) is not None)
        wakes = [check for check in range(13) if dead[check] and not dead[check + 1]]
        came_back += len(wakes)
        assert not any(given_up[: max(wakes, default=-1) + 1])
    assert came_back > 0


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 1e-6), ("adam", 1e-6), ("adadelta", 1e-6)])
def test_slow_is_not_dead(run: Any, optimizer: str, rate: float) -> None:
    trial = run({"optimizer": optimizer, "learning_rate": rate}, seed=3141592, steps=300, check_every_steps=50)
    assert trial.verdict.outcome is Outcome.FINISHED


def test_an_adam_that_need_not_come_to_rest_is_never_called_dead(run: Any) -> None:
    config = {"optimizers": {"adam": {"beta_1": 0.9, "beta_2": 0.5}}}
    trial = run({"optimizer": "adam", "learning_rate": 10.0}, config, seed=3141592, steps=400)
    assert trial.verdict.outcome is Outcome.FINISHED


def test_a_dead_network_is_trained_on_where_the_sweep_says_so(run: Any) -> None:
    parameters = {"optimizer": "sgd", "learning_rate": 50.0}
    stopped = run(parameters, seed=3141592, steps=400)
    whole = run(parameters, {"stop_dead": False}, seed=3141592, steps=400)
    assert (stopped.verdict.outcome, whole.verdict.outcome) == (Outcome.DIVERGED, Outcome.FINISHED)
    curves = [[(p.step, p.value) for p in each.snapshot()[1] if p.metric == "loss"] for each in (stopped, whole)]
    assert curves[1][: len(curves[0])] == curves[0]
    assert whole.steps == 400 > stopped.steps


def test_a_look_at_the_residual_step_leaves_no_trace() -> None:
    program = program_for(Settings(optimizer="momentum"), 50)
    program.reset(1, 0.1)
    train(program, 1, 0, 20)
    variables = [*program._weights, *program._optimizer.variables]
    before = [variable.value.numpy() for variable in variables]
    assert program.moves_without_gradient(1)
    assert all(map(np.array_equal, before, [variable.value.numpy() for variable in variables]))
    program.reset(1, 0.1)
    assert not program.moves_without_gradient(4)  # momentum remembers nothing yet


def test_a_network_at_rest_under_weight_decay_still_moves() -> None:
    program = program_for(Settings(optimizer="sgd", overrides=(("weight_decay", 0.01),)), 50)
    program.reset(1, 0.1)
    assert program.moves_without_gradient(1)


def exact_before_relu(model: Any, images: Any) -> list[Any]:
    """In 64 bits, product by product."""
    values = images.astype(np.float64)
    outputs = []
    for name in RELU_LAYERS:
        layer = model.get_layer(name)
        kernel, bias = (v.value.numpy().astype(np.float64) for v in (layer.kernel, layer.bias))
        if kernel.ndim == 4:
            n, height, width, _ = values.shape
            padded = np.pad(values, ((0, 0), (2, 2), (2, 2), (0, 0)))
            z = np.zeros((n, height, width, kernel.shape[-1])) + bias
            for i, j in itertools.product(range(5), range(5)):
                z += padded[:, i : i + height, j : j + width] @ kernel[i, j]
            relu = np.maximum(z, 0)[:, : height // 2 * 2, : width // 2 * 2]
            values = relu.reshape(n, height // 2, 2, width // 2, 2, -1).max(axis=(2, 4))
        else:
            z = values.reshape(len(values), -1) @ kernel + bias
        outputs.append(z)
    return outputs


@pytest.mark.parametrize("side", [8, 9])
def test_the_bound_is_above_the_exact_values_and_close_to_them(side: int) -> None:
    model = build_model(Widths(3, 5, 7), (side, side, 2), 10, 0.4)
    initialise(model, 1)
    images = np.random.default_rng(0).uniform(0, 1, (50, side, side, 2)).astype(np.float32)
    bounds = highest_before_relu(model, images).numpy()
    for bound, exact in zip(bounds, exact_before_relu(model, images), strict=True):
        assert exact.max() < bound < exact.max() + 0.001


def test_values_within_the_error_of_the_computation_are_not_called_dead() -> None:
    """One unit at -1e-7 by cancellation of terms of size 1: another order may add them up to more than zero."""
    model = build_model(Widths(1, 1, 1), (4, 4, 1), 2, 0.4)
    initialise(model, 1)
    conv1 = model.get_layer("conv1")
    kernel = np.zeros((5, 5, 1, 1), np.float32)
    kernel[2, 2] = 1
    conv1.kernel.assign(kernel)
    for bias, dead in ((-1.0 - 1e-7, False), (-1.01, True)):
        conv1.bias.assign([bias])
        assert (highest_before_relu(model, np.ones((1, 4, 4, 1), np.float32)).numpy()[0] <= 0) is np.bool_(dead)


def test_exact_zeros_are_dead_without_a_margin() -> None:
    """A unit whose inputs are all zero and whose bias never moved from zero is off by nothing in any order."""
    model = build_model(Widths(1, 1, 1), (4, 4, 1), 2, 0.4)
    initialise(model, 1)
    model.get_layer("conv1").bias.assign([-100.0])
    highest = highest_before_relu(model, np.ones((1, 4, 4, 1), np.float32)).numpy()
    assert highest[0] < 0
    assert highest[1:].tolist() == [0, 0]
