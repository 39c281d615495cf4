"""The Role in `manifests/`: with it alone a sweep can be planned, submitted, watched, repaired and deleted, and it
grants nothing that this does not use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.client import Cluster
from tests.cluster.kwok import FATE
from tests.cluster.planned import claim, kueue_kinds, local_queue, running, submitter_kubeconfig

pytestmark = pytest.mark.alone  # counts what is asked of a server, which asks differ when it is slow

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"

Verb = tuple[str, str, str]
"""Group, resource with its part, verb."""

EXEC: Verb = ("", "pods/exec", "create")
"""No request's own: the server asks for it beside `get` where a request becomes a WebSocket, see the test of that."""


class Submitter:
    """Somebody with a checkout, a kubeconfig and nothing else, who types commands of kgen."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.folder = folder
        self._env = os.environ | {"KUBECONFIG": str(kubeconfig), "NO_COLOR": "1"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "kgen", *arguments],
            cwd=self.folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def kgen(self, *arguments: str, code: int | None = 0) -> str:
        """What it prints; it has to end with this code, if one is given."""
        return ended(self.start(*arguments), code)

    def sweep(self, name: str, fate: str, *, more: str = "", file: str = "", **kubernetes: str) -> str:
        """Write the file of a sweep of three trials whose pods meet a fate."""
        settings = {
            "annotations": f"{{kwok.kgen.dev/fate: {fate}}}",
            "service_account": "trainer",
            "deadline": "1h",
            "backoff_limit": "0",
        } | kubernetes
        path = self.folder / (file or f"{name}.yaml")
        path.write_text(
            f"version: 1\nname: {name}\nparameters: {{a: [1, 2, 3]}}\n{more}"
            "budget: {steps: 10, target: {accuracy: 0.9}}\nresults: pvc://data/x\n"
            "trainer: {image: 'registry.example/trainer:1', command: [python, train.py], files: [train.py]}\n"
            "kubernetes:\n" + "".join(f"  {field}: {value}\n" for field, value in settings.items())
        )
        return path.name


def ended(process: subprocess.Popen[str], code: int | None) -> str:
    try:
        said, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert code in (None, process.returncode), f"ended with {process.returncode}: {process.args!r}\n{said}"
    return said


def live(user: Submitter, cluster: Cluster, namespace: str) -> None:
    """A whole life: everything that README and docs let somebody do with sweeps on a cluster."""
    (user.folder / "train.py").write_text("print('{}')\n")
    # Without a fate trials complete, and a pod that fetches from the claim runs.
    good = user.sweep("good", "absent", annotations="{}", tolerations="[{operator: Exists}]")
    bad, endless = user.sweep("bad", "exit-64"), user.sweep("endless", "run")
    queued = user.sweep("queued", "absent", queue="vision")

    user.kgen("submit", good, "--yes", "--wait")
    user.kgen("submit", good, "--yes")
    user.kgen("get", "sweeps")
    (trial, *_) = user.kgen("get", "trials", "good", "-o", "name").split()
    user.kgen("describe", "trial", trial.removeprefix("trial/"))
    user.kgen("logs", trial.removeprefix("trial/"), code=None)  # fake nodes have none to give
    user.kgen("wait", "good")
    user.kgen("collect", "good", code=3)  # fake nodes run no command that could fetch from a claim

    user.kgen("submit", bad, "--yes")
    user.kgen("wait", "bad", code=1)
    user.kgen("retry", "bad", "--failed")

    user.kgen("submit", endless, "--yes")
    user.kgen("cancel", "endless", "--yes")

    user.kgen("submit", queued, "--yes")
    learn_why(user, cluster, namespace)
    meet(user, cluster, namespace)
    for name in ("good", "bad", "endless", "queued", "stuck", "shared"):
        user.kgen("delete", name, "--yes")


def learn_why(user: Submitter, cluster: Cluster, namespace: str) -> None:
    """Somebody waits for trials that wait themselves, until the events that tell why are watched."""
    user.kgen("submit", user.sweep("stuck", "image-pull"), "--yes")
    waiting = user.start("wait", "stuck")
    try:
        cluster.until(lambda: events_are_watched(cluster, namespace))
    finally:
        waiting.kill()
        ended(waiting, None)


def events_are_watched(cluster: Cluster, namespace: str) -> bool:
    return any(
        event["verb"] == "watch" and event.get("objectRef", {}).get("resource") == "events"
        for event in cluster.audit(user=account(namespace))
    )


def meet(user: Submitter, cluster: Cluster, namespace: str) -> None:
    """Two people submit one sweep: the first holds a Job back, which is there when its turn comes."""
    first = user.sweep("shared", "run", more="execution: {max_parallel: 2}\n")
    second = user.sweep("shared", "run", file="second.yaml")
    waiting = user.start("submit", first, "--yes", "--wait")
    try:
        cluster.until(lambda: len(jobs_of(cluster, namespace)) == 2)
        early = jobs_of(cluster, namespace)
        user.kgen("submit", second, "--yes")
        (late,) = jobs_of(cluster, namespace) - early
        cluster.kubectl("delete", "job", "-n", namespace, *early, late)
    except BaseException:
        waiting.kill()
        raise
    finally:
        ended(waiting, None)


def jobs_of(cluster: Cluster, namespace: str) -> set[str]:
    found = cluster.get("jobs", "-n", namespace, "-l", "kgen.dev/sweep=shared")["items"]
    return {job["metadata"]["name"] for job in found}


def account(namespace: str) -> str:
    return f"system:serviceaccount:{namespace}:kgen-submitter"


@pytest.fixture
def user(fake_cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Submitter]:
    """Who has no more than the Role, in a namespace with a claim, an account for trials and a queue."""
    with kueue_kinds(fake_cluster):
        fake_cluster.kubectl("create", "serviceaccount", "trainer", "-n", namespace)
        fake_cluster.apply(claim("ReadWriteMany"), local_queue(), volume(namespace), namespace=namespace)
        yield Submitter(submitter_kubeconfig(fake_cluster, namespace), tmp_path)
    fake_cluster.kubectl("delete", "persistentvolume", namespace, "--wait=false")


def volume(namespace: str) -> dict[str, Any]:
    """What the claim is bound to, so that pods are scheduled."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": namespace},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany"],
            "claimRef": {"name": "data", "namespace": namespace},
            "hostPath": {"path": "/nowhere"},
        },
    }


