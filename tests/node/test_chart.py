"""The chart on a real node: `helm test` says what the doctor finds, and the CronJob's pods collect."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kgen import names
from tests.chart.helm import CHART, Helm
from tests.cluster import build
from tests.cluster.fixtures import built
from tests.cluster.shell import Shell, sweep_text
from tests.node.client import RealNode

RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
SMALL = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
PROGRAM = 'import json\nprint(json.dumps({"step": 1, "accuracy": 0.95}))\n'


@pytest.fixture
def helm(node: RealNode, tmp_path: Path, request: pytest.FixtureRequest) -> Helm:
    return Helm(built(request.config, build.HELM) / "helm", tmp_path, node.cluster.kubeconfig)


@pytest.fixture
def values(image: str, tmp_path: Path) -> Path:
    repository, _, tag = image.rpartition(":")
    file = tmp_path / "values.yaml"
    chosen: dict[str, Any] = {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
        "results": {"claim": {"existingClaim": "results"}},
        "collector": {"enabled": True},
        "resources": SMALL,
    }
    file.write_text(json.dumps(chosen))
    return file


def test_helm_test_runs_the_doctor_and_what_it_finds_decides(
    node: RealNode, node_namespace: str, helm: Helm, values: Path
) -> None:
    node.cluster.kubectl("label", "namespace", node_namespace, RESTRICTED)
    node.claim(node_namespace)
    helm("install", "kgen", CHART, "-n", node_namespace, "--values", values)
    done = helm.attempt("test", "kgen", "-n", node_namespace, "--timeout=3m", "--logs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing that sweeps need is missing" in done.stdout

    helm("upgrade", "kgen", CHART, "-n", node_namespace, "--values", values, "--set", "rbac.create=false")
    assert helm.attempt("test", "kgen", "-n", node_namespace, "--timeout=3m").returncode
    said = node.cluster.kubectl("logs", "kgen-doctor", "-n", node_namespace)
    assert re.search(r"missing +rights .* jobs.batch create", said), "what is missing can be read: the pod stays"


def test_helm_test_fails_where_results_can_not_be_written(
    node: RealNode, node_namespace: str, helm: Helm, values: Path
) -> None:
    node.claim(node_namespace, read_only=True)
    helm("install", "kgen", CHART, "-n", node_namespace, "--values", values)
    assert helm.attempt("test", "kgen", "-n", node_namespace, "--timeout=3m").returncode
    assert "/results" in node.cluster.kubectl("logs", "kgen-doctor", "-n", node_namespace)


def test_the_charts_collector_writes_tables_and_page_beside_the_rows(
    node: RealNode, node_namespace: str, node_shell: Shell, helm: Helm, values: Path, image: str
) -> None:
    node.cluster.kubectl("label", "namespace", node_namespace, RESTRICTED)
    folder = node.claim(node_namespace)
    helm("install", "kgen", CHART, "-n", node_namespace, "--values", values)
    node_shell.write(PROGRAM, "train.py")
    text = sweep_text(
        "first",
        "{x: [1, 2]}",
        results="pvc://results/sweeps",
        image=image,
        trainer=", command: [python, train.py], metrics: stdout, files: [train.py]",
        resources="{nvidia.com/gpu: 0, cpu: 50m, memory: 256Mi, ephemeral-storage: 100Mi}",
        service_account="kgen-trial",
        tolerations="[]",
    )
    node_shell.submit(text, "--yes", "--wait")

    node.cluster.kubectl("create", "job", "now", "--from=cronjob/kgen-collector", "-n", node_namespace)

    def ended() -> str:
        """How it ended; an empty text while it works."""
        conditions = node.cluster.get("job", "now", "-n", node_namespace)["status"].get("conditions", [])
        return next((each["type"] for each in conditions if each["type"] in ("Complete", "Failed")), "")

    how = node.cluster.until(ended, 180, "the collector has ended")
    assert how == "Complete", node.cluster.kubectl("logs", "job/now", "-n", node_namespace)
    sweep = folder / "sweeps" / "first"
    certificate = json.loads((sweep / names.COLLECTED_DIR / names.CERTIFICATE_FILE).read_text())
    assert certificate["complete"] is True
    assert (sweep / names.REPORT_DIR / names.PAGE_FILE).is_file()
