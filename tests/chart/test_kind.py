"""`make kind`: what it needs, what it does, and that kind itself reads the cluster's description."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import kgen
from tests.chart.helm import MANIFESTS, ROOT
from tests.cluster import build
from tests.cluster.client import Cluster
from tests.cluster.fixtures import built

SHELL_TOOLS = ("sh", "sed", "mktemp", "rm", "grep", "cat", "dirname", "printf", "env")
NO_ENGINE = "failed to get docker info"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder for PATH, with what any machine has."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in SHELL_TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or f"/usr/bin/{tool}")
    return folder


def stub(path: Path, name: str, says: str = "", code: int = 0) -> None:
    """A program that writes down how it was called; no container engine works wherever tests run."""
    (path / name).write_text(f'#!/bin/sh\necho "{name} $*" >>"{path}/calls"\n{says}\nexit {code}\n')
    (path / name).chmod(0o755)


def calls(path: Path) -> list[str]:
    return (path / "calls").read_text().splitlines()


def typed(path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key != "IMAGE"} | {"PATH": str(path)} | more
    return subprocess.run(
        ["sh", MANIFESTS / "kind.sh", *arguments], capture_output=True, text=True, check=False, env=env
    )


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ((), "kind, helm, docker or podman that answers"),
        (("kind", "helm"), "docker or podman that answers"),
        (("docker", "kind"), "helm"),
        (("podman", "helm"), "kind"),
    ],
)
def test_what_is_missing_is_said_in_one_line(path: Path, there: tuple[str, ...], missing: str) -> None:
    for name in there:
        stub(path, name)
    done = typed(path, "check")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"make kind: missing here: {missing}\n")


def test_an_engine_that_does_not_answer_is_none(path: Path) -> None:
    for name in ("kind", "helm"):
        stub(path, name)
    stub(path, "docker", code=1)
    assert "docker or podman that answers" in typed(path, "check").stderr
    stub(path, "podman")
    assert typed(path, "check").returncode == 0


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_it_ends_with_the_chart_installed_and_what_to_type_next(
    path: Path, cluster: Cluster, namespace: str, request: pytest.FixtureRequest, engine: str
) -> None:
    """Helm and the cluster are real; kind and the engine are not, for want of an engine."""
    image = f"{'localhost/' if engine == 'podman' else ''}kgen-trainer:{kgen.__version__}"
    stub(path, engine)
    stub(path, "kind", says='[ "$1 $2" != "get clusters" ] || echo another')
    helm = built(request.config, build.HELM) / "helm"
    (path / "helm").write_text(f'#!/bin/sh\nset -- "$@" --namespace={namespace}\nexec {helm} "$@"\n')
    (path / "helm").chmod(0o755)

    done = typed(path, KUBECONFIG=str(called_kind(cluster, path)))

    assert done.returncode == 0, done.stderr
    (create, save, load) = [call for call in calls(path) if not call.endswith(("info", "get clusters"))]
    assert create == "kind create cluster --config manifests/kind.yaml --wait 120s"
    archive = save.removeprefix(f"{engine} save --output ").removesuffix(f" {image}")
    assert load == f"kind load image-archive {archive} --name kgen"
    assert not Path(archive).parent.exists()
    assert f"trainer: {{image: {image}}}" in done.stdout
    assert done.stdout.rstrip().splitlines()[-1] == f"  kgen submit sweep.yaml -n {namespace} --wait"
    claim = cluster.get("persistentvolumeclaim", "kgen-results", "-n", namespace)
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]

    stub(path, "kind", says='[ "$1 $2" != "get clusters" ] || echo kgen')
    again = typed(path, KUBECONFIG=str(path / "kubeconfig"))
    assert again.returncode == 0, again.stderr
    assert "kind export kubeconfig --name kgen" in calls(path)
    assert calls(path).count(create) == 1


def called_kind(cluster: Cluster, folder: Path) -> Path:
    """The cluster's kubeconfig, its context called as kind would."""
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "--output=json"))
    config["contexts"][0]["name"] = config["current-context"] = "kind-kgen"
    file = folder / "kubeconfig"
    file.touch(mode=0o600)
    file.write_text(json.dumps(config))
    return file


def test_kind_itself_reads_the_description_of_the_cluster(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """It reads it before it looks for an engine, of which there is none here on purpose."""
    program = built(request.config, build.KIND) / "kind"
    nowhere = tmp_path / "docker"
    nowhere.write_text("#!/bin/sh\nexit 1\n")
    nowhere.chmod(0o755)

    def create(config: Path) -> str:
        return subprocess.run(
            [program, "create", "cluster", f"--config={config}", f"--kubeconfig={tmp_path / 'none'}"],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": str(tmp_path), "HOME": str(tmp_path), "KIND_EXPERIMENTAL_PROVIDER": "docker"},
        ).stderr

    spoilt = tmp_path / "kind.yaml"
    spoilt.write_text((MANIFESTS / "kind.yaml").read_text().replace("role:", "roles:"))
    assert NO_ENGINE in create(MANIFESTS / "kind.yaml")
    assert "field roles not found in type v1alpha4.Node" in create(spoilt)


def test_make_says_what_is_missing_before_it_builds_anything(path: Path) -> None:
    make = shutil.which("make")
    assert make
    done = subprocess.run(
        [make, "kind"], cwd=ROOT, capture_output=True, text=True, check=False, env={"PATH": str(path), "HOME": "/"}
    )
    assert done.returncode
    assert "make kind: missing here: kind, helm, docker or podman that answers" in done.stderr
    assert done.stdout == ""
