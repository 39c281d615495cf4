"""What the chart's accounts may do on a real API server: their Role in their namespace, and nothing else anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kgen.backends.kubernetes.access import COLLECTOR, NEEDED, PLANNED
from tests.chart.helm import CHART, Helm
from tests.cluster.client import Cluster

Right = tuple[str, str, str, str]
"""Group, resource, verb, and the object's name where it is for one alone."""

HARMFUL = [
    ("get", "secrets"),
    ("list", "secrets"),
    ("create", "serviceaccounts/token"),
    ("create", "rolebindings.rbac.authorization.k8s.io"),
    ("update", "roles.rbac.authorization.k8s.io"),
    ("impersonate", "serviceaccounts"),
    ("patch", "jobs.batch"),
    ("delete", "persistentvolumeclaims"),
    ("list", "nodes"),
    ("list", "pods --all-namespaces"),
    ("list", "jobs.batch --all-namespaces"),
    ("create", "namespaces"),
]


@pytest.fixture
def installed(installing: Helm, namespace: str) -> str:
    installing("install", "kgen", CHART, "-n", namespace)
    return namespace


def rights(cluster: Cluster, account: str, home: str, namespace: str) -> set[Right]:
    """All that an account of the namespace `home` may do in a namespace, as the server tells it."""
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    answer = cluster.kubectl(
        "create",
        "--raw=/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        "-f",
        "-",
        f"--as=system:serviceaccount:{home}:{account}",
        input=json.dumps(body),
    )
    status: Any = json.loads(answer)["status"]
    assert not status["incomplete"]
    return {
        (group, resource, verb, name)
        for rule in status["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames") or [""]
    }


def needed(namespace: str) -> set[Right]:
    """What kgen's commands and plans say they need."""
    permissions = {*PLANNED, *(each for several in NEEDED.values() for each in several)}
    return {
        (each.group, each.resource, each.verb, namespace if each.resource == "namespaces" else "")
        for each in permissions
    }


def test_each_account_may_do_exactly_what_kgen_does_with_it(cluster: Cluster, installed: str) -> None:
    anybody = rights(cluster, "default", installed, installed)
    may = {
        part: rights(cluster, f"kgen-{part}", installed, installed) - anybody
        for part in ("trial", "submitter", "collector")
    }
    assert may == {
        "trial": set(),
        "submitter": needed(installed),
        "collector": {(each.group, each.resource, each.verb, "") for each in COLLECTOR},
    }


@pytest.mark.parametrize("part", ["trial", "submitter", "collector"])
def test_an_account_has_no_right_elsewhere(cluster: Cluster, installed: str, part: str) -> None:
    account = f"kgen-{part}"
    assert rights(cluster, account, installed, "kube-system") == rights(cluster, "default", installed, "kube-system")


@pytest.mark.parametrize("part", ["trial", "submitter", "collector"])
def test_what_nobody_may(cluster: Cluster, installed: str, part: str) -> None:
    who = f"--as=system:serviceaccount:{installed}:kgen-{part}"
    answers = {
        (verb, what): cluster.try_kubectl("auth", "can-i", verb, *what.split(), "-n", installed, who).stdout.strip()
        for verb, what in HARMFUL
    }
    assert answers == dict.fromkeys(HARMFUL, "no")


@pytest.mark.parametrize(
    ("subject", "who"),
    [
        ({"kind": "User", "name": "ada@example.org"}, ["--as=ada@example.org"]),
        ({"kind": "Group", "name": "oidc:vision"}, ["--as=bob", "--as-group=oidc:vision"]),
        (
            {"kind": "ServiceAccount", "name": "ci", "namespace": "build"},
            ["--as=system:serviceaccount:build:ci"],
        ),
    ],
    ids=["user", "group", "account"],
)
def test_people_and_ci_may_what_the_submitter_may(
    installing: Helm, cluster: Cluster, installed: str, subject: dict[str, str], who: list[str]
) -> None:
    def may(verb: str, what: str) -> str:
        return cluster.try_kubectl("auth", "can-i", verb, what, "-n", installed, *who).stdout.strip()

    assert may("create", "jobs.batch") == "no"
    installing("upgrade", "kgen", CHART, "-n", installed, "--set-json", f"rbac.subjects=[{json.dumps(subject)}]")
    assert cluster.until(lambda: may("create", "jobs.batch") == "yes")
    assert may("create", "pods/exec") == "yes"
    assert may("get", "secrets") == "no"


def test_without_rbac_no_account_may_anything(installing: Helm, cluster: Cluster, namespace: str) -> None:
    installing("install", "kgen", CHART, "-n", namespace, "--set", "rbac.create=false")
    anybody = rights(cluster, "default", namespace, namespace)
    assert rights(cluster, "kgen-submitter", namespace, namespace) == anybody


def test_who_has_only_rights_of_a_namespace_can_install_it(installing: Helm, cluster: Cluster, namespace: str) -> None:
    """No cluster-wide right is needed: the namespace's administrator does, as Kubernetes' own ClusterRole makes one."""
    cluster.kubectl("create", "serviceaccount", "owner", "-n", namespace)
    cluster.kubectl(
        "create", "rolebinding", "owner", "--clusterrole=admin", f"--serviceaccount={namespace}:owner", "-n", namespace
    )
    owner = Helm(installing.program, installing.folder, cluster.token(namespace, "owner"))
    done = owner.attempt(
        "install", "kgen", CHART, "-n", namespace, "--set", "collector.enabled=true,rbac.localQueues=false"
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    owner("uninstall", "kgen", "-n", namespace)
