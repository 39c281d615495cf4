"""Trials on this machine: resident workers that lose one trial at the most."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from kgen.backends.local import pool as pool_module
from kgen.backends.local.devices import Slot
from kgen.errors import InputError, StoreError
from kgen.results.rows import State
from kgen.spec import Timing
from kgen.sweep import expand
from kgen.trial.channel import Ended, Report, Started
from kgen.trial.session import kill_session
from tests.unit.backends.sweeps import HEAD, Story, body, play, slot, sweep

REPORT = "trial.report(step=1, loss=trial.parameters['x'])"
WHO = "print(f'pid={os.getpid()}', flush=True)"


def processes_of(sessions: set[int]) -> list[str]:
    """Command lines of what still runs in these sessions."""
    out = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(session) in sessions and state != "Z":
                    out.append((entry / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
    return out


def dead_children() -> list[str]:
    """Children of this process that nobody has taken leave of."""
    return [
        pid
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
        if Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    ]


def pids(story: Story) -> dict[int, str]:
    return {x: story.log(x)["pid"] for x in story.rows}


# -- where and with what a trial runs


def test_a_worker_stays_for_many_trials(tmp_path: Path) -> None:
    story = play(sweep(tmp_path, body(WHO, REPORT), count=6), [slot()])
    assert story.states == dict.fromkeys(range(1, 7), "complete")
    assert len(set(pids(story).values())) == 1
    kinds = [type(message) for message in story.messages if not isinstance(message, Report)]
    assert kinds == [Started, Ended] * 6


def test_each_slot_has_a_worker_pinned_to_its_processors(tmp_path: Path) -> None:
    both = sorted(os.sched_getaffinity(0))[:2]
    if len(both) < 2:
        pytest.skip("needs two processors")
    code = body("print(f'cpus={sorted(os.sched_getaffinity(0))}', flush=True)",
                "print('threads=' + os.environ['OMP_NUM_THREADS'])", WHO,
                "here = trial.checkpoint_dir.parent / 'workers'", "here.mkdir(exist_ok=True)",
                "(here / str(os.getpid())).touch()",
                "while len(os.listdir(here)) < 2: time.sleep(0.01)  # until the other worker has a trial, too",
                REPORT)  # fmt: skip
    story = play(sweep(tmp_path, code, count=6), [Slot((cpu,), None, Timing.EXCLUSIVE, 0) for cpu in both])
    assert {story.log(x)["cpus"] for x in story.rows} == {f"[{both[0]}]", f"[{both[1]}]"}
    assert {story.log(x)["threads"] for x in story.rows} == {"1"}
    assert len(set(pids(story).values())) == 2
    assert {row.timing for row in story.rows.values()} == {Timing.EXCLUSIVE}


def test_a_shared_slot_makes_shared_rows(tmp_path: Path) -> None:
    story = play(sweep(tmp_path, body(REPORT)), [slot(3), slot(3)])
    assert {(row.timing, row.environment.mates) for row in story.rows.values()} == {(Timing.SHARED, 3)}


def test_environment_and_revision_arrive(tmp_path: Path) -> None:
    more = "  command: [python, train.py]\n  env: {GREETING: hello}\n  revision: r7\n  image: registry/i:1\n"
    code = body("print(os.environ['GREETING'], os.environ['KGEN_REVISION'], os.environ['FROM_OUTSIDE'])",
                "print('cwd=' + os.getcwd())", "print('executable=' + sys.executable)", REPORT)  # fmt: skip
    outside = {**os.environ, "FROM_OUTSIDE": "yes", "KGEN_TRIAL": "{}", "KGEN_ATTEMPT": "!", "PATH": "/nowhere"}
    story = play(sweep(tmp_path, code, count=1, more=more), environ=outside)
    row = story.rows[1]
    assert row.log.splitlines()[0] == "hello r7 yes"
    assert (row.environment.revision, row.environment.image) == ("r7", "registry/i:1")
    assert story.log(1)["cwd"] == str(tmp_path)
    assert story.log(1)["executable"] == sys.executable  # kgen's own, though PATH leads nowhere


def test_flags_and_places_start_a_process_per_trial(tmp_path: Path) -> None:
    code = "import json, os, sys\nprint('pid=%d' % os.getpid())\nprint('args=' + ' '.join(sys.argv[1:]))\n"
    code += "print(json.dumps({'loss': 1}))\n"
    more = "  command: [python, train.py, 'at-{x}-{seed}']\n  arguments: flags\n  metrics: stdout\n"
    story = play(sweep(tmp_path, code, count=3, more=more))
    assert [story.log(x)["args"] for x in (1, 2, 3)] == [f"at-{x}-0 --x={x}" for x in (1, 2, 3)]
    assert len(set(pids(story).values())) == 3
    assert story.states == {1: "complete", 2: "complete", 3: "complete"}


# -- what one trial can do to the others


@pytest.mark.parametrize(
    ("harm", "state", "reason"),
    [
        ("raise ValueError('bad luck')", "failed", "ValueError: bad luck"),
        ("sys.exit(3)", "failed", "SystemExit: 3"),
        ("os._exit(7)", "failed", "the process ended with code 7 and left no row"),
        ("os._exit(0)", "failed", "the process ended with code 0 and left no row: does it call kgen.trial.main?"),
        ("os.kill(os.getpid(), 9)", "failed", "the process was ended by SIGKILL: out of memory, or killed by somebody"),
        ("os.kill(os.getpid(), 11)", "failed", "the process was ended by SIGSEGV"),
        ("os.abort()", "failed", "the process was ended by SIGABRT"),
        ("os.kill(os.getpid(), 15)\n        while not trial.stopping: time.sleep(0.01)", "interrupted", "SIGTERM"),
    ],
)
def test_whatever_a_trial_does_costs_only_itself(tmp_path: Path, harm: str, state: str, reason: str) -> None:
    code = body(WHO, "print('last words', flush=True)", "if trial.parameters['x'] == 3:", f"    {harm}", REPORT)
    story = play(sweep(tmp_path, code, count=6), [slot()])
    assert story.states == {1: "complete", 2: "complete", 3: state, 4: "complete", 5: "complete", 6: "complete"}
    assert story.rows[3].exit_reason.startswith(reason)
    assert "last words" in story.rows[3].log
    who = pids(story)
    assert who[1] == who[2] == who[3] != who[4] == who[5] == who[6]
    third = expand(story.spec)[2].id
    assert (story.ended[third].state, story.ended[third].reason) == (state, story.rows[3].exit_reason)
    assert set(story.ended) == {trial.id for trial in story.trials}


def test_an_orderly_failure_keeps_the_worker(tmp_path: Path) -> None:
    code = body(WHO, "if trial.parameters['x'] % 2: raise BadParametersError('odd')", REPORT)
    story = play(sweep(tmp_path, code), [slot()])
    assert story.states == {1: "failed", 2: "complete", 3: "failed", 4: "complete"}
    assert story.rows[1].exit_code == 64
    assert len(set(pids(story).values())) == 1


def test_a_worker_that_grows_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "GROWTH_BYTES", 50 << 20)
    code = body(WHO, "main.kept = getattr(main, 'kept', []) + [b'x' * (40 << 20)]", REPORT)
    story = play(sweep(tmp_path, code, count=5), [slot()])
    assert story.states == dict.fromkeys(range(1, 6), "complete")
    who = pids(story)
    # 40 MiB of growth are forgiven, 80 are not: after every third trial a new process.
    assert who[1] == who[2] == who[3] != who[4] == who[5]


def test_a_trial_handed_to_a_dying_worker_is_neither_lost_nor_blamed(tmp_path: Path) -> None:
    """After its first trial each worker goes away before it begins the one that it has been handed already."""
    code = (
        HEAD
        + """
