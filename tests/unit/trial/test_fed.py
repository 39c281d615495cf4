"""A resident worker as its owner sees it: trials over a socket, one warm process, ended in order."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from kgen.results.rows import State
from kgen.trial.channel import Ended, Interrupt, Message, Report, Start, Started, decode, encode
from tests.unit.trial.trainers import Fed, body, rows, spec, wait_until

FIRST, SECOND = spec({"x": 1.5}, "aaaaaaaaaa"), spec({"x": 2}, "bbbbbbbbbb")
QUICK = body("trial.report(step=1, loss=os.getpid())")
ENDLESS = body("(trial.checkpoint_dir / 'here').touch()", "while True: time.sleep(0.01); trial.report(step=1, loss=1)")
UNTIL_STOPPED = body(
    "(trial.checkpoint_dir / 'here').touch()",
    "while not trial.report(step=1, loss=1).stop: time.sleep(0.01)",
)


def begun(results: Path, trial: str) -> None:
    wait_until((results / "checkpoints" / trial / "here").exists, "the trial begins")


def test_a_message_survives_the_socket() -> None:
    ended = Ended("a", "complete", None, "r\n", 0, 1, None, float("inf"), 1.0, 2.0, {}, "é\0", 5)
    for message in (Start(FIRST, "x"), Interrupt("why"), Started("a"), Report("a", 3, {"m": 0.5}), ended):
        assert encode(message).count(b"\n") == 1
        back = decode(encode(message).rstrip())
        assert back == message


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"kind": "Nobody"}', b'{"kind": "Want"}', b'{"kind": "Start", "trial": 1}']
)
def test_a_line_that_is_no_message_ends_the_worker_instead_of_both_waiting(tmp_path: Path, line: bytes) -> None:
    with pytest.raises(ValueError, match="no message: b"):
        decode(line)
    fed = Fed(tmp_path, QUICK)
    fed.send_bytes(line + b"\n")
    assert fed.end() == 1


def test_one_process_runs_many_trials(tmp_path: Path) -> None:
    fed = Fed(tmp_path, QUICK)
    pids = set()
    for trial, attempt in ((FIRST, "one"), (SECOND, "two"), (FIRST, "three")):
        fed.start(trial, attempt)
        assert fed.next() == Started(trial.id)
        ended = fed.next(Ended)
        assert isinstance(ended, Ended)
        pids.add(ended.metrics["loss"][0])
        assert (ended.trial, ended.state, ended.outcome, ended.steps) == (trial.id, "complete", "finished", 1)
        assert ended.resident_bytes > 10_000_000
        assert not ended.ends_worker
    assert pids == {fed.process.pid}
    assert [row.attempt for row in rows(tmp_path)] == ["one", "three", "two"]
    fed.hang_up()
    assert fed.end() == 0


def test_each_trial_has_its_own_log(tmp_path: Path) -> None:
    fed = Fed(tmp_path, body("print('output of', trial.id)", "trial.report(step=1, loss=1)"))
    for trial in (FIRST, SECOND):
        fed.start(trial, "x")
        fed.next(Ended)
    assert [row.log.splitlines()[0] for row in rows(tmp_path)] == ["output of aaaaaaaaaa", "output of bbbbbbbbbb"]


@pytest.mark.parametrize(("code", "ends"), [("raise DataError('x')", False), ("1 / 0", True), ("sys.exit(7)", True)])
def test_only_an_orderly_failure_leaves_the_worker_fit_for_more(tmp_path: Path, code: str, ends: bool) -> None:
    fed = Fed(tmp_path, body(f"if trial.id == 'aaaaaaaaaa': {code}", "trial.report(step=1, loss=1)"))
    fed.send(Start(FIRST, "x"), Start(SECOND, "x"))
    ended = fed.next(Ended)
    assert isinstance(ended, Ended)
    assert (ended.state, ended.ends_worker) == ("failed", ends)
    if ends:
        with pytest.raises(EOFError):
            fed.next()
        assert len(rows(tmp_path)) == 1
    else:
        ended = fed.next(Ended)
        assert isinstance(ended, Ended)
        assert ended.state == "complete"


def test_an_interrupt_ends_the_running_trial_and_takes_no_other(tmp_path: Path) -> None:
    fed = Fed(tmp_path, UNTIL_STOPPED)
    fed.send(Start(FIRST, "x"), Start(SECOND, "x"))
    begun(tmp_path, FIRST.id)
    fed.send(Interrupt("the run was stopped"))
    ended = fed.next(Ended)
    assert isinstance(ended, Ended)
    assert (ended.trial, ended.state, ended.reason) == (FIRST.id, "interrupted", "the run was stopped")
    assert fed.end() == 143
    assert [row.trial for row in rows(tmp_path)] == [FIRST.id]


def test_a_worker_whose_owner_is_gone_ends_itself_with_a_row(tmp_path: Path) -> None:
    fed = Fed(tmp_path, UNTIL_STOPPED)
    fed.start(FIRST, "x")
    begun(tmp_path, FIRST.id)
    fed.hang_up()
    assert fed.end() == 143
    (row,) = rows(tmp_path)
    assert (row.state, row.exit_reason) == (State.INTERRUPTED, "the process that fed this worker is gone")


def test_also_if_its_trainer_does_not_listen(tmp_path: Path) -> None:
    fed = Fed(tmp_path, ENDLESS)
    fed.start(FIRST, "x")
    begun(tmp_path, FIRST.id)
    fed.hang_up()
    assert fed.end() == 143
    assert [row.state for row in rows(tmp_path)] == [State.INTERRUPTED]


def test_a_trial_that_a_lost_owner_had_handed_over_is_not_begun(tmp_path: Path) -> None:
    """The owner died while the worker was still importing its framework."""
    fed = Fed(tmp_path, "import sys\nsys.stdin.close()\n" + ENDLESS.replace("main(train)", """
