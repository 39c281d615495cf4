"""A trial that is cut off and started again goes on where it was, to the bit, and leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgen.results.rows import Outcome
from kgen.spec import Budget, Target, TrialSpec
from kgen.trial import CheckpointFiles, Trial
from kgen_trainer import train
from kgen_trainer.checkpoint import FILE, Checkpoint, Checkpoints
from kgen_trainer.dead import DeadWatch
from kgen_trainer.program import program_for
from kgen_trainer.settings import Settings

RATES = {"sgd": 0.1, "momentum": 0.05, "adam": 0.003, "adagrad": 0.05, "adadelta": 2.0, "rmsprop": 0.003}
OFTEN = 1e-9


class CutOffError(Exception):
    """The process is gone."""


class Start:
    """Starts one trial again and again in one folder."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "checkpoints" / FILE

    def __call__(
        self,
        parameters: dict[str, Any],
        *,
        every: float | None = OFTEN,
        on_report: Callable[[Trial, int], None] = lambda trial, step: None,
        trial_id: str = "aaaaaaaaaa",
        **budget: Any,
    ) -> Trial:
        config = {} if every is None else {"checkpoint_every_seconds": every}
        budget = {"steps": 60, "check_every_steps": 10, "evaluate_every_steps": 20} | budget
        spec = TrialSpec(trial_id, "sweep", "main", parameters, 3, Budget(**budget), config=config)
        trial = Trial(spec, checkpoints=self.file.parent, on_report=lambda step, metrics: on_report(trial, step))
        train(trial)
        return trial

    def cut_off(self, parameters: dict[str, Any], at: int, **more: Any) -> None:
        """Let it die while the check at a step is reported: what was saved at the check before is all that is left."""

        def die(trial: Trial, step: int) -> None:
            if step == at:
                raise CutOffError

        with pytest.raises(CutOffError):
            self(parameters, on_report=die, **more)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return Start(tmp_path)


def curve(trial: Trial) -> list[tuple[int, str, float]]:
    return [(point.step, point.metric, point.value) for point in trial.snapshot()[1]]


@pytest.mark.parametrize("optimizer", RATES)
def test_a_trial_that_was_killed_goes_on_to_the_bit(start: Start, optimizer: str) -> None:
    parameters = {"optimizer": optimizer, "learning_rate": RATES[optimizer]}
    whole = start(parameters, every=None)
    program = program_for(Settings(optimizer=optimizer), 10)
    weights = program.state()
    start.cut_off(parameters, at=40)
    again = start(parameters)
    assert again.resumed_from_step == 30
    assert curve(again) == curve(whole)
    assert again.snapshot()[0] == whole.snapshot()[0]
    assert all(map(np.array_equal, program.state(), weights))


def test_it_may_be_killed_any_number_of_times(start: Start) -> None:
    parameters = {"learning_rate": 0.003}
    whole = start(parameters, every=None)
    for at in (10, 20, 40, 60):
        start.cut_off(parameters, at=at)
    again = start(parameters)
    assert (again.resumed_from_step, curve(again)) == (50, curve(whole))


def test_the_target_is_met_at_the_same_step(start: Start) -> None:
    parameters, target = {"learning_rate": 0.01}, Target("train_accuracy", 0.6)
    whole = start(parameters, every=None, target=target, steps=2000)
    assert whole.verdict
    assert whole.verdict.outcome is Outcome.REACHED
    assert whole.steps_to_target is not None
    start.cut_off(parameters, at=whole.steps_to_target - 10, target=target, steps=2000)
    again = start(parameters, target=target, steps=2000)
    assert again.resumed_from_step == whole.steps_to_target - 20
    assert (again.steps_to_target, again.verdict) == (whole.steps_to_target, whole.verdict)


def test_one_that_is_stopped_saves_itself_whatever_the_interval(start: Start) -> None:
    parameters = {"learning_rate": 0.003}
    whole = start(parameters, every=None)

    def stop(trial: Trial, step: int) -> None:
        if step == 20:
            trial.interrupt("SIGTERM")

    stopped = start(parameters, every=3600, on_report=stop)
    assert (stopped.verdict and stopped.verdict.outcome, stopped.steps) == (None, 30)
    again = start(parameters, every=3600)
    assert (again.resumed_from_step, curve(again)) == (30, curve(whole))


def test_counted_seconds_are_those_of_all_attempts_up_to_their_checkpoints(start: Start) -> None:
    start.cut_off({"learning_rate": 0.003}, at=40)
    again = start({"learning_rate": 0.003})
    seconds = [point.seconds for point in again.snapshot()[1]]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    assert again.seconds == seconds[-1]


