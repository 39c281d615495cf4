"""What `kgen plan` says of a cluster, against real nodes, quotas, limits and the API server's own checks."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from kgen.backends.kubernetes.api import Api, connect
from kgen.backends.kubernetes.fit import look
from kgen.capacity.finding import Severity
from kgen.errors import ClusterError, InputError
from tests.cluster import nodes
from tests.cluster.client import Cluster
from tests.cluster.planned import (
    IMAGE,
    gpu_node,
    refused,
    refusing,
    running,
    said,
    shape,
    sweep,
    with_quota,
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


def test_a_plan_knows_hours_and_waves(node: str, api: Api, namespace: str) -> None:
    spec = sweep(node_selector=f"{{pool: {namespace}}}")
    one = shape(spec, 20, nodeSelector={"pool": namespace})
    forecast = look(api, [one], spec, namespace, seconds_per_pod=60)
    assert said(forecast) == []
    (fit,) = forecast.shapes
    assert (fit.nodes, fit.now, fit.free, fit.limited_by) == (1, 8, 8, "nodes")
    assert fit.seconds == 3600, "budget.seconds and the allowance"
    assert forecast.hours == {nodes.RESOURCE: 3 * 20.0, "cpu": 3 * 40.0}, "three attempts"
    assert forecast.worst_seconds == 3 * 3 * 3600, "20 trials in waves of 8, three attempts each"
    assert forecast.expected_seconds == 20 / 8 * 60
    assert json.loads(json.dumps(forecast.to_json()))["shapes"][0]["now"] == 8


def test_what_runs_takes_its_place_but_for_the_sweeps_own(
    fake_cluster: Cluster, node: str, api: Api, namespace: str
) -> None:
    spec = sweep()
    mine = shape(spec, 20, nodeSelector={"pool": namespace})
    others = {"app": "other"}
    for name, labels, gpus in (("theirs", others, "3"), ("ours", {"kgen.dev/sweep": "fit"}, "2")):
        fake_cluster.apply(running(name, labels, gpus, {"pool": namespace}), namespace=namespace)
        fake_cluster.kubectl("wait", f"pod/{name}", "-n", namespace, "--for=condition=PodScheduled", "--timeout=30s")
    (fit,) = look(api, [mine], spec, namespace).shapes
    assert (fit.now, fit.free) == (5, 8)
    fake_cluster.apply(running("more", others, "3", {"pool": namespace}), namespace=namespace)
    fake_cluster.kubectl("wait", "pod/more", "-n", namespace, "--for=condition=PodScheduled", "--timeout=30s")
    two = sweep("{nvidia.com/gpu: 4}")
    forecast = look(api, [shape(two, 4, nodeSelector={"pool": namespace})], two, namespace)
    assert said(forecast) == ["no node has room for a trial now; the ETA counts from when they have"]
    assert (forecast.shapes[0].now, forecast.worst_seconds) == (0, 3 * 2 * 3600)


def test_nine_gpus_fit_on_no_node_of_eight(node: str, api: Api, namespace: str) -> None:
    spec = sweep("{nvidia.com/gpu: 9}")
    message = refused(api, namespace, spec, shape(spec, nodeSelector={"pool": namespace}))
    assert message == (
        "sweep.yaml:7:31: kubernetes.resources.nvidia.com/gpu: found 9 of nvidia.com/gpu, "
        f"allowed at most 8, which {node}, the largest of 1 node, has"
    )


def test_a_taint_that_is_not_tolerated(node: str, api: Api, namespace: str) -> None:
    spec = sweep()
    message = refused(api, namespace, spec, shape(spec, nodeSelector={"pool": namespace}, tolerations=[]))
    assert message.endswith(
        "kubernetes.tolerations: found none for the taint nvidia.com/gpu=present:NoSchedule, "
        "allowed one for it: it is on 1 node of 1 that trials may choose"
    )


def test_a_node_that_is_cordoned_may_come_back(fake_cluster: Cluster, node: str, api: Api, namespace: str) -> None:
    spec = sweep()
    fake_cluster.kubectl("cordon", node)
    forecast = look(api, [shape(spec, nodeSelector={"pool": namespace})], spec, namespace)
    assert said(forecast) == [
        "1 node that could take a trial can't now: node.kubernetes.io/unschedulable:NoSchedule; "
        "trials wait until that has changed"
    ]
    assert forecast.worst_seconds is None


def test_a_product_that_no_node_has(fake_cluster: Cluster, api: Api, namespace: str) -> None:
    spec = sweep(gpu="{product: [Tesla-K80]}")
    expression = {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["Tesla-K80"]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    message = refused(api, namespace, spec, shape(spec, affinity=affinity))
    assert message.startswith(
        "sweep.yaml:8:18: kubernetes.gpu.product: found nvidia.com/gpu.product In Tesla-K80, "
        f"allowed what nodes have as nvidia.com/gpu.product: {nodes.H100} ("
    )


def test_nodes_of_a_pool_may_be_added_so_it_is_only_a_warning(fake_cluster: Cluster, api: Api, namespace: str) -> None:
    names = fake_cluster.add_nodes(1, labels={"cloud.google.com/gke-nodepool": "a"})
    try:
        spec = sweep("{nvidia.com/gpu: 9}")
        forecast = look(api, [shape(spec)], spec, namespace)
        forecast.raise_refusals(spec)
        (warning,) = said(forecast, Severity.WARN)
        assert "until something adds a node" in warning
        assert forecast.worst_seconds is None
    finally:
        fake_cluster.remove_nodes(names)


def test_a_quota_that_no_trial_keeps_to(cluster: Cluster, api: Api, namespace: str) -> None:
    with_quota(cluster, namespace, {"requests.nvidia.com/gpu": "4"})
    assert refused(api, namespace, sweep("{nvidia.com/gpu: 8}")) == (
        "sweep.yaml:7:31: kubernetes.resources.nvidia.com/gpu: found 8 for requests.nvidia.com/gpu, "
        "allowed at most 4: ResourceQuota team allows no more"
    )


def test_a_quota_sets_how_many_run_at_the_same_time(fake_cluster: Cluster, node: str, api: Api, namespace: str) -> None:
    with_quota(fake_cluster, namespace, {"requests.nvidia.com/gpu": "4", "cpu": "100"})
    spec = sweep("{nvidia.com/gpu: 2}")
    forecast = look(api, [shape(spec, 8)], spec, namespace)
    (fit,) = forecast.shapes
    assert (fit.now, fit.limited_by) == (2, "ResourceQuota team (requests.nvidia.com/gpu)")
    assert forecast.worst_seconds == 3 * 4 * 3600
    with_quota(fake_cluster, namespace, {"requests.nvidia.com/gpu": "4", "count/pods": "3"})
    fake_cluster.apply(running("theirs", {}, "4", {"pool": namespace}), namespace=namespace)
    used = "jsonpath={.status.used.requests\\.nvidia\\.com/gpu}=4"
    fake_cluster.kubectl("wait", "resourcequota/team", "-n", namespace, f"--for={used}", "--timeout=30s")
    (warning,) = said(look(api, [shape(spec, 8)], spec, namespace), Severity.WARN)
    assert warning.startswith("ResourceQuota team (requests.nvidia.com/gpu) has no room for a trial now")


def test_a_quota_on_jobs_that_stay(cluster: Cluster, api: Api, namespace: str) -> None:
    with_quota(cluster, namespace, {"count/jobs.batch": "10"})
    spec = sweep()
    with pytest.raises(ClusterError, match="ResourceQuota team allows 10 Jobs, 0 are there and 11 are to be created"):
        look(api, [shape(spec, 11)], spec, namespace).raise_refusals(spec)
    look(api, [shape(spec, 10)], spec, namespace).raise_refusals(spec)
    forecast = look(api, [shape(spec, 11, job={"ttlSecondsAfterFinished": 0})], spec, namespace)
    forecast.raise_refusals(spec)
    assert "submit waits" in said(forecast, Severity.WARN)[0]


def test_a_full_quota_on_jobs_is_not_taken_for_a_mistake_of_the_job(cluster: Cluster, api: Api, namespace: str) -> None:
    with_quota(cluster, namespace, {"count/jobs.batch": "0"})
    spec = sweep()
    forecast = look(api, [shape(spec, 1, job={"ttlSecondsAfterFinished": 0})], spec, namespace)
    assert forecast.refusals == ()
    assert any("exceeded quota" in words for words in said(forecast, Severity.WARN))


def test_a_quota_for_best_effort_pods_means_nothing_for_trials(cluster: Cluster, api: Api, namespace: str) -> None:
    with_quota(cluster, namespace, {"pods": "0"}, scopes=["BestEffort"])
    spec = sweep()
    assert said(look(api, [shape(spec)], spec, namespace), Severity.REFUSE) == []


def test_a_limit_range(cluster: Cluster, api: Api, namespace: str) -> None:
    limits = [{"type": "Container", "max": {"memory": "2Gi", "nvidia.com/gpu": "1"}, "default": {"cpu": "1"}}]
    made = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": {"limits": limits}}
    cluster.apply(made, namespace=namespace)
    assert refused(api, namespace, sweep("{memory: 3Gi}")) == (
        "sweep.yaml:7:23: kubernetes.resources.memory: found 3Gi of memory for container trainer, "
        "allowed at most 2Gi: LimitRange small"
    )
    spec = sweep("{memory: 1Gi}")
    look(api, [shape(spec)], spec, namespace).raise_refusals(spec)


@pytest.mark.parametrize("hard", [{"limits.cpu": "10"}, {"requests.memory": "10Gi"}])
def test_the_cluster_agrees_that_a_quota_needs_values(
    cluster: Cluster, api: Api, namespace: str, hard: dict[str, str]
) -> None:
    with_quota(cluster, namespace, hard)
    spec = sweep()
    bare = shape(spec, containers=[{"name": "trainer", "image": IMAGE}])
    assert "a value for it: without one no pod is let in" in refused(api, namespace, spec, bare)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}, "spec": bare.pod}
    answer = cluster.try_kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(pod))
    assert "must specify" in answer.stderr


def test_every_mistake_that_the_server_finds_is_told_with_its_path(api: Api, namespace: str) -> None:
    spec = sweep(tolerations="[{key: a b}]")
    forecast = look(api, [shape(spec, tolerations=[{"key": "a b"}], restartPolicy="Sometimes")], spec, namespace)
    with pytest.raises(InputError) as caught:
        forecast.raise_refusals(spec)
    words = [str(problem) for problem in caught.value.problems]
    assert any(
        each.startswith('sweep.yaml:8:16: kubernetes.tolerations: found "a b" at spec.template.spec.tolerations[0].key')
        for each in words
    )
    assert any('found "Sometimes" at spec.template.spec.restartPolicy of the Job' in each for each in words)
    assert forecast.shapes == (), "what is not let in has no ETA"


def test_a_field_that_the_server_does_not_know(api: Api, namespace: str) -> None:
    spec = sweep()
    message = refused(api, namespace, spec, shape(spec, job={"backofLimit": 3}))
    assert "the unknown field spec.backofLimit" in message


def test_a_job_that_is_there_already_is_no_mistake(cluster: Cluster, api: Api, namespace: str) -> None:
    spec = sweep()
    one = shape(spec, job={"suspend": True})
    cluster.apply(dict(one.job), namespace=namespace)
    assert said(look(api, [one], spec, namespace), Severity.REFUSE) == []


def test_looking_creates_nothing(cluster: Cluster, api: Api, namespace: str) -> None:
    spec = sweep()
    look(api, [shape(spec)], spec, namespace)
    assert (
        cluster.get("jobs,pods,configmaps", "-n", namespace, "--field-selector=metadata.name!=kube-root-ca.crt")[
            "items"
        ]
        == []
    )


def test_an_admission_policy_is_the_clusters_side(cluster: Cluster, api: Api, namespace: str) -> None:
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": namespace},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "false", "message": "no Jobs on Fridays"}],
        },
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": namespace},
        "spec": {
            "policyName": namespace,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": selector},
        },
    }
    cluster.apply(policy, binding)
    spec = sweep()
    try:
        forecast = cluster.until(lambda: refusing(look(api, [shape(spec)], spec, namespace)))
        assert forecast is not None
        with pytest.raises(ClusterError, match=r"would not let a Job in.*no Jobs on Fridays"):
            forecast.raise_refusals(spec)
    finally:
        cluster.kubectl("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", namespace)


def test_an_image_that_nodes_may_not_have(api: Api, namespace: str) -> None:
    spec = sweep()
    (first, second) = said(look(api, [shape(spec, image="trainer")], spec, namespace), Severity.WARN)
    assert first.startswith("trainer.image: trainer, which names no registry")
    assert "changes with every push" in second
