"""A run that is stopped, killed, or starved: nothing is left behind, and the next one ends where a clean one does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from kgen.results.rows import State
from kgen.spec import Packing
from tests.faults.conftest import TRIALS, Sweep, goes_on, wait_for

HELD = 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_go_on_and_does(
    sweep: Sweep, clean_table: pd.DataFrame, number: signal.Signals
) -> None:
    sweep.hold(HELD)
    process = sweep.start()
    sweep.began(HELD)
    wait_for(lambda: len(sweep.complete()) == TRIALS - 1, "the other trials to end")
    os.killpg(process.pid, number)  # as a terminal does
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"kgen run {sweep.file}" in err
    assert "Traceback" not in err
    assert sweep.states() == {State.COMPLETE: TRIALS - 1, State.INTERRUPTED: 1}
    assert sweep.workers() == []
    sweep.let_go(HELD)
    goes_on(sweep, clean_table)


def test_workers_of_a_killed_run_end_themselves(sweep: Sweep, clean_table: pd.DataFrame) -> None:
    sweep.hold(HELD)
    process = sweep.start()
    sweep.began(HELD)
    assert sweep.workers()
    process.kill()
    process.communicate()
    wait_for(lambda: not sweep.workers(), "the workers to end themselves")
    sweep.let_go(HELD)
    goes_on(sweep, clean_table)


def test_a_killed_worker_costs_its_trial_only(sweep: Sweep, clean_table: pd.DataFrame) -> None:
    sweep.hold(HELD)
    process = sweep.start()
    os.kill(sweep.began(HELD), signal.SIGKILL)
    if sweep.packing is Packing.FUSED:
        sweep.let_go(HELD)  # nobody knows which of its trials it died of, so all of them get another try
    _, err = process.communicate(timeout=60)
    assert "SIGKILL" in err
    assert sweep.workers() == []
    if sweep.packing is Packing.FUSED:
        assert process.returncode == 0
        assert sweep.states() == {State.COMPLETE: TRIALS}
    else:
        assert process.returncode == 1
        assert sweep.states() == {State.COMPLETE: TRIALS - 1, State.FAILED: 1}
        sweep.let_go(HELD)
    goes_on(sweep, clean_table)


@pytest.mark.parametrize("packing", [Packing.FUSED])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_hundreds_that_run_when_a_run_ends_all_have_a_row(sweep: Sweep, number: signal.Signals) -> None:
    """Of a killed run, too: its workers write them."""
    many = 180
    sweep.file.write_text(sweep.file.read_text().replace(f"stop: {TRIALS}", f"stop: {many}"))
    for n in range(1, many + 1):
        sweep.hold(n)
    process = sweep.start()
    wait_for(lambda: len(list(sweep.folder.glob("began-*"))) == many, "all trials to begin")
    process.send_signal(number)
    process.communicate(timeout=60)
    wait_for(lambda: not sweep.workers(), "the workers to end")
    assert sweep.states() == {State.INTERRUPTED: many}
    assert len(list((sweep.results / "rows").iterdir())) < many / 2
    for n in range(1, many + 1):
        sweep.let_go(n)
    code, _, err = sweep.run("--quiet")
    assert code == 0, err
    assert sweep.complete() == dict.fromkeys(range(1, many + 1), 1)


def test_two_runs_at_once_are_refused(sweep: Sweep) -> None:
    sweep.hold(HELD)
    process = sweep.start()
    sweep.began(HELD)
    code, _, err = sweep.run()
    assert code == 3
    assert f"process {process.pid}" in err
    sweep.let_go(HELD)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_failures_are_shown_with_their_last_lines(sweep: Sweep) -> None:
    (sweep.folder / "fail-2").touch()
    code, _, err = sweep.run()
    assert code == 1
    assert "RuntimeError: no luck with 2" in err
    assert "hello from 2" in err
    row = next(row for row in sweep.rows() if row.parameters["n"] == 2)
    assert row.state is State.FAILED
    assert "hello from 2" in row.log
    assert "RuntimeError: no luck with 2" in row.log


def test_a_cause_that_all_trials_share_stops_the_run(sweep: Sweep) -> None:
    for n in range(1, TRIALS + 1):
        (sweep.folder / f"fail-{n}").touch()
    code, _, err = sweep.run()
    assert code == 1
    assert "the first 5 trials failed for one cause: RuntimeError: no luck with" in err


def test_max_failures_stops_the_run_and_0_does_not(sweep: Sweep) -> None:
    for n in range(1, TRIALS + 1):
        (sweep.folder / f"fail-{n}").touch()
    code, _, err = sweep.run("--max-failures", "2")
    assert code == 1
    assert "2 trials failed" in err
    if sweep.packing is Packing.SEQUENTIAL:  # of those in one program more may have failed by the time it stops
        assert sweep.states()[State.FAILED] < TRIALS
    code, _, _ = sweep.run("--max-failures", "0")
    assert code == 1
    assert {row.parameters["n"] for row in sweep.rows() if row.state is State.FAILED} == set(range(1, TRIALS + 1))


@pytest.fixture
def small_disk(sweep: Sweep) -> Iterator[Path]:
    """The sweep's results folder as a file system of its own, nearly full."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = sweep.folder / "results"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_stops_the_run_and_loses_nothing(sweep: Sweep, small_disk: Path, clean_table: pd.DataFrame) -> None:
    filler = small_disk / "filler"
    sweep.hold(1)
    process = sweep.start()
    sweep.began(1)
    free = shutil.disk_usage(small_disk).free
    filler.write_bytes(b"\0" * (free - 4096))
    sweep.let_go(1)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "No space left on device" in err
    assert sweep.workers() == []
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    goes_on(sweep, clean_table)


# The first interrupt comes while a destructor runs, in which Python swallows it: of a worker's process that has ended.
IN_A_DESTRUCTOR = """\
import signal, subprocess
from kgen.cli.app import main

signal.signal(signal.SIGINT, signal.default_int_handler)
end, seen = subprocess.Popen.__del__, []

def interrupted(self, *more):
    end(self, *more)
    if "train.py" in str(self.args) and not seen:
        seen.append(self)
        signal.raise_signal(signal.{name})

subprocess.Popen.__del__ = interrupted
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_that_python_swallows_is_heard(sweep: Sweep, clean_table: pd.DataFrame, number: signal.Signals) -> None:
    sweep.hold(HELD)
    code, _, err = sweep.run(program=IN_A_DESTRUCTOR.format(name=number.name))
    assert code == 130, err
    assert f"kgen run {sweep.file}" in err
    assert "Traceback" not in err
    assert sweep.states() == {State.COMPLETE: TRIALS - 1, State.INTERRUPTED: 1}
    assert sweep.workers() == []
    sweep.let_go(HELD)
    goes_on(sweep, clean_table)
