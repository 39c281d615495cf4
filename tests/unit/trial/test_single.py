"""One trial in a process of its own, as a Job runs it: exit codes, the row, signals."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
import os
import platform
import signal
import sys
from pathlib import Path

import pytest

import kgen
from kgen import names
from kgen.results.rows import CurvePoint, MetricSummary, Outcome, State
from kgen.spec import Budget, Target, Timing, WrittenFloat
from kgen.trial.environment import GRACE_SECONDS
from tests.unit.trial.trainers import HEAD, Job, body, json_lines, rows, spec

TRAIN = (
    HEAD
    + """\
def train(trial):
    print("parameters", dict(trial.parameters), flush=True)
    for step in range(10, 1000, 10):
        with trial.training():
            pass
        if trial.report(step=step, loss=10 / step, accuracy=step / 100).stop:
            return
main(train, describe=lambda: {"trainer": "toy", "framework": "none", "framework_version": "1", "device": "abacus",
                              "device_uuid": "u"})
"""
)


# -- the row


def test_a_row_says_everything(tmp_path: Path) -> None:
    parameters = {"rate": WrittenFloat("1e-3"), "units": 10**30, "deep": True, "name": "ä b"}
    trial = spec(parameters, target=Target("accuracy", 0.5), steps=400, seconds=1000, check_every_steps=10)
    before = dt.datetime.now(dt.UTC)
    job = Job(tmp_path, TRAIN, trial, KGEN_ATTEMPT="pod-1", KGEN_TIMING="exclusive", KGEN_MATES="0",
              KGEN_NODE="node-7", KGEN_IMAGE="registry/image:1", KGEN_REVISION="abc")  # fmt: skip
    assert job.end() == 0, job.output
    row = job.row
    assert (row.trial, row.attempt, row.sweep, row.stage, row.seed) == ("aaaaaaaaaa", "pod-1", "sweep", "main", 7)
    assert row.parameters == parameters
    assert row.parameters["rate"].text == "1e-3"  # type: ignore[union-attr]
    assert Budget.from_json(json.loads(row.budget)) == trial.budget
    assert (row.state, row.outcome, row.exit_code) == (State.COMPLETE, Outcome.REACHED, 0)
    assert row.exit_reason == "accuracy >= 0.5: 0.5 at step 50"
    assert (row.steps, row.steps_to_target, row.timing) == (50, 50, Timing.EXCLUSIVE)
    assert row.seconds_to_target is not None
    assert 0 <= row.seconds_to_target <= row.seconds <= row.total_seconds
    assert before <= row.started <= row.ended <= dt.datetime.now(dt.UTC)
    assert row.metrics == (MetricSummary("accuracy", 0.5, 0.1, 0.5), MetricSummary("loss", 0.2, 0.2, 1.0))
    assert [(p.step, p.metric) for p in row.curve][:2] == [(10, "loss"), (10, "accuracy")]
    assert row.curve[-1] == CurvePoint(50, row.curve[-1].seconds, "accuracy", 0.5)
    env = row.environment
    assert (env.node, env.image, env.revision, env.mates) == ("node-7", "registry/image:1", "abc", 0)
    assert (env.trainer, env.framework, env.framework_version) == ("toy", "none", "1")
    assert (env.device, env.device_uuid) == ("abacus", "u")
    assert (env.kgen, env.python) == (kgen.__version__, platform.python_version())
    assert row.log.startswith("parameters {'deep': True")
    assert [path.name for path in (tmp_path / "rows").iterdir()] == ["aaaaaaaaaa.pod-1.parquet"]


def test_without_a_word_timing_is_shared_and_the_node_is_this_machine(tmp_path: Path) -> None:
    job = Job(tmp_path, TRAIN, spec(steps=10))
    assert job.end() == 0, job.output
    assert (job.row.timing, job.row.environment.node) == (Timing.SHARED, platform.node())
    assert job.row.environment.device == "abacus"


def test_a_resumed_trial_says_from_where_and_is_no_timing(tmp_path: Path) -> None:
    job = Job(tmp_path, body(
        "trial.resume_from(40)",
        "(trial.checkpoint_dir / 'weights').write_text('x')",
        "trial.report(step=50, loss=1)",
    ), KGEN_TIMING="exclusive")  # fmt: skip
    assert job.end() == 0, job.output
    assert (job.row.resumed_from_step, job.row.timing, job.row.steps) == (40, Timing.SHARED, 50)
    assert (tmp_path / "checkpoints" / "aaaaaaaaaa" / "weights").read_text() == "x"


GOES_ON = body(
    "kept = trial.checkpoint_dir / 'kept.json'",
    "step = 0",
    "if trial.lineage and kept.exists():",
    "    step, progress = json.loads(kept.read_text())",
    "    trial.resume_from(step, progress)",
    "while True:",
    "    step += 10",
    "    decision = trial.report(step=step, loss=1 / step)",
    "    if decision.budget_spent:",
    "        kept.write_text(json.dumps([step, trial.progress()]))",
    "    if decision.stop:",
    "        return",
).replace("import os", "import json, os")


def test_a_longer_trial_of_a_lineage_finds_what_a_shorter_one_left(tmp_path: Path) -> None:
    for trial, steps in (("aaaaaaaaaa", 20), ("bbbbbbbbbb", 50)):
        job = Job(tmp_path, GOES_ON, dataclasses.replace(spec(trial=trial, steps=steps), lineage="cccccccccc"))
        assert job.end() == 0, job.output
    alone = Job(tmp_path, GOES_ON, spec(trial="dddddddddd", steps=50))
    assert alone.end() == 0, alone.output
    shorter, longer, whole = rows(tmp_path)
    assert [row.resumed_from_step for row in (shorter, longer, whole)] == [None, 20, None]
    assert [(point.step, point.value) for point in longer.curve] == [(point.step, point.value) for point in whole.curve]
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"cccccccccc", "dddddddddd"}


def test_reports_are_json_lines_on_standard_output(tmp_path: Path) -> None:
    job = Job(tmp_path, TRAIN, spec(steps=500))
    assert job.end() == 0, job.output
    first, *more = json_lines(job.output)
    assert first == {"trial": "aaaaaaaaaa", "step": 10, "loss": 1.0, "accuracy": 0.1}
    assert len(more) < 50 / 2  # of 50 reports within a moment


def test_a_second_start_finds_the_result_and_adds_nothing(tmp_path: Path) -> None:
    assert Job(tmp_path, TRAIN, spec(steps=10)).end() == 0
    again = Job(tmp_path, TRAIN, spec(steps=10))
    assert again.end() == 0
    assert "aaaaaaaaaa has a result already" in again.output
    assert "parameters" not in again.output
    assert len(rows(tmp_path)) == 1


def test_what_is_no_result_does_not_hinder_a_second_start(tmp_path: Path) -> None:
    """An interrupted row, a failed one, a damaged one, one of another trial: none of them is a result of this one."""
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "aaaaaaaaaa.torn.parquet").write_bytes(b"PAR1")
    assert Job(tmp_path, body("raise ValueError('no')")).end() == 1
    cut = body("os.kill(os.getpid(), 15)", "while not trial.stopping: time.sleep(0.01)")
    assert Job(tmp_path, cut, KGEN_ATTEMPT="cut").end() == 143
    assert Job(tmp_path, TRAIN, spec(trial="bbbbbbbbbb", steps=10)).end() == 0
    (folder / "aaaaaaaaaa.torn.parquet").unlink()
    assert Job(tmp_path, TRAIN, spec(steps=10)).end() == 0
    states = {(row.trial, str(row.state)) for row in rows(tmp_path)}
    assert states == {("aaaaaaaaaa", "failed"), ("aaaaaaaaaa", "interrupted"), ("aaaaaaaaaa", "complete"),
                      ("bbbbbbbbbb", "complete")}  # fmt: skip


def test_a_container_started_again_in_its_pod_leaves_a_row_of_its_own(tmp_path: Path) -> None:
    """Its pod's UID, and so the attempt's name, is the same; the first row must stay and the second not be lost."""
    assert Job(tmp_path, body("raise ValueError('first')"), KGEN_ATTEMPT="uid").end() == 1
    assert Job(tmp_path, body("raise ValueError('second')"), KGEN_ATTEMPT="uid").end() == 1
    assert Job(tmp_path, TRAIN, spec(steps=10), KGEN_ATTEMPT="uid").end() == 0
    assert [(row.attempt, str(row.state)) for row in rows(tmp_path)] == [
        ("uid-2", "failed"), ("uid-3", "complete"), ("uid", "failed"),
    ]  # fmt: skip


# -- exit codes


@pytest.mark.parametrize(
    ("lines", "code", "reason"),
    [
        (["raise BadParametersError('rate must be positive')"], 64, "BadParametersError: rate must be positive"),
        (["trial.parameter('rate', float)"], 64, "BadParametersError: parameter 'rate' is missing; there are none"),
        (["raise DeviceError('no GPU')"], 65, "DeviceError: no GPU"),
        (["raise DataError('no data')"], 66, "DataError: no data"),
        (["raise ValueError('first line\\nsecond line')"], 1, "ValueError: first line"),
        (["raise ValueError"], 1, "ValueError: no message"),
        (["raise KeyboardInterrupt"], 1, "KeyboardInterrupt: no message"),
        (["[0] * (1 << 60)"], 1, "MemoryError: no message"),
        (["raise ValueError(b'\\xff'.decode('utf-8', 'surrogateescape'))"], 1, "ValueError: \\udcff"),
        (["class E(Exception):", "    def __str__(self): raise TypeError", "raise E"], 1, "E: no message"),
        (["sys.exit(3)"], 3, "SystemExit: 3"),
        (["sys.exit(-1)"], 255, "SystemExit: -1"),
        (["sys.exit('out of luck')"], 1, "SystemExit: out of luck"),
    ],
)
def test_a_failure_has_a_row_with_its_reason_and_its_code(
    tmp_path: Path, lines: list[str], code: int, reason: str
) -> None:
    job = Job(tmp_path, body("print('so far', flush=True)", *lines), spec(steps=5))
    assert job.end() == code
    row = job.row
    assert (row.state, row.outcome, row.exit_code, row.exit_reason) == (State.FAILED, None, code, reason)
    assert row.log.startswith("so far\n")
    assert reason.partition(":")[0] in row.log


@pytest.mark.parametrize("line", ["return", "sys.exit()", "sys.exit(0)", "sys.exit(None)"])
def test_leaving_without_a_word_is_a_result(tmp_path: Path, line: str) -> None:
    job = Job(tmp_path, body("trial.report(step=1, loss=1)", line), spec(target=Target("loss", 5)))
    assert job.end() == 0
    assert (job.row.state, job.row.outcome, job.row.exit_code) == (State.COMPLETE, Outcome.CAPPED, 0)
    assert "Traceback" not in job.row.log


def test_leaving_without_any_report_leaves_a_row(tmp_path: Path) -> None:
    job = Job(tmp_path, body("sys.exit(0)"))
    assert job.end() == 1
    assert (job.row.state, job.row.exit_code) == (State.FAILED, 1)


def test_what_is_left_to_do_after_the_result_can_not_undo_it(tmp_path: Path) -> None:
    job = Job(tmp_path, body("trial.when_done(lambda: 1 / 0)", "trial.report(step=1, loss=1)"), spec(steps=1))
    assert job.end() == 0
    assert job.row.state == State.COMPLETE
    assert "what was to be done after the result failed" in job.output


def test_a_crash_is_printed_as_well(tmp_path: Path) -> None:
    """Whoever looks at the pod's log has no row at hand."""
    job = Job(tmp_path, body("raise ValueError('a bug')"))
    assert job.end() == 1
    assert job.output.count("ValueError: a bug") == job.row.log.count("ValueError: a bug") == 1


