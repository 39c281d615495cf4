"""Which cluster a test run uses, and that what is built for it is whole."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.cluster import build, choose, golang, kind, once, processes
from tests.cluster.client import Cluster, until

ROOT = Path(__file__).parents[2]
TESTS = Path(__file__).with_name("test_cluster.py")


def sub_run(programs: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What pytest says of one of the tests above under other circumstances."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", TESTS, "-k", "kubectl_says_why"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name not in {"CI", choose.NAMED}}
        | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        | environment,
    )


def test_the_named_cluster_is_used(cluster: Cluster) -> None:
    done = sub_run(Path(cluster.program).parent, **{choose.NAMED: str(cluster.kubeconfig)})
    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("1", "1 error")])
def test_without_a_cluster_tests_are_skipped_but_fail_in_ci(
    programs: Path, tmp_path: Path, ci: str, outcome: str
) -> None:
    done = sub_run(programs, **{choose.NAMED: str(tmp_path / "nonesuch"), "CI": ci})
    assert outcome in done.stdout, done.stdout
    [line] = [line for line in done.stdout.splitlines() if "names no cluster" in line and "test_cluster.py" in line]
    assert "nonesuch" in line


def script(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that stands before all others, and no cluster of anybody's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.delenv(choose.NAMED, raising=False)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder


def test_too_old_a_go_and_no_index_is_one_line_that_says_what_to_install(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(bare, "go", "echo go1.19.8")
    script(bare, "docker", "exit 1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    told = []
    with pytest.raises(choose.UnavailableError) as caught, choose.started(lambda: told.append("minutes")):
        pass
    said = str(caught.value)
    assert said.startswith("install Go 1.26 or newer")
    assert "\n" not in said
    assert told == ["minutes"]


def test_a_go_that_is_new_enough_is_taken_as_it_is(bare: Path, tmp_path: Path) -> None:
    script(bare, "go", "echo go1.99.0")
    assert golang.find(golang.needed(build.MODULES), tmp_path) == bare / "go"


def test_with_kind_and_an_engine_kind_is_used(
    fake_cluster: Cluster, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kind itself cannot run everywhere: another cluster is handed out in its place."""
    called = tmp_path / "called"
    script(bare, "docker", "exit 0")
    script(bare, "kubectl", f'exec "{fake_cluster.program}" "$@"')
    script(
        bare,
        "kind",
        f'echo "$@" >> "{called}"; case "$*" in *clusters*) echo kgen-test-4194999 kgen;; create*) '
        'for word; do case "$word" in --kubeconfig=*) '
        f'cp "{fake_cluster.kubeconfig}" "${{word#*=}}";; esac; done;; esac',
    )
    monkeypatch.setattr(build, "ensure", lambda _modules: Path(fake_cluster.program).parent)  # kwok is there too
    with choose.started() as cluster:
        assert cluster.server == fake_cluster.server
        mine = [node for node in cluster.get("nodes")["items"] if node["metadata"]["name"].startswith("fake-")]
        cluster.remove_nodes([node["metadata"]["name"] for node in mine])
        assert len(mine) == 2
    listed, abandoned, created, deleted = called.read_text().splitlines()
    assert (listed, abandoned) == ("get clusters", "delete cluster --name=kgen-test-4194999")
    assert created.startswith(f"create cluster --name=kgen-test-{os.getpid()} --kubeconfig=")
    assert f"--config={kind.CONFIG}" in created
    assert deleted.startswith(f"delete cluster --name=kgen-test-{os.getpid()}")


def test_the_users_kind_cluster_is_described_as_kind_reads_it() -> None:
    read = YAML(typ="safe").load(kind.CONFIG)
    assert (read["apiVersion"], read["kind"]) == ("kind.x-k8s.io/v1alpha4", "Cluster")
    assert set(read) <= {"apiVersion", "kind", "name", "nodes"}
    assert [node["role"] for node in read["nodes"]].count("control-plane") == 1


# --- what is built


def test_an_interrupted_build_is_not_taken_for_whole(tmp_path: Path) -> None:
    folder = tmp_path / "1.2.3"
    script = (
        "import sys, time; from pathlib import Path; from tests.cluster import once\n"
        "def builder(target, scratch):\n"
        "    (target / 'half').touch(); (scratch / 'object').touch(); print('now', flush=True); time.sleep(600)\n"
        "once.whole(Path(sys.argv[1]), builder)"
    )
    with subprocess.Popen([sys.executable, "-c", script, folder], cwd=ROOT, stdout=subprocess.PIPE) as killed:
        assert killed.stdout
        assert killed.stdout.readline() == b"now\n"
        killed.kill()
    assert [path.name for path in tmp_path.rglob("half")] == ["half"]
    assert not folder.exists()
    assert once.whole(folder, lambda target, _: (target / "all").touch()) == folder
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["1.2.3", "1.2.3.lock", "all"]


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        once.whole(tmp_path / "1.2.3", lambda _target, _scratch: print(1 // 0))
    assert [path.name for path in tmp_path.iterdir()] == ["1.2.3.lock"]


def test_of_two_at_once_one_builds(tmp_path: Path) -> None:
    """The second comes while the first builds, and waits for it."""
    builds: list[str] = []
    second = threading.Thread(target=lambda: once.whole(tmp_path / "1.2.3", lambda *_: builds.append("second")))

    def first(_target: Path, _scratch: Path) -> None:
        second.start()
        builds.append("first")

    once.whole(tmp_path / "1.2.3", first)
    second.join()
    assert builds == ["first"]


def test_an_edit_of_a_module_or_a_flag_is_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(build.MODULES, tmp_path, dirs_exist_ok=True)
    before = build.version(folder=tmp_path)
    assert before == build.version()
    assert before.startswith(f"{build.KUBERNETES}-")
    sums = tmp_path / "etcd" / "go.sum"
    sums.write_text(sums.read_text() + "\n")
    edited = build.version(folder=tmp_path)
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-x"))
    assert len({before, edited, build.version(folder=tmp_path)}) == 3


def test_a_failed_compilation_says_what_go_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare: Path) -> None:
    script(
        bare,
        "go",
        'case "$1" in env) echo go1.99.0;; *) echo "go: downloading x"; echo "x.go:1: broken"; exit 1;; esac',
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"tests/cluster/modules/kubernetes:\nx.go:1: broken"):
        build.ensure(build.KWOK)
    assert not build.built(build.KWOK)


def test_an_interrupted_go_takes_its_compilers_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare: Path
) -> None:
    pids = tmp_path / "pids"
    script(bare, "go", f'case "$1" in env) echo go1.99.0;; *) sleep 600 & echo $! >> "{pids}"; wait;; esac')
    with subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.build"],
        cwd=ROOT,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        stderr=subprocess.DEVNULL,
    ) as building:
        until(lambda: pids.exists() and len(pids.read_text().split()) == len(build.EVERYTHING))
        building.send_signal(signal.SIGTERM)
        assert building.wait(timeout=20) == 1
    until(lambda: not any(processes.alive(int(pid)) for pid in pids.read_text().split()))
