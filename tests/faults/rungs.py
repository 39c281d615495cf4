"""Successive halving with kgen's own trainer on digits, run by the real command and killed in the middle of rungs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from kgen.results.rows import Outcome, State, TrialRow, bytes_to_rows
from kgen.results.store import Store
from kgen.spec import Packing
from tests.faults.conftest import wait_for, workers_of

NAME: Final = "halve"
FIRST, LAST = 300, 900
"""Steps of the two rungs."""
PATIENCE: Final = 300.0
"""Seconds; every wait ends as soon as its condition holds."""
SWEEP: Final = f"""\
version: 1
name: {NAME}
seed: 7
parameters:
  - {{optimizer: [sgd], learning_rate: {{log: {{start: 1e-3, stop: 1}}}}}}
  - {{optimizer: [adam], learning_rate: {{log: {{start: 1e-5, stop: 1e-2}}}}}}
search: {{method: halving, per: optimizer, trials: 4, min_steps: {FIRST}}}
budget: {{target: {{train_accuracy: 0.95}}, steps: {LAST}, check_every_steps: 10, evaluate_every_steps: 100}}
trainer: {{config: {{checkpoint_every_seconds: 1e-9}}}}
local: {{processes: 1, gpus: 0}}
"""


class Halved:
    """A sweep in an empty folder, and where its results lie."""

    def __init__(self, folder: Path, packing: Packing, *, results: str, environment: Mapping[str, str]) -> None:
        """``results``: as the sweep file names the place."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.location = f"{results}/{NAME}"
        self._environment = dict(environment)
        (folder / "sweep.yaml").write_text(f"{SWEEP}execution: {{packing: {packing}}}\nresults: '{results}'\n")

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command as a user types it in that folder, with the keyboard's signals of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "kgen", *words],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def says(self, *words: str, code: int = 0) -> str:
        """What a command prints that ends with that code."""
        return self.end(self.start(*words), code)

    def end(self, process: subprocess.Popen[str], code: int) -> str:
        """What it prints until it ends with that code."""
        try:
            said, _ = process.communicate(timeout=PATIENCE)
        finally:
            self.kill(process)
        assert process.returncode == code, said
        return said

    def run_until(self, condition: Callable[[], bool], what: str) -> subprocess.Popen[str]:
        """Start the sweep, and come back once something is so."""
        process = self.start("run")
        try:
            wait_for(lambda: condition() or process.poll() is not None, what, PATIENCE)
        except BaseException:
            self.kill(process)
            raise
        assert process.poll() is None, process.communicate()
        return process

    def kill(self, process: subprocess.Popen[str]) -> None:
        """The machine is switched off, as far as processes see that."""
        pids = [process.pid, *workers_of(self.location)]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait()


def rows_of(store: Store) -> list[TrialRow]:
    """All rows, in the order in which their attempts began."""
    found = [row for file in store.row_files() for row in bytes_to_rows(store.read_row_file(file.name))]
    return sorted(found, key=lambda row: row.started)


def results_of(rows: list[TrialRow]) -> dict[tuple[object, int], Mapping[str, Any]]:
    """What the row of each trial's result says, but for times and where it ran."""
    said: dict[tuple[object, int], Mapping[str, Any]] = {}
    for row in rows:
        if row.state is State.COMPLETE:
            place = (tuple(sorted(row.parameters.items())), steps_of(row))
            assert place not in said, "no trial has two results"
            said[place] = {
                **{name: getattr(row, name) for name in ("trial", "outcome", "steps", "steps_to_target", "metrics")},
                "curve": [(point.step, point.metric, point.value) for point in row.curve],
            }
    return said


def steps_of(row: TrialRow) -> int:
    """Budget of a trial."""
    return int(json.loads(row.budget)["steps"])


def begun(files: Callable[[], list[str]], steps: int) -> Callable[[], bool]:
    """Whether a trial of that rung has left a checkpoint on its way."""
    return lambda: f"kgen_trainer.{steps}.checkpoint" in files()


def goes_through_kills(sweep: Halved, store: Store, files: Callable[[], list[str]], clean: list[TrialRow]) -> None:
    """Ctrl-C in the first rung, everything killed in the last one: the results are those of a clean run, and no step
    was trained twice that a checkpoint has.

    ``files`` gives the names of all checkpoints; ``clean`` are the rows of a run that nothing disturbed.
    """
    process = sweep.run_until(begun(files, FIRST), "the first rung")
    os.kill(process.pid, signal.SIGINT)
    sweep.end(process, 130)
    stopped = {row.trial: row.steps for row in rows_of(store) if row.state is State.INTERRUPTED}
    assert stopped
    process = sweep.run_until(begun(files, LAST), "the last rung")
    sweep.kill(process)
    process.communicate()
    before = {row.trial: row for row in rows_of(store) if row.state is State.COMPLETE}
    went_on = {trial: row.resumed_from_step or 0 for trial, row in before.items() if trial in stopped}
    assert went_on == stopped, "where they had been stopped"
    said = sweep.says("run")
    assert "the sweep: the search has ended: every rung up to 900 steps is done of each group" in said
    rows = rows_of(store)
    assert results_of(rows) == results_of(clean)
    last = [row for row in rows if steps_of(row) == LAST and row.state is State.COMPLETE]
    assert any((row.resumed_from_step or 0) > FIRST for row in last), "one was on its way when it was killed"
    assert all((row.resumed_from_step or 0) >= FIRST for row in last), "each goes on from the rung before"


def is_sound(rows: list[TrialRow]) -> None:
    """Three of each optimizer, and the best of these on from its checkpoint."""
    first = [row for row in rows if steps_of(row) == FIRST]
    last = [row for row in rows if steps_of(row) == LAST]
    assert sorted(str(row.parameters["optimizer"]) for row in first) == ["adam"] * 3 + ["sgd"] * 3
    assert sorted(str(row.parameters["optimizer"]) for row in last) == ["adam", "sgd"]
    assert all(row.state is State.COMPLETE for row in rows)
    assert {row.resumed_from_step for row in first} == {None}
    assert {row.resumed_from_step for row in last} == {FIRST}
    for row in last:
        (before,) = [one for one in first if one.parameters == row.parameters]
        assert before.outcome is Outcome.CAPPED
        own = [(at.step, at.metric, at.value) for at in row.curve]
        for point in before.curve:
            assert (point.step, point.metric, point.value) in own, "its curve is that of both rungs"
