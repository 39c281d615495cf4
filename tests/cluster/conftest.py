"""Tests of the cluster itself have its fixtures."""

from tests.cluster.fixtures import cluster, fake_cluster, namespace, programs

__all__ = ["cluster", "fake_cluster", "namespace", "programs"]