def test_a_trainer_that_crashes_before_main_leaves_no_row(tmp_path: Path) -> None:
    assert Job(tmp_path, "import kgen.trial, nothing_of_that_name").end() == 1
    assert rows(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (names.ENV_RESULTS, "", "KGEN_RESULTS is not set"),
        (names.ENV_TRIAL, "{", "KGEN_TRIAL is not a trial"),
        (names.ENV_TRIAL, "[]", "KGEN_TRIAL is not a trial"),
        (names.ENV_ATTEMPT, "../x", "KGEN_ATTEMPT is '../x': not letters"),
        (names.ENV_TIMING, "alone", "KGEN_TIMING is 'alone': not one of exclusive, shared"),
        (names.ENV_MATES, "two", "KGEN_MATES is 'two': not a whole number"),
    ],
)
def test_a_wrong_environment_is_said_in_one_line(tmp_path: Path, name: str, value: str, message: str) -> None:
    job = Job(tmp_path, TRAIN, spec(), **{name: value})
    assert job.end() == 66
    assert job.output.startswith(f"kgen: {message}")
    assert job.output.count("\n") == 1
    assert rows(tmp_path) == []


def test_without_a_trial_it_says_how_trainers_are_started(tmp_path: Path) -> None:
    job = Job(tmp_path, ["env", "-u", "KGEN_TRIAL", sys.executable, "-c", TRAIN])
    assert job.end() == 66
    assert "Start trainers through 'kgen run sweep.yaml'" in job.output


