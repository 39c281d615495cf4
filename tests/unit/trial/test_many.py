"""Many trials in one process, as the Job of a fused pack runs them: each leaves the row that it would leave alone."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from kgen import pack_message
from kgen.results.rows import Outcome, State, TrialRow
from kgen.spec import Budget, Target, Timing
from tests.unit.trial.trainers import HEAD, Job, PackJob, json_lines, many, rows, spec, specs, trial_id, wait_until

HOLD = "[time.sleep(0.005) for _ in iter(lambda: os.path.exists(os.environ['FLAG']), False)]"
"""Computes, without a word to kgen, until the test says so."""
NO_CLOCK = "import kgen.trial.batch\nkgen.trial.batch.SECONDS = 1e6\n"
NO_COUNT = "import kgen.trial.batch\nkgen.trial.batch.ROWS = 10**6\n"


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    """While it is there, a trainer holds."""
    file = tmp_path / "flag"
    file.touch()
    return file


def by_x(results: Path) -> dict[object, TrialRow]:
    """The rows; each trial has exactly one."""
    found = rows(results)
    assert {Counter(row.trial for row in found)[row.trial] for row in found} <= {1}
    return {row.parameters["x"]: row for row in found}


# -- rows


def test_each_leaves_a_row_of_its_own(tmp_path: Path) -> None:
    trials = specs(20)
    job = PackJob(tmp_path, many(), trials, "fused", CAPACITY="6", KGEN_ATTEMPT="pod-1", KGEN_TIMING="exclusive")
    assert job.end() == 0, job.output
    found = by_x(tmp_path)
    assert set(found) == set(range(20))
    for x, row in found.items():
        steps = 10 * (1 + int(str(x)) % 3)
        assert (row.trial, row.attempt, row.state, row.outcome) == (
            trial_id(int(str(x))), "pod-1", State.COMPLETE, Outcome.FINISHED,
        )  # fmt: skip
        assert row.exit_reason == f"budget of {steps} steps spent"
        assert [(p.step, p.value) for p in row.curve if p.metric == "x"] == [(s, x) for s in range(10, steps + 1, 10)]
        assert (row.steps, row.timing, row.environment.mates) == (steps, Timing.SHARED, 5)
        assert Budget.from_json(json.loads(row.budget)).steps == steps


def test_rows_share_files_that_are_named_after_their_first(tmp_path: Path) -> None:
    job = PackJob(tmp_path, many(), specs(20, steps=10), "fused", CAPACITY="20", KGEN_ATTEMPT="pod")
    assert job.end() == 0, job.output
    assert len(job.files) < 10
    for name, trials in job.files.items():
        first, attempt, number, suffix = name.split(".")
        assert (first, attempt, suffix) == (trials[0], "pod", "parquet")
        assert int(number) >= 1


def test_no_seconds_to_target_but_steps(tmp_path: Path) -> None:
    """Its share of what many took together is no time that it would take: alone in its process, too."""
    job = PackJob(tmp_path, many(), specs(1, target=Target("loss", 0.05), steps=900), "fused", KGEN_TIMING="exclusive")
    job.end()
    (row,) = rows(tmp_path)
    assert (row.outcome, row.steps_to_target, row.seconds_to_target) == (Outcome.REACHED, 10, None)
    assert (row.timing, row.environment.mates) == (Timing.SHARED, 0)


def test_one_trial_of_a_job_may_be_trained_so_too(tmp_path: Path) -> None:
    job = Job(tmp_path, many(), spec({"x": 1}, steps=10), KGEN_PACKING="fused")
    assert job.end() == 0, job.output
    assert job.row.state is State.COMPLETE


def test_the_seconds_are_shares(tmp_path: Path) -> None:
    """Under a clock that the trainer moves: four train for four seconds, then one of them is decided."""
    trainer = (
        HEAD
        + """
