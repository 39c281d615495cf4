"""``kgen-trial -- PROGRAM``: any program as a trial."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from kgen.results.rows import Outcome, State
from kgen.spec import Direction, Target, TrialSpec, WrittenFloat
from kgen.trial.wrap import parse_line
from tests.unit.trial.trainers import Job, rows, spec, wait_until

WRAP = [sys.executable, "-m", "kgen.trial.wrap"]


def wrap(results: Path, program: str | Sequence[str], trial: TrialSpec | None = None, metrics: str = "stdout") -> Job:
    """A shell program, or the words of another one."""
    words = ["sh", "-c", program] if isinstance(program, str) else program
    return Job(results, [*WRAP, "--metrics", metrics, "--", *words], trial or spec())


def line(**values: float) -> str:
    return json.dumps(values)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


# -- lines


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"step": 5, "loss": 0.5}', {"step": 5, "loss": 0.5}),
        (' {"loss": 1, "text": "a", "flag": true, "none": null, "list": [1]} \r\n', {"loss": 1}),
        ('{"step": 1, "seconds": 2.5, "loss": 1}', {"step": 1, "seconds": 2.5, "loss": 1}),
        ('{"step": NaN, "seconds": -1, "loss": 1}', {"loss": 1}),
        ('{"step": 1e300, "seconds": Infinity, "loss": 1}', {"loss": 1}),
        ('{"step": 1, "seconds": 2}', None),
        ('{"loss": "0.5"}', None),
        ('{"loss": 0.5', None),
        ('{"loss": 0.5} trailing', None),
        ("[1, 2]", None),
        ("epoch 1 of 3", None),
        ("", None),
        ('{"a": ' * 100_000, None),
        ('{"loss": 1' + "0" * 400 + "}", None),
        ('{"loss": 1' + "0" * 5000 + "}", None),
    ],
)
def test_a_line_is_metrics_or_is_not(text: str, values: dict[str, float] | None) -> None:
    assert parse_line(text) == values


def test_a_line_may_say_not_a_number() -> None:
    values = parse_line('{"loss": NaN, "other": -Infinity}')
    assert values is not None
    assert [str(value) for value in values.values()] == ["nan", "-inf"]


# -- a program and its metrics


def test_the_program_gets_its_trial_in_the_environment(tmp_path: Path) -> None:
    trial = spec({"rate": WrittenFloat("1e-3"), "name": "a b", "deep": True}, steps=5, check_every_steps=2)
    job = wrap(tmp_path, "env | grep ^KGEN_; test -d $KGEN_CHECKPOINT_DIR; echo '{\"loss\": 1}'", trial)
    assert job.end() == 0, job.output
    found = dict(line.split("=", 1) for line in job.output.splitlines() if line.startswith("KGEN_"))
    assert found["KGEN_PARAMETERS"] == '{"deep":true,"name":"a b","rate":1e-3}'
    assert (found["KGEN_SEED"], found["KGEN_CONFIG"]) == ("7", "{}")
    assert json.loads(found["KGEN_BUDGET"]) == {"check_every_steps": 2, "steps": 5}
    assert found["KGEN_CHECKPOINT_DIR"] == str(tmp_path / "checkpoints" / trial.id)


def test_metrics_come_from_standard_output(tmp_path: Path) -> None:
    job = wrap(tmp_path, "echo epoch 1; echo '{\"step\": 10, \"loss\": 2}'; echo '{\"step\": 20, \"loss\": 1}' >&2;"
               "echo '{\"step\": 30, \"loss\": 0.5}'; echo done >&2")  # fmt: skip
    assert job.end() == 0, job.output
    row = job.row
    assert [(p.step, p.metric, p.value) for p in row.curve] == [(10, "loss", 2), (30, "loss", 0.5)]
    assert (row.outcome, row.exit_reason, row.steps) == (Outcome.FINISHED, "the trainer returned at step 30", 30)
    assert {"epoch 1", "done"} <= set(row.log.splitlines())
    assert 0 < row.seconds <= row.total_seconds


def test_metrics_come_from_a_file(tmp_path: Path) -> None:
    job = wrap(tmp_path, "echo '{\"step\": 1, \"loss\": 9}'; echo '{\"step\": 10, \"loss\": 2}' >> $KGEN_METRICS_FILE;"
               "printf '{\"step\": 20, \"loss\": 1}' >> $KGEN_METRICS_FILE", metrics="file")  # fmt: skip
    assert job.end() == 0, job.output
    assert [(p.step, p.value) for p in job.row.curve] == [(10, 2), (20, 1)]  # the last line needs no end


def test_without_steps_the_lines_are_counted(tmp_path: Path) -> None:
    job = wrap(tmp_path, "for i in 3 2 1; do echo '{\"loss\": '$i'}'; echo noise; done")
    assert job.end() == 0, job.output
    assert [(p.step, p.value) for p in job.row.curve] == [(1, 3), (2, 2), (3, 1)]


def test_a_program_may_count_its_own_seconds(tmp_path: Path) -> None:
    target = Target("loss", 1, Direction.AT_MOST)
    job = wrap(tmp_path, "echo '{\"seconds\": 100.5, \"loss\": 2}'; echo '{\"seconds\": 200.25, \"loss\": 1}'",
               spec(target=target))  # fmt: skip
    assert job.end() == 0, job.output
    assert [p.seconds for p in job.row.curve] == [100.5, 200.25]
    assert (job.row.seconds, job.row.seconds_to_target, job.row.steps_to_target) == (200.25, 200.25, 2)


@pytest.mark.parametrize("metrics", ["stdout", "file"])
def test_the_target_ends_the_program(tmp_path: Path, metrics: str) -> None:
    to = ">> $KGEN_METRICS_FILE" if metrics == "file" else ""
    job = wrap(
        tmp_path,
        f"i=0; while :; do i=$((i+1)); echo '{{\"loss\": '$((10-i))'}}' {to}; sleep 0.01; done",
        spec(target=Target("loss", 7, Direction.AT_MOST)),
        metrics,
    )
    assert job.end() == 0, job.output
    assert (job.row.outcome, job.row.steps_to_target, job.row.exit_code) == (Outcome.REACHED, 3, 0)


def test_the_budget_ends_the_program(tmp_path: Path) -> None:
    job = wrap(tmp_path, "while :; do echo '{\"loss\": 1}'; sleep 0.01; done", spec(steps=3))
    assert job.end() == 0, job.output
    assert (job.row.outcome, job.row.steps) == (Outcome.FINISHED, 3)


def test_time_after_the_target_does_not_count(tmp_path: Path) -> None:
    """The program takes no notice of SIGTERM, so its end takes two seconds more."""
    job = wrap(tmp_path, "trap '' TERM; echo '{\"loss\": 1}'; while :; do sleep 0.1; done",
               spec(target=Target("loss", 1, Direction.AT_MOST)))  # fmt: skip
    assert job.end() == 0, job.output
    assert job.row.seconds == job.row.seconds_to_target
    assert job.row.total_seconds > job.row.seconds + 1.9


def test_not_a_number_diverges(tmp_path: Path) -> None:
    job = wrap(tmp_path, "echo '{\"loss\": NaN}'; while :; do sleep 0.1; done")
    assert job.end() == 0, job.output
    assert (job.row.outcome, job.row.exit_reason) == (Outcome.DIVERGED, "nan: loss at step 1")


def test_odd_output_breaks_nothing(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "os.write(1, bytes(range(256)) * 50 + b'\\n')\n"
        "os.write(2, b'\\xff\\xfe\\0' * 1000)\n"
        "print('x' * 5_000_000)\n"
        "print('{\"lo\\udc80ss\": 1, \"loss\": 0.5}'.encode('ascii', 'backslashreplace').decode())\n"
        "print('\\r'.join(f'{i} %' for i in range(1000)), end='\\r\\n')\n"
    )
    job = wrap(tmp_path, [sys.executable, "-c", program])
    assert job.end() == 0, job.output
    assert {m.metric: m.final for m in job.row.metrics} == {"loss": 0.5, "lo\\udc80ss": 1}
    assert "999 %" in job.row.log.splitlines()


def test_output_in_another_encoding_than_the_terminals(tmp_path: Path) -> None:
    """What this process can't print must not end the thread that hears the program."""
    job = Job(tmp_path, [*WRAP, "--", "sh", "-c", "echo 'größe ✓'; echo '{\"loss\": 1}'"], PYTHONIOENCODING="ascii")
    assert job.end() == 0, job.output
    assert job.row.log.splitlines()[0] == "größe ✓"


