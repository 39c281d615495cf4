"""The documents are typed against a real cluster."""

from tests.cluster.fixtures import cluster, fake_cluster

__all__ = ["cluster", "fake_cluster"]
