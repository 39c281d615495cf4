"""Trials that differ by their steps alone: a longer one goes on from where a shorter one ended, to the bit."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgen import names
from kgen.results.rows import Outcome, State, TrialRow
from kgen.spec import Budget, Objective, Target, TrialSpec
from kgen.trial import Trial
from kgen_trainer import train
from kgen_trainer.program import program_for
from kgen_trainer.settings import Settings
from tests.unit.trainer.together import by_trial, process, said, spec, train_here
from tests.unit.trial import trainers
from tests.unit.trial.trainers import Job, rows, trial_id

LINEAGE = "lllllllllm"
OFTEN = {"checkpoint_every_seconds": 1e-9}


@pytest.fixture(autouse=True)
def end_processes() -> Iterator[None]:
    """End what the test has left running."""
    yield
    trainers.end_all()


def rung(steps: int, *, optimizer: str = "adam", lineage: str = LINEAGE, **more: Any) -> TrialSpec:
    """A trial of a lineage; every length has an id of its own."""
    config, seed, objective = more.pop("config", {}), more.pop("seed", 3), more.pop("objective", Objective())
    budget = Budget(**({"steps": steps, "check_every_steps": 10, "evaluate_every_steps": 20} | more))
    rate = {"adam": 0.003, "momentum": 0.05}[optimizer]
    return TrialSpec(
        trial_id(steps), "sweep", "search", {"optimizer": optimizer, "learning_rate": rate}, seed, budget, objective,
        config, lineage,
    )  # fmt: skip


class Alone:
    """Trains one trial after another in this process, as a worker does."""

    def __init__(self, results: Path) -> None:
        self._results = results

    def __call__(
        self, trial: TrialSpec, *, on_report: Callable[[Trial, int], None] = lambda trial, step: None, ends: bool = True
    ) -> Trial:
        """``ends``: its row is written."""
        folder = self._results / names.CHECKPOINTS_DIR / (trial.lineage or trial.id)
        made = Trial(trial, checkpoints=folder, on_report=lambda step, metrics: on_report(made, step))
        train(made)
        if ends:
            made.done()
        return made

    @property
    def kept(self) -> list[str]:
        """Files of the lineage."""
        return sorted(path.name for path in (self._results / names.CHECKPOINTS_DIR / LINEAGE).glob("*"))


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    return Alone(tmp_path)


def curve(trial: Trial | TrialRow) -> list[tuple[int, str, float]]:
    points = trial.snapshot()[1] if isinstance(trial, Trial) else trial.curve
    return [(point.step, point.metric, point.value) for point in points]


@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_a_longer_one_goes_on_to_the_bit(alone: Alone, tmp_path: Path, optimizer: str) -> None:
    whole = Alone(tmp_path / "whole")(rung(90, optimizer=optimizer, lineage=""))
    program = program_for(Settings(optimizer=optimizer), 10)
    weights = program.state()
    shortest = alone(rung(30, optimizer=optimizer))
    assert (shortest.resumed_from_step, shortest.steps) == (None, 30)
    assert alone(rung(50, optimizer=optimizer)).resumed_from_step == 30
    longest = alone(rung(90, optimizer=optimizer))
    assert (longest.resumed_from_step, longest.verdict) == (50, whole.verdict)
    assert curve(longest) == curve(whole), "val_accuracy at step 30 and 50 is that of a last report"
    assert longest.snapshot()[0] == whole.snapshot()[0]
    assert all(map(np.array_equal, program.state(), weights))


def test_only_what_the_next_one_needs_is_kept(alone: Alone) -> None:
    alone(rung(30))
    alone(rung(60))
    assert alone.kept == ["kgen_trainer.60.checkpoint"]


def test_one_that_ends_between_two_checks_leaves_the_check_before(alone: Alone, tmp_path: Path) -> None:
    """At its last step a longer one makes no check, so that its steps would be others from there on."""
    whole = Alone(tmp_path / "whole")(rung(60, lineage=""))
    assert [step for step, metric, _ in curve(alone(rung(35))) if metric == "loss"] == [10, 20, 30, 35]
    longer = alone(rung(60))
    assert (longer.resumed_from_step, curve(longer)) == (30, curve(whole))


def test_none_takes_away_what_a_longer_one_has_or_needs(alone: Alone, tmp_path: Path) -> None:
    whole = Alone(tmp_path / "whole")(rung(30, lineage=""))
    alone(rung(30))
    alone(rung(60))
    again = alone(rung(30))  # a second attempt, or one whose row was lost
    assert (again.resumed_from_step, curve(again)) == (None, curve(whole))
    assert alone.kept == ["kgen_trainer.30.checkpoint", "kgen_trainer.60.checkpoint"]
    assert alone(rung(80)).resumed_from_step == 60


def test_one_that_was_killed_before_its_row_was_written_is_trained_again_from_the_one_before(alone: Alone) -> None:
    alone(rung(30))
    first = alone(rung(60), ends=False)
    again = alone(rung(60))
    assert (again.resumed_from_step, curve(again)) == (30, curve(first))


def test_one_that_is_stopped_goes_on_where_it_was_and_not_where_the_shorter_one_ended(alone: Alone) -> None:
    def stop(trial: Trial, step: int) -> None:
        if step == 40:
            trial.interrupt("SIGTERM")

    alone(rung(30))
    alone(rung(90), on_report=stop, ends=False)
    assert alone(rung(90)).resumed_from_step == 50


def test_where_a_longer_one_would_end_alike_nothing_is_kept(alone: Alone, tmp_path: Path) -> None:
    target = Target("train_accuracy", 0.6)
    whole = Alone(tmp_path / "whole")(rung(2000, target=target, lineage=""))
    assert whole.steps_to_target
    assert whole.steps_to_target > 20
    shorter = alone(rung(20, target=target, config=OFTEN))
    assert shorter.verdict
    assert shorter.verdict.outcome is Outcome.CAPPED
    longer = alone(rung(2000, target=target, config=OFTEN))
    assert (longer.resumed_from_step, longer.steps_to_target) == (20, whole.steps_to_target)
    assert curve(longer) == curve(whole)
    assert not (tmp_path / names.CHECKPOINTS_DIR / LINEAGE).exists()


def test_where_seconds_count_each_is_trained_from_its_first_step(alone: Alone) -> None:
    """A row that goes on from an earlier one has no seconds that an objective could take."""
    objective = Objective("seconds_to_target")
    alone(rung(30, objective=objective))
    assert alone(rung(60, objective=objective)).resumed_from_step is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"lineage": "lllllllllo"}, f"it is of lineage {LINEAGE}"),
        ({"seed": 4}, "it is of seed 3"),
        ({"optimizer": "momentum"}, "the state of another model or optimizer"),
    ],
)
def test_one_of_another_is_passed_over(
    alone: Alone, tmp_path: Path, capfd: pytest.CaptureFixture[str], change: dict[str, Any], why: str
) -> None:
    alone(rung(30))
    folder = tmp_path / names.CHECKPOINTS_DIR
    other = rung(60, **change)
    if other.lineage != LINEAGE:
        (folder / LINEAGE).rename(folder / other.lineage)
    again = alone(other)
    assert (again.resumed_from_step, again.steps) == (None, 60)
    assert f"kgen_trainer.30.checkpoint is not used: {why}; training starts anew" in capfd.readouterr().out


def test_one_of_another_version_is_passed_over(
    alone: Alone, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(rung(30))
    monkeypatch.setattr("kgen_trainer.backend.__version__", "9.9")
    assert alone(rung(60)).resumed_from_step is None
    assert "is not used: it is of kgen " in capfd.readouterr().out


def test_after_a_damaged_one_an_earlier_one_is_used(
    alone: Alone, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    alone(rung(30))
    alone(rung(60), ends=False)
    file = tmp_path / names.CHECKPOINTS_DIR / LINEAGE / "kgen_trainer.60.checkpoint"
    file.write_bytes(file.read_bytes()[:-1])
    assert alone(rung(90)).resumed_from_step == 30
    assert f"{file} is not used: it is damaged; an earlier one is looked at" in capfd.readouterr().out


# -- in processes that are killed


def test_a_killed_rung_goes_on_from_the_rung_before(tmp_path: Path) -> None:
    trainer = (sys.executable, "-m", "kgen_trainer")
    whole = Job(tmp_path / "whole", trainer, rung(600, lineage="", check_every_steps=20, evaluate_every_steps=100))
    assert whole.end() == 0, whole.output
    results = tmp_path / "results"
    first = Job(results, trainer, rung(100, check_every_steps=20, evaluate_every_steps=100), KGEN_ATTEMPT="pod-1")
    assert first.end() == 0, first.output
    killed = Job(results, trainer, rung(600, check_every_steps=20, evaluate_every_steps=100), KGEN_ATTEMPT="pod-2")
    killed.wait_for('"step":')
    os.kill(killed.process.pid, signal.SIGKILL)
    assert killed.end() == -signal.SIGKILL
    again = Job(results, trainer, rung(600, check_every_steps=20, evaluate_every_steps=100), KGEN_ATTEMPT="pod-3")
    assert again.end() == 0, again.output
    row = by_trial(rows(results))[trial_id(600)]
    assert (row.state, row.resumed_from_step, row.steps) == (State.COMPLETE, 100, 600)
    assert curve(row) == curve(whole.row)
    assert row.metrics == whole.row.metrics


def together(steps: int, count: int, *, lineage: bool = True, **config: object) -> list[TrialSpec]:
    """So many trials of one seed and different rates: those of one rung."""
    points = [("adam", 0.0005 * 2**i) if i % 2 else ("momentum", 0.01 * 2**i) for i in range(count)]
    budget = {"steps": steps, "check_every_steps": 20, "evaluate_every_steps": 50}
    made = [spec(100 * steps + i, *point, budget=budget, config=config) for i, point in enumerate(points)]
    return [
        dataclasses.replace(one, lineage=f"lllllllll{chr(97 + i)}") if lineage else one for i, one in enumerate(made)
    ]


def test_many_at_a_time_go_on_to_the_bit_also_when_killed(tmp_path: Path) -> None:
    whole = train_here(tmp_path / "whole", together(400, 4, lineage=False))
    results = tmp_path / "results"
    train_here(results, together(50, 8))
    job = process(results, together(400, 4), KGEN_ATTEMPT="pod-2")
    job.wait_for('"step":')
    os.kill(job.process.pid, signal.SIGKILL)
    job.end()
    job = process(results, together(400, 4), KGEN_ATTEMPT="pod-3")
    assert job.end() == 0, job.output
    found = by_trial(row for row in rows(results) if row.steps > 50)
    assert {row.resumed_from_step for row in found.values()} == {40}, "50 is between two checks of 20"
    assert [said(found[trial]) for trial in sorted(found)] == [said(whole[trial]) for trial in sorted(whole)]
    kept = results / names.CHECKPOINTS_DIR
    assert sorted(path.name for path in kept.glob("*/*")) == 4 * ["kgen_trainer.400.checkpoint"] + 4 * [
        "kgen_trainer.50.checkpoint"
    ]


def test_what_was_trained_alone_is_no_beginning_for_one_among_many(
    alone: Alone, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    alone(rung(30))
    row = train_here(tmp_path, [rung(60)])[trial_id(60)]
    assert (row.resumed_from_step, row.steps) == (None, 60)
    assert "is not used: it is of packing sequential; training starts anew" in capfd.readouterr().out
