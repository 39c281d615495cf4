"""The built-in trainer in processes that are killed: what the next one makes of the checkpoint."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kgen import names
from kgen.results.rows import State, TrialRow
from kgen.spec import Budget, Target, Timing, TrialSpec
from kgen_trainer.checkpoint import FILE
from tests.unit.trial import trainers
from tests.unit.trial.trainers import Job, environment, rows, wait_until

TRAINER = (sys.executable, "-m", "kgen_trainer")
STEPS = 20_000
SWEEP = """\
version: 1
name: killed
parameters: {learning_rate: [0.002]}
budget: {steps: 3000, target: {train_accuracy: 0.9}, check_every_steps: 10, evaluate_every_steps: 20}
trainer: {config: {checkpoint_every_seconds: 1e-9, scale: 2}}
local: {processes: 1}
"""


@pytest.fixture(autouse=True)
def end_processes() -> Iterator[None]:
    """End what the test has left running."""
    yield
    trainers.end_all()


def spec(**budget: object) -> TrialSpec:
    made = Budget(**({"steps": STEPS, "check_every_steps": 10, "evaluate_every_steps": 20} | budget))  # type: ignore[arg-type]
    config = {"checkpoint_every_seconds": 1e-9}
    return TrialSpec("aaaaaaaaaa", "sweep", "main", {"learning_rate": 0.002}, 5, made, config=config)


def curve(row: TrialRow) -> list[tuple[int, str, float]]:
    return [(point.step, point.metric, point.value) for point in row.curve]


def saved(results: Path) -> Path:
    return results / names.CHECKPOINTS_DIR / "aaaaaaaaaa" / FILE


def test_a_job_that_was_killed_goes_on_in_its_next_pod(tmp_path: Path) -> None:
    target = {"target": Target("train_accuracy", 0.9)}
    whole = Job(tmp_path / "whole", TRAINER, spec(**target))
    assert whole.end() == 0, whole.output
    assert whole.row.steps_to_target

    results = tmp_path / "results"
    first = Job(results, TRAINER, spec(**target), KGEN_ATTEMPT="pod-1")
    wait_until(saved(results).exists, "the first checkpoint")
    os.kill(first.process.pid, signal.SIGKILL)
    assert first.end() == -signal.SIGKILL
    assert rows(results) == []

    again = Job(results, TRAINER, spec(**target), KGEN_ATTEMPT="pod-2", KGEN_TIMING="exclusive")
    assert again.end() == 0, again.output
    row = again.row
    assert row.resumed_from_step is not None
    assert 0 < row.resumed_from_step < row.steps
    assert (row.state, row.outcome, row.timing) == (State.COMPLETE, whole.row.outcome, Timing.SHARED)
    assert row.steps_to_target == whole.row.steps_to_target
    assert curve(row) == curve(whole.row)
    assert not saved(results).parent.exists(), "nobody needs it any more"


def test_a_job_that_is_stopped_saves_where_it_is(tmp_path: Path) -> None:
    first = Job(tmp_path, TRAINER, spec(), KGEN_ATTEMPT="pod-1")
    first.wait_for('"step":')
    first.process.send_signal(signal.SIGTERM)
    assert first.end() == 143, first.output
    interrupted = first.row
    assert interrupted.state is State.INTERRUPTED
    again = Job(tmp_path, TRAINER, spec(), KGEN_ATTEMPT="pod-2")
    again.wait_for('"step":')
    again.process.send_signal(signal.SIGTERM)
    assert again.end() == 143, again.output
    (second,) = [row for row in rows(tmp_path) if row.attempt == "pod-2"]
    assert second.resumed_from_step == interrupted.steps
    assert curve(second)[: len(interrupted.curve)] == curve(interrupted)


def test_a_worker_of_kgen_run_that_was_killed_costs_no_step_twice(tmp_path: Path) -> None:
    def run(folder: Path) -> subprocess.Popen[str]:
        folder.mkdir(exist_ok=True)
        (folder / "sweep.yaml").write_text(SWEEP)
        process = subprocess.Popen(
            [sys.executable, "-m", "kgen", "run"],
            cwd=folder,
            env=environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        trainers._watch(process)
        return process

    def results(folder: Path) -> Path:
        return folder / "results" / "killed"

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    process = run(whole)
    assert process.wait() == 0, process.stdout and process.stdout.read()
    process = run(cut)
    wait_until(lambda: any(results(cut).glob(f"checkpoints/*/{FILE}")), "the first checkpoint")
    for worker in children(process.pid):
        os.kill(worker, signal.SIGKILL)
    assert process.wait() == 1, "the trial has no result"
    process = run(cut)
    assert process.wait() == 0, process.stdout and process.stdout.read()
    (expected,) = rows(results(whole))
    failed, row = sorted(rows(results(cut)), key=lambda each: each.ended)
    assert failed.state is State.FAILED
    assert row.resumed_from_step
    assert (row.steps_to_target, curve(row)) == (expected.steps_to_target, curve(expected))
    assert list(results(cut).glob(f"checkpoints/*/{FILE}")) == []


def children(pid: int) -> list[int]:
    listed = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for part in listed for child in part]