import kgen.trial.crew
now = 0.0
kgen.trial.crew.Crew.__init__.__kwdefaults__["clock"] = lambda: now
def train_many(trials):
    global now
    first, *others = trials.take(4)
    now += 100
    with trials.training():
        now += 4
        assert first.seconds == 1
        first.report(step=10, loss=1)
        now += 3
    [trial.report(step=10, loss=1) for trial in others[:2]]
    with trials.training():
        now += 5
    now += 100
    others[2].report(step=10, loss=1)
main(None, train_many)
"""
    )
    job = PackJob(tmp_path, trainer, specs(4, steps=10), "fused")
    assert job.end() == 0, job.output
    assert [by_x(tmp_path)[x].seconds for x in range(4)] == [1, 2, 2, 7]
    assert by_x(tmp_path)[3].curve[0].seconds == 7


def test_time_among_some_is_not_charged_to_those_that_wait(tmp_path: Path) -> None:
    trainer = (
        HEAD
        + """
import kgen.trial.crew
now = 0.0
kgen.trial.crew.Crew.__init__.__kwdefaults__["clock"] = lambda: now
def train_many(trials):
    global now
    first, second, last = trials.take(3)
    with trials.training():
        now += 3
    with trials.training([first, second]):
        now += 8
        assert (first.seconds, last.seconds) == (5, 1)
        first.report(step=10, loss=1)
        now += 2
    with trials.training([last]):
        now += 100
    for trial in (second, last):
        trial.report(step=10, loss=1)
main(None, train_many)
"""
    )
    job = PackJob(tmp_path, trainer, specs(3, steps=10), "fused")
    assert job.end() == 0, job.output
    assert [by_x(tmp_path)[x].seconds for x in range(3)] == [5, 7, 101]


def test_what_the_trainer_knows_of_itself_is_in_every_row(tmp_path: Path) -> None:
    code = many().replace("main(train, train_many)", "main(train, train_many, describe=lambda: {'framework': 'toy'})")
    assert PackJob(tmp_path, code, specs(3), "fused", CAPACITY="2").end() == 0
    assert {row.environment.framework for row in rows(tmp_path)} == {"toy"}


# -- when they are written


def test_eight_that_have_ended_are_written_while_others_train(tmp_path: Path, flag: Path) -> None:
    code = many(f"if step == 20: {HOLD}", before=NO_CLOCK)
    trials = [*specs(8, steps=10), spec({"x": 8}, trial_id(8), steps=20)]
    job = PackJob(tmp_path, code, trials, "fused", CAPACITY="9", FLAG=str(flag))
    wait_until(lambda: len(rows(tmp_path)) == 8, "eight rows while the ninth trains")
    flag.unlink()
    assert job.end() == 0, job.output
    assert len(by_x(tmp_path)) == 9


def test_one_that_has_waited_long_enough_is_written_while_others_train(tmp_path: Path, flag: Path) -> None:
    code = many(f"if step == 20: {HOLD}", before=NO_COUNT)
    trials = [*specs(2, steps=10), spec({"x": 2}, trial_id(2), steps=20)]
    job = PackJob(tmp_path, code, trials, "fused", FLAG=str(flag))
    wait_until(lambda: len(rows(tmp_path)) == 2, "two rows while the third trains")
    flag.unlink()
    assert job.end() == 0, job.output


def test_all_are_written_before_the_last_take_returns(tmp_path: Path) -> None:
    code = many(before=NO_CLOCK + NO_COUNT).replace(
        "\nmain(", "    print('files', len(os.listdir(os.environ['KGEN_RESULTS'] + '/rows')), flush=True)\n\nmain("
    )
    job = PackJob(tmp_path, code, specs(5, steps=10), "fused")
    assert job.end() == 0, job.output
    assert "files 1" in job.output


def test_what_was_to_be_done_after_a_result_is_done(tmp_path: Path) -> None:
    code = many("trial.when_done((trial.checkpoint_dir / 'x').unlink)", "(trial.checkpoint_dir / 'x').touch()")
    job = PackJob(tmp_path, code, specs(12, steps=10), "fused", CAPACITY="5")
    assert job.end() == 0, job.output
    assert list((tmp_path / "checkpoints").rglob("x")) == []


def test_rows_that_cannot_be_written_end_a_process_that_trains(tmp_path: Path) -> None:
    """At once: whatever it trains from here on would be lost."""
    break_it = "import shutil; shutil.rmtree(rows); open(rows, 'w').close()"
    code = many(
        "rows = os.environ['KGEN_RESULTS'] + '/rows'",
        f"if step == 10 and not os.path.isfile(rows): {break_it}",
        "if step == 20: time.sleep(300)",
    )
    trials = [spec({"x": 0}, trial_id(0), steps=10), spec({"x": 1}, trial_id(1), steps=20)]
    job = PackJob(tmp_path, code, trials, "fused")
    assert job.end() == 66
    assert "can't be written" in job.output.splitlines()[-2]
    error, message = job.last_words.read_text().splitlines()
    assert "can't be written" in error
    assert message == job.output.splitlines()[-1]
    assert message == f"kgen: 0 of 2 trials have a result; not ended: {trial_id(0)}, {trial_id(1)}"


# -- failures


def test_of_nine_only_the_one_at_fault_fails(tmp_path: Path) -> None:
    code = many("if trial.parameters['x'] == 6 and step == 20: raise ValueError('weak six')")
    job = PackJob(tmp_path, code, specs(12, steps=30), "fused", CAPACITY="9")
    assert job.end() == 1
    found = by_x(tmp_path)
    assert {x: row.state for x, row in found.items()} == {x: "failed" if x == 6 else "complete" for x in range(12)}
    bad = found[6]
    assert (bad.exit_code, bad.exit_reason, bad.steps) == (1, "ValueError: weak six", 10)
    assert bad.log.count("ValueError: weak six") == 1
    for x, row in found.items():
        if x != 6:  # nothing of the runs that were given up
            assert [p.step for p in row.curve if p.metric == "loss"] == [10, 20, 30]
            assert "weak six" not in row.log
    assert "train_many failed with 9 trials running" in job.output
    message = pack_message.parse(job.last_words.read_text())
    assert message is not None
    assert (message.results, message.trials, message.left) == (11, 12, ())
    assert message.failed == (pack_message.Failure(trial_id(6), 1, "ValueError: weak six"),)


def test_several_at_fault(tmp_path: Path) -> None:
    code = many("if trial.parameters['x'] in (0, 3, 4, 8): raise BadParametersError('x')")
    assert PackJob(tmp_path, code, specs(9), "fused", CAPACITY="5").end() == 64
    failed = {x for x, row in by_x(tmp_path).items() if row.state is State.FAILED}
    assert failed == {0, 3, 4, 8}
    assert len(by_x(tmp_path)) == 9


def test_one_that_can_not_be_trained_is_named_by_the_trainer(tmp_path: Path) -> None:
    code = (
        HEAD
        + """
