"""`kgen logs` of trials whose pods are gone: the last lines that their rows keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgen.names import pack_row_file
from kgen.results.rows import State
from tests.cluster.shell import Shell, sweep_text
from tests.unit.results.made import row, write, write_bytes

ONE = "{optimizer: [sgd]}"


@pytest.fixture
def root(shell: Shell, tmp_path: Path) -> Path:
    """Where the sweep's results lie: a volume of its pods that this machine has too."""
    (tmp_path / "share").mkdir()
    return tmp_path / "share" / "first"


def submit(shell: Shell, root: Path, fate: str = "") -> str:
    """Submit one trial and wait for the end of its pod; its id."""
    source = "{emptyDir: {}}".replace("emptyDir", "nfs").replace("{}}", "{server: files, path: /}}")
    volume = f"[{{name: share, mount_path: {root.parent}, source: {source}}}]"
    shell.submit(sweep_text(parameters=ONE, results=str(root.parent), fate=fate, volumes=volume))
    shell.cluster.until(lambda: all(pod["status"]["phase"] in ("Succeeded", "Failed") for pod in shell.pods().values()))
    shell.cluster.until(shell.pods)
    (trial,) = shell.statuses()
    return trial


def lose_pods(shell: Shell) -> None:
    for pod in shell.pods():
        shell.kubectl("delete", "pod", pod)


def test_the_last_lines_of_the_newest_attempt_and_of_the_one_before(shell: Shell, root: Path) -> None:
    trial = submit(shell, root)
    lose_pods(shell)
    write(root, row(trial, "early", State.INTERRUPTED, ended=1, log="old one\nold two"))
    write(root, row(trial, "late", ended=60, log="one\ntwo\nthree"))
    write(root, row("aaaaaaaaaa", "other", ended=90, log="another trial's"))
    write_bytes(root, f"{trial}.torn.parquet", b"PAR1")
    log = shell.kgen("logs", trial)
    assert (log.code, log.lines) == (0, ["one", "two", "three"])
    assert log.err == (
        "the log of attempt late, which ended 2025-01-01 12:01:00 UTC, is gone; the last lines that its row keeps:\n"
    )
    assert shell.kgen("logs", trial, "--tail", "2").lines == ["two", "three"]
    assert shell.kgen("logs", trial, "--tail", "0").lines == []
    before = shell.kgen("logs", f"first-{trial}", "--previous")
    assert (before.code, before.lines) == (0, ["old one", "old two"])


def test_beside_a_pod_that_is_there_the_row_is_the_attempt_before(shell: Shell, root: Path) -> None:
    trial = submit(shell, root)
    (pod,) = shell.pods().values()
    write(root, row(trial, "early", State.INTERRUPTED, ended=1, log="old"))
    write(root, row(trial, pod["metadata"]["uid"], ended=60, log="new"))
    assert shell.kgen("logs", trial, "--previous").lines == ["old"]
    log = shell.kgen("logs", trial)  # a fake node has no log of it
    assert (log.code, log.lines) == (0, ["new"])
    assert f"the log of attempt {pod['metadata']['uid']}, which ended" in log.err


def test_a_row_in_a_file_that_is_named_after_another_trial(shell: Shell, root: Path) -> None:
    """As they trained in one process, before the sweep was edited."""
    trial = submit(shell, root)
    lose_pods(shell)
    together = [row("aaaaaaaaaa", "early", ended=1, log="another trial's"), row(trial, "early", ended=1, log="mine")]
    write(root, *together, name=pack_row_file("aaaaaaaaaa", "early", 1))
    assert shell.kgen("logs", trial).lines == ["mine"]


def test_no_row_either_is_no_log(shell: Shell, root: Path) -> None:
    trial = submit(shell, root)
    lose_pods(shell)
    none = shell.kgen("logs", trial)
    assert none.code == 2
    assert f"TRIAL: found {trial}, which has no pod and no row of one" in none.err
    root.parent.rmdir()
    away = shell.kgen("logs", trial)
    assert away.code == 3
    assert "lie in that folder of the sweep's pods, which is not on this machine" in away.err
