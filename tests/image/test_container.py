"""The image at work: as its own user, with a read-only root, without a network."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kgen import names
from kgen.errors import TrialExit
from kgen.results.rows import Outcome, State, TrialRow, bytes_to_rows
from kgen.spec import Budget, Target, TrialSpec, Value
from tests.image import build
from tests.image.container import Machine, Running, writable

TRAINER = ("python", "-m", "kgen_trainer")
RESULTS = "/results"
USER = 10001
FAST: dict[str, Value] = {"optimizer": "adam", "learning_rate": 0.01}
SWEEP = """\
version: 1
name: inside
parameters: {learning_rate: [0.01, 0.1]}
budget: {target: {train_accuracy: 0.5}, steps: 100}
"""


def environment(config: Mapping[str, Any] | None = None, budget: Budget | None = None) -> dict[str, str]:
    """What a pod of one trial has."""
    budget = budget or Budget(target=Target("train_accuracy", 0.5), steps=200)
    spec = TrialSpec("aaaaaaaaaa", "sweep", "main", FAST, 1, budget, config=config or {})
    return {
        names.ENV_TRIAL: spec.to_json(),
        names.ENV_RESULTS: f"{RESULTS}/sweep",
        names.ENV_ATTEMPT: "attempt",
        names.ENV_IMAGE: "registry.example/kgen-trainer:test",
        names.ENV_GPUS: "0",
    }


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A volume."""
    return writable(tmp_path / "results", USER)


def only_row(results: Path) -> TrialRow:
    (file,) = results.rglob("*.parquet")
    (row,) = bytes_to_rows(file.read_bytes())
    return row


def wait_for(running: Running, condition: Callable[[str], bool]) -> None:
    """Until the container's output is as wished."""
    for output in running.outputs():
        if condition(output):
            return
    raise AssertionError(f"it ended before:\n{running.output}")


def test_a_trial_trains_and_leaves_a_row_that_names_the_images_revision(machine: Machine, results: Path) -> None:
    ended = machine.run(*TRAINER, environment=environment(), mounts={RESULTS: results})
    assert ended.code == 0, ended.output
    assert f"kgen_trainer: kgen 0.1.0 (revision {build.REVISION}), Keras 3." in ended.output
    assert "GPUs asked for 0, visible 0" in ended.output
    row = only_row(results)
    assert (row.outcome, row.environment.framework) == (Outcome.REACHED, "tensorflow")
    assert (row.environment.image, row.environment.revision) == (
        "registry.example/kgen-trainer:test",
        build.REVISION,
    )


def test_a_sweeps_own_name_for_the_code_wins_over_the_images_revision(machine: Machine, results: Path) -> None:
    given = environment({"data": "/nowhere.npz", "dataset": "npz"}) | {names.ENV_REVISION: "v7"}
    machine.run(*TRAINER, environment=given, mounts={RESULTS: results})
    assert only_row(results).environment.revision == "v7"


def test_sigterm_ends_a_trial_with_an_interrupted_row(machine: Machine, results: Path) -> None:
    endless = environment(budget=Budget(steps=10**9))
    with machine.start(*TRAINER, environment=endless, mounts={RESULTS: results}) as running:
        wait_for(running, lambda output: "step" in output.partition("kgen_trainer: kgen")[2])
        running.signal(signal.SIGTERM)
        ended = running.wait()
    row = only_row(results)
    assert (ended.code, row.state, row.exit_reason) == (TrialExit.INTERRUPTED, State.INTERRUPTED, "SIGTERM")
    assert row.steps > 0


