"""Results in a claim, as far as fake nodes go: the pod that would read it, why it can't, and that it does not stay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from kgen import names
from kgen.backends.kubernetes import claim, fetch_pod
from kgen.backends.kubernetes.claim import Claim
from kgen.backends.kubernetes.fetch_pod import FetchPod
from kgen.errors import ClusterError
from kgen.status import Reason
from kgen.sweep import SweepSpec, load
from tests.cluster.planned import running
from tests.cluster.shell import Shell, sweep_text

SELECTOR = f"--selector={names.LABEL_COMPONENT}={names.COMPONENT_FETCH}"


def text(**more: str) -> str:
    return sweep_text(results="pvc://data/x", **more)


def bind(shell: Shell, *modes: str) -> None:
    """The claim `data`, bound to a volume, so that pods are scheduled."""
    spec = {"accessModes": list(modes), "storageClassName": ""}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": shell.namespace},
        "spec": spec
        | {
            "capacity": {"storage": "1Gi"},
            "claimRef": {"name": "data", "namespace": shell.namespace},
            "hostPath": {"path": "/nowhere"},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": spec | {"resources": {"requests": {"storage": "1Gi"}}, "volumeName": shell.namespace},
    }
    shell.cluster.apply(volume, claim, namespace=shell.namespace)
    shell.kubectl("wait", "pvc/data", "--for=jsonpath={.status.phase}=Bound", "--timeout=60s")


@pytest.fixture
def bound(shell: Shell) -> Iterator[Shell]:
    """A shell whose namespace has a bound claim, and takes only pods that are restricted."""
    shell.cluster.kubectl("label", "namespace", shell.namespace, "pod-security.kubernetes.io/enforce=restricted")
    bind(shell, "ReadWriteMany")
    yield shell
    shell.cluster.kubectl("delete", "persistentvolume", shell.namespace, "--wait=false")


def pods(shell: Shell) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shell.cluster.get("pods", f"--namespace={shell.namespace}", SELECTOR)["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def fetch_pod_of(shell: Shell, spec: SweepSpec) -> FetchPod:
    return FetchPod(shell.api(), spec, image="", writable=False, on_event=lambda _: None)


def patience(monkeypatch: pytest.MonkeyPatch, *reasons: Reason) -> None:
    monkeypatch.setattr(fetch_pod, "PATIENCE", dict.fromkeys(reasons, 1.0))
    monkeypatch.setattr(fetch_pod, "HOPELESS_SECONDS", 1.0)


# -- the pod


def test_the_pod_is_restricted_asks_for_no_gpu_and_goes_where_trials_go(bound: Shell) -> None:
    settings = {"node_selector": "{nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}", "labels": "{team: vision}"}
    spec = load(bound.write(text(**settings).replace("nvidia.com/gpu: 0", "nvidia.com/gpu: 1")))
    pod = fetch_pod_of(bound, spec)
    name = pod.ensure()
    assert name.startswith("kgen-fetch-first-")
    assert pod.ensure() == name
    (seen,) = pods(bound)
    assert (seen["metadata"]["name"], seen["status"]["phase"]) == (name, "Running")
    labels = seen["metadata"]["labels"]
    assert (labels[names.LABEL_SWEEP], labels[names.LABEL_MANAGED_BY], labels["team"]) == ("first", "kgen", "vision")
    assert names.LABEL_TRIAL not in labels
    assert seen["spec"]["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    assert seen["spec"]["activeDeadlineSeconds"] == 3600
    (container,) = seen["spec"]["containers"]
    assert container["image"] == spec.trainer.image
    assert not [key for key in container["resources"]["limits"] if "/" in key]
    assert {"name": "kgen-results", "mountPath": "/results", "readOnly": True} in container["volumeMounts"]
    pod.remove()
    bound.cluster.until(lambda: not pods(bound))
    pod.remove()


def test_the_longest_name_fits(bound: Shell) -> None:
    name = "a" * names.SWEEP_NAME_LIMIT
    pod = fetch_pod_of(bound, load(bound.write(text(name=name))))
    assert len(pod.ensure()) <= 63
    pod.remove()


def test_a_volume_of_one_node_is_read_on_the_node_that_has_it(shell: Shell) -> None:
    bind(shell, "ReadWriteOnce")
    spec = load(shell.write(text()))
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    user = running("user", {}, "0", {})
    user["spec"] |= {"volumes": volumes, "nodeSelector": {"kubernetes.io/hostname": "gpu-1"}}
    for number in range(2):  # on the other node there is more room
        other = running(f"other-{number}", {}, "1", {"kubernetes.io/hostname": "gpu-1"})
        shell.cluster.apply(other, namespace=shell.namespace)
    shell.cluster.apply(user, namespace=shell.namespace)
    shell.kubectl("wait", "pod/user", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")
    pod = fetch_pod_of(shell, spec)
    pod.ensure()
    assert pods(shell)[0]["spec"]["nodeName"] == "gpu-1"
    assert "gpu-1" in json.dumps(pods(shell)[0]["spec"]["affinity"])
    pod.remove()
    shell.kubectl("delete", "pod", "user")
    pod.ensure()
    assert "affinity" not in pods(shell)[0]["spec"]
    pod.remove()
    shell.cluster.kubectl("delete", "persistentvolume", shell.namespace, "--wait=false")


def test_pods_of_fetches_that_were_killed_go_and_those_at_work_stay(bound: Shell) -> None:
    spec = load(bound.write(text()))
    working = fetch_pod_of(bound, spec)
    first = working.ensure()
    other = fetch_pod_of(bound, load(bound.write(text(name="second"), "second.yaml")))
    other.ensure()
    ended = {**pods(bound)[0], "metadata": pods(bound)[0]["metadata"] | {"name": "kgen-fetch-first-ended"}}
    for key in ("resourceVersion", "uid", "creationTimestamp", "managedFields"):
        ended["metadata"].pop(key, None)
    ended["metadata"]["annotations"] = {"kwok.kgen.dev/fate": "exit-0"}
    ended["spec"].pop("nodeName")
    ended["metadata"]["labels"][names.LABEL_SWEEP] = "first"
    ended.pop("status")
    bound.cluster.apply(ended, namespace=bound.namespace)
    done = "--for=jsonpath={.status.phase}=Succeeded"
    bound.kubectl("wait", "pod/kgen-fetch-first-ended", done, "--timeout=60s")
    another = fetch_pod_of(bound, spec)
    another.ensure()
    there = {pod["metadata"]["name"] for pod in pods(bound)}
    assert len(there) == 3
    assert first in there
    assert "kgen-fetch-first-ended" not in there
    for pod in (working, other, another):
        pod.remove()


# -- why it can't


def test_an_image_that_can_not_be_pulled_is_said_in_time(bound: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    patience(monkeypatch, Reason.IMAGE_PULL)
    bound.write(text(fate="image-pull"))
    failed = bound.kgen("collect")
    assert (failed.code, failed.out) == (3, "")
    (line,) = [line for line in failed.err.splitlines() if not line.startswith("waiting")]
    assert line.startswith("kgen: pod kgen-fetch-first-")
    assert "does not start: image registry.example/trainer@sha256:" in line
    assert line.endswith("can't be pulled: it is not in its registry")
    assert not pods(bound)
    assert not (bound.folder / "results").exists()


def test_no_node_for_it_is_said_in_time(bound: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    patience(monkeypatch)
    bound.write(text(node_selector="{pool: nowhere}"))
    failed = bound.kgen("collect")
    assert failed.code == 3
    assert "the labels that it asks for (pool=nowhere)" in failed.err
    assert not pods(bound)


def test_a_claim_that_is_not_there_or_empty_needs_no_pod(shell: Shell) -> None:
    shell.write(text())
    failed = shell.kgen("collect")
    assert (failed.code, failed.err) == (
        3, f"kgen: the claim data, which has the results, is not in namespace {shell.namespace}\n"
    )  # fmt: skip
    claim = {"accessModes": ["ReadWriteMany"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}
    kind = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": claim}
    shell.cluster.apply(kind, namespace=shell.namespace)
    assert shell.kgen("collect").ok().lines[0] == "0 of 4 trials have a result"
    assert not pods(shell)


def test_a_quota_in_its_way_is_said(bound: Shell) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    bound.cluster.apply(quota, namespace=bound.namespace)
    bound.cluster.until(lambda: bound.cluster.get("resourcequota", "none", "-n", bound.namespace)["status"].get("hard"))
    bound.write(text())
    failed = bound.kgen("collect")
    assert failed.code == 3
    assert "exceeded quota: none" in failed.err


def test_no_image_for_it_is_a_mistake_in_the_input(bound: Shell) -> None:
    bound.write(text(image=""))
    failed = bound.kgen("collect")
    assert failed.code == 2
    assert "trainer.image: found nothing, allowed an image for the pod that reads the claim: --image" in failed.err


READER = [
    {"apiGroups": [""], "resources": ["configmaps", "pods", "persistentvolumeclaims"], "verbs": ["get", "list"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list"]},
]


@pytest.mark.parametrize(
    ("more", "lacking"),
    [([], "create pods"), ([{"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete"]}], "pods/exec")],
)
def test_a_right_that_lacks_is_named(
    bound: Shell, more: list[dict[str, Any]], lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "some"}}
    account = {"kind": "ServiceAccount", "name": "somebody", "namespace": bound.namespace}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "some"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "some"},
        "subjects": [account],
    }
    made = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "somebody"}}
    bound.cluster.apply(role | {"rules": [*READER, *more]}, binding, made, namespace=bound.namespace)
    bound.write(text())
    failed = bound.kgen("collect", "--kubeconfig", bound.cluster.token(bound.namespace, "somebody"))
    assert failed.code == 3
    (line,) = failed.err.splitlines()
    assert f"{bound.namespace}:somebody may not" in line
    assert lacking in line
    assert line.endswith("which reading results in a claim needs: manifests/rbac.yaml has a Role that grants it")
    bound.cluster.until(lambda: not pods(bound))


def test_a_pod_that_does_not_answer_is_one_error(bound: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "backoff", lambda _: 0.0)
    said: list[str] = []
    with (
        Claim(bound.api(), load(bound.write(text())), on_event=said.append) as source,
        pytest.raises(ClusterError, match=r"^the program in pod kgen-fetch-\S+ ended: .*: connection refused$"),
    ):
        source.row_files()
    assert len(said) == claim.RESUMES
    bound.cluster.until(lambda: not pods(bound))
