"""Nothing of a control plane stays behind, however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.client import Cluster, until
from tests.cluster.processes import alive

ROOT = Path(__file__).parents[2]
Start = Callable[[], "subprocess.Popen[str]"]


def gone(told: Any) -> None:
    """Wait until no process and no file of a control plane is left."""
    until(lambda: not any(alive(pid) for pid in told["pids"].values()), what="every process is gone")
    until(lambda: not Path(told["folder"]).exists(), what="the folder is gone")


@pytest.fixture
def supervisors(programs: Path) -> Iterator[Start]:
    """Starts control planes."""
    assert programs.is_dir()
    with contextlib.ExitStack() as stack:

        def start() -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "tests.cluster.controlplane", "--json"]
            pipe = subprocess.PIPE
            started = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
            stack.enter_context(started)
            stack.callback(started.kill)
            return started

        yield start


def ready(process: subprocess.Popen[str]) -> Any:
    assert process.stdout
    line = process.stdout.readline()
    assert line, process.communicate()
    return json.loads(line)


def test_two_do_not_meet_and_end_one_by_one(supervisors: Start) -> None:
    both = [supervisors(), supervisors()]
    first, second = (ready(process) for process in both)
    assert first["server"] != second["server"]

    clusters = [Cluster.of_controlplane(json.dumps(told)) for told in (first, second)]
    clusters[0].kubectl("create", "namespace", "only-here")
    assert "only-here" in clusters[0].kubectl("get", "namespaces")
    assert "only-here" not in clusters[1].kubectl("get", "namespaces")

    stdin = both[0].stdin
    assert stdin
    stdin.close()
    assert both[0].wait(timeout=20) == 0
    gone(first)
    assert "default" in clusters[1].kubectl("get", "namespaces")

    both[1].send_signal(signal.SIGTERM)
    assert both[1].wait(timeout=20) == 0
    gone(second)


def test_kill_9_leaves_nothing(supervisors: Start) -> None:
    process = supervisors()
    told = ready(process)
    assert all(alive(pid) for pid in told["pids"].values())
    process.kill()
    gone(told)


def test_kill_9_of_the_test_run_leaves_nothing(supervisors: Start) -> None:
    script = (
        "import sys; from tests.cluster import choose\n"
        "with choose.controlplane() as c: print((c.folder / 'cluster.json').read_text(), flush=True); sys.stdin.read()"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with run:
        told = ready(run)
        assert alive(told["pids"]["kube-apiserver"])
        run.kill()
        gone(told)


def test_a_program_that_dies_ends_the_cluster_and_is_named(supervisors: Start) -> None:
    process = supervisors()
    told = ready(process)
    os.kill(told["pids"]["kube-scheduler"], signal.SIGKILL)
    assert process.wait(timeout=20) == 1
    assert process.stderr
    assert "kube-scheduler ended with -9" in process.stderr.read()
    gone(told)


def test_make_cluster_gives_people_one(programs: Path) -> None:
    """As the README's tour does it: start it, read the line, use it, Ctrl-C."""
    with subprocess.Popen(
        ["make", "--silent", "cluster"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as make:
        try:
            assert make.stdout
            line = make.stdout.readline()
            assert line.startswith("export KUBECONFIG=")
            kubeconfig = Path(line.strip().partition("=")[2])
            told = json.loads((kubeconfig.parent / "cluster.json").read_text())
            kubectl = [str(programs / "kubectl"), f"--kubeconfig={kubeconfig}", "get", "nodes"]
            assert "gpu-1" in subprocess.run(kubectl, capture_output=True, text=True, check=True).stdout
        finally:
            os.killpg(make.pid, signal.SIGINT)
        make.wait(timeout=20)
    gone(told)
