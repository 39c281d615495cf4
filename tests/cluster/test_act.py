"""`kgen cancel`, `retry`, `delete`: what they change, and what they leave alone."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from kgen.names import ANNOTATION_RETRY
from tests.cluster.shell import Shell, finish, sweep_text, uids
from tests.unit.results.made import row, write

ONE = "{optimizer: [sgd]}"


def test_cancel_deletes_what_has_not_ended(shell: Shell) -> None:
    shell.submit(sweep_text(), "--wait")
    done = uids(shell.jobs())
    shell.submit(sweep_text(parameters="{optimizer: [sgd, adam], learning_rate: [1e-3, 1e-2, 1e-1]}", fate="run"))
    cancelled = shell.kgen("cancel", "first").ok()
    assert cancelled.lines[-1] == "2 Jobs deleted"
    assert uids(shell.jobs()) == done
    shell.cluster.until(lambda: len(shell.pods()) == 4, what="the pods of deleted Jobs are gone")
    assert sorted(shell.statuses().values()) == ["Missing"] * 2 + ["Succeeded"] * 4
    assert shell.kgen("cancel", "first").ok().lines == ["nothing was unfinished"]


@pytest.mark.parametrize("named", ["", "-n"])
def test_retry_replaces_what_failed_and_a_later_submit_knows_it(shell: Shell, named: str) -> None:
    where = [named, shell.namespace] if named else []
    text = sweep_text(fate="exit-1", parameters="{optimizer: [sgd, adam]}")
    shell.submit(text, *where)
    shell.until_all("Failed:Crash")
    before = uids(shell.jobs())
    for count in (1, 2):
        retried = shell.kgen("retry", "first", "--failed").ok()
        assert retried.lines[-1] == "2 Jobs created"
        notes = [json.loads(job["metadata"]["annotations"][ANNOTATION_RETRY]) for job in shell.jobs().values()]
        assert notes == [{"count": count, "reason": "Crash: the trainer crashed (exit code 1)"}] * 2
        shell.until_all("Failed:Crash")
    after = uids(shell.jobs())
    assert not set(before.values()) & set(after.values())

    again = shell.kgen("submit", "sweep.yaml").ok()
    assert "  failed: 2" in again.lines
    assert again.lines[-1] == "nothing to do"
    assert uids(shell.jobs()) == after
    assert shell.kgen("diff", "sweep.yaml").ok().out == ""


def test_retry_brings_back_what_is_missing(shell: Shell) -> None:
    shell.submit(sweep_text(fate="run"))
    before = uids(shell.jobs())
    gone = min(before)
    shell.kubectl("delete", "job", gone)
    retried = shell.kgen("retry", "first", "--missing").ok()
    assert retried.lines == [f"job.batch/{gone} created", "1 Job created"]
    after = uids(shell.jobs())
    assert {name for name in before if before[name] != after[name]} == {gone}
    assert shell.kgen("retry", "first", "--missing", "--failed").ok().lines == ["nothing to retry"]


def test_retry_of_some_trials_only(shell: Shell) -> None:
    shell.submit(sweep_text(fate="exit-1"))
    shell.until_all("Failed:Crash")
    before = uids(shell.jobs())
    one, two, three, _ = sorted(before)
    shell.kgen("retry", "first", one, two.removeprefix("first-")).ok()
    shell.kgen("retry", f"job.batch/{three}").ok()
    after = uids(shell.jobs())
    assert {name for name in before if before[name] != after[name]} == {one, two, three}


def test_what_runs_or_succeeded_is_not_retried(shell: Shell) -> None:
    shell.submit(sweep_text(parameters=ONE), "--wait")
    shell.submit(sweep_text("second", ONE, fate="run"))
    shell.until_all("Running", "second")
    (trial,) = shell.statuses()
    before = uids(shell.jobs()), uids(shell.jobs("second"))
    for sweep, state in (("first", "succeeded"), ("second", "running")):
        refused = shell.kgen("retry", sweep, trial)
        assert refused.code == 2
        assert f"TRIAL: found {trial}, which is {state}, allowed a trial that failed or is missing" in refused.err
    both = shell.kgen("retry", "first", trial, "--failed")
    assert both.code == 2
    assert (uids(shell.jobs()), uids(shell.jobs("second"))) == before


def test_delete_takes_everything_of_this_sweep_and_nothing_else(shell: Shell) -> None:
    shell.write("print('{}')\n", "train.py")
    shell.kubectl("create", "job", "theirs", "--image=other")
    for name in ("first", "second"):
        text = sweep_text(name, ONE, trainer=", command: [python, train.py], files: [train.py]", fate="run")
        shell.submit(text)
    shell.until_all("Running")
    others = [name for name in shell.config_maps() if shell.config_maps() and "first" not in name]
    deleted = shell.kgen("delete", "first").ok()
    assert deleted.lines == ["sweep/first deleted: 1 Job, 2 ConfigMaps; results stay"]
    assert not shell.jobs()
    shell.cluster.until(lambda: not shell.pods(), what="the pods are gone")
    assert shell.kubectl("get", "job", "theirs", "-o", "name")
    assert len(shell.jobs("second")) == 1
    assert len(shell.config_maps()) == 2
    assert set(shell.config_maps()) < set(others) | {"kgen-sweep-second"}
    again = shell.kgen("delete", "first")
    assert again.code == 2
    assert f"found first, allowed a sweep in namespace {shell.namespace}: second" in again.err


def test_a_sweep_whose_file_is_gone_can_still_be_seen_and_deleted(shell: Shell) -> None:
    shell.submit(sweep_text(fate="exit-1", parameters=ONE))
    shell.until_all("Failed:Crash")
    shell.kubectl("delete", "configmap", "kgen-sweep-first")
    assert "optimizer=sgd" in shell.kgen("get", "trials", "first").ok().out
    refused = shell.kgen("retry", "first", "--failed")
    assert refused.code == 2
    assert "'kgen submit FILE' brings it back" in refused.err
    assert finish(shell.start("wait", "first")).code in (0, 1)
    assert shell.kgen("delete", "first").ok().lines == ["sweep/first deleted: 1 Job, 0 ConfigMaps; results stay"]


def in_folder(shell: Shell, name: str, parameters: str, **more: str) -> str:
    """A sweep whose results lie in a volume of its pods that this machine has too, below `share`."""
    share = shell.folder / "share"
    share.mkdir(exist_ok=True)
    volume = f"[{{name: share, mount_path: {share}, source: {{nfs: {{server: files, path: /}}}}}}]"
    return sweep_text(name, parameters, results=str(share), volumes=volume, **more)


def until_complete(shell: Shell) -> None:
    shell.kubectl("wait", "jobs", "--all", "--for=condition=complete", "--timeout=60s")


def test_delete_says_what_would_be_lost_and_asks(shell: Shell) -> None:
    shell.submit(in_folder(shell, "first", "{a: [1, 2]}"))
    until_complete(shell)
    shell.submit(in_folder(shell, "first", "{a: [1, 2, 3]}", fate="run"))
    shell.cluster.until(lambda: "Running" in shell.statuses().values())
    rows = write(shell.folder / "share" / "first", row("aaaaaaaaaa")).parent
    before = uids(shell.jobs())
    said = answered(shell, "n", "delete", "first")
    assert said[:4] == [
        f"sweep/first in namespace {shell.namespace}",
        "  unfinished: 1 Job, 1 running; what those have done is lost",
        "  ended: 2 Jobs",
        f"  results: 1 row file in {shell.folder}/share/first; they stay",
    ]
    assert said[-1].endswith("kgen: nothing was changed")
    assert uids(shell.jobs()) == before
    said = answered(shell, "y", "delete", "first")
    assert said[-1].endswith("sweep/first deleted: 3 Jobs, 1 ConfigMap; results stay")
    assert rows.is_dir()


def test_results_go_only_when_told_to_and_for_certain(shell: Shell) -> None:
    shell.submit(in_folder(shell, "first", ONE))
    until_complete(shell)
    root = shell.folder / "share" / "first"
    write(root, row("aaaaaaaaaa"))
    write(shell.folder / "share" / "second", row("aaaaaaaaaa"))
    refused = shell.kgen("delete", "first", "--results")
    assert refused.code == 2
    assert "--results: found nobody to ask, allowed --yes with it" in refused.err
    said = answered(shell, "n", "delete", "first", "--results")
    assert f"  results: 1 row file in {root}; they are lost with everything beside them" in said
    assert root.is_dir()
    gone = shell.kgen("delete", "first", "--results", "--yes").ok()
    assert gone.lines == ["sweep/first deleted: 1 Job, 1 ConfigMap; 1 file of results"]
    assert not root.exists()
    assert (shell.folder / "share" / "second").is_dir()


def test_results_that_can_not_be_reached_let_nothing_be_deleted(shell: Shell) -> None:
    shell.submit(in_folder(shell, "first", ONE))
    until_complete(shell)
    (shell.folder / "share").rmdir()
    before = uids(shell.jobs())
    failed = shell.kgen("delete", "first", "--results", "--yes")
    assert failed.code == 3
    assert "lie in that folder of the sweep's pods, which is not on this machine" in failed.err
    assert uids(shell.jobs()) == before
    assert shell.config_maps() == ["kgen-sweep-first"]
    shell.kgen("delete", "first", "--yes").ok()


def test_results_of_a_sweep_whose_file_is_gone_can_not_be_found(shell: Shell) -> None:
    shell.submit(sweep_text(parameters=ONE))
    shell.kubectl("delete", "configmap", "kgen-sweep-first")
    failed = shell.kgen("delete", "first", "--results", "--yes")
    assert failed.code == 2
    assert "its ConfigMap kgen-sweep-first is gone" in failed.err
    assert len(shell.jobs()) == 1


def answered(shell: Shell, answer: str, *arguments: str) -> list[str]:
    """What a command says on a terminal where somebody answers its question."""
    ours, theirs = pty.openpty()
    program = "from kgen.cli.app import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], cwd=shell.folder, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        said = b""
        try:
            while more := os.read(ours, 4096):
                said += more
        except OSError:  # the end of a terminal
            pass
        process.wait(timeout=60)
    os.close(ours)
    return said.decode().replace(f"{answer}\r\n", "", 1).split("\r\n")[:-1]