import threading, kgen.trial.process as process
count = 0
def train(trial):
    global count
    count += 1
    if count > 1: raise AssertionError("begun by a worker that should be gone")
    print(f"pid={os.getpid()}", flush=True)
    trial.report(step=1, loss=1)
take = process.Channel.next_start
def take_and_die(self):
    start = take(self)
    if count: os._exit(0)
    return start
process.Channel.next_start = take_and_die
main(train)
"""
    )
    story = play(sweep(tmp_path, code, count=4), [slot()])
    assert story.states == dict.fromkeys(range(1, 5), "complete")
    assert len(set(pids(story).values())) == 4


def test_a_dead_worker_is_noticed_though_its_child_holds_the_socket(tmp_path: Path) -> None:
    """As forked data loaders do."""
    code = body("if trial.parameters['x'] == 2:", "    if os.fork() == 0: time.sleep(300)", "    os._exit(5)", REPORT)
    story = play(sweep(tmp_path, code), [slot()])
    assert story.states == {1: "complete", 2: "failed", 3: "complete", 4: "complete"}
    assert "ended with code 5" in story.rows[2].exit_reason


def test_what_trials_leave_behind_ends_with_their_worker(tmp_path: Path) -> None:
    code = body("import subprocess", "child = subprocess.Popen(['sleep', '300'])", WHO, REPORT)
    story = play(sweep(tmp_path, code, count=3), [slot()])
    assert processes_of({int(pid) for pid in pids(story).values()}) == []


def test_a_program_that_never_calls_main_is_told_what_it_lacks(tmp_path: Path) -> None:
    story = play(sweep(tmp_path, "print('hello')\n", count=2))
    assert story.states == {1: "failed", 2: "failed"}
    row = story.rows[1]
    assert row.exit_reason == (
        "the process ended with code 0 and left no row: does it call kgen.trial.main? "
        "If it knows nothing of kgen, set trainer.metrics: stdout"
    )
    assert row.log == "hello"


def test_a_trainer_that_cannot_be_imported_fails_with_its_traceback(tmp_path: Path) -> None:
    story = play(sweep(tmp_path, "import nothing_of_that_name\n", count=2))
    assert story.states == {1: "failed", 2: "failed"}
    assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" in story.rows[1].log
    assert story.rows[1].environment.python


def test_odd_last_words_do_not_break_the_row(tmp_path: Path) -> None:
    code = body("os.write(1, bytes(range(256)) * 1000 + b'\\n' + b'x' * 500_000)", "os._exit(1)")
    story = play(sweep(tmp_path, code, count=1))
    assert story.states == {1: "failed"}
    assert story.rows[1].log.endswith("xxx")


# -- beginning and end


def test_a_program_that_is_not_there_is_a_mistake_in_the_file(tmp_path: Path) -> None:
    spec = sweep(tmp_path, "", more="  command: [no-such-program]\n")
    with pytest.raises(InputError, match=r"trainer.command: found no-such-program: no such file or directory"):
        play(spec)
    assert not spec.results.exists()


def test_a_file_that_changes_during_a_run_stops_it(tmp_path: Path) -> None:
    spec = sweep(tmp_path, body("if trial.parameters['x'] == 2: os._exit(1)", REPORT))

    def edit(pool: object, message: object) -> None:
        if isinstance(message, Ended) and message.state == "failed":
            (tmp_path / "train.py").write_text("another trainer")

    with pytest.raises(InputError, match="another content than at the start of this run"):
        play(spec, [slot()], on_event=edit)
    assert Story(spec, expand(spec)).states == {1: "complete", 2: "failed"}


def test_stopping_ends_running_trials_as_interrupted(tmp_path: Path) -> None:
    code = body(WHO, "if trial.parameters['x'] > 1:", "    while not trial.stopping: time.sleep(0.01)", REPORT)
    stories = []

    def stop(pool: pool_module.Pool, message: object) -> None:
        if isinstance(message, Started):
            stories.append(message.trial)
            if len(stories) == 3:
                pool.stop("enough")

    story = play(sweep(tmp_path, code, count=6), on_event=stop)
    assert story.states == {1: "complete", 2: "interrupted", 3: "interrupted"}
    assert story.rows[2].exit_reason == "enough"
    assert processes_of({int(pid) for pid in pids(story).values()}) == []


def test_a_trial_that_does_not_listen_is_ended_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process is stuck where no thread of it can run, so the pool kills it and writes the row."""
    monkeypatch.setattr(pool_module, "STOP_SECONDS", 0.5)
    code = body(WHO, "os.kill(os.getpid(), signal.SIGSTOP)")

    def stop(pool: pool_module.Pool, message: object) -> None:
        if isinstance(message, Started):
            pool.stop("enough")

    story = play(sweep(tmp_path, code, count=1), on_event=stop)
    assert story.states == {1: "interrupted"}
    assert story.rows[1].state is State.INTERRUPTED
    assert "SIGKILL" in story.rows[1].exit_reason