def test_results_that_cannot_be_written_end_with_66(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    job = Job(tmp_path / "file" / "results", TRAIN, spec(steps=10))
    assert job.end() == 66
    assert "can't be" in job.output.splitlines()[-1]


# -- odd output


def test_odd_output_does_not_break_the_row(tmp_path: Path) -> None:
    job = Job(tmp_path, body(
        "print('nul \\0 bell \\a escape \\x1b[31m')",
        "sys.stderr.write(b'latin caf\\xe9'.decode('utf-8', 'surrogateescape') + chr(10))",
        "os.write(1, bytes(range(256)))",
        "print('x' * 10_000_000)",
        "[print('filler') for _ in range(10_000)]",
        "print('last')",
        "trial.report(step=1, **{'a\\udc80': 1.0})",
        "raise ValueError('nul \\0 surrogate \\udc80')",
    ), spec(steps=5), PYTHONIOENCODING="utf-8:surrogateescape")  # fmt: skip
    assert job.end() == 1
    row = job.row
    assert row.exit_reason == "ValueError: nul \0 surrogate \\udc80"
    assert "last" in row.log
    assert len(row.log) < 100_000
    assert [metric.metric for metric in row.metrics] == ["a\\udc80"]


def test_a_trainer_that_nobody_listens_to_goes_on(tmp_path: Path) -> None:
    """Its output is a pipe that was closed: printing, also kgen's own reports, must not fail."""
    job = Job(tmp_path, body(
        "print('ready', flush=True)",
        "sys.stdin.readline()",
        "while os.path.exists(os.environ['FLAG']): time.sleep(0.01)",
        "print('into the void', flush=True)",
        "trial.report(step=1, loss=1)",
    ), FLAG=str(tmp_path / "flag"))  # fmt: skip
    (tmp_path / "flag").touch()
    job.wait_for("ready")
    assert job.process.stdout is not None
    job.process.stdout.close()
    (tmp_path / "flag").unlink()
    assert job.process.wait() == 0
    assert job.row.state is State.COMPLETE
    assert "into the void" in job.row.log


# -- signals


def test_sigterm_before_the_trial_begins(tmp_path: Path) -> None:
    """By a handler: as the first process of a container it would not be ended by the default."""
    job = Job(tmp_path, HEAD + "print('imports', flush=True)\ntime.sleep(60)\n")
    job.wait_for("imports")
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 143
    assert rows(tmp_path) == []


def test_a_trainer_that_listens_ends_at_its_next_report(tmp_path: Path) -> None:
    job = Job(tmp_path, body(
        "step = 0",
        "while True:",
        "    step += 1",
        "    if trial.report(step=step, loss=1 / step).stop: return",
    ))  # fmt: skip
    job.wait_for("loss")
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 143
    row = job.row
    assert (row.state, row.outcome, row.exit_reason, row.exit_code) == (State.INTERRUPTED, None, "SIGTERM", 143)
    assert row.steps >= 1


def test_an_error_on_the_way_out_is_not_the_trials_fault(tmp_path: Path) -> None:
    job = Job(tmp_path, body("print('ready', flush=True)", "while not trial.stopping: time.sleep(0.01)", "1 / 0"))
    job.wait_for("ready")
    job.process.send_signal(signal.SIGINT)
    assert job.end() == 143
    assert (job.row.state, job.row.exit_reason) == (State.INTERRUPTED, "SIGINT")
    assert "ZeroDivisionError" in job.row.log


WAITING = {
    "asleep": "time.sleep(300)",
    "waiting for a lock": "import threading; threading.Semaphore(0).acquire()",
    "catching everything": "while True:\n        try: time.sleep(300)\n        except BaseException: pass",
}
WORKING = {
    "in C that lets others run": "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)",
    "in a loop of its own": "while True: pass",
}


@pytest.mark.alone
@pytest.mark.parametrize("busy", [WAITING, WORKING])
def test_a_trainer_that_does_not_listen_leaves_its_row_all_the_same(tmp_path: Path, busy: dict[str, str]) -> None:
    """After the grace, which leaves two of the five seconds that a person waits for writing the row."""
    jobs = {
        name: Job(tmp_path / name, body("trial.report(step=3, loss=0.5)", "print('ready', flush=True)", code))
        for name, code in busy.items()
    }
    for job in jobs.values():
        job.wait_for("ready")
    for job in jobs.values():
        job.process.send_signal(signal.SIGTERM)
        job.process.send_signal(signal.SIGTERM)  # twice, as impatient people do
    for name, job in jobs.items():
        assert job.end() == 143, name
        assert (job.row.state, job.row.exit_reason, job.row.steps) == (State.INTERRUPTED, "SIGTERM", 3), name
    assert GRACE_SECONDS <= 3


def test_a_c_call_that_holds_the_interpreter_is_waited_for(tmp_path: Path) -> None:
    """The limit of what a process can do for itself: the row comes when the call is over."""
    job = Job(tmp_path, body(
        "values = [str(i * 7919 % 3_000_017) for i in range(3_000_000)]",
        "print('ready', flush=True)",
        "values.sort()",
        "while not trial.stopping: pass",
    ))  # fmt: skip
    job.wait_for("ready")
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 143
    assert job.row.state is State.INTERRUPTED


def test_a_killed_trial_leaves_no_row(tmp_path: Path) -> None:
    job = Job(tmp_path, body("trial.report(step=1, loss=1)", "print('ready', flush=True)", "time.sleep(300)"))
    job.wait_for("ready")
    os.killpg(job.process.pid, signal.SIGKILL)
    assert job.end() == -signal.SIGKILL
    assert rows(tmp_path) == []


def test_a_signal_after_the_last_step_does_not_undo_the_result(tmp_path: Path) -> None:
    job = Job(tmp_path, body(
        "print('ready', flush=True)",
        "while not trial.stopping: time.sleep(0.01)",
        "trial.report(step=10, loss=1)",
    ), spec(steps=10))  # fmt: skip
    job.wait_for("ready")
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 0
    assert (job.row.state, job.row.outcome) == (State.COMPLETE, Outcome.FINISHED)


def test_a_diverged_trial_keeps_its_curve(tmp_path: Path) -> None:
    job = Job(tmp_path, body(
        "trial.report(step=1, loss=2)", "assert trial.report(step=2, loss=float('nan')).stop"
    ), spec(target=Target("accuracy", 0.9)))  # fmt: skip
    assert job.end() == 0
    row = job.row
    assert (row.state, row.outcome, row.exit_reason) == (State.COMPLETE, Outcome.DIVERGED, "nan: loss at step 2")
    assert [(p.step, math.isnan(p.value)) for p in row.curve] == [(1, False), (2, True)]
    assert row.steps_to_target is None
