"""Tests of the chart have a Helm, alone or with a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chart.helm import Helm
from tests.cluster import build
from tests.cluster.client import Cluster
from tests.cluster.fixtures import built, cluster, fake_cluster, namespace

__all__ = ["cluster", "fake_cluster", "namespace"]


@pytest.fixture(scope="session")
def helm_program(request: pytest.FixtureRequest) -> Path:
    """Helm itself."""
    return built(request.config, build.HELM) / "helm"


@pytest.fixture
def helm(helm_program: Path, tmp_path: Path) -> Helm:
    """Helm without a cluster, for what it says of the chart by itself."""
    nowhere = tmp_path / "no-cluster"
    nowhere.touch(mode=0o600)
    return Helm(helm_program, tmp_path, nowhere)


@pytest.fixture
def installing(helm_program: Path, tmp_path: Path, cluster: Cluster) -> Helm:
    """Helm with the cluster."""
    return Helm(helm_program, tmp_path, cluster.kubeconfig)


@pytest.fixture
def restricted(cluster: Cluster, namespace: str) -> str:
    """A namespace that takes no pod, and warns of what makes pods, outside the restricted Pod Security Standard."""
    standard = "pod-security.kubernetes.io"
    cluster.kubectl("label", "namespace", namespace, f"{standard}/enforce=restricted", f"{standard}/warn=restricted")
    return namespace
