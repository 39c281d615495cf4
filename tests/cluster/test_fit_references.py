"""What `kgen plan` says of what a sweep names: namespaces, classes, accounts, claims, queues."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kgen.backends.kubernetes.api import Api, connect
from kgen.backends.kubernetes.fit import look
from kgen.capacity.finding import Severity
from kgen.errors import ClusterError
from tests.cluster.client import Cluster
from tests.cluster.planned import (
    VOLUMES,
    Object,
    claim,
    gpu_node,
    kueue_kinds,
    local_queue,
    refused,
    said,
    shape,
    sweep,
)


@pytest.fixture
def api(cluster: Cluster, namespace: str) -> Api:
    """The administrator's."""
    return connect(cluster.kubeconfig, None, namespace)


@pytest.fixture
def node(fake_cluster: Cluster, namespace: str) -> Iterator[str]:
    """A node of 8 GPUs for this test alone, that its pods choose by the label `pool`."""
    with gpu_node(fake_cluster, namespace) as name:
        yield name


@pytest.fixture
def kueue(cluster: Cluster) -> Iterator[None]:
    """The kinds of Kueue that Jobs wait in, without Kueue itself."""
    with kueue_kinds(cluster):
        yield


def test_a_namespace_that_is_not_there(cluster: Cluster) -> None:
    spec = sweep()
    api = connect(cluster.kubeconfig, None, "nowhere")
    forecast = look(api, [shape(spec)], spec, "nowhere")
    with pytest.raises(ClusterError, match=r"nowhere.* not there; .*kubectl create namespace nowhere"):
        forecast.raise_refusals(spec)
    assert refused(api, "nowhere", sweep(namespace="nowhere")).startswith("sweep.yaml:8:14: kubernetes.namespace:")


@pytest.mark.parametrize(
    ("field", "value", "pod", "words"),
    [
        ("priority_class", "urgent", {"priorityClassName": "urgent"}, "urgent, which the cluster does not have"),
        ("runtime_class", "gpus", {"runtimeClassName": "gpus"}, "gpus, which the cluster does not have"),
        ("service_account", "robot", {"serviceAccountName": "robot"}, "kubectl create serviceaccount robot -n"),
    ],
)
def test_what_a_pod_names_must_be_there(
    api: Api, namespace: str, field: str, value: str, pod: Object, words: str
) -> None:
    spec = sweep(**{field: value})
    message = refused(api, namespace, spec, shape(spec, **pod))
    assert message.startswith(f"sweep.yaml:8:{len(field) + 5}: kubernetes.{field}: ")
    assert words in message


def test_a_runtime_class_adds_its_overhead(fake_cluster: Cluster, node: str, api: Api, namespace: str) -> None:
    made = {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": namespace},
        "handler": "x",
        "overhead": {"podFixed": {"cpu": "62"}},
    }
    fake_cluster.apply(made)
    try:
        spec = sweep()
        one = shape(spec, runtimeClassName=namespace, nodeSelector={"pool": namespace})
        assert look(api, [one], spec, namespace).shapes[0].now == 3, "192 cores for 2 and 62"
    finally:
        fake_cluster.kubectl("delete", "runtimeclass", namespace)


def test_the_claim_of_the_results_must_be_there(api: Api, namespace: str) -> None:
    spec = sweep(results="pvc://data/x")
    message = refused(api, namespace, spec, shape(spec, volumes=VOLUMES))
    assert message.startswith("sweep.yaml:4:10: results: found the claim data, which is not in namespace")


@pytest.mark.parametrize(
    ("mode", "severity", "words"),
    [
        ("ReadWriteMany", None, ""),
        ("ReadWriteOnce", Severity.WARN, "ReadWriteOnce: its volume is on one node at a time"),
        ("ReadWriteOncePod", Severity.WARN, "only one pod has its volume at a time"),
        ("ReadOnlyMany", Severity.REFUSE, "which can only be read"),
    ],
)
def test_the_access_mode_of_a_claim(
    fake_cluster: Cluster, api: Api, namespace: str, mode: str, severity: Severity | None, words: str
) -> None:
    fake_cluster.apply(claim(mode), namespace=namespace)
    spec = sweep(results="pvc://data/x")
    found = look(api, [shape(spec, volumes=VOLUMES)], spec, namespace).findings
    assert [each.severity for each in found] == ([severity] if severity else [])
    assert words in "".join(map(str, found))


def test_a_claim_that_is_only_read_may_be_read_only(cluster: Cluster, api: Api, namespace: str) -> None:
    cluster.apply(claim("ReadOnlyMany"), namespace=namespace)
    spec = sweep()
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}}]
    assert said(look(api, [shape(spec, volumes=volumes)], spec, namespace), Severity.REFUSE) == []


def test_a_queue_on_a_cluster_without_kueue(api: Api, namespace: str) -> None:
    message = refused(api, namespace, sweep(queue="vision"))
    assert message.startswith("sweep.yaml:8:10: kubernetes.queue: found vision on a cluster without Kueue")


@pytest.mark.usefixtures("kueue")
def test_queues(cluster: Cluster, api: Api, namespace: str) -> None:
    spec = sweep(queue="vision")
    assert "vision, which is no LocalQueue of namespace" in refused(api, namespace, spec)
    cluster.apply(local_queue(), namespace=namespace)
    assert said(look(api, [shape(spec)], spec, namespace)) == [
        "LocalQueue vision of ClusterQueue gpus decides when trials start; 7 wait in it now"
    ]
    inactive = {"type": "Active", "status": "False", "message": "the ClusterQueue is not there"}
    cluster.apply(local_queue(status={"conditions": [inactive]}), namespace=namespace)
    assert "vision, which is not active: the ClusterQueue is not there" in " ".join(
        said(look(api, [shape(spec)], spec, namespace), Severity.WARN)
    )
    cluster.apply(local_queue(spec={"clusterQueue": "gpus", "stopPolicy": "Hold"}, status={}), namespace=namespace)
    assert "on hold" in " ".join(said(look(api, [shape(spec)], spec, namespace), Severity.WARN))