import kgen.trial.process as process
listen = process._Process._listen
def listen_to_the_end(self, channel, work):  # the end of the socket is there before the trial is taken
    listen(self, channel, work)
    open('gate', 'w').close()
take = process.Channel.next_start
def take_late(self):
    while not os.path.exists('gate'): time.sleep(0.001)
    return take(self)
os.chdir(os.environ['KGEN_RESULTS'])
process._Process._listen, process.Channel.next_start = listen_to_the_end, take_late
main(train)
"""))  # fmt: skip
    fed.start(FIRST, "x")
    fed.hang_up()
    assert fed.end() == 0
    assert rows(tmp_path) == []


def test_sigterm_between_two_trials_ends_the_worker_and_adds_nothing(tmp_path: Path) -> None:
    fed = Fed(tmp_path, QUICK)
    fed.start(FIRST, "x")
    fed.next(Ended)
    fed.process.send_signal(signal.SIGTERM)
    assert fed.end() == 143
    assert [row.state for row in rows(tmp_path)] == [State.COMPLETE]


def test_sigterm_in_a_trial_is_told_to_the_owner(tmp_path: Path) -> None:
    fed = Fed(tmp_path, UNTIL_STOPPED)
    fed.start(FIRST, "x")
    begun(tmp_path, FIRST.id)
    fed.process.send_signal(signal.SIGTERM)
    fed.process.send_signal(signal.SIGTERM)
    ended = fed.next(Ended)
    assert isinstance(ended, Ended)
    assert (ended.state, ended.exit_code) == ("interrupted", 143)
    assert fed.end() == 143


def test_children_of_the_trainer_do_not_hold_its_socket(tmp_path: Path) -> None:
    fed = Fed(tmp_path, body("import subprocess", "subprocess.Popen(['sleep', '300'], close_fds=False)", "os._exit(9)"))
    fed.start(FIRST, "x")
    with pytest.raises(EOFError):
        fed.next(Ended)
    os.killpg(fed.process.pid, signal.SIGKILL)


def test_what_a_worker_has_started_ends_with_it(tmp_path: Path) -> None:
    """By itself: whoever started it may be killed at that moment. And it keeps its exit code."""
    code = "import subprocess\nchild = subprocess.Popen(['sleep', '300'])\n"
    fed = Fed(tmp_path, code + body("trial.report(step=1, loss=child.pid)"))
    fed.start(FIRST, "x")
    ended = fed.next(Ended)
    assert isinstance(ended, Ended)
    child = Path(f"/proc/{ended.metrics['loss'][0]:.0f}/stat")
    assert child.exists()
    fed.hang_up()
    assert fed.end() == 0
    wait_until(lambda: not child.exists() or ") Z " in child.read_text(), "the child ends")


def test_a_worker_sees_nothing_of_the_socket_in_its_environment(tmp_path: Path) -> None:
    fed = Fed(tmp_path, body("assert 'KGEN_WORKER' not in os.environ", "trial.report(step=1, loss=1)"))
    fed.start(FIRST, "x")
    ended = fed.next(Ended)
    assert isinstance(ended, Ended)
    assert ended.state == "complete", ended.log


def test_reports_of_a_busy_trainer_do_not_flood_the_owner(tmp_path: Path) -> None:
    fed = Fed(tmp_path, body("[trial.report(step=i, loss=1) for i in range(2000)]"))
    fed.start(FIRST, "x")
    kinds: list[type[Message]] = []
    while Ended not in kinds:
        kinds.append(type(fed.next()))
    assert 1 <= kinds.count(Report) < 1000
