"""A sweep with stages whose process is killed anywhere: the next run ends as if nothing had been."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from kgen.results.rows import State
from tests.faults.conftest import Runs, wait_for

PATIENCE = 300.0
"""Seconds; every wait ends as soon as its condition holds."""
TRAINER = """\
import math, os, pathlib, time
from kgen.trial import main

here = pathlib.Path.cwd()

def train(trial):
    if (here / f"fail-{trial.stage}").exists():
        raise RuntimeError("no luck")
    rate = trial.parameters["rate"]
    off = abs(math.log10(rate) + 2) + trial.seed % 2 / 10
    for step in range(10, trial.budget.steps + 1, 10):
        while (here / f"hold-{trial.stage}").exists() and step > 20 and not trial.stopping:
            (here / f"began-{trial.stage}").touch()
            time.sleep(0.01)
        if trial.report(step=step, accuracy=step / 100 / (1 + off)).stop:
            return

main(train)
"""
HEAD = """\
version: 1
name: toy
seed: 7
trainer: {command: [python, train.py], files: [train.py]}
local: {processes: 2, gpus: 0}
budget: {steps: 400, target: {accuracy: 0.9}, check_every_steps: 10}
"""
TWO = """\
stages:
  - name: grid
    parameters: {rate: [1e-4, 1e-3, 1e-2, 1e-1, 1]}
    budget: {steps: 400, target: {accuracy: 0.9}, check_every_steps: 10}
  - name: best
    parameters: {from: {stage: grid, neighbours: 1}}
    repeats: 2
    budget: {steps: 300, target: {accuracy: 0.9}, check_every_steps: 10}
"""
THREE = f"""{TWO}\
  - name: last
    parameters: {{from: {{stage: best}}, scale: [1, 2]}}
    budget: {{steps: 200, target: {{accuracy: 0.9}}, check_every_steps: 10}}
"""


class Staged(Runs):
    """One with stages, or with a search."""

    patience = PATIENCE

    def __init__(self, folder: Path, text: str = THREE) -> None:
        super().__init__(folder)
        folder.mkdir(exist_ok=True)
        head = HEAD if "search:" in text and "stages:" not in text else HEAD.partition("budget:")[0]
        self.file.write_text(head + text)
        (folder / "train.py").write_text(TRAINER)

    def kill_in(self, stage: str) -> None:
        """Run until that stage trains, and kill the process there, outright."""
        (self.folder / f"hold-{stage}").touch()
        process = self.start()
        wait_for((self.folder / f"began-{stage}").exists, f"stage {stage} to begin", PATIENCE)
        self.kill(process)
        (self.folder / f"hold-{stage}").unlink()

    def kill(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.communicate(timeout=PATIENCE)
        wait_for(lambda: not self.workers(), "the workers to end", PATIENCE)

    def complete(self) -> Counter[str]:
        """Trial → its results."""
        return Counter(row.trial for row in self.rows() if row.state is State.COMPLETE)

    def table(self) -> pd.DataFrame:
        """What a reader of the results sees, without what differs from run to run."""
        trials = pd.read_parquet(self.results / "collected" / "trials.parquet")
        columns = ["trial", "stage", "seed", "status", "param.rate", "steps", "steps_to_target", "final.accuracy"]
        return trials[columns]

    def choice(self, stage: str) -> dict[str, object]:
        return dict(json.loads((self.results / "choices" / f"{stage}.json").read_text()))


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Staged]:
    with Staged(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Staged:
    """A run that nothing disturbed."""
    with Staged(tmp_path_factory.mktemp("clean")) as made:
        code, out, err = made.run()
    assert code == 0, err
    assert set(made.complete().values()) == {1}
    assert made.table().groupby("stage").size().to_dict() == {"grid": 5, "best": 6, "last": 2}
    assert "stage best: chosen from stage grid" in out
    return made


def ends_like(staged: Staged, clean: Staged) -> None:
    """The next run ends where an undisturbed one does, and trains nothing twice that had a result."""
    before = set(staged.complete())
    attempts = {row.attempt for row in staged.rows()}
    code, _, err = staged.run("--quiet")
    assert code == 0, err
    pd.testing.assert_frame_equal(staged.table(), clean.table())
    assert set(staged.complete().values()) == {1}
    assert not before & {row.trial for row in staged.rows() if row.attempt not in attempts}
    for stage in ("best", "last"):
        assert staged.choice(stage) == clean.choice(stage)


def test_killed_in_each_stage_of_one_sweep(staged: Staged, clean: Staged) -> None:
    for stage in ("grid", "best", "last"):
        staged.kill_in(stage)
        assert len(staged.complete()) < len(clean.complete())
    ends_like(staged, clean)


# Kills the process at the n-th step of writing choices: before one is written, or behind it.
AT_CHOICE = """\
import os, signal
from kgen.cli.app import main
from kgen.results.folder import FolderStore

