"""What real pods come to, and what kgen says of it: state, reason, words, attempts, rows.

All sweeps are submitted first (`fates`); then each test waits for its own. How long each verdict took is printed at the
end (`-s`) and kept with the test's result.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from kgen.backends.kubernetes.api import connect
from kgen.results.collect import collect
from kgen.results.folder import FolderStore
from kgen.results.rows import Outcome, State
from kgen.sweep import load
from kgen.sweep.expand import expand
from kgen.workflow.observe import SeenSweep, SeenTrial
from kgen.workflow.wait import wait
from tests.node import second
from tests.node.client import RealNode
from tests.node.fates import NOWHERE, Field, submitted


@pytest.fixture(scope="module")
def field(node: RealNode, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """Everything submitted."""
    with submitted(node, image, tmp_path_factory.mktemp("typed")) as field:
        yield field
    print("\nseconds from Job to verdict:")
    for what, seconds in field.seconds.items():
        print(f"{seconds:6.0f}  {what}")


@pytest.fixture(autouse=True)
def told(field: Field, record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Keeps the seconds to each verdict with the test."""
    before = set(field.seconds)
    yield
    for what in field.seconds.keys() - before:
        record_property(what, field.seconds[what])


class Silent:
    """Waits without a word."""

    def show(self, seen: SeenSweep, changed: list[SeenTrial]) -> None:
        """Nothing."""

    def say(self, line: str) -> None:
        """Nothing."""


# -- ends by itself


def test_success(field: Field) -> None:
    trial = field.ended("ends", "success", "Succeeded:RowsUnchecked")
    [row] = field.rows("ends").of(trial["trial"])
    assert (row.state, row.outcome, row.steps) == (State.COMPLETE, Outcome.REACHED, 2)
    assert row.attempt == field.pod(trial)["metadata"]["uid"]
    assert row.environment.node == field.terminal.node.name
    said = field.terminal.kgen("logs", trial["job"]).ok().out
    assert "the training begins\n" in said


def test_bad_parameters_are_tried_once(field: Field) -> None:
    trial = field.ended("ends", "refused", "Failed:BadParameters")
    assert (trial["attempts"], trial["exit_code"]) == (1, 64)
    assert trial["message"] == (
        "the trainer refuses its parameters (exit code 64): "
        "BadParametersError: python ended with code 64: a learning rate below 0"
    )
    [row] = field.rows("ends").of(trial["trial"])
    assert (row.state, row.exit_code) == (State.FAILED, 64)


def test_a_crash_is_tried_again(field: Field) -> None:
    trial = field.ended("ends", "crash", "Failed:Crash")
    assert trial["attempts"] == 2
    assert trial["message"].endswith("ValueError: a bug of the trainer")
    rows = field.rows("ends").of(trial["trial"])
    assert [row.state for row in rows] == [State.FAILED] * 2
    assert len({row.attempt for row in rows}) == 2


def test_out_of_memory(field: Field) -> None:
    """Whoever is killed for memory is another process than the one that writes the row."""
    trial = field.ended("ends", "hoard", "Failed:OutOfMemory")
    assert trial["attempts"] == 2
    assert "more than its memory (256Mi)" in trial["message"]
    assert [row.state for row in field.rows("ends").of(trial["trial"])] == [State.FAILED] * 2


def test_out_of_memory_without_a_row(field: Field) -> None:
    """The whole trial is killed."""
    trial = field.ended("hoard", "own", "Failed:OutOfMemory")
    assert (trial["attempts"], trial["exit_code"]) == (1, 137)
    assert field.rows("hoard").of(trial["trial"]) == []


def test_deadline(field: Field) -> None:
    trial = field.ended("deadline", "waits", "Failed:DeadlineExceeded")
    assert trial["attempts"] == 1
    [row] = field.rows("deadline").until(field.terminal.node, trial["trial"])
    assert row.state is State.INTERRUPTED
    assert row.exit_reason == "SIGTERM"


@pytest.mark.parametrize(("name", "words"), [("full", "No space left on device"), ("frozen", "Read-only file system")])
def test_a_volume_that_takes_no_row_is_said_before_any_training(field: Field, name: str, words: str) -> None:
    trial = field.ended(name, "success", "Failed:NoData")
    assert (trial["attempts"], trial["exit_code"]) == (1, 66)
    assert words in trial["message"]
    assert "the training begins" not in field.terminal.kgen("logs", trial["job"]).ok().out
    assert field.rows(name, name).of(trial["trial"]) == []


def test_no_gpu_is_no_reason_to_train_on_the_processor(field: Field) -> None:
    trial = field.ended("gpu", "none", "Failed:NoDevice")
    assert trial["exit_code"] == 65
    assert trial["message"].startswith("the trainer sees no GPU (exit code 65): DeviceError: ")
    assert not [row for row in field.rows("gpu").of(trial["trial"]) if row.steps]


# -- never starts


def test_an_image_without_the_program(field: Field) -> None:
    trial = field.ended("foreign", "success", "Failed:ConfigError")
    assert trial["message"].startswith("the image has no program kgen-trial")


def test_an_image_that_can_not_be_pulled(field: Field) -> None:
    trial = field.terminal.until("nowhere", "Pending:ImagePull")
    words = f"image {NOWHERE} can't be pulled: the registry does not answer"
    assert trial["message"] == words
    api = connect(field.terminal.folder / "kubeconfig", None, None)
    # Somebody for whom minutes are seconds waits until it is given up.
    waited = wait(api, "nowhere", Silent(), clock=lambda: 100 * time.monotonic())
    assert words in waited.verdict.give_up[trial["trial"]]


# -- the cluster ends it


