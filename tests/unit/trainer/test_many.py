"""Many trials in one program: a trial's row is the same to the bit whoever is beside it, and whatever is killed."""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kgen_trainer.cohorts
import kgen_trainer.program
from kgen import names
from kgen.results.rows import Outcome, State, TrialRow
from kgen.spec import Packing, Target, Timing, TrialSpec
from kgen.trial import Trial
from kgen_trainer import __version__, train
from kgen_trainer.checkpoint import FILE
from kgen_trainer.fused import FusedProgram, program_for
from kgen_trainer.program import Program
from kgen_trainer.settings import Settings
from tests.unit.trainer.together import ONE_THREAD, TRAINER, by_trial, process, said, spec, train_here
from tests.unit.trial import trainers
from tests.unit.trial.test_many_fed import Owner
from tests.unit.trial.trainers import rows, wait_until

RATES = {
    "sgd": (0.002, 0.2, 50.0),
    "momentum": (0.001, 0.1, 10.0),
    "adam": (0.0002, 0.02, 10.0),
    "adagrad": (0.001, 0.2, 50.0),
    "adadelta": (0.01, 8.0, 1000.0),
    "rmsprop": (0.0001, 0.01, 10.0),
}
BUDGET = {"steps": 460, "target": Target("train_accuracy", 0.8), "check_every_steps": 20, "evaluate_every_steps": 50}


def trials(**config: object) -> list[TrialSpec]:
    """Slow ones, fast ones and dead ones."""
    points = [(optimizer, rate) for optimizer, rates in RATES.items() for rate in rates]
    return [spec(i, *point, budget=BUDGET, config=config) for i, point in enumerate(points)]


def others() -> list[TrialSpec]:
    """Of the same program, and of others; with the same seed, and with others."""
    short = {**BUDGET, "steps": 100}
    same = [spec(100 + i, optimizer, 0.03, budget=BUDGET) for i, optimizer in enumerate([*RATES] * 3)]
    checked = [spec(200, budget=short), spec(201, budget={**short, "check_every_steps": 30})]
    seeds = [spec(300 + i, seed=i, budget=short) for i in range(3)]
    return [*same, *checked, *seeds, spec(400, batch_size=30, budget=short), spec(401, scale=1.5, budget=short)]


@pytest.fixture(autouse=True)
def end_processes() -> Iterator[None]:
    """End what the test has left running."""
    yield
    trainers.end_all()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrialRow]:
    """The rows of all, from one process."""
    folder = tmp_path_factory.mktemp("expected")
    job = process(folder, trials())
    assert job.end() == 0, job.output
    return by_trial(rows(folder))


def compare(found: dict[str, TrialRow], expected: dict[str, TrialRow], number: int = 18) -> None:
    both = found.keys() & expected.keys()
    assert len(both) == number
    for trial in both:
        assert said(found[trial]) == said(expected[trial])


def test_they_end_as_trials_do(expected: dict[str, TrialRow]) -> None:
    outcomes = [row.outcome for row in expected.values()]
    assert {*outcomes} == {Outcome.REACHED, Outcome.CAPPED, Outcome.DIVERGED}
    for row in expected.values():
        metrics = {point.metric for point in row.curve if point.step == row.steps}
        assert metrics == {"train_accuracy", "running_accuracy", "loss", "val_accuracy", "val_loss"}
        assert (row.outcome is Outcome.DIVERGED) is row.exit_reason.startswith("dead: no active unit in ")
        assert (row.outcome is Outcome.REACHED) is (row.steps_to_target == row.steps)
        assert (row.outcome is Outcome.CAPPED) is (row.steps == 460)
        assert [point.step for point in row.curve if point.metric == "loss"] == list(range(20, row.steps + 1, 20))


def test_their_rows_say_how_they_were_trained(expected: dict[str, TrialRow]) -> None:
    width = program_for(Settings()).width
    for row in expected.values():
        assert row.environment.trainer == f"kgen_trainer {__version__}, fused in tiles of {width}"
        assert (row.environment.framework, row.timing) == ("tensorflow", Timing.SHARED)
        assert row.seconds_to_target is None
        assert row.seconds > 0


def test_others_beside_them_and_another_order_change_no_bit(tmp_path: Path, expected: dict[str, TrialRow]) -> None:
    mixed = [*trials(), *others()]
    random.Random(1).shuffle(mixed)
    job = process(tmp_path, mixed)
    assert job.end() == 0, job.output
    compare(by_trial(rows(tmp_path)), expected)


