"""Stages of a sweep whose results lie in a bucket: the choices are there, too, and any number of runs take the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd

from kgen.choice import Choice
from kgen.names import choice_file
from kgen.results.rows import State, bytes_to_rows
from kgen.sweep import expand, load
from tests.faults.conftest import DEADLINE, wait_for
from tests.stores.place import Place
from tests.stores.test_run import kgen
from tests.unit.trial.trainers import body

TRAINER = body(
    "import math, time",
    "rate = trial.parameters['rate']",
    "while os.path.exists(f'hold-{trial.stage}') and not trial.stopping: time.sleep(0.01)",
    "for step in range(10, 301, 10):",
    "    if trial.report(step=step, accuracy=step / 100 / (1 + abs(math.log10(rate) + 2))).stop: return",
)
FILE = """\
version: 1
name: sweep
trainer: {{command: [python, train.py], files: [train.py]}}
local: {{processes: 2, gpus: 0}}
results: {results}
stages:
  - name: grid
    parameters: {{rate: [1e-3, 1e-2, 1e-1]}}
    budget: {{steps: 300, target: {{accuracy: 0.9}}, check_every_steps: 10}}
  - name: best
    parameters: {{from: {{stage: grid}}}}
    repeats: 2
    budget: {{steps: 300, target: {{accuracy: 0.9}}, check_every_steps: 10}}
"""
PROGRAM = "from kgen.cli.app import main; main()"


def write(folder: Path, place: Place) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(TRAINER)
    (folder / "sweep.yaml").write_text(FILE.format(results=place.results))


def start(folder: Path, place: Place) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", PROGRAM, "run", "-q"]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=folder, env=place.environment(), text=True, stdout=pipe, stderr=pipe)


def complete(place: Place) -> Counter[str]:
    """Stage → results."""
    store = place.store()
    rows = [row for file in store.row_files() for row in bytes_to_rows(store.read_row_file(file.name))]
    return Counter(row.stage for row in rows if row.state is State.COMPLETE)


def test_stages_follow_each_other_and_go_on_after_a_kill(place: Place, tmp_path: Path) -> None:
    write(tmp_path, place)
    (tmp_path / "hold-best").touch()
    process = start(tmp_path, place)
    wait_for(
        lambda: process.poll() is not None or place.store().exists(choice_file("best")), "the choice", 5 * DEADLINE
    )
    assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate(timeout=5 * DEADLINE)
    (tmp_path / "hold-best").unlink()
    chosen = place.store().read(choice_file("best"))
    assert [one.best["rate"] for one in Choice.from_json(chosen.decode()).chosen] == [0.01]
    planned = kgen(tmp_path, place, "run", "-q")
    assert planned.returncode == 0, planned.stderr
    assert complete(place) == {"grid": 3, "best": 2}
    assert place.store().read(choice_file("best")) == chosen
    elsewhere = tmp_path / "elsewhere"  # a machine that has never seen the sweep
    write(elsewhere, place)
    collected = kgen(elsewhere, place, "collect")
    assert (collected.returncode, collected.stderr) == (0, "")
    here = elsewhere / "results" / "sweep"
    assert (here / choice_file("best")).read_bytes() == chosen
    trials = pd.read_parquet(here / "collected" / "trials.parquet")
    assert Counter(trials.stage) == {"grid": 3, "best": 2}
    assert json.loads((here / "collected" / "certificate.json").read_text())["complete"]
    assert [trial.id for trial in expand(load(elsewhere / "sweep.yaml"))] == list(trials.trial[:3])


def test_two_runs_at_once_take_the_same_choice(s3: Place, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        write(folder, s3)
        (folder / "hold-grid").touch()
    runs = [start(folder, s3) for folder in folders]
    for folder in folders:
        (folder / "hold-grid").unlink()
    for run in runs:
        _, err = run.communicate(timeout=5 * DEADLINE)
        assert run.returncode == 0, err
    tables = [pd.read_parquet(folder / "results/sweep/collected/trials.parquet") for folder in folders]
    assert all(Counter(table.stage) == {"grid": 3, "best": 2} for table in tables)
    assert all(list(table.trial) == list(tables[0].trial) for table in tables)
    assert set(complete(s3)) == {"grid", "best"}
    certificate = kgen(folders[0], s3, "collect")
    assert certificate.stdout.startswith("5 of 5 trials have a result: complete"), certificate.stdout
