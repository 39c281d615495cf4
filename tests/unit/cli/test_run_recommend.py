"""``kgen run --recommend``: from a file with ranges to a recommendation, in one command that can be killed anywhere."""

from __future__ import annotations

import collections
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kgen.results.rows import State
from kgen.sweep import load
from tests.unit.trial.trainers import environment, rows, wait_until

SWEEP = """\
version: 1
name: toy
seed: 1
parameters: {optimizer: [a, b], rate: {log: {start: 1e-4, stop: 10}}}
search: {method: random, per: optimizer, trials: 3, parallel: 3}
budget: {steps: 1000, target: {accuracy: 0.9}}
trainer: {command: [python, train.py]}
local: {processes: 2}
"""
TRAIN = """\
import math
from kgen.trial import Trial, main


def train(trial: Trial) -> None:
    best = {"a": -2, "b": -1}[trial.parameters["optimizer"]]
    needed = 100 * (1 + abs(math.log10(trial.parameters["rate"]) - best)) * (1 if best == -2 else 2) + trial.seed
    for step in range(10, 2000, 10):
        if trial.report(step=step, accuracy=0.9 * step / needed).stop:
            return


main(train)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "train.py").write_text(TRAIN)
    return tmp_path


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "kgen", *words],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return out


def test_it_searches_confirms_and_says_what_to_use_also_after_it_was_killed(folder: Path) -> None:
    results = folder / "results" / "toy-recommend"
    killed = start(folder, "run", "--recommend")
    wait_until(lambda: len(list((results / "rows").glob("*.parquet"))) >= 2, "some of the search")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    out = end(start(folder, "run", "--recommend"))
    spec = load(folder / "sweep.recommend.yaml")
    assert [stage.name for stage in spec.stages] == ["search", "confirm"]
    complete = collections.Counter(row.trial for row in rows(results) if row.state is State.COMPLETE)
    assert set(complete.values()) == {1}, "nothing is trained twice"
    stages = collections.Counter(row.stage for row in rows(results) if row.state is State.COMPLETE)
    assert stages["search"] == 6
    assert stages["confirm"] % 5 == 0
    assert "\nUse a at rate " in out
    assert "of stages search, confirm, with up to 6 seeds a point" in " ".join(out.split())
    assert out.endswith("\n\nstages: sweep.recommend.yaml\n")
    assert (results / "report" / "index.html").is_file()

    again = end(start(folder, "run", "--recommend"))
    assert again.split("\nUse ")[1] == out.split("\nUse ")[1], "and has nothing left to do"
    assert len(rows(results)) == sum(complete.values())


def test_mistakes_are_those_of_the_file_that_was_given(folder: Path) -> None:
    (folder / "sweep.yaml").write_text(SWEEP.replace("start: 1e-4", "start: 0"))
    process = start(folder, "run", "--recommend")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out.startswith("sweep.yaml:4:")
    assert not (folder / "sweep.recommend.yaml").exists()
