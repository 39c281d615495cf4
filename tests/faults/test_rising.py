"""A search by range tests with kgen's own trainer on digits, run by the real command and killed between two of them."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from kgen.results.folder import FolderStore
from kgen.results.rows import State, TrialRow
from kgen.spec import Packing, Timing
from tests.faults.rungs import NAME, Halved, rows_of

SWEEP = f"""\
version: 1
name: {NAME}
seed: 7
parameters:
  - {{optimizer: [sgd], learning_rate: {{log: {{start: 1e-3, stop: 10}}}}}}
  - {{optimizer: [adam], learning_rate: {{log: {{start: 1e-5, stop: 1}}}}}}
search: {{method: range-test, per: optimizer}}
budget: {{target: {{train_accuracy: 0.9}}, steps: 900}}
local: {{processes: 1, gpus: 0}}
"""
ENDS = {"sgd": (1e-3, 10.0), "adam": (1e-5, 1.0)}


def test_each_group_is_tested_once_and_says_where_training_goes_well(tmp_path: Path) -> None:
    sweep = Halved(tmp_path, Packing.SEQUENTIAL, results=str(tmp_path / "results"), environment=os.environ)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    store = FolderStore(Path(sweep.location))
    process = sweep.run_until(lambda: bool(store.row_files()), "the first test")
    sweep.kill(process)
    process.communicate()
    (first,) = rows_of(store)
    said = sweep.says("run")
    rows = rows_of(store)
    assert {(row.parameters["optimizer"], row.state) for row in rows} == {
        ("sgd", State.COMPLETE),
        ("adam", State.COMPLETE),
    }
    assert rows[0] == first, "it is not trained again"
    assert len(rows) == 2
    for row in rows:
        is_a_test(row, *ENDS[str(row.parameters["optimizer"])])
    (note,) = [line for line in said.splitlines() if "the search has ended" in line]
    assert note.startswith("the sweep: the search has ended: the range test of each group; training goes well near ")
    assert not (store.root / "checkpoints").exists()
    rates = {word for word in note.split() if word[0].isdigit()}
    assert len(rates) == 2
    assert "\nrange tests hint at these, by one short run each:\n  optimizer=sgd learning_rate=" in said
    assert "No trial" not in said
    recommended = sweep.says("recommend", code=1)
    assert "Nothing can be recommended yet: there are only range tests, one short run each." in recommended
    assert "\nrange tests hint at these, by one short run each:\n" in recommended
    assert all(f"learning_rate={rate}\n" in f"{recommended}\n" for rate in rates)


def is_a_test(row: TrialRow, start: float, stop: float) -> None:
    """It has no rate of its own: that rises, check by check, by one factor."""
    assert set(row.parameters) == {"optimizer"}
    assert (row.budget, row.timing) == ('{"check_every_steps":5,"steps":300}', Timing.EXCLUSIVE)
    rates = [point.value for point in row.curve if point.metric == "learning_rate"]
    losses = [point.value for point in row.curve if point.metric == "loss"]
    assert len(rates) == len(losses) == row.steps / 5
    assert rates[0] == start
    assert abs(rates[-1] / stop - 1) < 1e-9 or row.steps < 300
    factors = {round(after / before, 9) for before, after in itertools.pairwise(rates)}
    assert len(factors) == 1
