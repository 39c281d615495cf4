"""`kgen wait`: to the end, and no longer than there is something to wait for."""

from __future__ import annotations

import pytest

from kgen.status import FIRST_FAILURES
from kgen.workflow.observe import SeenSweep, SeenTrial
from kgen.workflow.wait import wait
from tests.cluster.shell import Shell, finish, interrupt, numbers, sweep_text


def test_all_succeed(shell: Shell) -> None:
    shell.submit(sweep_text(seconds="0.5"))
    waited = shell.kgen("wait", "first").ok()
    assert waited.lines[-1] == "all 4 trials of sweep/first succeeded"
    # And at once, when all are done.
    assert shell.kgen("wait", "first", "--timeout", "10s").ok().lines == ["4/4 succeeded", waited.lines[-1]]
    assert shell.kgen("wait", "first", "-q").ok().out == ""


def test_some_fail(shell: Shell) -> None:
    shell.submit(sweep_text(fate="exit-1", parameters="{optimizer: [sgd, adam]}"))
    waited = shell.kgen("wait", "first")
    assert waited.code == 1
    assert "2 of 2 trials have no result\n  2 failed: the trainer crashed (exit code 1)\n" in waited.err
    assert "to run them again: kgen retry first --failed --missing\n" in waited.err


def test_time_runs_out(shell: Shell) -> None:
    shell.submit(sweep_text(fate="run"))
    shell.until_all("Running")
    waited = shell.kgen("wait", "first", "--timeout", "1s")
    assert (waited.code, waited.err) == (124, "kgen: waited 1 s; 4 trials: 4 running\n")
    wrong = shell.kgen("wait", "first", "--timeout", "soon")
    assert wrong.code == 2
    assert "--timeout: found soon, allowed a duration such as 90s" in wrong.err


def test_ends_when_somebody_deletes_the_jobs(shell: Shell) -> None:
    shell.submit(sweep_text(fate="run"))
    shell.until_all("Running")
    run = shell.start("wait", "first")
    assert run.stdout is not None
    assert run.stdout.readline() == "0/4 succeeded, 4 running\n"
    shell.kubectl("delete", "jobs", "--all")
    done = finish(run)
    assert done.code == 1
    assert "4 missing: its Job was deleted" in done.err


def test_ends_with_the_first_failure_if_told_to(shell: Shell) -> None:
    shell.submit(sweep_text(fate="exit-1", seconds="0.5", parameters="{optimizer: [sgd]}"))
    shell.submit(sweep_text("second", "{optimizer: [sgd, adam]}", fate="run"))
    shell.until_all("Running", "second")
    name = min(shell.jobs("second"))
    run = shell.start("wait", "second", "--fail-fast")
    assert run.stdout is not None
    run.stdout.readline()
    pod = next(pod for pod in shell.pods("second") if pod.startswith(name))
    shell.kubectl("delete", "pod", pod)  # which ends as a program does that was told to
    done = finish(run)
    assert done.code == 1
    assert "1 failed: " in done.err
    assert "1 running" in done.err


def test_ctrl_c_says_how_to_go_on(shell: Shell) -> None:
    shell.submit(sweep_text(fate="run"))
    run = shell.start("wait", "first", "--timeout", "5m")
    assert run.stdout is not None
    run.stdout.readline()
    done = interrupt(run)
    assert done.code == 130
    assert done.err == (
        "kgen: no longer waiting; the Jobs go on\n"
        "to go on: kgen wait first --timeout 5m\nto end it: kgen cancel first\n"
    )
    assert len(shell.jobs()) == 4


class Nobody:
    """Watches, and notes what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def show(self, seen: SeenSweep, changed: list[SeenTrial]) -> None:
        pass

    def say(self, line: str) -> None:
        self.said.append(line)


class Hurried:
    """A clock on which ten minutes pass between two looks."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 600.0
        return self._now


@pytest.mark.parametrize("count", [2, FIRST_FAILURES])
def test_ends_when_the_rest_can_not_start(shell: Shell, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr("kgen.workflow.wait.LOOK_SECONDS", 0.2)
    shell.submit(sweep_text(fate="image-pull", parameters=numbers(count)))
    shell.until_all("Pending:ImagePull")
    waited = wait(shell.api(), "first", Nobody(), clock=Hurried())
    assert not waited.seen.succeeded
    assert set(waited.verdict.give_up) == set(shell.statuses())
    assert len(shell.jobs()) == count  # waiting changes nothing
