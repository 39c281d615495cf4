"""The README's tour of a cluster, typed as it stands, from an empty directory, on a real node to real figures."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.cluster import build
from tests.cluster.fixtures import built
from tests.docs.typed import type_out
from tests.node.client import RealNode

ROOT = Path(__file__).parents[2]
NAMESPACE = "kgen"


def test_the_tour_of_a_cluster_does_what_it_shows(
    request: pytest.FixtureRequest, node: RealNode, image: str, tmp_path: Path
) -> None:
    node.tag(image, "docker.io/library/kgen-trainer:0.1.0")  # as if somebody had pushed it
    node.volume("kgen-results", NAMESPACE, size="10Gi")
    helm = built(request.config, build.HELM)
    where = [Path(sys.executable).parent, Path(node.cluster.program).parent, helm, "/usr/bin", "/bin"]
    environment = {
        "PATH": os.pathsep.join(map(str, where)),
        "HOME": str(tmp_path / "home"),
        "KUBECONFIG": str(node.cluster.kubeconfig),
        "LC_ALL": "C.UTF-8",
    }
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "charts").symlink_to(ROOT / "charts")
    try:
        assert type_out(ROOT / "README.md", "## On a cluster", folder, environment) >= 8
    finally:
        node.cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false", "--ignore-not-found")
    figures = sorted(path.name for path in (folder / "results" / "first" / "figures").glob("*.png"))
    assert figures, "the tour ends with figures"
