"""A small sweep whose trainer waits where a test tells it to, run by the real command."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pandas as pd
import pytest

from kgen.results.rows import State, TrialRow, bytes_to_rows
from kgen.spec import Packing

TRIALS = 6
TRAINER = """\
import os, pathlib, time
from kgen.trial import main

here = pathlib.Path.cwd()

def train(trial):
    n = trial.parameters["n"]
    (here / f"began-{n}").write_text(str(os.getpid()))
    print(f"hello from {n}")
    while (here / f"hold-{n}").exists() and not trial.stopping:
        time.sleep(0.01)
    if (here / f"fail-{n}").exists():
        raise RuntimeError(f"no luck with {n}")
    for step in (10, 20, 30):
        if trial.report(step=step, score=n * step).stop:
            return

def train_many(trials):
    running = []
    while running := running + trials.take(100 - len(running)):
        for trial in list(running):
            n = trial.parameters["n"]
            if trial.steps == 0:
                (here / f"began-{n}").write_text(str(os.getpid()))
                print(f"hello from {n}")
            if (here / f"hold-{n}").exists() and not trial.stopping:
                time.sleep(0.01)
                continue
            if (here / f"fail-{n}").exists():
                raise RuntimeError(f"no luck with {n}")
            if trial.report(step=trial.steps + 10, score=n * (trial.steps + 10)).stop or trial.steps == 30:
                trials.end(trial)
                running.remove(trial)

main(train, train_many)
"""
DEADLINE = 60.0
"""Only for a test that is about to fail: every wait ends as soon as its condition holds."""


def wait_for(condition: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def rows_in(results: Path) -> list[TrialRow]:
    """The rows of a sweep's results."""
    files = sorted((results / "rows").glob("*.parquet"))
    return [row for file in files for row in bytes_to_rows(file.read_bytes())]


def workers_of(results: Path | str) -> list[int]:
    """Processes that were started for the sweep of these results, whoever their parent is now."""
    mark = f"KGEN_RESULTS={results}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


class Runs:
    """A sweep named `toy` in its folder, and the processes that work on it: a context manager, behind which there is
    none any more, however a test ends."""

    patience = 2 * DEADLINE

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "sweep.yaml"
        self._started: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._started:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                assert pipe is not None
                pipe.close()
        for pid in self.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def results(self) -> Path:
        return self.folder / "results" / "toy"

    def start(self, *options: str, program: str = "") -> subprocess.Popen[str]:
        """`kgen run`, or a Python program that ends up in it."""
        words = ["-c", program, "run"] if program else ["-m", "kgen", "run"]
        process = subprocess.Popen(
            [sys.executable, *words, *options, str(self.file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def run(self, *options: str, program: str = "") -> tuple[int, str, str]:
        """Run to the end: exit code, standard output, standard error."""
        process = self.start(*options, program=program)
        out, err = process.communicate(timeout=self.patience)
        return process.returncode, out, err

    def rows(self) -> list[TrialRow]:
        return rows_in(self.results)

    def workers(self) -> list[int]:
        return workers_of(self.results)


class Sweep(Runs):
    """A plain one."""

    def __init__(self, folder: Path, packing: Packing = Packing.SEQUENTIAL) -> None:
        super().__init__(folder)
        self.packing = packing
        self.file.write_text(
            "version: 1\nname: toy\n"
            f"parameters: {{n: {{int: {{start: 1, stop: {TRIALS}}}}}}}\n"
            "objective: {metric: score, goal: maximize}\n"
            "trainer: {command: [python, train.py], files: [train.py]}\n"
            "local: {processes: 2, gpus: 0}\n"
            f"execution: {{packing: {packing}}}\n"
        )
        (folder / "train.py").write_text(TRAINER)

    def hold(self, n: int) -> None:
        (self.folder / f"hold-{n}").touch()

    def let_go(self, n: int) -> None:
        (self.folder / f"hold-{n}").unlink()

    def began(self, n: int) -> int:
        """Wait until the trial runs; the process id of its worker."""
        file = self.folder / f"began-{n}"
        wait_for(lambda: file.exists() and file.read_text(), f"trial {n} to begin")
        return int(file.read_text())

    def states(self) -> Counter[State]:
        return Counter(row.state for row in self.rows())

    def complete(self) -> dict[object, int]:
        """Parameter → number of complete rows."""
        return dict(Counter(row.parameters["n"] for row in self.rows() if row.state is State.COMPLETE))

    def table(self) -> pd.DataFrame:
        """What a reader of the results sees, without what differs from run to run."""
        trials = pd.read_parquet(self.results / "collected" / "trials.parquet")
        columns = [
            "trial",
            "seed",
            "status",
            "param.n",
            "steps",
            "final.score",
            "min.score",
            "max.score",
            "exit_reason",
        ]
        return trials[columns]


def goes_on(sweep: Sweep, clean_table: pd.DataFrame) -> None:
    """The second run gives the clean table, and ran nothing twice that had a result."""
    done = set(sweep.complete())
    before = {row.attempt for row in sweep.rows()}
    code, _, err = sweep.run()
    assert code == 0, err
    pd.testing.assert_frame_equal(sweep.table(), clean_table)
    assert sweep.complete() == dict.fromkeys(range(1, TRIALS + 1), 1)
    again = {row.parameters["n"] for row in sweep.rows() if row.attempt not in before}
    assert not again & done


@pytest.fixture(params=Packing)
def packing(request: pytest.FixtureRequest) -> Packing:
    """How the trials share a process: each test of a sweep runs in both ways."""
    made: Packing = request.param
    return made


@pytest.fixture
def sweep(tmp_path: Path, packing: Packing) -> Iterator[Sweep]:
    with Sweep(tmp_path, packing) as made:
        yield made


@pytest.fixture(scope="session")
def clean_table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The table of one run that nothing disturbed."""
    with Sweep(tmp_path_factory.mktemp("clean")) as made:
        code, _, err = made.run()
        assert code == 0, err
        return made.table()
