"""Several trials in one real pod: as `kgen run`, killed in the middle, and with one that can't be trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kgen import names
from kgen.results.rows import State, TrialRow, bytes_to_rows
from kgen.spec import Timing
from tests.node.client import RealNode
from tests.node.digits import NAME, run_here, sweep_text
from tests.node.terminal import Terminal

RATES = ["1e-6", "1e-5", "1e-4", "0.003", "0.005", "0.01"]
PACKS = "execution: {{trials_per_pod: {0}}}\n"
TRAINERS = Path(__file__).parent / "trainers"
GATES = """\
version: 1
name: gates
parameters: {{x: {{int: {{start: 0, stop: {last}}}}}}}
budget: {{steps: 10}}
objective: {{metric: loss}}
trainer: {{image: {image}, command: [python, gates.py], files: [gates.py]}}
execution: {{packing: {packing}, trials_per_pod: {number}}}
results: pvc://results/sweeps
kubernetes:
  resources: {{nvidia.com/gpu: 0, cpu: 100m, memory: 256Mi, ephemeral-storage: 100Mi}}
  image_pull_policy: IfNotPresent
  deadline: 10m
  backoff_limit: 1
"""


@pytest.fixture
def terminal(node: RealNode, tmp_path: Path) -> Iterator[Terminal]:
    """A folder and a namespace with a claim for results."""
    terminal = Terminal.open(node, tmp_path)
    yield terminal
    terminal.close()


def rows(sweep: Path) -> list[TrialRow]:
    """All rows of a sweep whose results lie in this folder."""
    return [row for file in (sweep / "rows").glob("*.parquet") for row in bytes_to_rows(file.read_bytes())]


def course(row: TrialRow) -> object:
    """What must not depend on where a trial ran, and with whom."""
    points = [(point.step, point.metric, point.value) for point in row.curve]
    return row.outcome, row.steps, row.steps_to_target, [(m.metric, m.final) for m in row.metrics], points


def test_as_kgen_run(terminal: Terminal, image: str) -> None:
    """Twelve trials in two pods: to the bit the rows of one machine, whose tiles had other trials in them."""
    claim = terminal.node.claim(terminal.namespace)
    text = sweep_text(image, ["adam", "sgd"], RATES, steps=300) + PACKS.format(6)
    terminal.write("sweep.yaml", text)
    submitted = terminal.kgen("submit", "sweep.yaml", "--wait").ok()
    assert f"all 12 trials of sweep/{NAME} succeeded" in submitted.out
    assert len(terminal.get("jobs")["items"]) == 2
    run_here(terminal, text)
    pods, here = (
        {row.trial: row for row in rows(folder / NAME) if row.state is State.COMPLETE}
        for folder in (claim / "sweeps", terminal.folder / "here" / "results")
    )
    assert len(pods) == 12
    assert {trial: course(row) for trial, row in pods.items()} == {trial: course(row) for trial, row in here.items()}
    assert {row.timing for row in pods.values()} == {Timing.SHARED}
    assert {row.outcome for row in pods.values()} >= {"reached", "capped"}


def submit_gates(terminal: Terminal, image: str, packing: str, number: int) -> tuple[Path, Path]:
    """A pack of trials that end when their gates are open; the folders of the claim and of the sweep's results."""
    claim = terminal.node.claim(terminal.namespace)
    terminal.write("gates.py", (TRAINERS / "gates.py").read_text())
    terminal.write("sweep.yaml", GATES.format(image=image, packing=packing, number=number, last=number - 1))
    return claim, claim / "sweeps" / "gates"


def pack_pod(terminal: Terminal) -> dict[str, Any]:
    """The only pod of the pack."""
    (pod,) = terminal.get("pods", f"--selector={names.LABEL_PACK}")["items"]
    return dict(pod)


def by_x(sweep: Path, attempt: str) -> dict[int, str]:
    """How an attempt's trials stand."""
    found = [row for row in rows(sweep) if row.attempt == attempt]
    assert len({row.trial for row in found}) == len(found)
    return {int(row.parameters["x"]): str(row.state) for row in found}


@pytest.mark.parametrize("how", ["killed", "deleted"])
def test_the_next_pod_takes_only_what_lacks_a_row(terminal: Terminal, image: str, how: str) -> None:
    """One that is deleted in order says of those that it trained that they were interrupted."""
    claim, sweep = submit_gates(terminal, image, "fused", 4)
    for x in (0, 2):
        (claim / f"open-{x}").touch()
    terminal.kgen("submit", "sweep.yaml", "--yes").ok()
    terminal.node.cluster.until(lambda: len(rows(sweep)) == 2, 240, "the rows of those whose gates are open")
    first = pack_pod(terminal)["metadata"]
    at_once = ["--grace-period=0", "--force"] if how == "killed" else []
    terminal.kubectl("delete", "pod", first["name"], *at_once)
    if how == "deleted":
        assert by_x(sweep, first["uid"]) == {0: "complete", 1: "interrupted", 2: "complete", 3: "interrupted"}
        assert {row.exit_reason for row in rows(sweep) if row.state is State.INTERRUPTED} == {"SIGTERM"}
    for x in (1, 3):
        (claim / f"open-{x}").touch()
    assert terminal.kgen("wait", "gates", "--timeout", "4m").code == 0
    second = pack_pod(terminal)["metadata"]
    assert second["uid"] != first["uid"]
    assert by_x(sweep, second["uid"]) == {1: "complete", 3: "complete"}
    assert {x for x, state in by_x(sweep, first["uid"]).items() if state == "complete"} == {0, 2}


def test_one_after_another_and_one_that_takes_the_process_with_it(terminal: Terminal, image: str) -> None:
    """It has its next turn after the others: in the second pod they get their results."""
    claim, sweep = submit_gates(terminal, image, "sequential", 5)
    for x in range(5):
        (claim / f"open-{x}").touch()
    (claim / "crash-1").touch()
    waited = terminal.kgen("submit", "sweep.yaml", "--wait", "--yes")
    assert waited.code == 1, waited
    attempts = {row.parameters["x"]: row.attempt for row in rows(sweep)}
    assert {row.state for row in rows(sweep)} == {State.COMPLETE}
    assert attempts.keys() == {0, 2, 3, 4}
    assert attempts[2] == attempts[3] == attempts[4] != attempts[0]
    assert len(list((sweep / "rows").glob("*.parquet"))) == 4
    (claim / "crash-1").unlink()
    terminal.kgen("retry", "gates", "--failed").ok()
    assert terminal.kgen("wait", "gates", "--timeout", "4m").code == 0
    assert sorted(int(row.parameters["x"]) for row in rows(sweep)) == [0, 1, 2, 3, 4]


def test_one_that_can_not_be_trained_fails_alone(terminal: Terminal, image: str) -> None:
    """Rows in a claim can't be read from here: the pod's last message tells whose failure it was."""
    terminal.node.claim(terminal.namespace)
    text = sweep_text(image, ["adam", "adamant"], ["0.01", "0.02", "0.03"], steps=200) + PACKS.format(6)
    terminal.write("sweep.yaml", text)
    waited = terminal.kgen("submit", "sweep.yaml", "--wait", "--yes")
    assert waited.code == 1, waited
    found = {(t["parameters"]["optimizer"], t["state"], t["reason"]) for t in terminal.trials(NAME)}
    assert found == {("adam", "Succeeded", "RowsUnchecked"), ("adamant", "Failed", "BadParameters")}
    (failed,) = {t["message"] for t in terminal.trials(NAME) if t["state"] == "Failed"}
    assert "adamant" in failed
