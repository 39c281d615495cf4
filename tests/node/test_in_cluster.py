"""`--in-cluster` with real pods: a submitter that is killed in the middle, and a collector next to the rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from kgen import names
from kgen.results.rows import State
from tests.cluster.planned import submitter_kubeconfig
from tests.cluster.pods import created_jobs
from tests.cluster.shell import sweep_text
from tests.node.client import RealNode
from tests.node.terminal import Rows, Terminal

SETTINGS = {
    "resources": "{nvidia.com/gpu: 0, cpu: 50m, memory: 256Mi, ephemeral-storage: 100Mi}",
    "image_pull_policy": "IfNotPresent",
    "tolerations": "[]",
}
PROGRAM = """\
import json, time
for step in range(1, 5):
    time.sleep(0.5)
    print(json.dumps({"step": step, "accuracy": 0.25 * step}), flush=True)
"""
EITHER = """\
from kgen.trial import Trial, main

def train(trial: Trial) -> None:
    hoard = []
    trial.report(step=1, accuracy=0.1)
    while trial.parameters["fate"] == "hoard":
        hoard.append(b"x" * (1 << 20))
    trial.report(step=2, accuracy=0.95)

main(train)
"""
SUBMITTER = "--selector=app.kubernetes.io/component=submit"
TRIALS = f"--selector={names.LABEL_TRIAL}"


@pytest.fixture
def terminal(node: RealNode, tmp_path: Path) -> Iterator[Terminal]:
    """In a namespace with the accounts and rights of `manifests/`, where only restricted pods are let in."""
    opened = Terminal.open(node, tmp_path)
    submitter_kubeconfig(node.cluster, opened.namespace)
    enforced = "pod-security.kubernetes.io/enforce=restricted"
    node.cluster.kubectl("label", "namespace", opened.namespace, enforced)
    yield opened
    opened.close()


def test_a_submitter_whose_pod_is_killed_ends_as_if_nothing_had_been(
    node: RealNode, terminal: Terminal, image: str
) -> None:
    folder = node.claim(terminal.namespace)
    terminal.write("train.py", PROGRAM)
    terminal.write(
        "sweep.yaml",
        sweep_text(
            "first", "{x: [1, 2, 3, 4, 5, 6]}", results="pvc://results/sweeps", image=image,
            trainer=", command: [python, train.py], metrics: stdout, files: [train.py]",
            more="execution: {max_parallel: 2}\n", **SETTINGS,
        ),
    )  # fmt: skip
    after = node.cluster.audit_position()
    terminal.kgen("submit", "sweep.yaml", "--in-cluster", "--yes").ok()

    def submitters() -> list[str]:
        return terminal.kubectl("get", "pods", SUBMITTER, "--field-selector=status.phase=Running", "-o", "name").split()

    node.cluster.until(lambda: len(terminal.get("jobs", TRIALS)["items"]) >= 3, 120, "some Jobs are there")
    (first,) = submitters()
    terminal.kubectl("delete", first, "--grace-period=0", "--force")
    waited = terminal.kgen("wait", "first", "--timeout", "5m")
    assert waited.code == 0, waited
    terminal.kubectl("wait", "--for=condition=Complete", "job/kgen-submit-first", "--timeout=120s")
    log = terminal.kubectl("logs", "job/kgen-submit-first")
    assert "all 6 trials of sweep/first succeeded" in log
    (pod,) = terminal.kubectl("get", "pods", SUBMITTER, "-o", "name").split()
    assert pod != first

    made = created_jobs(node.cluster, terminal.namespace, after)
    trials = [trial["trial"] for trial in terminal.trials("first")]
    assert made == dict.fromkeys([f"first-{trial}" for trial in trials] + ["kgen-submit-first"], 1)
    for trial in trials:
        [row] = Rows(folder / "sweeps" / "first").of(trial)
        assert row.state is State.COMPLETE


def test_a_collector_beside_the_rows_knows_what_no_row_says(node: RealNode, terminal: Terminal, image: str) -> None:
    folder = node.claim(terminal.namespace) / "sweeps" / "mixed"
    terminal.write("either.py", EITHER)
    terminal.write(
        "sweep.yaml",
        sweep_text(
            "mixed", "{fate: [success, hoard]}", results="pvc://results/sweeps", image=image,
            trainer=", command: [python, either.py], files: [either.py]", **SETTINGS,
        ),
    )  # fmt: skip
    terminal.kgen("submit", "sweep.yaml", "--yes").ok()
    terminal.until("mixed", "Succeeded", fate="success")
    terminal.until("mixed", "Failed:OutOfMemory", fate="hoard")
    done = terminal.kgen("collect", "sweep.yaml", "--in-cluster")
    assert done.code == 0, done
    assert done.lines[0] == "1 of 2 trials have a result"
    assert done.lines[-1] == "report: /results/sweeps/mixed/report/index.html"
    assert not terminal.kubectl("get", "jobs", f"--selector=!{names.LABEL_TRIAL}", "-o", "name")
    table = pd.read_parquet(folder / "collected/trials.parquet").set_index("param.fate")
    assert list(table["status"]) == ["reached", "failed"]
    assert "OutOfMemory: killed for using more than its memory (256Mi)" in str(table.loc["hoard", "exit_reason"])
    assert table["image_digest"].str.fullmatch("sha256:[0-9a-f]{64}").all()
    assert table["image_digest"].nunique() == 1
    assert (folder / "report/index.html").stat().st_size > 0
    assert list((folder / "figures").iterdir())
