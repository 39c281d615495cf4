"""What a trial reports, when, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgen import names
from kgen.errors import BadParametersError, DeviceError
from kgen.results.rows import Outcome, bytes_to_rows
from kgen.spec import Direction
from kgen.trial import Target, Trial
from kgen_trainer import __version__, describe
from kgen_trainer.backend import tf
from kgen_trainer.data import load
from kgen_trainer.program import program_for
from kgen_trainer.randomness import examples_at
from kgen_trainer.settings import Settings


def reports(trial: Trial) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for point in trial.snapshot()[1]:
        found.setdefault(point.step, {})[point.metric] = point.value
    return found


def verdict(trial: Trial) -> tuple[Outcome | None, str]:
    assert trial.verdict is not None
    return trial.verdict.outcome, trial.verdict.reason


@pytest.mark.parametrize(
    ("steps", "window"),
    [
        (3, 300),  # all that was seen
        (40, 1438),  # no more than one pass of digits, which here begins within one pass and ends in the next
    ],
)
def test_train_accuracy_looks_at_the_last_examples_seen_without_dropout(run: Any, steps: int, window: int) -> None:
    trial = run({"learning_rate": 0.02}, seed=5, steps=steps, check_every_steps=steps)
    data = load("digits", None)
    rows = examples_at(5, steps * 100 - window, steps * 100, 1438)
    logits = program_for(Settings(), 50)._model(data.x_train.numpy()[rows], training=False).numpy()
    by_hand = np.mean(logits.argmax(axis=1) == data.y_train.numpy()[rows])
    assert reports(trial)[steps]["train_accuracy"] == pytest.approx(by_hand, abs=1e-9)
    assert 0.1 < by_hand < 1


def test_train_accuracy_looks_back_on_5000_examples_of_a_larger_set(run: Any, write_npz: Any) -> None:
    random = np.random.default_rng(0)
    x, y = random.uniform(0, 1, (6000, 4, 4)).astype(np.float32), random.integers(0, 3, 6000)
    path = write_npz(x_train=x, y_train=y, x_test=x[:5], y_test=y[:5])
    config = {"dataset": "npz", "data": path, "batch_size": 500}
    trial = run({"learning_rate": 0.001}, config, seed=5, steps=14, check_every_steps=14)
    model = program_for(Settings(dataset="npz", data=path, batch_size=500), 50)._model

    def share_right(window: int) -> float:
        rows = examples_at(5, 7000 - window, 7000, 6000)
        return float(np.mean(model(x[rows, :, :, None], training=False).numpy().argmax(axis=1) == y[rows]))

    assert reports(trial)[14]["train_accuracy"] == pytest.approx(share_right(5000), abs=1e-9)
    assert share_right(5000) != share_right(6000)


def test_held_out_examples_are_evaluated_in_the_last_report(run: Any) -> None:
    for budget in ({"steps": 40}, {"seconds": 1e-9}, {"target": Target("loss", 10.0, Direction.AT_MOST)}):
        found = reports(run({}, check_every_steps=20, **budget))
        always = {"train_accuracy", "running_accuracy", "loss"}
        assert set(found[max(found)]) - {"weights"} == {*always, "val_accuracy", "val_loss"}
        assert all(set(found[step]) - {"weights"} == always for step in found if step != max(found))


def test_the_first_report_says_how_many_numbers_are_trained(run: Any) -> None:
    for scale, weights in ((1, 671), (2.5, 3338)):  # digits: 25·F₁ + F₁, 25·F₁·F₂ + F₂, 4·F₂·D + D, 10·D + 10
        found = reports(run({"scale": scale}, steps=40, check_every_steps=20))
        assert [report.get("weights") for report in found.values()] == [weights, None]


def test_held_out_examples_are_evaluated_as_often_as_the_budget_says(run: Any) -> None:
    found = reports(run({}, steps=80, check_every_steps=10, evaluate_every_steps=25))
    assert [step for step, report in found.items() if "val_loss" in report] == [30, 50, 80]


def test_a_held_out_target_is_looked_at_at_every_check(run: Any) -> None:
    trial = run({"learning_rate": 0.02}, steps=1000, check_every_steps=10, target=Target("val_accuracy", 0.4))
    assert verdict(trial)[0] is Outcome.REACHED
    assert trial.steps < 500
    assert all("val_accuracy" in report for report in reports(trial).values())


def test_a_trial_ends_at_its_target(run: Any) -> None:
    parameters = {"learning_rate": 0.02}
    trial = run(parameters, steps=1000, target=Target("train_accuracy", 0.8))
    found = reports(trial)
    assert verdict(trial)[0] is Outcome.REACHED
    assert trial.steps_to_target == trial.steps == max(found) < 1000
    assert found[trial.steps]["train_accuracy"] >= 0.8 > found[trial.steps - 50]["train_accuracy"]
    assert found[trial.steps]["train_accuracy"] > found[trial.steps]["running_accuracy"]


def test_counted_seconds_are_a_budget(run: Any) -> None:
    trial = run({}, seconds=0.05, check_every_steps=5)
    assert verdict(trial) == (Outcome.FINISHED, "budget of 0.05 seconds spent")
    assert trial.seconds >= 0.05


def test_a_trial_without_end_is_refused(run: Any) -> None:
    with pytest.raises(BadParametersError, match="never end"):
        run({})


def test_a_target_that_is_never_reported_is_refused(run: Any) -> None:
    with pytest.raises(
        BadParametersError, match="unknown metric of the target 'accuracy': did you mean 'val_accuracy'"
    ):
        run({}, steps=5, target=Target("accuracy", 0.9))


def test_an_interrupt_ends_it_at_the_next_report(new_trial: Any) -> None:
    from kgen_trainer import train

    trial = new_trial({}, steps=1000, check_every_steps=5)
    trial.interrupt("SIGTERM")
    train(trial)
    assert (trial.steps, verdict(trial)) == (5, (None, "SIGTERM"))


@pytest.mark.parametrize("pixel", [np.nan, np.inf, 1e38])
def test_what_is_not_a_number_ends_a_trial_as_diverged(run: Any, write_npz: Any, pixel: float) -> None:
    """A ReLU may swallow what is not a number, so that it shows in the loss or in the weights."""
    x = np.full((30, 8, 8), pixel)
    trial = run({}, {"dataset": "npz", "data": write_npz(x_train=x)}, steps=50, check_every_steps=5)
    outcome, reason = verdict(trial)
    assert outcome is Outcome.DIVERGED
    assert reason.startswith(
        ("nan: loss at step 5", "infinite: loss at step 5", "nan: weights not finite at step 5: conv1/kernel")
    )
    assert "val_loss" not in reports(trial)[5]


def test_infinite_weights_end_a_trial_though_its_loss_is_a_number(run: Any, write_npz: Any) -> None:
    """One step: its loss is that of the initial weights, the weights after it are infinite."""
    x = np.random.default_rng(0).uniform(0, 1e4, (30, 8, 8))
    trial = run(
        {"optimizer": "sgd", "learning_rate": 3e38}, {"dataset": "npz", "data": write_npz(x_train=x)}, steps=50,
        check_every_steps=1,
    )  # fmt: skip
    outcome, reason = verdict(trial)
    assert outcome is Outcome.DIVERGED
    assert reason.startswith("nan: weights not finite at step 1: ")
    assert "logits/kernel" in reason
    assert np.isfinite(reports(trial)[1]["loss"])


def test_a_gpu_that_was_asked_for_must_be_there(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.ENV_GPUS, str(len(tf.config.list_physical_devices("GPU")) + 1))
    with pytest.raises(DeviceError, match=r"KGEN_GPUS asks for \d+ GPU"):
        run({}, steps=1)
    monkeypatch.setenv(names.ENV_GPUS, "one")
    with pytest.raises(DeviceError, match="KGEN_GPUS is 'one': not a whole number"):
        run({}, steps=1)


def test_a_row_says_what_trained_it() -> None:
    described = describe()
    assert described["trainer"] == f"kgen_trainer {__version__}"
    assert (described["framework"], described["framework_version"]) == ("tensorflow", tf.__version__)
    assert described["device"]
    assert set(described) == {"trainer", "framework", "framework_version", "device", "device_uuid"}


def test_a_process_of_its_own_gives_the_same_bits(run: Any, new_trial: Any, tmp_path: Path) -> None:
    arguments = {"parameters": {"optimizer": "rmsprop", "learning_rate": 0.01}, "seed": 11, "steps": 70}
    run({"optimizer": "rmsprop", "learning_rate": 1.0}, seed=12, steps=30)
    here = reports(run(**arguments))
    environment = {names.ENV_TRIAL: new_trial(**arguments).spec.to_json(), names.ENV_RESULTS: str(tmp_path / "results")}
    done = subprocess.run([sys.executable, "-m", "kgen_trainer"], env={**os.environ, **environment},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "results").rglob("*.parquet")
    (row,) = bytes_to_rows(file.read_bytes())
    there: dict[int, dict[str, float]] = {}
    for point in row.curve:
        there.setdefault(point.step, {})[point.metric] = point.value
    assert there == here
    assert (row.outcome, row.steps, row.environment.framework) == (Outcome.FINISHED, 70, "tensorflow")
    assert done.stdout.count("kgen_trainer: kgen ") == 1
    assert json.loads(row.budget)["steps"] == 70