def test_too_much_on_disk(field: Field) -> None:
    trial = field.ended("litter", "litter", "Failed:Evicted")
    assert trial["attempts"] == 1
    assert trial["message"] == 'evicted: Usage of EmptyDir volume "scratch" exceeds the limit "16Mi"'
    # It is given a second: enough for a row on a machine that does nothing else.
    assert {row.state for row in field.rows("litter").of(trial["trial"])} <= {State.INTERRUPTED}


def test_evicted_through_the_api(field: Field) -> None:
    """As `kubectl drain` does it: the next attempt does not count as another one after a crash."""
    node, rows = field.terminal.node, field.rows("patient")
    trial = field.terminal.until("patient", "Running", fate="moved")
    begun = rows.folder / "checkpoints" / trial["trial"] / "begun"
    node.cluster.until(begun.exists, 60, "the first attempt is at work")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": trial["pod"]}}
    path = f"/api/v1/namespaces/{field.terminal.namespace}/pods/{trial['pod']}/eviction"
    node.cluster.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(eviction))
    trial = field.ended("patient", "moved", "Succeeded:RowsUnchecked")
    assert not field.terminal.get("job", trial["job"])["status"].get("failed")
    assert [row.state for row in rows.of(trial["trial"])] == [State.INTERRUPTED, State.COMPLETE]


def test_its_node_is_gone(field: Field) -> None:
    """The trial waits for another one like it; the attempt does not count."""
    trial = field.terminal.until("lost", "Pending:Unschedulable", timeout=180)
    assert trial["message"] == (
        f"the one node lacks the labels that it asks for (kubernetes.io/hostname={second.NAME}); "
        "attempt 2, after: its last pod was taken away: drained, evicted or lost with its node"
    )
    assert not field.terminal.get("job", trial["job"])["status"].get("failed")


# -- somebody ends it


def test_a_deleted_pod_leaves_a_row_and_the_next_one_goes_on(field: Field) -> None:
    node, rows = field.terminal.node, field.rows("patient")
    trial = field.terminal.until("patient", "Running", fate="again")
    begun = rows.folder / "checkpoints" / trial["trial"] / "begun"
    node.cluster.until(begun.exists, 60, "the first attempt is at work")
    field.terminal.kubectl("delete", "pod", trial["pod"], "--wait=false")
    trial = field.ended("patient", "again", "Succeeded:RowsUnchecked")
    assert trial["attempts"] == 2
    first, second = rows.of(trial["trial"])
    assert (first.state, first.exit_reason) == (State.INTERRUPTED, "SIGTERM")
    assert second.state is State.COMPLETE


def test_started_twice(field: Field) -> None:
    """Two attempts end together, one row is accepted; a third finds it and does nothing."""
    terminal, rows = field.terminal, field.rows("patient")
    trial = terminal.until("patient", "Running", fate="twin")
    original = terminal.get("pod", trial["pod"])

    def twin(name: str) -> None:
        spec = {key: value for key, value in original["spec"].items() if key not in ("nodeName", "priority")}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        terminal.node.cluster.apply(pod, namespace=terminal.namespace)

    twin("twin")
    terminal.kubectl("wait", "pod/twin", "--for=condition=Ready", "--timeout=60s")
    begun = lambda: "the training begins" in terminal.kubectl("logs", "twin")  # noqa: E731
    terminal.node.cluster.until(begun, what="the second attempt is at work")
    go = rows.folder / "checkpoints" / trial["trial"] / "go"
    go.parent.mkdir(parents=True, exist_ok=True)
    go.touch()
    done = "--for=jsonpath={.status.phase}=Succeeded"
    terminal.kubectl("wait", "pod/twin", done, "--timeout=60s")
    field.ended("patient", "twin", "Succeeded:RowsUnchecked")
    both = rows.of(trial["trial"])
    assert [row.state for row in both] == [State.COMPLETE] * 2

    twin("late")
    terminal.kubectl("wait", "pod/late", done, "--timeout=60s")
    assert "has a result already" in terminal.kubectl("logs", "late")
    assert len(rows.of(trial["trial"])) == 2

    spec = load(terminal.folder / "patient.yaml")
    [expected] = [each for each in expand(spec) if each.id == trial["trial"]]
    results = collect(FolderStore(rows.folder), [expected])
    [double] = results.certificate.duplicates
    assert both[0].attempt in double.accepted
    assert len(double.others) == 1


def test_sigterm_is_heard_while_the_trainer_imports(field: Field) -> None:
    """The first process of a container ignores signals that it does not handle."""
    terminal = field.terminal
    trial = terminal.until("slow", "Running")
    terminal.node.cluster.until(lambda: "imports" in terminal.kubectl("logs", trial["pod"]), what="it imports")
    here = f"--namespace={terminal.namespace}"
    kill = ["python", "-c", "import os; os.kill(1, 15)"]
    terminal.node.cluster.try_kubectl("exec", trial["pod"], here, "--", *kill)  # it may end with its container
    trial = terminal.until("slow", "Failed:Interrupted")
    assert trial["exit_code"] == 143


def test_cancelled_trials_leave_rows(field: Field) -> None:
    """Also where the trainer does not heed SIGTERM."""
    terminal = field.terminal
    running = [terminal.until("cancelled", "Running", fate=fate) for fate in ("waits", "stubborn")]
    for trial in running:
        work = lambda name=trial["pod"]: '"step"' in terminal.kubectl("logs", name)  # noqa: E731
        terminal.node.cluster.until(work, what=f"{trial['pod']} is at work")
    terminal.kgen("cancel", "cancelled", "--yes").ok()
    for trial in running:
        [row] = field.rows("cancelled").until(terminal.node, trial["trial"])
        assert (row.state, row.exit_reason, row.exit_code) == (State.INTERRUPTED, "SIGTERM", 143)
        assert terminal.until("cancelled", "Missing", **trial["parameters"])["job"] is None