def test_a_gpu_that_was_asked_for_and_is_not_there_ends_the_trial(machine: Machine, results: Path) -> None:
    asked = environment() | {names.ENV_GPUS: "1"}
    ended = machine.run(*TRAINER, environment=asked, mounts={RESULTS: results})
    assert ended.code == TrialExit.NO_DEVICE, ended.output
    row = only_row(results)
    assert (row.state, row.steps) == (State.FAILED, 0)
    assert "asks for 1 GPU(s)" in row.exit_reason
    assert "use an image with the extra cuda" in row.exit_reason


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"dataset": "npz", "data": "/data/none.npz"}, "/data/none.npz: no such file"),
        ({"dataset": "mnist"}, "mnist could not be downloaded"),
    ],
    ids=["path", "network"],
)
def test_data_that_is_not_there_ends_the_trial(
    machine: Machine, results: Path, config: dict[str, str], said: str
) -> None:
    ended = machine.run(*TRAINER, environment=environment(config), mounts={RESULTS: results})
    assert ended.code == TrialExit.NO_DATA, ended.output
    row = only_row(results)
    assert (row.state, row.steps) == (State.FAILED, 0)
    assert said in row.exit_reason


def test_a_volume_that_can_not_be_written_is_said_before_training(machine: Machine, results: Path) -> None:
    mounted: dict[str, Any] = {"mounts": {RESULTS: results}, "read_only": (RESULTS,)}
    ended = machine.run(*TRAINER, environment=environment(), **mounted)
    assert ended.code == TrialExit.NO_DATA, ended.output
    assert RESULTS in ended.output
    assert "kgen_trainer: kgen" not in ended.output


def test_nothing_but_tmp_can_be_written_and_it_is_not_root(machine: Machine) -> None:
    script = """
import os, pathlib
print(os.getuid(), os.getgid(), pathlib.Path.home())
for place in ("/opt/kgen/x", "/x", "/tmp/x"):
    try:
        pathlib.Path(place).touch()
    except OSError as error:
        print(place, error.strerror)
"""
    ended = machine.run("python", "-c", script)
    said = ["10001 10001 /tmp", "/opt/kgen/x Read-only file system", "/x Read-only file system"]
    assert ended.output.splitlines() == said


def test_its_entry_point_is_kgen(machine: Machine) -> None:
    assert machine.run(arguments=("--version",)).output.split()[-1] == "0.1.0"
    assert "Commands:" in machine.run().output


def test_everything_of_kgen_can_be_imported(machine: Machine) -> None:
    script = """
import importlib, pkgutil, shutil, kgen, kgen_trainer
for package in (kgen, kgen_trainer):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
import kubernetes.client, kubernetes.config, matplotlib.backends.backend_pdf, obstore.store
print(*(shutil.which(name) for name in ("kgen", "kgen-trial", "kubectl-kgen", "python")))
"""
    ended = machine.run("python", "-W", "error::ImportWarning", "-c", script)
    assert ended.code == 0, ended.output
    programs = "/opt/kgen/bin/kgen /opt/kgen/bin/kgen-trial /opt/kgen/bin/kubectl-kgen /opt/kgen/bin/python"
    assert ended.output.splitlines()[-1] == programs


def test_a_sweep_runs_in_it_from_the_file_to_the_page(machine: Machine, tmp_path: Path) -> None:
    work = writable(tmp_path / "work", USER)
    (work / "sweep.yaml").write_text(SWEEP)
    script = "cd /work && kgen check && kgen run && kgen collect && kgen report"
    ended = machine.run("sh", "-ec", script, mounts={"/work": work})
    assert ended.code == 0, ended.output
    assert json.loads((work / "results/inside/collected/certificate.json").read_text())["complete"] is True
    assert (work / "results/inside/report/index.html").stat().st_size > 10_000
    assert list((work / "results/inside/figures").glob("*.pdf"))


def test_a_cluster_that_is_not_there_is_one_line(machine: Machine, tmp_path: Path) -> None:
    work = writable(tmp_path / "work", USER)
    (work / "sweep.yaml").write_text(f"{SWEEP}trainer: {{image: x}}\nresults: pvc://claim/x\n")
    ended = machine.run("sh", "-ec", "cd /work && kgen submit --yes", mounts={"/work": work})
    assert ended.code in (2, 3), ended.output
    assert "Traceback" not in ended.output
