"""`kgen render` against a real API server: what it writes is what the cluster gets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kgen.render import Rendered, render
from kgen.sweep import expand, loads
from tests.cluster.client import Cluster

EXAMPLE = Path(__file__).parents[2] / "examples" / "cluster.yaml"
EVERYTHING = """\
version: 1
name: everything
parameters: {a: ["x: $(HOME)", "--- {{ }} \\n&a"], b: [1e-3, true]}
objective: {metric: seconds_to_target}
budget: {target: {accuracy: 0.9}, seconds: 12.5}
trainer:
  image: registry.example/trainer:1
  command: [python, train.py, "{a}"]
  files: [train.py, data.bin]
  metrics: stdout
  env: {A: $(HOME)}
results: pvc://results/team
kubernetes:
  resources: {cpu: 500m, memory: 1.5Gi}
  gpu: {product: [NVIDIA-H100-80GB-HBM3], family: hopper, memory: 40Gi}
  node_selector: {kubernetes.io/os: linux}
  tolerations: [{key: spot, operator: Exists}]
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [amd64]}]}]
    podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm:
      {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {a: b}}}}]}
  service_account: default
  image_pull_policy: IfNotPresent
  image_pull_secrets: [pull]
  secret_env: {TOKEN: {secret: tracker, key: token}}
  volumes:
    - {name: data, mount_path: /data, read_only: true, source: {persistentVolumeClaim: {claimName: data}}}
    - {name: settings, mount_path: /settings, sub_path: x, source: {configMap: {name: x, optional: true}}}
  labels: {team: ml}
  annotations: {note: "a\\nb"}
  queue: team
  queue_priority: high
"""
CLAIMS = EVERYTHING.replace(
    "  resources: {cpu: 500m, memory: 1.5Gi}\n", "  resource_claims: [{name: gpu, resourceClaimTemplateName: h100}]\n"
).replace("name: everything", "name: claims")
PLAIN_CPU = """\
version: 1
name: cpu
parameters: {a: [1]}
budget: {target: {accuracy: 0.9}, steps: 5}
trainer: {image: registry.example/trainer:1, command: [train]}
results: s3://bucket/prefix
kubernetes: {resources: {nvidia.com/gpu: 0}, run_as_user: 20000}
"""
FILES = {"train.py": b"print('{}')\n", "data.bin": b"\xff\0"}


def rendered(text: str) -> Rendered:
    spec = loads(text, files=FILES)
    return render(spec, expand(spec))


def kgen(*arguments: object) -> str:
    command = [sys.executable, "-m", "kgen", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_kubectl_applies_these_objects_and_a_diff_finds_none(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8").replace("per_decade: 6", "per_decade: 1")
    file = tmp_path / "sweep.yaml"
    file.write_text(text.replace("resources:", "queue: team\n  resources:"), encoding="utf-8")
    folder = tmp_path / "manifests"
    kgen("render", file, "-o", folder, "-n", namespace)
    cluster.kubectl("apply", "-f", str(folder))
    expected = {(m["kind"], m["metadata"]["name"]) for m in map(load, folder.iterdir())}
    assert len(expected) == 49
    found = cluster.get("jobs,configmaps", "-n", namespace, "-l", "app.kubernetes.io/managed-by=kgen")["items"]
    assert {(item["kind"], item["metadata"]["name"]) for item in found} == expected
    differs = cluster.try_kubectl("diff", "-f", str(folder))
    assert (differs.returncode, differs.stdout) == (0, "")
    kgen("render", file, "-o", folder, "-n", namespace)
    again = cluster.kubectl("apply", "-f", str(folder)).splitlines()
    assert {line.rpartition(" ")[2] for line in again} == {"unchanged"}


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_printed_yaml_is_read_as_the_same(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(EVERYTHING, encoding="utf-8")
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    printed = kgen("render", file, "-n", namespace)
    dry = cluster.kubectl("create", "--dry-run=client", "-o", "json", "-f", "-", input=printed)
    decoder = json.JSONDecoder()
    found: list[Any] = []
    while dry.strip():
        value, end = decoder.raw_decode(dry.lstrip())
        found += value["items"] if value["kind"] == "List" else [value]
        dry = dry.lstrip()[end:]
    spec = loads(EVERYTHING, files=FILES)
    made = render(spec, expand(spec), namespace=namespace)
    sent = {m.name: m.object() for m in [*made.shared, *made.jobs]}
    assert {one["metadata"]["name"]: one for one in found} == sent


@pytest.mark.parametrize("text", [EVERYTHING, CLAIMS, PLAIN_CPU, EXAMPLE.read_text(encoding="utf-8")])
def test_the_server_keeps_every_field(cluster: Cluster, namespace: str, text: str) -> None:
    made = rendered(text)
    for manifest in [*made.shared, *made.jobs[:4]]:
        here = ("create", "-n", namespace, "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-")
        out = cluster.kubectl(*here, input=manifest.text)
        assert lost(manifest.object(), json.loads(out)) == []


def lost(sent: Any, got: Any, path: str = "") -> list[str]:
    """Where the server has something else than it was sent; quantities have several spellings."""
    if isinstance(sent, dict):
        return [one for key, item in sent.items() for one in lost(item, got.get(key), f"{path}.{key}")]
    if isinstance(sent, list):
        pairs = zip(sent, got, strict=True)
        return [one for i, (a, b) in enumerate(pairs) for one in lost(a, b, f"{path}[{i}]")]
    same = sent == got or ("resources" in path and (sent, got) == ("1.5Gi", "1536Mi"))
    return [] if same else [f"{path}: {sent!r} became {got!r}"]


def test_pods_are_admitted_under_the_restricted_standard(fake_cluster: Cluster, namespace: str) -> None:
    """Created for real, so that the Job's controller makes a pod: a refusal shows only there."""
    for level in ("enforce", "warn"):
        fake_cluster.kubectl("label", "namespace", namespace, f"pod-security.kubernetes.io/{level}=restricted")
    jobs = [
        manifest
        for text in (EVERYTHING.replace("  queue: team\n  queue_priority: high\n", ""), PLAIN_CPU)
        for manifest in rendered(text).jobs[:1]
    ]
    for job in jobs:
        created = fake_cluster.try_kubectl("create", "-n", namespace, "-f", "-", input=job.text)
        assert (created.returncode, created.stderr) == (0, "")
    for job in jobs:
        selector = f"--selector=batch.kubernetes.io/job-name={job.name}"
        fake_cluster.until(
            lambda selector=selector: fake_cluster.get("pods", "-n", namespace, selector)["items"],  # type: ignore[misc]
            what=f"{job.name} has a pod",
        )


def test_a_pod_of_the_example_runs_to_its_end(fake_cluster: Cluster, namespace: str) -> None:
    """The node's GPU, its taint and the affinity fit together: scheduled, run, complete."""
    fast = EXAMPLE.read_text(encoding="utf-8").replace("results: pvc://results/", "results: s3://bucket/x")
    gpu = "kubernetes:\n  gpu: {product: [NVIDIA-H100-80GB-HBM3], sharing: none}\n"
    job = rendered(fast.replace("kubernetes:\n", gpu)).jobs[0]
    fake_cluster.kubectl("create", "-n", namespace, "-f", "-", input=job.text)
    fake_cluster.kubectl("wait", "-n", namespace, "--for=condition=Complete", f"job/{job.name}", "--timeout=60s")
