"""Tests of the cluster itself, and of commands against it, have its fixtures."""

from tests.cluster.fixtures import cluster, fake_cluster, namespace, programs
from tests.cluster.shell import shell

__all__ = ["cluster", "fake_cluster", "namespace", "programs", "shell"]