def granted(cluster: Cluster, namespace: str) -> set[Verb]:
    """What the Role allows, as the cluster has it."""
    rules = cluster.get("role", "kgen-submitter", "-n", namespace)["rules"]
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def asked(event: dict[str, Any]) -> Verb:
    """What a request was for."""
    about = event["objectRef"]
    part = f"/{about['subresource']}" if about.get("subresource") else ""
    return about.get("apiGroup", ""), about["resource"] + part, event["verb"]


def test_the_verbs_granted_are_the_verbs_used(fake_cluster: Cluster, user: Submitter, namespace: str) -> None:
    before = fake_cluster.audit_position()
    live(user, fake_cluster, namespace)
    events = [
        event
        for event in fake_cluster.audit(user=account(namespace), after=before)
        if "resource" in event.get("objectRef", {})
    ]
    by_role = [e for e in events if "kgen-submitter" in e["annotations"].get("authorization.k8s.io/reason", "")]
    forbidden = {asked(e) for e in events if e["annotations"]["authorization.k8s.io/decision"] == "forbid"}
    assert {asked(event) for event in by_role} | {EXEC} == granted(fake_cluster, namespace)
    assert forbidden == {("", "nodes", "list")}, "which is what rbac-planner.yaml is for"
    assert {event["objectRef"].get("namespace") for event in by_role} == {namespace}
    assert not [event for event in events if event["objectRef"]["resource"] == "secrets"]


def test_reading_a_claim_needs_more_than_the_verb_of_its_request(
    fake_cluster: Cluster, user: Submitter, namespace: str
) -> None:
    pod = running("there", {}, "0", {}) | {"metadata": {"name": "there", "annotations": {FATE: "run"}}}
    fake_cluster.apply(pod, namespace=namespace)
    fake_cluster.kubectl("wait", "pod/there", "-n", namespace, "--for=condition=Ready", "--timeout=60s")
    rules = (MANIFESTS / "rbac.yaml").read_text().replace("namespace: kgen\n", f"namespace: {namespace}\n")
    less = rules.replace("resources: [pods/exec]\n    verbs: [create, get]", "resources: [pods/exec]\n    verbs: [get]")
    assert less != rules

    def said() -> str:
        return fake_cluster.try_kubectl("exec", "there", "--", "true", kubeconfig=kubeconfig).stderr

    kubeconfig = fake_cluster.token(namespace, "kgen-submitter")
    assert "forbidden" not in said()
    fake_cluster.kubectl("apply", "-f", "-", input=less)
    fake_cluster.until(lambda: 'cannot create resource "pods/exec"' in said(), what="get alone is not enough")


def test_no_rule_is_wider_than_it_looks(fake_cluster: Cluster, user: Submitter, namespace: str) -> None:
    rules = json.dumps([each["rules"] for each in fake_cluster.get("roles", "-n", namespace)["items"]])
    assert rules.count("apiGroups") == 13, "of both Roles"
    assert "*" not in rules
    assert "secrets" not in rules


def test_the_namespace_lets_in_no_pod_that_is_not_restricted(cluster: Cluster, namespace: str) -> None:
    made = (MANIFESTS / "namespace.yaml").read_text().replace("name: kgen\n", f"name: {namespace}\n")
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=made)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root"},
        "spec": {"containers": [{"name": "main", "image": "registry.example/a:1"}]},
    }
    answer = cluster.try_kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(pod))
    assert 'violates PodSecurity "restricted' in answer.stderr
