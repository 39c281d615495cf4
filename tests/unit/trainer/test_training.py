"""The training itself: against a plain Keras loop, the same bits again, and no work that is not needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import kgen_trainer.course
import kgen_trainer.loop
import kgen_trainer.program
from kgen.trial import Trial
from kgen_trainer.backend import keras, tf
from kgen_trainer.data import load
from kgen_trainer.models import initialise, weights_of
from kgen_trainer.program import Program, program_for
from kgen_trainer.randomness import examples_at
from kgen_trainer.settings import Settings

RATES = {"sgd": 0.1, "momentum": 0.05, "adam": 0.003, "adagrad": 0.05, "adadelta": 2.0, "rmsprop": 0.003}
KERAS: dict[str, tuple[str, dict[str, float]]] = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.5}),
    "adam": ("Adam", {}),
    "adagrad": ("Adagrad", {}),
    "adadelta": ("Adadelta", {}),
    "rmsprop": ("RMSprop", {}),
}


def curve(trial: Trial, *metrics: str) -> list[tuple[int, str, float]]:
    """What was reported, without seconds."""
    return [(p.step, p.metric, p.value) for p in trial.snapshot()[1] if not metrics or p.metric in metrics]


def plain_keras(optimizer: Any, seed: int, steps: int, batch_size: int) -> tuple[list[float], list[int], Any]:
    """The article's network in the plainest Keras: loss and number of right answers at each step; the model after."""
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((8, 8, 1)),
        layers.Conv2D(2, 5, padding="same", activation="relu", name="conv1"), layers.MaxPooling2D(),
        layers.Conv2D(4, 5, padding="same", activation="relu", name="conv2"), layers.MaxPooling2D(),
        layers.Flatten(), layers.Dense(15, activation="relu", name="dense"),
        layers.Dropout(0.0, name="dropout"), layers.Dense(10, name="logits"),
    ])  # fmt: skip
    initialise(model, seed)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    data = load("digits", None)
    x, y = data.x_train.numpy(), data.y_train.numpy()
    losses, right = [], []
    for step in range(steps):
        rows = examples_at(seed, step * batch_size, (step + 1) * batch_size, len(x))
        with tf.GradientTape() as tape:
            logits = model(x[rows], training=True)
            loss = cross_entropy(y[rows], logits)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        losses.append(float(loss))
        right.append(int((logits.numpy().argmax(axis=1) == y[rows]).sum()))
    return losses, right, model


@pytest.mark.parametrize("optimizer", RATES)
def test_the_compiled_program_trains_as_plain_keras_does(run: Any, optimizer: str) -> None:
    rate = RATES[optimizer]
    name, settings = KERAS[optimizer]
    plain = getattr(keras.optimizers, name)(rate, **settings)
    losses, right, model = plain_keras(plain, seed=7, steps=50, batch_size=40)
    trial = run(
        {"optimizer": optimizer, "learning_rate": rate}, {"dropout": 0, "batch_size": 40}, seed=7, steps=50,
        check_every_steps=10,
    )  # fmt: skip
    reported = {(step, metric): value for step, metric, value in curve(trial)}
    for step in range(10, 51, 10):
        assert reported[step, "loss"] == pytest.approx(np.mean(losses[step - 10 : step]), abs=1e-5)
        assert reported[step, "running_accuracy"] == pytest.approx(sum(right[:step]) / (step * 40), abs=1e-3)
    data = load("digits", None)
    logits = model(data.x_test).numpy()
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert reported[50, "val_loss"] == pytest.approx(float(cross_entropy(data.y_test, logits)), abs=1e-5)
    share = np.mean(logits.argmax(axis=1) == data.y_test.numpy())
    assert reported[50, "val_accuracy"] == pytest.approx(share, abs=1.5 / len(logits))
    assert losses[0] - losses[-1] > 0.01  # it learns, so the comparison means something


def test_settings_of_an_optimizer_are_used(run: Any) -> None:
    config = {"dropout": 0, "batch_size": 40, "optimizers": {"momentum": {"momentum": 0.9, "nesterov": True}}}
    trial = run({"optimizer": "momentum", "learning_rate": 0.05}, config, seed=7, steps=30, check_every_steps=30)
    losses, _, _ = plain_keras(keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True), 7, steps=30, batch_size=40)
    assert curve(trial, "loss")[0][2] == pytest.approx(np.mean(losses), abs=1e-5)


def test_a_trial_gives_the_same_bits_whatever_ran_before(run: Any) -> None:
    def again(optimizer: str) -> Any:
        parameters = {"optimizer": optimizer, "learning_rate": RATES[optimizer]}
        return curve(run(parameters, seed=3, steps=60, check_every_steps=20, evaluate_every_steps=20))

    first = {optimizer: again(optimizer) for optimizer in ("adam", "adagrad")}
    run({"optimizer": "adam", "learning_rate": 50.0}, seed=4, steps=70, check_every_steps=7)
    run({"optimizer": "sgd"}, steps=5)
    assert again("adagrad") == first["adagrad"]
    assert again("adam") == first["adam"]


