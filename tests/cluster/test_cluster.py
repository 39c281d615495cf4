"""The cluster that tests own is what it says, and its pods meet the fates that they choose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster import nodes
from tests.cluster.client import Cluster, KubectlError
from tests.cluster.kwok import FATE, SECONDS

Manifest = nodes.Manifest
Pods = Callable[[str], Any]


def job(name: str, fate: str | None = None, **spec: object) -> Manifest:
    """A Job with one pod that needs a GPU."""
    container = {"name": "main", "image": "example.test/trial:1", "resources": {"limits": {nodes.RESOURCE: "1"}}}
    pod = {
        "restartPolicy": "Never",
        "tolerations": [{"key": nodes.RESOURCE, "operator": "Exists"}],
        "containers": [container],
    }
    template = {"metadata": {"annotations": {FATE: fate} if fate else {}}, "spec": pod}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template} | spec,
    }


def condition(thing: Any, kind: str) -> Any:
    """The condition of a kind that an object has, or nothing."""
    return next((each for each in thing["status"].get("conditions", []) if each["type"] == kind), {})


def wait_for(cluster: Cluster, namespace: str, name: str, *kinds: str) -> Any:
    """A Job, once it has one of several conditions."""

    def reached() -> Any:
        found = cluster.get("job", name, "-n", namespace)
        return found if any(condition(found, kind) for kind in kinds) else None

    return cluster.until(reached, what=f"job {name} has a condition of {kinds}")


# --- what it is


def test_the_fake_nodes_are_there(fake_cluster: Cluster) -> None:
    found = fake_cluster.get("nodes", "-l", f"nvidia.com/gpu.product={nodes.H100}")["items"]
    assert len(found) >= 2
    assert all(condition(node, "Ready")["status"] == "True" for node in found)
    assert all(node["status"]["allocatable"][nodes.RESOURCE] == "8" for node in found)
    assert all(nodes.TAINT in node["spec"]["taints"] for node in found)


def test_a_job_that_wants_a_gpu_completes(fake_cluster: Cluster, namespace: str) -> None:
    fake_cluster.apply(job("trial"), namespace=namespace)
    fake_cluster.kubectl("wait", "job/trial", "-n", namespace, "--for=condition=Complete", "--timeout=30s")
    pod = fake_cluster.get("pods", "-n", namespace)["items"][0]
    assert pod["status"]["phase"] == "Succeeded"
    assert pod["status"]["podIP"]
    status = pod["status"]["containerStatuses"][0]
    assert status["state"]["terminated"].items() >= {"exitCode": 0, "reason": "Completed"}.items()
    assert status["restartCount"] == 0


def test_a_job_that_does_not_tolerate_the_taint_waits(fake_cluster: Cluster, namespace: str) -> None:
    manifest = job("stranger")
    del manifest["spec"]["template"]["spec"]["tolerations"]
    fake_cluster.apply(manifest, namespace=namespace)

    def refused() -> str:
        pods = fake_cluster.get("pods", "-n", namespace)["items"]
        return str(condition(pods[0], "PodScheduled").get("message", "")) if pods else ""

    assert "untolerated taint" in fake_cluster.until(refused)


def test_no_more_jobs_run_than_there_are_gpus(fake_cluster: Cluster, namespace: str) -> None:
    here = {"pool": namespace}
    names = fake_cluster.add_nodes(1, gpus=2, product="NVIDIA-L4", labels=here, taints=[])
    try:
        spec = job("many", "run", parallelism=3, completions=3)
        spec["spec"]["template"]["spec"]["nodeSelector"] = here
        fake_cluster.apply(spec, namespace=namespace)
        waiting = fake_cluster.until(
            lambda: [
                pod
                for pod in fake_cluster.get("pods", "-n", namespace)["items"]
                if "Insufficient nvidia.com/gpu" in condition(pod, "PodScheduled").get("message", "")
            ]
        )
        assert len(waiting) == 1
        assert fake_cluster.get("node", names[0])["metadata"]["labels"]["nvidia.com/gpu.family"] == "ada-lovelace"
    finally:
        fake_cluster.kubectl("delete", "job", "many", "-n", namespace, "--cascade=foreground")
        fake_cluster.remove_nodes(names)
    assert names[0] not in fake_cluster.kubectl("get", "nodes")


def test_a_deleted_pod_goes(fake_cluster: Cluster, namespace: str) -> None:
    fake_cluster.apply(job("endless", "run"), namespace=namespace)
    fake_cluster.until(lambda: fake_cluster.get("job", "endless", "-n", namespace)["status"].get("ready"))
    fake_cluster.kubectl("delete", "job", "endless", "-n", namespace, "--cascade=foreground", "--timeout=30s")
    assert fake_cluster.get("pods", "-n", namespace)["items"] == []


def test_kubectl_says_why_it_fails(cluster: Cluster) -> None:
    with pytest.raises(KubectlError, match='"nonesuch" not found'):
        cluster.kubectl("get", "namespace", "nonesuch")
    assert cluster.kubectl("get", "namespace", "nonesuch", check=False) == ""


def test_a_service_account_may_what_it_was_given(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    theirs = cluster.token(namespace, "reader")
    assert "Forbidden" in cluster.try_kubectl("get", "jobs", kubeconfig=theirs).stderr
    cluster.kubectl("create", "role", "reader", "-n", namespace, "--verb=list", "--resource=jobs")
    account = f"--serviceaccount={namespace}:reader"
    cluster.kubectl("create", "rolebinding", "reader", "-n", namespace, "--role=reader", account)

    def allowed() -> bool:  # the authorizer hears of a role in a moment
        return cluster.try_kubectl("get", "jobs", kubeconfig=theirs).returncode == 0

    cluster.until(allowed)


def test_the_audit_log_tells_who_asked_for_what(cluster: Cluster, namespace: str) -> None:
    if cluster.audit_log is None:
        pytest.skip("this cluster's audit log is not ours to read")
    start = cluster.audit_position()
    cluster.kubectl("get", "jobs", "-n", namespace)
    cluster.try_kubectl("get", "secrets", "-n", namespace, kubeconfig=cluster.token(namespace, "default"))
    assert [
        (event["verb"], event["objectRef"]["resource"], event["responseStatus"]["code"])
        for event in cluster.audit(after=start, agent="kubectl/v1.")
        if event.get("objectRef", {}).get("namespace") == namespace
    ] == [("list", "jobs", 200), ("create", "serviceaccounts", 201), ("list", "secrets", 403)]
    theirs = cluster.audit(after=start, user=f"system:serviceaccount:{namespace}:default")
    assert {event["verb"] for event in theirs if "objectRef" in event} == {"list"}


def test_pod_security_and_quotas_are_enforced(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    pod = ["run", "pod", "--image=example.test/x:1", "-n", namespace]
    assert "violates PodSecurity" in cluster.try_kubectl(*pod).stderr
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce-")
    cluster.kubectl("create", "quota", "none", "--hard=pods=0", "-n", namespace)
    cluster.until(lambda: "exceeded quota" in cluster.try_kubectl(*pod, "--dry-run=server").stderr)


# --- what becomes of pods


@pytest.fixture(scope="module")
def pods(fake_cluster: Cluster) -> Iterator[Pods]:
    """Gives the pod of a fate, once it has a status to judge by. All are created together."""
    namespace = fake_cluster.new_namespace()
    fates = ["run", "exit-0", "exit-64", "exit-203", "oom", "image-pull", "config-error", "deadline", "evicted"]
    fake_cluster.apply(*(job(fate, fate) for fate in fates), namespace=namespace)

    def settled(fate: str) -> Any:
        items = fake_cluster.get("pods", "-n", namespace, "-l", f"batch.kubernetes.io/job-name={fate}")["items"]
        phases = {"run": "Running", "exit-0": "Succeeded", "image-pull": "Pending", "config-error": "Pending"}
        reached = [
            pod
            for pod in items
            if pod["status"]["phase"] == phases.get(fate, "Failed") and pod["status"].get("containerStatuses")
        ]
        return reached[0] if reached else None

    yield lambda fate: fake_cluster.until(lambda: settled(fate), what=f"fate {fate}")
    fake_cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def only_status(pod: Any) -> Any:
    [status] = pod["status"]["containerStatuses"]
    assert status["name"] == "main"
    assert status["image"] == "example.test/trial:1"
    return status


def test_a_pod_runs_for_ever(pods: Pods) -> None:
    status = only_status(pods("run"))
    assert status["ready"]
    assert status["state"]["running"]["startedAt"]


@pytest.mark.parametrize(
    ("fate", "code", "reason"),
    [("exit-0", 0, "Completed"), ("exit-64", 64, "Error"), ("exit-203", 203, "Error"), ("oom", 137, "OOMKilled")],
)
def test_a_container_ends_with_an_exit_code(pods: Pods, fate: str, code: int, reason: str) -> None:
    pod = pods(fate)
    ended = only_status(pod)["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (code, reason)
    assert ended["startedAt"] <= ended["finishedAt"]
    assert "reason" not in pod["status"]
    assert condition(pod, "Ready").items() >= {"status": "False"}.items()


@pytest.mark.parametrize(
    ("fate", "reason", "message"),
    [
        ("image-pull", "ImagePullBackOff", 'Back-off pulling image "example.test/trial:1"'),
        ("config-error", "CreateContainerConfigError", 'configmap "missing" not found'),
    ],
)
def test_a_container_never_starts(pods: Pods, fate: str, reason: str, message: str) -> None:
    waiting = only_status(pods(fate))["state"]["waiting"]
    assert waiting["reason"] == reason
    assert waiting["message"].startswith(message)


def test_a_deadline_passes(pods: Pods) -> None:
    status = pods("deadline")["status"]
    assert status["reason"] == "DeadlineExceeded"
    assert status["message"] == "Pod was active on the node longer than the specified deadline"


def test_a_pod_is_evicted(pods: Pods) -> None:
    pod = pods("evicted")
    assert pod["status"]["reason"] == "Evicted"
    assert pod["status"]["message"].startswith("The node was low on resource: ephemeral-storage.")
    disrupted = condition(pod, "DisruptionTarget")
    assert disrupted.items() >= {"status": "True", "reason": "TerminationByKubelet"}.items()


def test_a_pod_takes_its_time(fake_cluster: Cluster, namespace: str) -> None:
    slow = job("slow", "exit-3")
    slow["spec"]["template"]["metadata"]["annotations"][SECONDS] = "1.5"
    fake_cluster.apply(slow, namespace=namespace)
    wait_for(fake_cluster, namespace, "slow", "Failed")
    ended = only_status(fake_cluster.get("pods", "-n", namespace)["items"][0])["state"]["terminated"]
    assert ended["startedAt"] < ended["finishedAt"]  # whole seconds


def test_a_pod_failure_policy_sees_exit_codes(fake_cluster: Cluster, namespace: str) -> None:
    rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [64]}}]
    fake_cluster.apply(job("usage", "exit-64", backoffLimit=6, podFailurePolicy={"rules": rules}), namespace=namespace)
    failed = condition(wait_for(fake_cluster, namespace, "usage", "Failed"), "Failed")
    assert failed["reason"] == "PodFailurePolicy"
    assert "exit code 64" in failed["message"]


def test_a_pod_failure_policy_sees_disruptions(fake_cluster: Cluster, namespace: str) -> None:
    rules = [{"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
    fake_cluster.apply(job("moved", "evicted", podFailurePolicy={"rules": rules}), namespace=namespace)
    assert condition(wait_for(fake_cluster, namespace, "moved", "Failed"), "Failed")["reason"] == "PodFailurePolicy"


def test_an_index_crashes_once_and_then_completes(fake_cluster: Cluster, namespace: str) -> None:
    twice = job("twice", "crash-then-ok", completionMode="Indexed", completions=1, backoffLimitPerIndex=1)
    del twice["spec"]["backoffLimit"]
    fake_cluster.apply(twice, namespace=namespace)
    assert wait_for(fake_cluster, namespace, "twice", "Complete", "Failed")["status"]["succeeded"] == 1
    pods = fake_cluster.get("pods", "-n", namespace)["items"]
    assert sorted(only_status(pod)["state"]["terminated"]["exitCode"] for pod in pods) == [0, 1]
