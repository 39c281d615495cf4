"""Manifests of small Jobs, made without kgen's renderer, and what the cluster has of them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from kgen import names
from kgen.backends.kubernetes.api import Api, connect
from kgen.render.manifest import Manifest
from tests.cluster.client import Cluster

SWEEP = "toy"
SELECTOR = f"{names.LABEL_SWEEP}={SWEEP}"


def api_of(cluster: Cluster, namespace: str) -> Api:
    """The cluster's administrator in one namespace."""
    return connect(cluster.kubeconfig, None, namespace)


def job(number: int, *, suspend: bool = True, change: dict[str, Any] | None = None, **fate: str) -> Manifest:
    """A Job that waits for nobody to start it, or runs on a fake node and meets its fate (`stages.yaml`).

    `change` goes over its `spec`, so it has another hash.
    """
    trial = f"{number:010d}"
    name = names.job_name(SWEEP, trial)
    labels = {names.LABEL_SWEEP: SWEEP, names.LABEL_TRIAL: trial}
    container = {
        "name": names.TRAINER_CONTAINER,
        "image": "registry.example/trainer:1",
        "env": [{"name": names.ENV_TRIAL, "value": json.dumps({"id": trial, "parameters": {"x": number}})}],
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    spec: dict[str, Any] = {
        "suspend": suspend,
        "backoffLimit": 0,
        "template": {
            "metadata": {
                "labels": labels,
                "annotations": {f"kwok.kgen.dev/{key}": value for key, value in fate.items()},
            },
            "spec": {
                "restartPolicy": "Never",
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                "containers": [container],
            },
        },
        **(change or {}),
    }
    return manifest("batch/v1", "Job", name, {"spec": spec}, trial=trial, labels=labels)


def config_map(name: str, **data: str) -> Manifest:
    """A ConfigMap of the sweep: no controller ever touches it."""
    return manifest("v1", "ConfigMap", name, {"data": data}, labels={names.LABEL_SWEEP: SWEEP})


def manifest(
    version: str, kind: str, name: str, rest: dict[str, Any], *, trial: str = "", labels: dict[str, str] | None = None
) -> Manifest:
    """An object as kgen sends it: with the hash of the rest as its label."""
    spec = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]
    metadata = {"name": name, "labels": {**(labels or {}), names.LABEL_SPEC: spec}}
    text = json.dumps({"apiVersion": version, "kind": kind, "metadata": metadata, **rest})
    return Manifest(kind, name, text, spec, (trial,) if trial else ())


def jobs_there(cluster: Cluster, namespace: str) -> dict[str, str]:
    """Name → UID of every Job, as kubectl sees them."""
    items = cluster.get("jobs", f"--namespace={namespace}")["items"]
    return {item["metadata"]["name"]: item["metadata"]["uid"] for item in items}
