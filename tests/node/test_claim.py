"""Results in a claim, read and removed from outside the cluster through a pod that does not stay."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kgen import names
from kgen.backends.kubernetes.api import connect
from kgen.backends.kubernetes.claim import RESUMES, Claim
from kgen.errors import ClusterError, StoreError
from kgen.results.folder import FolderStore
from kgen.results.mirror import Fetched, fetch
from kgen.sweep import SweepSpec, load
from tests.cluster.shell import Shell, finish, sweep_text
from tests.node import pause
from tests.node.client import RealNode
from tests.node.cutting import cutting

SETTINGS = {
    "resources": "{nvidia.com/gpu: 0, cpu: 50m, memory: 128Mi, ephemeral-storage: 50Mi}",
    "image_pull_policy": "IfNotPresent",
    "tolerations": "[]",
}
COMMAND = ', command: [python, train.py, "{x}"], metrics: stdout, files: [train.py]'
MANY = 400
"""Rows that take some seconds to fetch."""
COPY = f"results/first/{names.ROWS_DIR}"
PROGRAM = """\
import json, sys
print("x is", sys.argv[1], flush=True)
print(json.dumps({"step": 1, "accuracy": 0.5}), flush=True)
print(json.dumps({"step": 2, "accuracy": 0.95}), flush=True)
"""


@pytest.fixture
def rows(node: RealNode, node_namespace: str) -> Path:
    """Where the sweep `first` has its rows in the claim, empty, as this process sees it."""
    folder = node.claim(node_namespace, "data", size="2Gi")
    made = folder / "sweeps" / "first" / names.ROWS_DIR
    made.mkdir(parents=True)
    for each in (made, *made.parents[:2]):
        each.chmod(0o2775)
    return made


@pytest.fixture
def spec(node_shell: Shell, image: str, rows: Path) -> SweepSpec:
    """The sweep, which is nowhere but in its file."""
    return load(node_shell.write(text(image)))


def text(image: str, **more: str) -> str:
    return sweep_text("first", "{x: [1, 2, 3]}", results="pvc://data/sweeps", image=image, **(SETTINGS | more))


def claim(shell: Shell, spec: SweepSpec, said: list[str] | None = None, **more: Any) -> Claim:
    said = [] if said is None else said
    return Claim(connect(shell.kubeconfig, None, None), spec, on_event=said.append, **more)


def fetch_pods(shell: Shell) -> list[dict[str, Any]]:
    selector = f"--selector={names.LABEL_COMPONENT}={names.COMPONENT_FETCH}"
    found: list[dict[str, Any]] = shell.cluster.get("pods", f"--namespace={shell.namespace}", selector)["items"]
    return found


def until_no_pod(shell: Shell) -> None:
    shell.cluster.until(lambda: not fetch_pods(shell), what="no pod is left")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def fill(rows: Path, count: int, size: int = 300) -> None:
    for number in range(count):
        (rows / f"t{number:05}.a.parquet").write_bytes(number.to_bytes(4, "big") + os.urandom(size))


# -- what is fetched


def test_ten_thousand_rows_and_a_large_one_are_fetched_once(
    node_shell: Shell, spec: SweepSpec, rows: Path, tmp_path: Path
) -> None:
    fill(rows, 10_000)
    block = os.urandom(1 << 20)
    with (rows / "large.a.parquet").open("wb") as file:
        for number in range(300):
            file.write(number.to_bytes(4, "big") + block)
    (rows / f"{names.TEMPORARY_PREFIX}being-written.parquet").write_bytes(b"half")
    (rows / "notes.txt").write_text("no row")
    target = FolderStore(tmp_path / "copy")
    with claim(node_shell, spec) as source:
        first = fetch(source, target)
    assert (first.files, first.wanted) == (10_001, 10_001)
    wanted = {name: data for name, data in contents(rows).items() if name.endswith(".a.parquet")}
    assert contents(target.root / names.ROWS_DIR) == wanted
    fill(rows, 10_001)  # of which the first 10,000 have their sizes still
    with claim(node_shell, spec) as source:
        assert fetch(source, target) == Fetched(1, 304, 1)
    until_no_pod(node_shell)


def test_of_one_trial_only_its_rows_are_asked_for(node_shell: Shell, spec: SweepSpec, rows: Path) -> None:
    for name in ("abc.1", "abc.2", "abcd.1"):
        (rows / f"{name}.parquet").write_bytes(name.encode())
    with claim(node_shell, spec) as source:
        assert [file.name for file in source.row_files("abc.")] == ["abc.1.parquet", "abc.2.parquet"]
        assert dict(source.read_row_files(["abc.2.parquet", "gone.parquet"])) == {"abc.2.parquet": b"abc.2"}
        assert (source.find("rows/abc.1.parquet"), source.find("collected/pods.parquet")) == (b"abc.1", None)


def test_the_pod_can_not_write_unless_it_has_to_remove(node_shell: Shell, spec: SweepSpec, rows: Path) -> None:
    fill(rows, 1)
    with claim(node_shell, spec) as source:
        source.row_files()
        (pod,) = fetch_pods(node_shell)
        with pytest.raises(StoreError, match="Read-only file system"):
            source.remove()
    assert len(list(rows.iterdir())) == 1
    assert "nvidia.com/gpu" not in json.dumps(pod["spec"]["containers"])
    assert pod["spec"]["automountServiceAccountToken"] is False


def test_rows_that_can_not_be_read_are_one_error(node_shell: Shell, spec: SweepSpec, rows: Path) -> None:
    fill(rows, 2)
    (rows / "t00000.a.parquet").chmod(0)
    with claim(node_shell, spec) as source:
        with pytest.raises(StoreError, match=r"t00000\.a\.parquet: Permission denied"):
            list(source.read_row_files(["t00000.a.parquet"]))
        assert len(list(source.read_row_files(["t00001.a.parquet"]))) == 1


# -- what goes wrong on the way


def through(shell: Shell, port: int) -> None:
    config = json.loads(shell.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    shell.kubeconfig.write_text(json.dumps(config))


def test_a_cut_connection_costs_only_the_file_on_its_way(
    node_shell: Shell, spec: SweepSpec, rows: Path, tmp_path: Path
) -> None:
    fill(rows, 40, size=200_000)
    target, said = FolderStore(tmp_path / "copy"), list[str]()
    brought: list[int] = []
    with cutting(node_shell.cluster.server, after=1_500_000, times=3) as cutter:
        through(node_shell, cutter.port)
        with claim(node_shell, spec, said) as source:
            fetched = fetch(source, target, lambda so_far: brought.append(so_far.files))
    assert cutter.cuts == 3
    assert fetched.files == 40
    assert brought == list(range(1, 41))  # none came twice
    assert contents(target.root / names.ROWS_DIR) == contents(rows)
    assert [line.endswith("going on") for line in said] == [True] * 3
    until_no_pod(node_shell)


def test_what_came_before_the_connection_was_lost_for_good_stays(
    node_shell: Shell, spec: SweepSpec, rows: Path, tmp_path: Path
) -> None:
    fill(rows, 3)
    (rows / "z.a.parquet").write_bytes(os.urandom(3_000_000))
    target = FolderStore(tmp_path / "copy")
    with cutting(node_shell.cluster.server, after=1_500_000, times=1000) as cutter:
        direct = node_shell.kubeconfig.read_text()
        through(node_shell, cutter.port)
        with claim(node_shell, spec) as source, pytest.raises(ClusterError, match="the connection was lost"):
            fetch(source, target)
    assert cutter.cuts == RESUMES + 1
    assert len(list((target.root / names.ROWS_DIR).iterdir())) == 3
    node_shell.kubeconfig.write_text(direct)
    with claim(node_shell, spec) as source:
        assert fetch(source, target).files == 1
    until_no_pod(node_shell)


def test_a_pod_that_is_lost_is_replaced(node_shell: Shell, spec: SweepSpec, rows: Path) -> None:
    fill(rows, 2)
    with claim(node_shell, spec) as source:
        reading = source.read_row_files([file.name for file in source.row_files()] * 1)
        assert next(reading)[0] == "t00000.a.parquet"
        (pod,) = fetch_pods(node_shell)
        node_shell.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=true")
        fill(rows, 3)
        assert len(source.row_files()) == 3
    until_no_pod(node_shell)


def begun(shell: Shell) -> subprocess.Popen[str]:
    """A fetch of many rows, the first of which have come."""
    process = shell.start("collect")
    copy = shell.folder / COPY
    shell.cluster.until(lambda: copy.is_dir() and len(os.listdir(copy)) > 10)  # noqa: PTH208
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_fetch_that_is_stopped_leaves_no_pod(
    node_shell: Shell, spec: SweepSpec, rows: Path, number: signal.Signals
) -> None:
    fill(rows, MANY, size=200_000)
    process = begun(node_shell)
    process.send_signal(number)
    assert finish(process).code == 130
    copy = node_shell.folder / COPY
    came = {name: data for name, data in contents(copy).items() if not name.startswith(names.TEMPORARY_PREFIX)}
    assert 0 < len(came) < MANY
    until_no_pod(node_shell)
    again = node_shell.kgen("collect")
    assert again.lines[0] == f"fetched {MANY - len(came):,} row files from pvc://data/sweeps/first to results/first"
    assert contents(copy) == contents(rows)


def test_the_pod_of_a_fetch_that_was_killed_is_removed_by_the_next(
    node_shell: Shell, spec: SweepSpec, rows: Path
) -> None:
    fill(rows, MANY, size=200_000)
    process = begun(node_shell)
    process.kill()
    finish(process)
    (pod,) = fetch_pods(node_shell)
    name = pod["metadata"]["name"]
    assert pod["spec"]["activeDeadlineSeconds"] == 3600
    # It ends when nobody asks it for anything any more; here it is told to.
    where = f"--namespace={node_shell.namespace}"
    node_shell.cluster.kubectl("exec", where, name, "--", "python", "-c", "import os; os.kill(1, 15)")
    node_shell.kubectl("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert node_shell.kgen("collect").code == 0
    until_no_pod(node_shell)


def test_an_image_without_python_is_one_line(node_shell: Shell, spec: SweepSpec, rows: Path) -> None:
    failed = node_shell.kgen("collect", "--image", pause.IMAGE)
    assert (failed.code, failed.out) == (3, "")
    assert "ended before it could read the claim: the image has no program python" in failed.err.splitlines()[-1]
    assert not (node_shell.folder / "results").exists()
    until_no_pod(node_shell)


# -- the commands, on rows that pods have written


@pytest.fixture
def ran(node: RealNode, node_shell: Shell, image: str) -> Path:
    """The folder of the sweep `first` in the claim; its three trials have ended, and their pods are gone."""
    folder = node.claim(node_shell.namespace, "data")
    node_shell.write(PROGRAM, "train.py")
    node_shell.submit(text(image, trainer=COMMAND))
    node_shell.kgen("wait", "first", "--timeout", "120s").ok()
    for pod in node_shell.pods():
        node_shell.kubectl("delete", "pod", pod, "--wait=true")
    return folder / "sweeps" / "first"


def test_from_a_claim_to_tables_report_and_log(node_shell: Shell, ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collected = node_shell.kgen("collect").ok()
    assert collected.lines == [
        "fetched 3 row files from pvc://data/sweeps/first to results/first",
        "3 of 3 trials have a result: complete",
        "tables: results/first/collected",
    ]
    assert (node_shell.folder / "results/first/sweep.yaml").read_text() == Path("sweep.yaml").read_text()
    assert node_shell.kgen("collect").ok().lines[0] == "3 of 3 trials have a result: complete"

    elsewhere = node_shell.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    report = node_shell.kgen("report", "first", "--results", "mine").ok()
    assert report.lines[0] == "fetched 3 row files from pvc://data/sweeps/first to mine/first"
    assert (elsewhere / "mine/first/report/index.html").is_file()

    trials = node_shell.kgen("get", "trials", "first", "--no-headers").ok().lines
    (trial,) = [line.split()[0] for line in trials if "x=2" in line]
    log = node_shell.kgen("logs", trial)
    assert (log.code, log.lines[0]) == (0, "x is 2")
    assert log.err.endswith(" UTC, is gone; the last lines that its row keeps:\n")
    assert node_shell.kgen("logs", trial, "--tail", "1").lines == log.lines[-1:]
    assert node_shell.kgen("logs", trial, "--previous").code == 2
    until_no_pod(node_shell)


def test_delete_removes_results_in_a_claim_only_when_told_to(node_shell: Shell, ran: Path) -> None:
    assert (ran / names.CHECKPOINTS_DIR).is_dir()
    refused = node_shell.kgen("delete", "first", "--results")
    assert refused.code == 2
    assert "--results: found nobody to ask, allowed --yes with it" in refused.err
    files = sum(path.is_file() for path in ran.rglob("*"))
    assert files >= 3
    deleted = node_shell.kgen("delete", "first", "--results", "--yes").ok()
    assert deleted.lines == [f"sweep/first deleted: 3 Jobs, 2 ConfigMaps; {files} files of results"]
    assert not ran.exists()
    assert ran.parent.is_dir()
    until_no_pod(node_shell)


def test_delete_without_it_leaves_them(node_shell: Shell, ran: Path) -> None:
    deleted = node_shell.kgen("delete", "first", "--yes").ok()
    assert deleted.lines == ["sweep/first deleted: 3 Jobs, 2 ConfigMaps; results stay"]
    assert len(list((ran / names.ROWS_DIR).iterdir())) == 3