def test_an_error_of_the_listener_leaves_no_process(tmp_path: Path) -> None:
    code = body("(trial.checkpoint_dir / str(os.getpid())).touch()", "while not trial.stopping: time.sleep(0.01)")
    spec = sweep(tmp_path, code)

    def break_off(pool: object, message: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        play(spec, on_event=break_off)
    made = {int(path.name) for path in (spec.results / "checkpoints").glob("*/*")}
    assert processes_of(made) == []


def test_ctrl_c_while_a_worker_is_put_away_loses_neither_it_nor_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes when the process is gone, and neither taken leave of nor asked after its row."""
    interrupts = [True]

    def interrupted(leader: int) -> None:
        if interrupts:
            interrupts.pop()
            raise KeyboardInterrupt
        kill_session(leader)

    monkeypatch.setattr("kgen.backends.local.worker.kill_session", interrupted)
    spec = sweep(tmp_path, body("os._exit(7)"), count=3)
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(KeyboardInterrupt):
        play(spec, [slot()])
    assert Story(spec, expand(spec)).states == {1: "interrupted"}
    assert "code 7" in Story(spec, expand(spec)).rows[1].exit_reason
    assert dead_children() == []
    assert set(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def test_rows_that_cannot_be_written_end_the_run(tmp_path: Path) -> None:
    spec = sweep(tmp_path, body(REPORT))
    spec.results.parent.mkdir()
    spec.results.write_text("a file")
    with pytest.raises(StoreError, match="can't be written"):
        play(spec)


def test_many_small_trials_leak_nothing(tmp_path: Path) -> None:
    """Each of them in a process of its own: neither descriptors nor dead children remain."""
    spec = sweep(tmp_path, "", count=200, more="  command: [sh, -c, 'exit {x}']\n")
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    story = play(spec)
    assert len(story.rows) == 200
    assert {row.exit_code for row in story.rows.values()} == set(range(1, 201))
    assert set(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208  others' may have been closed meanwhile
    assert dead_children() == []


def test_a_wrapped_program_that_is_not_there_is_said_before_any_trial_fails_for_it(tmp_path: Path) -> None:
    (tmp_path / "plain.sh").write_text("#!/bin/sh\n")
    for program, why in (
        ("./gone", "no such program"),
        ("no-such", "no such program"),
        ("./plain.sh", "not executable"),
    ):
        spec = sweep(tmp_path, "", more=f"  command: [{program}]\n  metrics: stdout\n")
        with pytest.raises(InputError, match=f"{program}: {why}"):
            play(spec, [slot()])
        assert not (spec.results / "rows").exists()
