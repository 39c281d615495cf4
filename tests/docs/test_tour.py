"""The tour of a cluster with fake nodes in docs/clusters.md, typed as it stands, from an empty directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.cluster.client import Cluster
from tests.docs.typed import type_out

CLUSTERS = Path(__file__).parents[2] / "docs" / "clusters.md"


@pytest.mark.alone
def test_the_tour_of_a_cluster_does_what_it_shows(fake_cluster: Cluster, tmp_path: Path) -> None:
    where = [Path(sys.executable).parent, Path(fake_cluster.program).parent, "/usr/bin", "/bin"]
    environment = {
        "PATH": os.pathsep.join(map(str, where)),
        "HOME": str(tmp_path / "home"),
        "KUBECONFIG": str(fake_cluster.kubeconfig),
        "LC_ALL": "C.UTF-8",
    }
    folder = tmp_path / "empty"
    folder.mkdir()
    assert type_out(CLUSTERS, "## A tour without GPUs", folder, environment) >= 9