def train_many(trials):
    while running := trials.take(4):
        for trial in running:
            try:
                trial.parameter("x", str) if trial.parameters["x"] == 2 else None
            except BadParametersError as error:
                trials.fail(trial, error)
        for trial in trials.running:
            trial.report(step=10, loss=1)
            trials.end(trial)
main(None, train_many)
"""
    )
    job = PackJob(tmp_path, code, specs(6, steps=10), "fused")
    assert job.end() == 64, job.output
    found = by_x(tmp_path)
    assert {x for x, row in found.items() if row.state is State.FAILED} == {2}
    assert found[2].exit_reason == "BadParametersError: parameter 'x' is '2', not a str"
    assert "running" not in job.output


def test_a_trainer_that_reports_nothing_has_no_results(tmp_path: Path) -> None:
    job = PackJob(tmp_path, HEAD + "main(None, lambda trials: trials.take(2))", specs(5), "fused")
    assert job.end() == 1
    assert {row.exit_reason for row in by_x(tmp_path).values()} == {
        "TrialError: the trainer returned without one report: trial.report(step=…, …) was not called"
    }
    assert len(by_x(tmp_path)) == 5


def test_a_trainer_that_takes_nothing_is_told_so(tmp_path: Path) -> None:
    job = PackJob(tmp_path, HEAD + "main(None, lambda trials: None)", specs(3), "fused")
    assert job.end() == 1
    assert {row.exit_reason for row in by_x(tmp_path).values()} == {
        "TrialError: train_many returned without taking a trial: trials.take(…) was not called"
    }


def test_one_that_returns_with_trials_running_is_done_with_them(tmp_path: Path) -> None:
    """And is called again for those that wait."""
    code = HEAD + "main(None, lambda trials: [trial.report(step=7, loss=1) for trial in trials.take(4)])"
    job = PackJob(tmp_path, code, specs(9, steps=100), "fused")
    assert job.end() == 0, job.output
    assert {row.exit_reason for row in by_x(tmp_path).values()} == {"the trainer returned at step 7"}
    assert len(by_x(tmp_path)) == 9


def test_an_error_before_any_trial_is_taken_fails_each(tmp_path: Path) -> None:
    code = HEAD + "def train_many(trials): raise DataError('no data')\nmain(None, train_many)"
    job = PackJob(tmp_path, code, specs(3), "fused")
    assert job.end() == 66
    assert {row.exit_reason for row in by_x(tmp_path).values()} == {"DataError: no data"}
    assert len(by_x(tmp_path)) == 3


def test_an_error_when_all_have_ended_undoes_no_result(tmp_path: Path) -> None:
    code = many().replace("\nmain(", "    raise OSError('while cleaning up')\n\nmain(")
    job = PackJob(tmp_path, code, specs(5), "fused")
    assert job.end() == 0, job.output
    assert "OSError: while cleaning up" in job.output
    assert {row.state for row in by_x(tmp_path).values()} == {State.COMPLETE}


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("trials.end(trial); trials.end(trial)", "ValueError: trial trialaaaaa is not running: it has been ended"),
        ("trial.report(step=1, loss=1); trial.training().__enter__()", "RuntimeError: trial.training() is for a trial"),
        ("with trials.training(), trials.training(): pass", "RuntimeError: trials.training() is entered"),
        ("trials.end(trial); trials.take(0)", "ValueError: take(0): at least one, while none is running"),
    ],
)
def test_a_trainers_mistake_is_said(tmp_path: Path, line: str, error: str) -> None:
    code = HEAD + f"def train_many(trials):\n    for trial in trials.take(1):\n        {line}\nmain(None, train_many)"
    job = PackJob(tmp_path, code, specs(1), "fused")
    assert job.end() == 1
    assert error in job.output


def test_a_trainer_of_one_at_a_time_is_not_given_many(tmp_path: Path) -> None:
    job = PackJob(tmp_path, HEAD + "main(lambda trial: None)", specs(2), "fused")
    assert job.end() == 64
    assert job.output == (
        "kgen: KGEN_PACKING is fused, but this trainer trains one at a time: give kgen.trial.main its train_many, "
        "or set execution.packing: sequential\n"
    )
    assert rows(tmp_path) == []


# -- stopped, killed, started again


DEAF = many("if step == 20: print('ready', flush=True); time.sleep(300)")


def test_fifty_that_listen_end_at_their_next_report(tmp_path: Path) -> None:
    job = PackJob(tmp_path, many("time.sleep(0.001)"), specs(60, steps=10**9), "fused", CAPACITY="50")
    job.wait_for("loss")
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 143
    found = by_x(tmp_path)
    assert len(found) == 50
    assert {(row.state, row.exit_reason, row.exit_code) for row in found.values()} == {("interrupted", "SIGTERM", 143)}
    message = pack_message.parse(job.last_words.read_text())
    assert message is not None
    assert (message.results, message.failed, len(message.left)) == (0, (), 60)


def test_fifty_that_do_not_listen_leave_their_rows_in_one_file(tmp_path: Path) -> None:
    """One of them was decided before, and keeps its result."""
    trials = [*specs(50, steps=10**9), spec({"x": 50}, trial_id(50), steps=10)]
    code = DEAF.replace("trials.end(trial)", "pass")
    job = PackJob(tmp_path, code, trials, "fused", CAPACITY="51")
    job.wait_for("ready")
    job.process.send_signal(signal.SIGTERM)
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 143
    assert [len(trials) for trials in job.files.values()] == [51]
    states = {x: (row.state, row.steps) for x, row in by_x(tmp_path).items()}
    assert states == {**dict.fromkeys(range(50), ("interrupted", 10)), 50: ("complete", 10)}


def test_what_is_set_aside_after_a_failure_is_interrupted_too(tmp_path: Path) -> None:
    code = many(
        "if len(trials.running) == 4: raise ValueError('one of four')",
        "if step == 20: print('ready', flush=True); time.sleep(300)",
    )
    job = PackJob(tmp_path, code, specs(4, steps=10**9), "fused")
    job.wait_for("ready")
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 143
    assert {x: row.state for x, row in by_x(tmp_path).items()} == dict.fromkeys(range(4), "interrupted")


def test_an_error_on_the_way_out_is_no_trials_fault(tmp_path: Path) -> None:
    code = (
        HEAD
        + """
