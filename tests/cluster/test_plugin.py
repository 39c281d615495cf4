"""``kubectl kgen …``: the same command, found by kubectl."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.client import Cluster


def kubectl_kgen(cluster: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As somebody types it who has kubectl and kgen on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), str(Path(cluster.program).parent), "/usr/bin", "/bin"])
    return subprocess.run(
        [cluster.program, "kgen", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path, "KUBECONFIG": str(cluster.kubeconfig)},
    )


def test_kubectl_finds_it_and_its_help_says_how_it_was_called(cluster: Cluster) -> None:
    done = kubectl_kgen(cluster, "get", "sweeps", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: kubectl kgen get sweeps [OPTIONS]")


def test_it_uses_kubectls_cluster(cluster: Cluster, namespace: str) -> None:
    done = kubectl_kgen(cluster, "get", "sweeps", "-n", namespace)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"No resources found in namespace {namespace}.\n"
