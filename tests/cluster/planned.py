"""Sweeps, and what is in the way of them, for tests of what a plan says of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kgen.backends.kubernetes.api import Api
from kgen.backends.kubernetes.fit import look
from kgen.backends.kubernetes.forecast import Forecast
from kgen.backends.kubernetes.shape import Shape
from kgen.capacity.finding import Severity
from kgen.errors import InputError
from kgen.sweep import SweepSpec, loads
from tests.cluster import nodes
from tests.cluster.client import Cluster

Object = dict[str, Any]
IMAGE = "registry.example/trainer@sha256:" + "a" * 64
ROOT = Path(__file__).parents[2]


def sweep(resources: str = "{nvidia.com/gpu: 1}", results: str = "s3://bucket/x", **kubernetes: str) -> SweepSpec:
    lines = {"resources": resources, **kubernetes}
    block = "".join(f"  {name}: {value}\n" for name, value in lines.items())
    return loads(
        f"version: 1\nname: fit\nparameters: {{a: [1, 2]}}\nresults: {results}\n"
        f"budget: {{steps: 10, seconds: 3000, target: {{accuracy: 0.9}}}}\nkubernetes:\n{block}"
    )


def shape(spec: SweepSpec, trials: int = 2, *, image: str = IMAGE, job: Object | None = None, **pod: Any) -> Shape:
    """Trials of a sweep as one Job would be, with these parts of the pod instead."""
    resources = dict(spec.kubernetes.resources)
    container = {"name": "trainer", "image": image, "resources": {"requests": resources, "limits": resources}}
    made: Object = {
        "restartPolicy": "Never",
        "tolerations": [{"key": nodes.RESOURCE, "operator": "Exists", "effect": "NoSchedule"}],
        "containers": [container],
        "activeDeadlineSeconds": spec.kubernetes.deadline,
    }
    template = {"metadata": {"labels": {"kgen.dev/sweep": spec.name}}, "spec": made | pod}
    return Shape(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "fit-trial"},
            "spec": {"backoffLimit": 0, "template": template} | (job or {}),
        },
        trials,
        trials,
        trials,
    )


def said(forecast: Forecast, severity: Severity | None = None) -> list[str]:
    return [str(each) for each in forecast.findings if severity in (None, each.severity)]


def refusing(forecast: Forecast) -> Forecast | None:
    return forecast if forecast.refusals else None


def refused(api: Api, namespace: str, spec: SweepSpec, *shapes: Shape) -> str:
    """The one thing because of which nothing is created, with its place in the file."""
    forecast = look(api, shapes or [shape(spec)], spec, namespace)
    with pytest.raises(InputError) as caught:
        forecast.raise_refusals(spec)
    (problem,) = caught.value.problems
    return str(problem)


def running(name: str, labels: dict[str, str], gpus: str, selector: dict[str, str]) -> Object:
    """A pod that runs until it is deleted."""
    container = {"name": "main", "image": IMAGE, "resources": {"limits": {nodes.RESOURCE: gpus}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.kgen.dev/fate": "run"}},
        "spec": {
            "nodeSelector": selector,
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
            "terminationGracePeriodSeconds": 0,
        },
    }


def quota(hard: dict[str, str], **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "team"},
        "spec": {"hard": hard, **spec},
    }


def with_quota(cluster: Cluster, namespace: str, hard: dict[str, str], **spec: Any) -> None:
    cluster.apply(quota(hard, **spec), namespace=namespace)
    cluster.until(lambda: cluster.get("resourcequota", "team", "-n", namespace)["status"].get("used") is not None)


def claim(mode: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}},
    }


VOLUMES = [{"name": "results", "persistentVolumeClaim": {"claimName": "data"}}]


def crd(plural: str, kind: str, scope: str) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1beta2",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.kueue.x-k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, a test's"},
        },
        "spec": {
            "group": "kueue.x-k8s.io",
            "scope": scope,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [version],
        },
    }


def local_queue(**more: Any) -> Object:
    return {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "LocalQueue",
        "metadata": {"name": "vision"},
        "spec": {"clusterQueue": "gpus"},
        "status": {"pendingWorkloads": 7},
    } | more


def submitter_kubeconfig(cluster: Cluster, namespace: str, *, planner: bool = False) -> Path:
    """The account of `manifests/`, moved to this namespace, and a kubeconfig of it."""
    text = (ROOT / "manifests/rbac.yaml").read_text()
    if planner:
        text += "---\n" + (ROOT / "manifests/rbac-planner.yaml").read_text()
    moved = text.replace(": kgen\n", f": {namespace}\n").replace("[kgen]", f"[{namespace}]")
    cluster.kubectl("apply", "-f", "-", input=moved)
    return cluster.token(namespace, "kgen-submitter")


@contextmanager
def gpu_node(cluster: Cluster, pool: str) -> Iterator[str]:
    """A node of 8 GPUs with the label `pool`, gone afterwards."""
    (name,) = cluster.add_nodes(1, labels={"pool": pool})
    # That it is ready is known a moment before its taint is taken away.
    cluster.until(lambda: len(cluster.get("node", name)["spec"]["taints"]) == 1)
    try:
        yield name
    finally:
        cluster.remove_nodes([name])


@contextmanager
def kueue_kinds(cluster: Cluster) -> Iterator[None]:
    """The kinds of Kueue that Jobs wait in, without Kueue itself."""
    made = [crd("localqueues", "LocalQueue", "Namespaced"), crd("clusterqueues", "ClusterQueue", "Cluster")]
    cluster.apply(*made)
    names = [each["metadata"]["name"] for each in made]
    cluster.kubectl("wait", *(f"crd/{name}" for name in names), "--for=condition=Established", "--timeout=30s")
    cluster.until(lambda: cluster.try_kubectl("get", "localqueues,clusterqueues", "-A").returncode == 0)
    try:
        yield
    finally:
        cluster.kubectl("delete", "crd", *names)
        cluster.until(lambda: cluster.try_kubectl("get", "--raw", "/apis/kueue.x-k8s.io").returncode)