def train_many(trials):
    trials.take(5)
    print('ready', flush=True)
    while not trials.stopping: time.sleep(0.005)
    1 / 0
main(None, train_many)
"""
    )
    job = PackJob(tmp_path, code, specs(5), "fused")
    job.wait_for("ready")
    job.process.send_signal(signal.SIGINT)
    assert job.end() == 143
    found = by_x(tmp_path)
    assert {(row.state, row.exit_reason) for row in found.values()} == {("interrupted", "SIGINT")}
    assert "ZeroDivisionError" in found[0].log


def test_killed_and_started_again_only_what_lacks_a_row_is_trained(tmp_path: Path, flag: Path) -> None:
    code = many("open(f'{os.environ[\"BEGAN\"]}/{trial.id}', 'w').close()", f"if step == 50: {HOLD}")
    trials = [*specs(20), *[spec({"x": x}, trial_id(x), steps=60) for x in range(20, 25)]]
    began = [tmp_path / "first", tmp_path / "second"]
    for folder in began:
        folder.mkdir()
    job = PackJob(tmp_path, code, trials, "fused", FLAG=str(flag), BEGAN=str(began[0]), KGEN_ATTEMPT="pod")
    wait_until(lambda: len(rows(tmp_path)) >= 16, "most of the short ones have their rows")
    os.killpg(job.process.pid, signal.SIGKILL)
    assert job.end() == -signal.SIGKILL
    kept = {row.trial for row in rows(tmp_path)}
    assert kept < {path.name for path in began[0].iterdir()}  # those that were running leave no row
    flag.unlink()
    again = PackJob(tmp_path, code, trials, "fused", FLAG=str(flag), BEGAN=str(began[1]), KGEN_ATTEMPT="pod")
    assert again.end() == 0, again.output
    assert f"{len(kept)} of 25 trials have a result already" in again.output
    assert {path.name for path in began[1].iterdir()} == {trial.id for trial in trials} - kept
    found = by_x(tmp_path)
    assert len(found) == 25
    assert {row.state for row in found.values()} == {State.COMPLETE}
    # The pod's name is the same, but these are two starts of its container.
    assert {row.attempt for row in found.values()} == {"pod", "pod-2"}


# -- output


def test_reports_do_not_flood_the_log_and_each_trial_is_in_it(tmp_path: Path) -> None:
    job = PackJob(tmp_path, many("time.sleep(0.0005)"), specs(30, steps=300), "fused", CAPACITY="30")
    assert job.end() == 0, job.output
    lines = json_lines(job.output)
    assert {line["trial"] for line in lines if line["step"] == 300} == {trial_id(i) for i in range(30)}
    assert 30 < len(lines) < 100  # of 900


def test_a_rows_log_is_what_the_trainer_said(tmp_path: Path) -> None:
    code = many("if step == 10: print('hello from', trial.parameters['x'])")
    assert PackJob(tmp_path, code, specs(4, steps=10), "fused").end() == 0
    for row in rows(tmp_path):
        assert "hello from 3" in row.log or "hello from 0" in row.log
        assert "{" not in row.log
