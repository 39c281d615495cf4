"""`kgen doctor` where pods are real: the image starts, writes to the claim, and nothing of it stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.planned import submitter_kubeconfig
from tests.cluster.shell import Shell
from tests.cluster.test_doctor import doctor, lines, one
from tests.node import pause
from tests.node.client import RealNode
from tests.unit.cli.ran import Ran


def sweep(image: str, *, results: str = "pvc://results/x", more: str = "", resources: str = "nvidia.com/gpu: 0") -> str:
    return (
        f"version: 1\nname: first\nparameters: {{learning_rate: [0.1]}}\n"
        f"budget: {{steps: 10, target: {{train_accuracy: 0.9}}}}\n"
        f"trainer: {{image: {image!r}}}\nresults: {results}\n"
        f"kubernetes:\n  deadline: 5m\n  image_pull_policy: IfNotPresent\n"
        f"  resources: {{{resources}, cpu: 100m, memory: 512Mi, ephemeral-storage: 512Mi}}\n{more}"
    )


def nothing_left(shell: Shell) -> None:
    listing = ("get", "pods,jobs", "-l", "app.kubernetes.io/component=doctor", "-o", "name")
    shell.cluster.until(lambda: not shell.kubectl(*listing), timeout=60, what="nothing of doctor's is left")


def test_a_pod_like_a_trials_writes_to_the_claim(node: RealNode, node_shell: Shell, image: str) -> None:
    volume = node.claim(node_shell.namespace)
    node_shell.write(sweep(image))
    ran = doctor(node_shell)
    assert one(ran, "claim").startswith("ok: results: Bound, ReadWriteMany, ReadWriteOnce, 1Gi")
    assert one(ran, "image").startswith(f"ok: {image} on the node already on node {node.name}: kgen 0.1.0 on Python 3.")
    assert "user 10001:10001" in one(ran, "image")
    assert one(ran, "results").startswith("ok: /results/x/first can be written, ")
    assert one(ran, "node clock").startswith(f"ok: the clock of node {node.name} and this machine's are less than")
    assert list(volume.iterdir()) == [], "nothing stays of what was tried"
    nothing_left(node_shell)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (
            {"read_only": True},
            "Read-only file system (user 10001:10001); fix: a claim that is not mounted or bound read-o",
        ),
        ({"full": True}, "No space left on device (user 10001:10001); fix: a larger volume"),
    ],
)
def test_a_claim_that_can_not_be_written(
    node: RealNode, node_shell: Shell, image: str, made: dict[str, Any], words: str
) -> None:
    node.claim(node_shell.namespace, **made)
    node_shell.write(sweep(image))
    ran = doctor(node_shell, code=1)
    assert one(ran, "image").startswith("ok: ")
    assert one(ran, "results").startswith("missing: /results/x/first/rows: can't be written: ")
    assert words in one(ran, "results")
    nothing_left(node_shell)


def test_a_bucket_that_does_not_answer_the_pod(node_shell: Shell, image: str) -> None:
    more = (
        "  secret_env: {AWS_ACCESS_KEY_ID: {secret: s3, key: id}, AWS_SECRET_ACCESS_KEY: {secret: s3, key: secret}}\n"
    )
    node_shell.kubectl("create", "secret", "generic", "s3", "--from-literal=id=a", "--from-literal=secret=b")
    where = "{url: s3://bucket/x, endpoint: 'http://127.0.0.1:9', region: us-east-1}"
    node_shell.write(sweep(image, results=where, more=more))
    ran = doctor(node_shell, code=1)
    assert one(ran, "bucket").startswith("warning: from here: s3://bucket/x/first")
    assert one(ran, "results").startswith("missing: s3://bucket/x/first")
    assert "fix: credentials with the right to list, read and write there" in one(ran, "results")
    nothing_left(node_shell)


def test_an_image_that_can_not_be_pulled(node_shell: Shell) -> None:
    ran = doctor(node_shell, "--image", "registry.invalid/nothing:1", code=1)
    assert one(ran, "image").startswith("missing: registry.invalid/nothing:1 on node ")
    assert "can't be pulled: the registry's name is not known; fix: trainer.image, or --image: push it" in one(
        ran, "image"
    )
    nothing_left(node_shell)


def test_an_image_without_python(node: RealNode, node_shell: Shell) -> None:
    ran = doctor(node_shell, "--image", pause.IMAGE, code=1)
    assert one(ran, "image").startswith(f"missing: {pause.IMAGE} on node {node.name}: the image has no program python")
    nothing_left(node_shell)


def test_a_secret_that_is_not_there(node: RealNode, node_shell: Shell, image: str) -> None:
    node.claim(node_shell.namespace)
    node_shell.write(sweep(image, more="  secret_env: {TOKEN: {secret: nowhere, key: k}}\n"))
    ran = doctor(node_shell, code=1)
    assert "Secret nowhere is not in this namespace; fix: kubernetes.secret_env" in one(ran, "image")
    assert one(ran, "results") == "skipped: not tried: the pod did not run"
    nothing_left(node_shell)


def test_a_gpu_that_is_asked_for_and_is_no_device(node: RealNode, node_shell: Shell, image: str) -> None:
    """As with a container runtime that does not hand devices over: the node says that it has GPUs."""
    node.claim(node_shell.namespace)
    node_shell.write(sweep(image, resources="nvidia.com/gpu: 1"))
    found = one(doctor(node_shell, "--gpu", code=1), "gpu")
    assert found.startswith("missing: 1 asked for, the container sees no device; fix: a device plugin")
    assert lines(doctor(node_shell), "gpu") == []
    nothing_left(node_shell)


# -- inside


def inside(shell: Shell, image: str, *arguments: str, code: int = 0) -> Ran:
    shell.write(sweep(image))
    submitter_kubeconfig(shell.cluster, shell.namespace)
    return doctor(shell, "--in-cluster", *arguments, code=code)


def test_inside_the_cluster(node: RealNode, node_shell: Shell, image: str) -> None:
    volume = node.claim(node_shell.namespace)
    ran = inside(node_shell, image)
    assert one(ran, "client").startswith("ok: kgen 0.1.0 on Python 3.")
    assert one(ran, "cluster") == f"ok: this pod's service account, namespace {node_shell.namespace}"
    assert one(ran, "server").startswith("ok: https://10.0.0.1:443, Kubernetes v1.")
    assert one(ran, "clock").startswith("ok: the API server's clock and this node's are less than")
    user = f"system:serviceaccount:{node_shell.namespace}:kgen-submitter"
    uses = "kgen submit --in-cluster and kgen collect --in-cluster"
    assert one(ran, "rights") == f"ok: {user} has what {uses} need"
    assert one(ran, "results").startswith("ok: claim results: /results/x/first can be written, ")
    assert list(volume.iterdir()) == []
    nothing_left(node_shell)


def test_inside_the_collector_is_told_from_a_trial(node: RealNode, node_shell: Shell, image: str) -> None:
    node.claim(node_shell.namespace)
    user = f"system:serviceaccount:{node_shell.namespace}:kgen-"
    ran = inside(node_shell, image, "--service-account", "kgen-collector")
    assert one(ran, "rights") == f"ok: {user}collector has what kgen collect --in-cluster needs"
    ran = inside(node_shell, image, "--service-account", "kgen-trial", "-o", "json")
    told = {each["check"]: each for each in json.loads(ran.out)["checks"]}
    assert told["rights"]["found"] == f"{user}trial may do nothing here, as it should be for trials"


def test_inside_a_role_that_lacks_something(node: RealNode, node_shell: Shell, image: str) -> None:
    node.claim(node_shell.namespace, read_only=True)
    submitter_kubeconfig(node_shell.cluster, node_shell.namespace)
    node_shell.kubectl("delete", "rolebinding", "kgen-submitter")
    node_shell.write(sweep(image))
    ran = doctor(node_shell, "--in-cluster", code=1)
    assert "lacks what kgen submit --in-cluster needs: " in one(ran, "rights")
    assert "jobs.batch create" in one(ran, "rights")
    assert one(ran, "results").startswith("missing: claim results: /results/x/first/rows: can't be written: ")
    assert ran.lines[-1] == "2 things missing"
    nothing_left(node_shell)


def test_inside_with_a_claim_and_no_sweep(node: RealNode, node_shell: Shell, image: str) -> None:
    """As `helm test` runs it."""
    volume = node.claim(node_shell.namespace)
    submitter_kubeconfig(node_shell.cluster, node_shell.namespace)
    container = {
        "name": "kgen",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["kgen", "doctor", "--in-cluster"],
        "env": [{"name": "KGEN_CLAIM", "value": "results"}, {"name": "HOME", "value": "/tmp"}],
        "volumeMounts": [{"name": "results", "mountPath": "/results"}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "tried"},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": "kgen-submitter",
            "automountServiceAccountToken": True,
            "securityContext": {"runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001},
            "containers": [container],
            "volumes": [{"name": "results", "persistentVolumeClaim": {"claimName": "results"}}],
        },
    }
    node_shell.cluster.apply(pod, namespace=node_shell.namespace)
    node_shell.kubectl("wait", "pod/tried", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=90s")
    ran = Ran(0, node_shell.kubectl("logs", "tried"), "")
    assert one(ran, "results").startswith("ok: claim results: /results/.kgen-doctor-")
    assert list(volume.iterdir()) == []