def test_nothing_is_saved_before_its_time(start: Start) -> None:
    start.cut_off({"learning_rate": 0.003}, at=40, every=3600)
    assert start({"learning_rate": 0.003}, every=3600).resumed_from_step is None


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda data: data[: len(data) // 2], "it is damaged"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "it is damaged"),
        (lambda data: b"", "it is of another format"),
        (lambda data: b"PK\x03\x04 a model of somebody's", "it is of another format"),
    ],
)
def test_one_that_is_damaged_is_passed_over(
    start: Start, capfd: pytest.CaptureFixture[str], spoil: Callable[[bytes], bytes], why: str
) -> None:
    parameters = {"learning_rate": 0.003}
    start.cut_off(parameters, at=40)
    start.file.write_bytes(spoil(start.file.read_bytes()))
    capfd.readouterr()
    again = start(parameters)
    assert (again.resumed_from_step, again.steps) == (None, 60)
    (line,) = [line for line in capfd.readouterr().out.splitlines() if "checkpoint" in line]
    assert line == f"kgen_trainer: the checkpoint {start.file} is not used: {why}; training starts anew"


def test_one_of_another_trial_or_program_is_passed_over(
    start: Start, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start.cut_off({"learning_rate": 0.003}, at=40)
    assert start({"learning_rate": 0.003}, trial_id="bbbbbbbbbb").resumed_from_step is None
    assert "is not used: it is of trial aaaaaaaaaa;" in capfd.readouterr().out
    start.cut_off({"learning_rate": 0.003}, at=40)
    monkeypatch.setattr("kgen_trainer.backend.__version__", "9.9")
    assert start({"learning_rate": 0.003}).resumed_from_step is None
    assert "is not used: it is of kgen " in capfd.readouterr().out


def test_one_of_another_model_is_passed_over(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    """The same trial says the same model; a file that somebody has put there may not."""
    start.cut_off({"learning_rate": 0.003}, at=40)
    again = start({"optimizer": "sgd"})
    assert (again.resumed_from_step, again.steps) == (None, 60)
    assert "is not used: the state of another model or optimizer;" in capfd.readouterr().out


def test_one_that_can_not_be_written_does_not_end_the_trial(
    start: Start, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert start({"learning_rate": 0.003}, steps=20).steps == 20
    assert f"no checkpoint is kept: {start.file}: can't be written: No space left on device" in capfd.readouterr().out
    assert list(start.file.parent.iterdir()) == []


def test_it_goes_when_the_result_is_written_and_with_it_what_was_left_half_written(start: Start) -> None:
    start.cut_off({"learning_rate": 0.003}, at=40)
    (start.file.parent / ".tmp-of-one-that-was-killed").touch()
    again = start({"learning_rate": 0.003})
    assert start.file.exists(), "until then a retry may need it"
    again.done()
    assert not start.file.parent.exists()


def test_what_a_trainer_of_another_kind_keeps_there_stays(start: Start) -> None:
    start.cut_off({"learning_rate": 0.003}, at=40)
    (start.file.parent / "model.keras").touch()
    start({"learning_rate": 0.003}).done()
    assert [path.name for path in start.file.parent.iterdir()] == ["model.keras"]


def test_without_the_setting_nothing_is_kept(start: Start) -> None:
    start({"learning_rate": 0.003}, every=None)
    assert not start.file.parent.exists()


def test_no_more_often_than_asked(tmp_path: Path) -> None:
    times = [100.0]
    kept = Checkpoints(CheckpointFiles.in_folder(tmp_path), {}, 5, clock=lambda: times[-1])
    due = []
    for now in (101, 105, 109, 110, 111):
        times.append(now)
        due.append(kept.due)
        if kept.due:
            kept.save(Checkpoint(1, 1, "{}", [], []))
    assert due == [False, True, False, True, False]


class Still:
    """A network with a dead layer, whose weights rest."""

    def lowest_dead_layer(self) -> int | None:
        return 1

    def lowest_weights(self, layers: int) -> list[Any]:
        return [np.full(3, 0.5, np.float32)] * (2 * layers)

    def moves_without_gradient(self, layers: int) -> bool:
        return False


def test_a_dead_network_is_found_at_the_same_check(tmp_path: Path) -> None:
    before = DeadWatch(("conv1", "conv2"))
    assert before.check(Still(), constant=True) is None
    kept = Checkpoints(CheckpointFiles.in_folder(tmp_path), {"trial": "a"}, 1)
    kept.save(Checkpoint(50, 7, "{}", [], before.state()))
    found, _ = kept.load(FILE)
    assert found
    after = DeadWatch(("conv1", "conv2"))
    after.restore(found.resting)
    assert after.check(Still(), constant=True) == "dead: no active unit in conv2 on any training example"


def test_a_check_that_found_the_network_dead_while_it_was_stopped_is_not_kept(start: Start) -> None:
    """Else the retry would find it dead one check later than a trial that nobody stopped."""
    parameters = {"optimizer": "sgd", "learning_rate": 50.0}
    whole = start(parameters, every=None, steps=2000)
    assert whole.verdict
    assert whole.verdict.reason.startswith("dead")

    def stop(trial: Trial, step: int) -> None:
        if step == whole.steps - 10:
            trial.interrupt("SIGTERM")

    start(parameters, steps=2000, on_report=stop)
    again = start(parameters, steps=2000)
    assert again.resumed_from_step == whole.steps - 10
    assert (again.steps, again.verdict) == (whole.steps, whole.verdict)
    assert curve(again) == curve(whole)