# -- its end


@pytest.mark.parametrize(
    ("program", "code", "reason"),
    [
        ("exit 64", 64, "BadParametersError: sh ended with code 64"),
        ("exit 65", 65, "DeviceError: sh ended with code 65"),
        ("exit 66", 66, "DataError: sh ended with code 66"),
        ("echo '{\"loss\": 1}'; exit 3", 1, "TrialError: sh ended with code 3"),
        ("kill -9 $$", 1, "TrialError: sh ended with signal 9"),
        ("echo first >&2; echo ' why ' >&2; echo; exit 64", 64, "BadParametersError: sh ended with code 64: why"),
        ("true", 1, 'TrialError: sh ended without one metric: expected JSON lines like {"step": 50, "loss": 0.3} on '
                    "standard output"),
    ],
)  # fmt: skip
def test_a_failure_says_how_the_program_ended(tmp_path: Path, program: str, code: int, reason: str) -> None:
    job = wrap(tmp_path, f"echo so far; {program}")
    assert job.end() == code
    assert (job.row.state, job.row.exit_reason, job.row.exit_code) == (State.FAILED, reason, code)
    assert job.row.log.startswith("so far\n")


def test_metrics_in_the_wrong_place_are_said_to_be_missing_there(tmp_path: Path) -> None:
    job = wrap(tmp_path, "echo '{\"loss\": 1}'", metrics="file")
    assert job.end() == 1
    assert job.row.exit_reason.endswith("on the file named by KGEN_METRICS_FILE")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["no-such-program"], "no-such-program can't be started: No such file or directory"),
        (["/"], "/ can't be started: Permission denied"),
    ],
)
def test_a_program_that_cannot_start_is_a_bad_parameter(tmp_path: Path, words: list[str], reason: str) -> None:
    job = wrap(tmp_path, words)
    assert job.end() == 64
    assert job.row.exit_reason == f"BadParametersError: {reason}"


