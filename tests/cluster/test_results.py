"""`kgen collect` and `kgen report` of a sweep that only the cluster knows, with results in a volume of its pods."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.shell import Shell, sweep_text
from tests.unit.results.made import row, write

ONE = "{optimizer: [sgd]}"


@pytest.fixture
def root(shell: Shell, tmp_path: Path) -> Path:
    """Where the results of the sweep, which has been submitted, lie on this machine; its file is gone."""
    share = tmp_path / "share"
    share.mkdir()
    volume = f"[{{name: share, mount_path: {share}, source: {{nfs: {{server: files, path: /}}}}}}]"
    shell.submit(sweep_text(parameters=ONE, results=str(share), volumes=volume, fate="run"))
    (shell.folder / "sweep.yaml").unlink()
    return share / "first"


@pytest.mark.parametrize("name", ["first", "sweep/first"])
def test_a_sweep_is_collected_by_its_name(shell: Shell, root: Path, name: str) -> None:
    (trial,) = shell.statuses()
    write(root, row(trial))
    collected = shell.kgen("collect", name).ok()
    assert collected.lines == ["1 of 1 trials have a result: complete", f"tables: {root}/collected"]
    report = shell.kgen("report", name).ok()
    assert report.lines[-1] == f"report: {root}/report/index.html"


def test_a_copy_elsewhere_is_read_where_it_is_said_to_be(shell: Shell, root: Path, tmp_path: Path) -> None:
    (trial,) = shell.statuses()
    write(tmp_path / "copy" / "first", row(trial))
    collected = shell.kgen("collect", "first", "--results", tmp_path / "copy").ok()
    assert collected.lines[-1] == f"tables: {tmp_path}/copy/first/collected"
    assert not root.exists()


def test_a_volume_that_is_not_here_is_no_empty_result(shell: Shell, root: Path) -> None:
    root.parent.rmdir()
    failed = shell.kgen("collect", "first")
    assert (failed.code, failed.out) == (3, "")
    assert failed.err == (
        f"kgen: {root}: the results lie in that folder of the sweep's pods, which is not on this machine\n"
    )


def test_a_name_that_no_sweep_has_is_refused_with_those_that_are_there(shell: Shell, root: Path) -> None:
    for command in ("collect", "report"):
        failed = shell.kgen(command, "frist")
        assert failed.code == 2
        assert f"SWEEP: found frist, allowed a sweep in namespace {shell.namespace}: first" in failed.err


def test_a_file_that_is_not_there_is_not_taken_for_a_name(shell: Shell) -> None:
    failed = shell.kgen("collect")
    assert failed.code == 2
    assert failed.err.startswith("sweep.yaml: the file: found no such file or directory")
