"""`kgen submit --wait`: to the end, or until it is clear that there is no good one."""

from __future__ import annotations

import itertools
import re

import pytest

from kgen.status import FIRST_FAILURES
from kgen.sweep import load
from kgen.workflow.attached import Attached, submit_attached
from kgen.workflow.follow import Following
from kgen.workflow.prepare import prepare
from tests.cluster.shell import Shell, interrupt, numbers, read_until, sweep_text
from tests.cluster.test_wait import Hurried, Nobody


def attached(shell: Shell, watcher: Nobody) -> Attached:
    """Submit and stay, by a clock on which ten minutes pass between two looks."""
    api = shell.api()
    prepared = prepare(load("sweep.yaml"), api)
    return submit_attached(prepared, api, lambda event: None, watcher, again="again", clock=Hurried())


def test_to_the_end(shell: Shell) -> None:
    done = shell.submit(sweep_text(seconds="0.2"), "--wait")
    assert done.lines[-1] == "all 4 trials of sweep/first succeeded"
    assert set(shell.statuses().values()) == {"Succeeded"}
    assert shell.kgen("submit", "sweep.yaml", "--wait").ok().lines[-1] == done.lines[-1]


def test_one_cause_of_the_first_failures_stops_it(shell: Shell) -> None:
    """One at a time, so that most have not been created when the fifth fails, and no sixth fails with it."""
    text = sweep_text(fate="exit-1", parameters=numbers(40), more="execution: {max_parallel: 1}\n")
    stopped = shell.kgen("submit", shell.write(text), "--wait")
    assert stopped.code == 1
    assert f"kgen: stopped early: the first {FIRST_FAILURES} trials failed" in stopped.err
    assert "the trainer crashed (exit code 1)" in stopped.err
    assert FIRST_FAILURES <= len(shell.jobs()) <= FIRST_FAILURES + 1
    assert {re.sub(":.*", "", status) for status in shell.statuses().values()} <= {"Failed", "Missing"}


def test_what_waits_is_deleted_when_it_stops(shell: Shell) -> None:
    """One node has room for five trials, which fail; the others wait for it for ever."""
    pool = {"pool": shell.namespace}
    (node,) = shell.cluster.add_nodes(1, gpus=0, labels=pool)
    text = sweep_text(
        fate="exit-1", seconds="2", parameters=numbers(12),
        node_selector=f"{{pool: {shell.namespace}}}", resources="{nvidia.com/gpu: 0, cpu: 38, memory: 1Gi}",
    )  # fmt: skip
    stopped = shell.kgen("submit", shell.write(text), "--wait")
    shell.cluster.remove_nodes([node])
    assert stopped.code == 1
    assert "stopped early" in stopped.err
    assert "deleted: it had not started when the sweep was stopped" in stopped.err
    left = {re.sub(":.*", "", status) for status in shell.statuses().values()}
    assert "Pending" not in left
    assert "Missing" in left


def test_a_single_failure_among_successes_does_not(shell: Shell) -> None:
    shell.write(sweep_text(seconds="4", parameters=numbers(8)))
    shell.kgen("submit", "sweep.yaml").ok()
    pods = shell.cluster.until(shell.pods, what="the first pod")
    shell.kubectl("delete", "pod", next(iter(pods)))
    done = shell.kgen("submit", "sweep.yaml", "--wait")
    assert done.code == 1
    assert "stopped early" not in done.err
    assert sorted(shell.statuses().values())[1:] == ["Succeeded"] * 7


def test_an_image_that_never_comes_is_given_up(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kgen.workflow.attached.LOOK_SECONDS", 0.2)
    shell.write(sweep_text(fate="image-pull", parameters=numbers(3)))
    looks = itertools.count()
    wait = Following.wait
    # Two of three looks show what was there before: what is deleted already must not be deleted again.
    monkeypatch.setattr(Following, "wait", lambda self, timeout: [] if next(looks) % 3 else wait(self, timeout))
    watcher = Nobody()
    done = attached(shell, watcher)
    assert not done.seen.succeeded
    assert len(done.deleted) == 3
    assert not shell.jobs()  # so no GPU is asked for
    unread, *said = watcher.said
    assert "s3://bucket/sweeps/first" in unread
    assert len(said) == 3
    assert all("ImagePull" in line or "pull" in line for line in said)


def test_five_of_them_stop_it(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kgen.workflow.attached.LOOK_SECONDS", 0.2)
    more = "execution: {max_parallel: 2}\n"
    shell.write(sweep_text(fate="image-pull", parameters=numbers(20), more=more))
    done = attached(shell, Nobody())
    assert "for one cause" in done.stopped
    assert FIRST_FAILURES <= len(done.deleted) <= FIRST_FAILURES + 2
    assert not shell.jobs()


def test_ctrl_c_says_how_to_go_on(shell: Shell) -> None:
    shell.write(sweep_text(fate="run", parameters=numbers(4), more="execution: {max_parallel: 2}\n"))
    run = shell.start("submit", "sweep.yaml", "--wait", "--yes")
    read_until(run, lambda line: line.startswith("0/4 succeeded, 2 running"))
    done = interrupt(run)
    assert done.code == 130, done.err
    assert done.err == (
        f"kgen: no longer watching; the Jobs in namespace {shell.namespace} go on, what was held back is not created\n"
        "to go on: kgen submit sweep.yaml --wait --yes\nto end it: kgen cancel first\n"
    )
    assert len(shell.jobs()) == 2
