"""What `kgen plan` says of a cluster, against the rights that a user has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kgen.backends.kubernetes.api import Api, connect
from kgen.backends.kubernetes.fit import look
from kgen.capacity.finding import Severity
from kgen.errors import ClusterError
from tests.cluster import nodes
from tests.cluster.client import Cluster
from tests.cluster.planned import (
    ROOT,
    VOLUMES,
    Object,
    claim,
    kueue_kinds,
    local_queue,
    said,
    shape,
    submitter_kubeconfig,
    sweep,
)


@pytest.fixture
def kueue(cluster: Cluster) -> Iterator[None]:
    """The kinds of Kueue that Jobs wait in, without Kueue itself."""
    with kueue_kinds(cluster):
        yield


def restricted(cluster: Cluster, namespace: str, rules: list[Object]) -> Api:
    """A user who may do just this."""
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "some"}, "rules": rules}
    cluster.apply(role, namespace=namespace)
    cluster.kubectl("create", "serviceaccount", "some", "-n", namespace)
    cluster.kubectl(
        "create", "rolebinding", "some", "--role=some", f"--serviceaccount={namespace}:some", "-n", namespace
    )
    return connect(cluster.token(namespace, "some"), None, namespace)


def test_verbs_that_a_role_lacks_are_named(cluster: Cluster, namespace: str) -> None:
    rules = [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch", "delete"]},
        {"apiGroups": [""], "resources": ["configmaps", "pods"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]},
    ]
    api = restricted(cluster, namespace, rules)
    spec = sweep()
    forecast = look(api, [shape(spec)], spec, namespace)
    user = f"system:serviceaccount:{namespace}:some"
    with pytest.raises(ClusterError) as caught:
        forecast.raise_refusals(spec)
    assert str(caught.value).startswith(
        f"{user} may not do what kgen submit needs in namespace {namespace}: jobs.batch: create; "
    )
    assert any(
        words.startswith(f"{user} may not do what kgen logs needs in namespace {namespace}: pods/log: get; ")
        for words in said(forecast, Severity.WARN)
    )


def test_what_may_not_be_read_is_said_and_does_not_stop_the_rest(cluster: Cluster, namespace: str) -> None:
    api = connect(submitter_kubeconfig(cluster, namespace), None, namespace)
    spec = sweep(priority_class="high", namespace=namespace)
    forecast = look(api, [shape(spec, priorityClassName="high")], spec, namespace)
    forecast.raise_refusals(spec)
    assert said(forecast) == [
        "nodes: forbidden to read: no ETA, and whether trials fit on them is not known",
        "priority class high: forbidden to read: whether it is there is not known",
    ]
    assert forecast.nodes is None
    assert forecast.worst_seconds is None
    assert forecast.hours == {nodes.RESOURCE: 3 * 2.0, "cpu": 3 * 4.0}


def test_without_the_rights_of_the_namespace_all_of_it_is_said(cluster: Cluster, namespace: str) -> None:
    api = restricted(cluster, namespace, [])
    spec = sweep()
    forecast = look(api, [shape(spec)], spec, namespace)
    notes = " ".join(said(forecast, Severity.NOTE))
    for what in (f"namespace {namespace}", "resourcequotas", "limitranges", "nodes"):
        assert f"{what}: forbidden to read" in notes
    assert "jobs.batch: create, jobs.batch: get" in said(forecast, Severity.REFUSE)[0]


def test_the_manifests_grant_all_that_a_plan_reads(fake_cluster: Cluster, namespace: str) -> None:
    api = connect(submitter_kubeconfig(fake_cluster, namespace, planner=True), None, namespace)
    try:
        fake_cluster.apply(claim("ReadWriteMany"), namespace=namespace)
        spec = sweep(results="pvc://data/x")
        forecast = look(api, [shape(spec, volumes=VOLUMES)], spec, namespace)
        assert said(forecast) == []
        assert forecast.worst_seconds is not None
    finally:
        fake_cluster.kubectl("delete", "-f", str(ROOT / "manifests/rbac-planner.yaml"))


@pytest.mark.usefixtures("kueue")
def test_a_plan_of_any_size_makes_few_requests(fake_cluster: Cluster, namespace: str) -> None:
    api = connect(submitter_kubeconfig(fake_cluster, namespace, planner=True), None, namespace)
    try:
        fake_cluster.kubectl("create", "serviceaccount", "robot", "-n", namespace)
        fake_cluster.apply(claim("ReadWriteMany"), local_queue(), namespace=namespace)
        spec = sweep(results="pvc://data/x", queue="vision")
        pod: Object = {
            "serviceAccountName": "robot",
            "priorityClassName": "system-node-critical",
            "runtimeClassName": "none",
            "volumes": VOLUMES,
        }
        before = fake_cluster.audit_position()
        look(api, [shape(spec, 100_000, **pod)], spec, namespace)
        user = f"system:serviceaccount:{namespace}:kgen-submitter"
        made = fake_cluster.audit(user=user, after=before)
        assert len(made) <= 15
        assert len(made) >= 12, "the audit log tells of them"
        resources = {event["objectRef"]["resource"] for event in made if event.get("objectRef")}
        assert "secrets" not in resources
    finally:
        fake_cluster.kubectl("delete", "-f", str(ROOT / "manifests/rbac-planner.yaml"))
