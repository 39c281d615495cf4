"""Two stages of real trials on a node: a grid, and its best with repeats, from a laptop and from inside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from kgen.choice import Choice
from kgen.names import LABEL_STAGE
from tests.cluster.planned import submitter_kubeconfig
from tests.cluster.pods import created_jobs
from tests.node.client import RealNode
from tests.node.terminal import Terminal, finish

TEXT = """\
version: 1
name: {name}
seed: 3141592
trainer:
  image: {image}
  config: {{dataset: digits, model: cnn-small, batch_size: 100}}
results: pvc://results/sweeps
execution: {{trials_per_pod: 6}}
stages:
  - name: grid
    parameters: {{optimizer: [sgd, adam], learning_rate: [0.01, 0.1, 10]}}
    budget: {{target: {{train_accuracy: 0.4}}, steps: 300, check_every_steps: 50}}
  - name: best
    parameters: {{from: {{stage: grid, per: optimizer}}}}
    repeats: 2
    budget: {{steps: 100, evaluate_every_steps: 50}}
    objective: {{metric: val_accuracy, goal: maximize, at: best}}
kubernetes:
  resources: {{nvidia.com/gpu: 0, cpu: 900m, memory: 1500Mi, ephemeral-storage: 100Mi}}
  image_pull_policy: IfNotPresent
  deadline: 30m
"""


@pytest.fixture
def terminal(node: RealNode, tmp_path: Path) -> Iterator[Terminal]:
    """In a namespace with the accounts and rights of `manifests/`."""
    opened = Terminal.open(node, tmp_path)
    submitter_kubeconfig(node.cluster, opened.namespace)
    yield opened
    opened.close()


def test_both_stages_from_here_and_from_inside(node: RealNode, terminal: Terminal, image: str) -> None:
    claim = node.claim(terminal.namespace) / "sweeps"
    after = node.cluster.audit_position()
    terminal.write("here.yaml", TEXT.format(name="here", image=image))
    submitted = finish(terminal.start("submit", "here.yaml", "--wait", "--yes"), timeout=480)
    assert submitted.code == 0, submitted
    assert "all 10 trials of sweep/here succeeded" in submitted.out
    reported = terminal.kgen("report", "here.yaml")
    assert reported.code == 0, reported
    here = chosen(terminal, "here", terminal.folder / "results/here")
    assert not (claim / "here/choices").exists()

    terminal.write("inside.yaml", TEXT.format(name="inside", image=image))
    terminal.kgen("submit", "inside.yaml", "--in-cluster", "--yes").ok()
    waited = terminal.kgen("wait", "inside", "--timeout", "8m")
    assert waited.code == 0, waited
    terminal.kubectl("wait", "--for=condition=Complete", "job/kgen-submit-inside", "--timeout=120s")
    collected = terminal.kgen("collect", "inside.yaml", "--in-cluster")
    assert collected.lines[0] == "10 of 10 trials have a result: complete", collected
    inside = chosen(terminal, "inside", claim / "inside")

    # The same trials with the same results: the same choice, but for the last bits of another processor's share.
    assert [one.best for one in here.chosen] == [one.best for one in inside.chosen]
    made = created_jobs(node.cluster, terminal.namespace, after)
    assert set(made.values()) == {1}
    stages = [
        job["metadata"]["labels"][LABEL_STAGE] for job in terminal.get("jobs", f"--selector={LABEL_STAGE}")["items"]
    ]
    assert sorted(stages) == ["best"] * 2 + ["grid"] * 2


def chosen(terminal: Terminal, sweep: str, results: Path) -> Choice:
    """What the second stage took, as results and cluster have it; its trials are the best ones of the first."""
    choice = Choice.from_json((results / "choices/best.json").read_text())
    held = terminal.get("configmap", f"kgen-sweep-{sweep}")["data"]["choice-best.json"]
    assert Choice.from_json(held) == choice
    table = pd.read_parquet(results / "collected/trials.parquet")
    grid, best = table[table["stage"] == "grid"], table[table["stage"] == "best"]
    assert (len(grid), len(best)) == (6, 4)
    for optimizer, own in best.groupby("param.optimizer"):
        tried = grid[grid["param.optimizer"] == optimizer].dropna(subset="steps_to_target")
        assert set(own["param.learning_rate"]) <= set(tried["param.learning_rate"])
    return choice
