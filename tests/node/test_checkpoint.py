"""A pod that is deleted in the middle: the Job's next pod goes on from the checkpoint on the volume."""

from __future__ import annotations

from pathlib import Path

from kgen.results.rows import State, TrialRow, bytes_to_rows
from kgen.spec import Timing
from kgen_trainer.checkpoint import FILE
from tests.cluster.shell import Shell
from tests.node.client import RealNode

SWEEP = """\
version: 1
name: {name}
parameters: {{learning_rate: [0.002]}}
budget: {{steps: 1000, target: {{val_accuracy: 1}}, check_every_steps: 10, evaluate_every_steps: 500}}
trainer: {{image: {image!r}, config: {{checkpoint_every_seconds: 0.1}}}}
results: pvc://results/x
kubernetes:
  deadline: 10m
  image_pull_policy: IfNotPresent
  resources: {{nvidia.com/gpu: 0, cpu: 500m, memory: 1Gi, ephemeral-storage: 1Gi}}
"""


def submit(shell: Shell, image: str, name: str) -> None:
    shell.submit(SWEEP.format(name=name, image=image), "--yes")


def rows(volume: Path, name: str) -> list[TrialRow]:
    files = (volume / "x" / name / "rows").glob("*.parquet")
    return [row for file in files for row in bytes_to_rows(file.read_bytes())]


def result(shell: Shell, volume: Path, name: str) -> TrialRow:
    shell.kgen("wait", name, "--timeout", "5m").ok()
    (row,) = [row for row in rows(volume, name) if row.state is State.COMPLETE]
    return row


def curve(row: TrialRow) -> list[tuple[int, str, float]]:
    return [(point.step, point.metric, point.value) for point in row.curve]


def test_the_next_pod_goes_on_where_the_deleted_one_was(node: RealNode, node_shell: Shell, image: str) -> None:
    volume = node.claim(node_shell.namespace)
    submit(node_shell, image, "cut")
    submit(node_shell, image, "whole")
    kept = volume / "x" / "cut" / "checkpoints"
    node_shell.cluster.until(lambda: list(kept.glob(f"*/{FILE}")), timeout=180, what="the first checkpoint")
    (first,) = node_shell.pods("cut")
    node_shell.kubectl("delete", "pod", first, "--grace-period=0", "--force")
    row = result(node_shell, volume, "cut")
    assert row.resumed_from_step
    assert 0 < row.resumed_from_step < row.steps == 1000
    assert row.timing is Timing.SHARED
    assert list(kept.glob(f"*/{FILE}")) == [], "it goes with the result"

    whole = result(node_shell, volume, "whole")
    assert (whole.trial, whole.resumed_from_step) == (row.trial, None)
    assert curve(row) == curve(whole), "to the bit"
