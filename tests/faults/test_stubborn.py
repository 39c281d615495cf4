"""Runs that are stopped or killed while their trials take no notice, or have started processes of their own."""

from __future__ import annotations

import os
import signal

import pandas as pd
import pytest

from kgen.results.rows import State
from kgen.spec import Packing
from tests.faults.conftest import TRAINER, TRIALS, Sweep, goes_on, wait_for

HELD = 4
DEAF = TRAINER.replace(" and not trial.stopping", "")
assert DEAF != TRAINER


@pytest.fixture
def deaf(sweep: Sweep) -> Sweep:
    """Its trials do not ask whether to stop."""
    (sweep.folder / "train.py").write_text(DEAF)
    return sweep


@pytest.fixture(scope="module")
def clean_deaf_table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    with Sweep(tmp_path_factory.mktemp("clean-deaf")) as made:
        (made.folder / "train.py").write_text(DEAF)
        code, _, err = made.run()
        assert code == 0, err
        return made.table()


def test_ctrl_c_twice_while_a_trial_takes_no_notice(deaf: Sweep, clean_deaf_table: pd.DataFrame) -> None:
    deaf.hold(HELD)
    process = deaf.start()
    deaf.began(HELD)
    wait_for(lambda: len(deaf.complete()) == TRIALS - 1, "the other trials to end")
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    wait_for(lambda: not deaf.workers(), "the workers to end")
    assert deaf.states() == {State.COMPLETE: TRIALS - 1, State.INTERRUPTED: 1}
    deaf.let_go(HELD)
    goes_on(deaf, clean_deaf_table)


def test_workers_of_a_killed_run_end_though_their_trial_takes_no_notice(
    deaf: Sweep, clean_deaf_table: pd.DataFrame
) -> None:
    deaf.hold(HELD)
    process = deaf.start()
    deaf.began(HELD)
    wait_for(lambda: len(deaf.complete()) == TRIALS - 1, "the other trials to end")
    process.kill()
    process.communicate()
    wait_for(lambda: not deaf.workers(), "the workers to end themselves")
    interrupted = [row for row in deaf.rows() if row.state is State.INTERRUPTED]
    assert [row.exit_reason for row in interrupted] == ["the process that fed this worker is gone"]
    deaf.let_go(HELD)
    goes_on(deaf, clean_deaf_table)


def test_what_trainers_have_started_ends_with_a_killed_run(sweep: Sweep) -> None:
    (sweep.folder / "train.py").write_text("import subprocess\nsubprocess.Popen(['sleep', '300'])\n" + TRAINER)
    sweep.hold(HELD)
    process = sweep.start()
    sweep.began(HELD)
    wait_for(lambda: len(sweep.workers()) >= 2, "a worker and its child")
    process.kill()
    process.communicate()
    wait_for(lambda: not sweep.workers(), "the workers and what they have started to end")


@pytest.mark.parametrize("packing", [Packing.SEQUENTIAL])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_programs_in_other_languages_end_with_a_run(sweep: Sweep, how: signal.Signals) -> None:
    text = sweep.file.read_text().replace(
        "{command: [python, train.py], files: [train.py]}",
        "{command: [sh, -c, 'sleep 300 & echo $$ > began-{n}; wait'], metrics: stdout}",
    )
    sweep.file.write_text(text)
    process = sweep.start()
    sweep.began(1)
    sweep.began(2)
    os.kill(process.pid, how)
    process.communicate()
    wait_for(lambda: not sweep.workers(), "wrappers, programs and their children to end")
    assert sweep.states() == {State.INTERRUPTED: 2}


def test_many_tiny_trials_leave_nothing_behind(sweep: Sweep) -> None:
    sweep.file.write_text(sweep.file.read_text().replace(f"stop: {TRIALS}", "stop: 200"))
    code, _, err = sweep.run("--quiet")
    assert code == 0, err
    assert sweep.complete() == dict.fromkeys(range(1, 201), 1)
    assert sweep.workers() == []
    # As many workers as places, for all of them; and every temporary file has got its name.
    assert len({file.read_text() for file in sweep.folder.glob("began-*")}) <= 2
    assert [path for path in sweep.results.rglob("*") if path.name.startswith(".tmp-")] == []