create, seen = FolderStore.create, 0

def step():
    global seen
    seen += 1
    if seen == {point}:
        os.kill(os.getpid(), signal.SIGKILL)

def killed(self, name, data):
    step()
    made = create(self, name, data)
    step()
    return made

FolderStore.create = killed
main()
"""


@pytest.mark.parametrize(("point", "choices"), [(1, 0), (2, 1), (3, 1)])
def test_killed_between_two_stages(point: int, choices: int, staged: Staged, clean: Staged) -> None:
    code, _, _ = staged.run("-q", program=AT_CHOICE.format(point=point))
    assert code == -signal.SIGKILL
    assert len(list((staged.results / "choices").glob("*.json"))) == choices
    wait_for(lambda: not staged.workers(), "the workers, which wait for the next stage, to end")
    ends_like(staged, clean)


def test_a_second_run_beside_the_first_is_refused_in_any_stage(staged: Staged, clean: Staged) -> None:
    (staged.folder / "hold-best").touch()
    process = staged.start()
    wait_for((staged.folder / "began-best").exists, "stage best to begin", PATIENCE)
    code, _, err = staged.run()
    assert code == 3
    assert f"process {process.pid}" in err
    (staged.folder / "hold-best").unlink()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    ends_like(staged, clean)


def test_a_stage_whose_trials_fail_stops_before_the_next(staged: Staged, clean: Staged) -> None:
    (staged.folder / "fail-best").touch()
    code, _, err = staged.run("--max-failures", "0")
    assert code == 1
    assert "kgen: stage last needs stage best, which lacks 6 of 6 trials: " in err
    assert "(failed: RuntimeError: no luck)" in err
    assert {row.stage for row in staged.rows()} == {"grid", "best"}
    assert not (staged.results / "choices" / "last.json").exists()
    certificate = json.loads((staged.results / "collected" / "certificate.json").read_text())
    assert (certificate["complete"], list(certificate["waiting"])) == (False, ["last"])
    code, _, err = staged.run("--max-failures", "0", "--allow-incomplete")
    assert code == 1
    assert "stage last can't start: stage best has nothing that it could take" in err
    (staged.folder / "fail-best").unlink()
    ends_like(staged, clean)


def test_a_cause_that_all_trials_of_a_later_stage_share_stops_the_run(staged: Staged) -> None:
    (staged.folder / "fail-best").touch()
    code, _, err = staged.run()
    assert code == 1
    assert "the first 5 trials failed for one cause: RuntimeError: no luck" in err


SEARCH = """\
parameters: {rate: {log: {start: 1e-5, stop: 10}}}
repeats: 2
search: {method: tpe, trials: 12, parallel: 2}
"""


@pytest.fixture
def searching(tmp_path: Path) -> Iterator[Staged]:
    with Staged(tmp_path, SEARCH) as made:
        yield made


def test_a_search_that_is_killed_again_and_again_ends_with_each_trial_once(searching: Staged) -> None:
    began = searching.folder / "began-main"
    for number in (1, 3, 6):  # more rows than before, and the next trials at work
        (searching.folder / "hold-main").touch() if number == 1 else None
        process = searching.start()
        wait_for(began.exists, "trials to begin", PATIENCE)
        (searching.folder / "hold-main").unlink(missing_ok=True)
        wait_for(lambda: len(searching.complete()) >= number or process.poll() is not None, "rows", PATIENCE)  # noqa: B023
        (searching.folder / "hold-main").touch()
        began.unlink()
        wait_for(lambda: began.exists() or process.poll() is not None, "the next trials", PATIENCE)  # noqa: B023
        assert process.poll() is None
        searching.kill(process)
        began.unlink()
    (searching.folder / "hold-main").unlink()
    code, _, err = searching.run("--quiet")
    assert code == 0, err
    assert set(searching.complete().values()) == {1}
    assert set(searching.table()["trial"]) == set(searching.complete())
    assert set(Counter(row.parameters["rate"] for row in searching.rows() if row.state is State.COMPLETE).values()) == {
        2
    }
    assert 12 <= len(searching.complete()) <= 12 + 2, (
        "what a kill left unfinished is finished, beside what is asked for"
    )