def test_what_the_program_leaves_behind_is_ended(tmp_path: Path) -> None:
    """Also where it holds the program's standard output open, which would else be waited for."""
    job = wrap(tmp_path, "sleep 300 & echo child $!; echo '{\"loss\": 1}'")
    child = int(job.wait_for("child").split()[1])
    assert job.end() == 0, job.output
    assert job.row.state is State.COMPLETE
    wait_until(lambda: gone(child), "the child ends")


def test_sigterm_ends_the_program_and_its_children(tmp_path: Path) -> None:
    """Also a child that takes no notice of it."""
    job = wrap(
        tmp_path,
        'sh -c \'trap "" TERM; echo child $$; while :; do sleep 0.1; done\' & echo \'{"step": 5, "loss": 1}\'; wait',
    )
    child = int(job.wait_for("child").split()[1])
    job.wait_for('"step":5')  # kgen has heard it
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 143, job.output
    assert (job.row.state, job.row.exit_reason, job.row.steps) == (State.INTERRUPTED, "SIGTERM", 5)
    wait_until(lambda: gone(child), "the child ends")


def test_sigterm_ends_a_program_that_takes_no_notice(tmp_path: Path) -> None:
    job = wrap(tmp_path, "trap '' TERM; echo pid $$; while :; do sleep 0.1; done")
    program = int(job.wait_for("pid").split()[1])
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 143, job.output
    assert job.row.state is State.INTERRUPTED
    assert gone(program)


# -- the command itself


def command(*words: str) -> subprocess.CompletedProcess[str]:
    kgen_trial = Path(sys.executable).with_name("kgen-trial")
    return subprocess.run([kgen_trial, *words], text=True, capture_output=True, check=False)


@pytest.mark.parametrize(
    "words", [[], ["ls"], ["--"], ["--metrics"], ["--metrics", "socket", "--", "ls"], ["-x", "--", "a"]]
)
def test_a_wrong_call_shows_how_to_call_it(words: list[str]) -> None:
    done = command(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: kgen-trial [--metrics stdout|file] -- PROGRAM")


def test_help_is_of_the_command_and_not_of_the_program(tmp_path: Path) -> None:
    assert "KGEN_METRICS_FILE" in command("--help").stdout
    assert command("--", "ls", "--help").returncode == 66  # no trial to run
    assert rows(tmp_path) == []