def test_another_seed_gives_another_curve(run: Any) -> None:
    curves = {str(curve(run({"learning_rate": 0.01}, seed=seed, steps=20))) for seed in (1, 2, -1, 2**40 + 1)}
    assert len(curves) == 4


def test_how_often_it_checks_changes_nothing(run: Any) -> None:
    def last(check_every_steps: int) -> Any:
        trial = run({"learning_rate": 0.01}, seed=3, steps=50, check_every_steps=check_every_steps)
        told = [point for point in curve(trial) if point[1] != "weights"]  # their number, which is told once
        return told[-5:], trial.steps

    everything, steps = last(50)
    for every in (7, 49):
        points, steps = last(every)
        assert steps == 50
        assert [p for p in points if p[1] != "loss"] == [p for p in everything if p[1] != "loss"]


def test_all_optimizers_see_the_same_weights_batches_and_dropout(run: Any) -> None:
    def losses(optimizer: str, seed: int = 3, **config: Any) -> list[float]:
        parameters = {"optimizer": optimizer, "learning_rate": 1e-12}  # so that nothing moves
        return [value for _, _, value in curve(run(parameters, config, seed, steps=6, check_every_steps=2), "loss")]

    expected = losses("sgd")
    assert len(set(expected)) == 3  # other batches and masks at each step
    for optimizer in ("momentum", "adam", "adadelta"):
        assert losses(optimizer) == pytest.approx(expected, abs=1e-6)
    assert losses("sgd", dropout=0) != pytest.approx(expected, abs=1e-3)


def test_dropout_masks_change_with_step_and_seed(run: Any, write_npz: Any) -> None:
    """One image, again and again: what differs between steps is dropout alone."""
    x, y = np.full((1, 8, 8), 200, np.uint8), np.array([0])
    path = write_npz(x_train=x, y_train=y, x_test=x, y_test=y)

    def losses(dropout: float) -> set[float]:
        config = {"dataset": "mnist", "data": path, "batch_size": 1, "dropout": dropout}
        trial = run({"learning_rate": 1e-12}, config, seed=3, steps=8, check_every_steps=1)
        return {round(value, 5) for _, _, value in curve(trial, "loss")}

    assert len(losses(0.4)) > 4
    assert len(losses(0.0)) == 1


def test_one_program_serves_all_learning_rates_seeds_and_lengths(run: Any) -> None:
    for rate, seed, steps, every in ((0.1, 1, 10, 5), (0.2, 2, 7, 3), (0.3, 3, 1, 50)):
        run({"optimizer": "adagrad", "learning_rate": rate}, seed=seed, steps=steps, check_every_steps=every)
    program = program_for(Settings(optimizer="adagrad", learning_rate=9.0), 50)
    assert program is program_for(Settings(optimizer="adagrad", learning_rate=0.1), 50)
    for function in (program._train, program._measure):
        assert function.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(("limit", "value"), [("_KEPT_PROGRAMS", 2), ("_KEPT_WEIGHTS", 2 * 671)])
def test_a_process_keeps_few_programs(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    """Weights and compiled functions of a long sweep would fill its memory."""
    monkeypatch.setattr(kgen_trainer.program, limit, value)
    first = program_for(Settings(batch_size=3), 1)
    second = program_for(Settings(batch_size=4), 1)
    assert program_for(Settings(batch_size=3), 1) is first  # and used later than the second
    program_for(Settings(batch_size=5), 1)
    assert program_for(Settings(batch_size=3), 1) is first
    assert program_for(Settings(batch_size=4), 1) is not second


def test_only_training_counts(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which each chunk takes one second, and all else takes more."""
    now = 0.0

    def takes(owner: Any, name: str, seconds: float) -> None:
        work = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            nonlocal now
            now += seconds
            return work(*args, **kwargs)

        monkeypatch.setattr(owner, name, timed)

    takes(Program, "train", 1)
    for name in ("__init__", "warm_up", "reset", "measure_train", "measure_test"):
        takes(Program, name, 100)
    takes(kgen_trainer.program, "load", 100)
    takes(kgen_trainer.loop, "program_for", 100)
    takes(kgen_trainer.course, "examples_at", 100)
    trial = run({"optimizer": "rmsprop"}, {"batch_size": 33}, steps=6, check_every_steps=2, clock=lambda: now)
    assert trial.seconds == 3
    assert now > 1000


def test_all_weights_are_trained(run: Any) -> None:
    run({"optimizer": "adam", "learning_rate": 0.01}, {"scale": 1}, seed=3, steps=20)
    program = program_for(Settings(), 50)
    assert program.weights == 671
    after = program.lowest_weights(4)
    program.reset(3, 0.01)
    assert all(not np.array_equal(a, b) for a, b in zip(after, program.lowest_weights(4), strict=True))
    assert len(after) == len(weights_of(program._model))
