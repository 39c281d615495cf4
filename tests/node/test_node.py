"""The node that tests own is what it says."""

from __future__ import annotations

from typing import Any

from tests.cluster.nodes import RESOURCE, Manifest
from tests.cluster.scene import SECURITY
from tests.node.client import RealNode
from tests.node.pause import IMAGE


def pod(name: str, script: str, volumes: dict[str, str] | None = None, **spec: Any) -> Manifest:
    """A pod that runs a shell script under the restricted Pod Security Standard; `volumes`: claim → path."""
    volumes = volumes or {}
    container = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
        "securityContext": SECURITY,
        "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}},
        "volumeMounts": [{"name": claim, "mountPath": path} for claim, path in volumes.items()],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "fsGroup": 10001,
                "fsGroupChangePolicy": "OnRootMismatch",
            },
            "containers": [container],
            "volumes": [{"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in volumes],
        }
        | spec,
    }


def test_it_is_ready_and_has_gpus(node: RealNode) -> None:
    found = node.cluster.get("node", node.name)
    status = found["status"]
    assert {each["type"]: each["status"] for each in status["conditions"]}["Ready"] == "True"
    assert status["capacity"][RESOURCE] == status["allocatable"][RESOURCE] == "2"
    assert found["metadata"]["labels"]["nvidia.com/gpu.product"]


def test_a_pod_runs_and_can_be_read_and_entered(node: RealNode, node_namespace: str) -> None:
    here = f"--namespace={node_namespace}"
    node.cluster.kubectl("label", "namespace", node_namespace, "pod-security.kubernetes.io/enforce=restricted")
    node.cluster.apply(pod("hello", "echo hello; sleep 1000"), namespace=node_namespace)
    node.cluster.kubectl("wait", "pod/hello", here, "--for=condition=Ready", "--timeout=60s")
    assert node.cluster.kubectl("logs", "hello", here) == "hello\n"
    assert node.cluster.kubectl("exec", "hello", here, "--", "id", "-u") == "10001\n"


def test_a_pod_reaches_the_api_server(node: RealNode, node_namespace: str) -> None:
    script = "wget -q -O - http://10.0.0.1:443 2>&1 | cat"
    node.cluster.apply(pod("asks", script), namespace=node_namespace)
    done = "--for=jsonpath={.status.phase}=Succeeded"
    node.cluster.kubectl("wait", "pod/asks", f"--namespace={node_namespace}", done, "--timeout=60s")
    said = node.cluster.kubectl("logs", "asks", f"--namespace={node_namespace}")
    assert "400 Bad Request" in said  # as it answers whoever does not speak TLS


def test_claims(node: RealNode, node_namespace: str) -> None:
    """One takes what pods write, with rights for all of the group; one is full; one can't be written."""
    folders = {
        "results": node.claim(node_namespace),
        "full": node.claim(node_namespace, "full", full=True),
        "frozen": node.claim(node_namespace, "frozen", read_only=True),
    }
    script = "for each in results full frozen; do echo $each > /$each/said; done 2>&1"
    volumes = {claim: f"/{claim}" for claim in folders}
    node.cluster.apply(pod("writes", script, volumes), namespace=node_namespace)

    def phase() -> str:
        return str(node.cluster.get("pod", "writes", f"--namespace={node_namespace}")["status"]["phase"])

    node.cluster.until(lambda: phase() in ("Succeeded", "Failed"), what="the pod has ended")
    said = node.cluster.kubectl("logs", "writes", f"--namespace={node_namespace}")
    assert "No space left on device" in said
    assert "Read-only file system" in said
    assert (folders["results"] / "said").read_text() == "results\n"
    assert (folders["results"] / "said").stat().st_gid == 10001
    assert not (folders["frozen"] / "said").exists()