@pytest.mark.parametrize("number", [1, 7, 16])
def test_one_alone_gets_the_same_bits(tmp_path: Path, expected: dict[str, TrialRow], number: int) -> None:
    compare(train_here(tmp_path, [trials()[number]]), expected, 1)


def test_a_worker_that_is_dealt_them_bit_by_bit_gives_the_same(tmp_path: Path, expected: dict[str, TrialRow]) -> None:
    """So that those that begin late have to catch up."""
    waiting = trials()
    worker = Owner(tmp_path, TRAINER, **ONE_THREAD)
    while waiting:
        size = min(worker.asked(), 1 + len(waiting) % 4)
        worker.deal(*waiting[:size])
        del waiting[:size]
    worker.serve([])
    assert worker.end() == 0
    compare(by_trial(rows(tmp_path)), expected)


def test_few_places_change_no_bit(
    tmp_path: Path, expected: dict[str, TrialRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tiles for four: whenever one is free others begin, which then have to catch up."""
    width = program_for(Settings()).width
    monkeypatch.setattr(type(program_for(Settings())), "capacity", property(lambda program: 2 * width))
    more = [spec(500 + i, "sgd", 0.5, budget={**BUDGET, "steps": 40 * (1 + i % 4)}) for i in range(width)]
    same = [spec(600 + i, "sgd", 1e-5, budget={**BUDGET, "steps": 460}) for i in range(width // 2)]
    compare(train_here(tmp_path, [*same, *more, *trials()]), expected)


def saved(folder: Path) -> list[Path]:
    return list((folder / names.CHECKPOINTS_DIR).glob(f"*/{FILE}"))


def test_those_that_were_killed_go_on_to_the_bit(tmp_path: Path, expected: dict[str, TrialRow]) -> None:
    job = process(tmp_path, trials(checkpoint_every_seconds=1e-9), KGEN_ATTEMPT="pod-1")
    job.wait_for('"step":')
    wait_until(lambda: len(saved(tmp_path)) > 5, "checkpoints")
    os.kill(job.process.pid, signal.SIGKILL)
    job.end()
    job = process(tmp_path, trials(checkpoint_every_seconds=1e-9), KGEN_ATTEMPT="pod-2")
    assert job.end() == 0, job.output
    found = by_trial(rows(tmp_path))
    compare(found, expected)
    assert sum(row.resumed_from_step is not None for row in found.values()) > 5
    assert saved(tmp_path) == [], "nobody needs them any more"


def test_those_that_are_stopped_save_where_they_are(tmp_path: Path, expected: dict[str, TrialRow]) -> None:
    job = process(tmp_path, trials(checkpoint_every_seconds=3600), KGEN_ATTEMPT="pod-1")
    job.wait_for('"step":')
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 143, job.output
    interrupted = {row.trial: row for row in rows(tmp_path) if row.state is State.INTERRUPTED}
    assert {path.parent.name for path in saved(tmp_path)} == interrupted.keys()
    job = process(tmp_path, trials(checkpoint_every_seconds=3600), KGEN_ATTEMPT="pod-2")
    assert job.end() == 0, job.output
    found = by_trial(row for row in rows(tmp_path) if row.state is State.COMPLETE)
    compare(found, expected)
    assert {trial: found[trial].resumed_from_step for trial in interrupted} == {
        trial: row.steps for trial, row in interrupted.items()
    }


class CutOffError(Exception):
    """The process is gone."""


def cut_off(monkeypatch: pytest.MonkeyPatch, kind: type[Program | FusedProgram]) -> None:
    """Let the third chunk of whatever this trains be its last."""
    train, calls = kind.train, itertools.count(1)

    def dying(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == 3:
            raise CutOffError
        return train(*args, **kwargs)

    monkeypatch.setattr(kind, "train", dying)


@pytest.mark.parametrize("first", [Packing.SEQUENTIAL, Packing.FUSED])
def test_a_checkpoint_of_another_packing_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], first: Packing
) -> None:
    one = spec(1, budget={"steps": 60, "check_every_steps": 10}, config={"checkpoint_every_seconds": 1e-9})

    def alone() -> Trial:
        trial = Trial(one, checkpoints=tmp_path / names.CHECKPOINTS_DIR / one.id)
        train(trial)
        return trial

    program_for(Settings())  # whose warming up is no chunk of this trial
    kgen_trainer.program.program_for(Settings(), 50)
    with monkeypatch.context() as patch:
        cut_off(patch, Program if first is Packing.SEQUENTIAL else FusedProgram)
        if first is Packing.SEQUENTIAL:
            with pytest.raises(CutOffError):
                alone()
        else:
            assert train_here(tmp_path, [one])[one.id].state is State.FAILED
    assert len(saved(tmp_path)) == 1
    if first is Packing.SEQUENTIAL:
        assert train_here(tmp_path, [one])[one.id].resumed_from_step is None
    else:
        assert alone().resumed_from_step is None
    assert f"is not used: it is of packing {first}" in capfd.readouterr().out


def test_a_checkpoint_made_with_other_kernels_for_products_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    one = spec(1, budget={"steps": 60, "check_every_steps": 10}, config={"checkpoint_every_seconds": 1e-9})
    program_for(Settings())
    with monkeypatch.context() as patch:
        patch.setattr(kgen_trainer.cohorts, "products", lambda: "NumPy 1.0 with openblas 0.1 for Prescott")
        cut_off(patch, FusedProgram)
        assert train_here(tmp_path, [one])[one.id].state is State.FAILED
    (path,) = (tmp_path / names.ROWS_DIR).iterdir()
    path.unlink()
    assert train_here(tmp_path, [one])[one.id].resumed_from_step is None
    assert "is not used: it is of packing fused in tiles of 16, NumPy 1.0 with openblas" in capfd.readouterr().out


def test_what_one_can_not_be_trained_for_is_its_own_failure(tmp_path: Path) -> None:
    budget = {"steps": 20, "check_every_steps": 20}
    found = train_here(tmp_path, [
        spec(0, budget=budget),
        spec(1, "adam", -1.0, budget=budget),
        spec(2, dataset="mnist", budget=budget, config={"data": "/nowhere.npz"}),
        spec(3, dataset="mnist", budget=budget, config={"data": "/nowhere.npz"}),
        spec(4, budget={}),
        spec(5, "sgd", budget=budget, config={"optimizers": {"sgd": {"clipnorm": 1, "clipvalue": 1}}}),
        spec(6, "sgd", budget=budget),
    ])  # fmt: skip
    assert [(row.state.value, row.exit_code) for _, row in sorted(found.items())] == [
        ("complete", 0), ("failed", 64), ("failed", 66), ("failed", 66), ("failed", 64), ("failed", 64), ("complete", 0)
    ]  # fmt: skip
    assert "learning_rate: found -1.0" in found["trialaaaab"].exit_reason
    assert "/nowhere.npz: no such file" in found["trialaaaac"].exit_reason


def test_one_that_can_not_share_a_program_is_trained_as_if_it_were_alone(tmp_path: Path, run: object) -> None:
    config = {"optimizers": {"adam": {"clipnorm": 1.0}}}
    budget = {"steps": 40, "check_every_steps": 20}
    order = [spec(2, "sgd", budget=budget, config=config), spec(0, budget=budget, config=config),
             spec(1, "sgd", budget=budget, config=config)]  # fmt: skip
    found = train_here(tmp_path, order)
    alone, *others = (row for _, row in sorted(found.items()))
    beside = others[0]
    # Nobody stands still for it: it begins to count when the others have ended.
    assert alone.ended > max(row.ended for row in others)
    assert callable(run)
    trial = run({"optimizer": "adam", "learning_rate": 0.001}, config, seed=3141592, **budget)
    assert [(p.step, p.metric, p.value) for p in alone.curve] == [
        (p.step, p.metric, p.value) for p in trial.snapshot()[1]
    ]
    assert alone.environment.trainer == f"kgen_trainer {__version__}"
    assert "fused" in beside.environment.trainer
    assert {alone.timing, beside.timing} == {Timing.SHARED}


def test_a_dead_network_is_trained_on_where_the_sweep_says_so(tmp_path: Path, expected: dict[str, TrialRow]) -> None:
    found = train_here(tmp_path, trials(stop_dead=False))
    assert {row.outcome for row in found.values()} == {Outcome.REACHED, Outcome.CAPPED}
    dead = [row for row in expected.values() if row.outcome is Outcome.DIVERGED]
    for row in dead:
        assert said(found[row.trial])["curve"][: len(row.curve) - 2] == said(row)["curve"][:-2]


def test_what_is_not_a_number_ends_only_the_trial_that_it_is_of(tmp_path: Path) -> None:
    budget = {"steps": 40, "check_every_steps": 20}
    found = train_here(tmp_path, [spec(0, "sgd", 3e38, budget=budget), spec(1, "sgd", 0.1, budget=budget)])
    broken, sound = (row for _, row in sorted(found.items()))
    assert (broken.outcome, sound.outcome) == (Outcome.DIVERGED, Outcome.FINISHED)
    assert broken.exit_reason.startswith(("nan: ", "infinite: "))
