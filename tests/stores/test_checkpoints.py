"""Checkpoints of kgen's own trainer with results in a bucket: the same as in a folder, whatever becomes of the pod."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from kgen.errors import StoreError
from kgen.results.rows import State, TrialRow, bytes_to_rows
from kgen.spec import Budget, TrialSpec, Value
from kgen.trial import CheckpointFiles, Trial
from kgen_trainer import train
from tests.stores import front
from tests.stores.place import Place
from tests.unit.trial import trainers
from tests.unit.trial.trainers import Job, trial_id, wait_until

LINEAGE = "lllllllllm"
FOLDER = f"checkpoints/{LINEAGE}"
OFTEN = {"checkpoint_every_seconds": 1e-9}


@pytest.fixture(autouse=True)
def end_processes() -> Iterator[None]:
    """End what the test has left running."""
    yield
    trainers.end_all()


def rung(
    steps: int, *, lineage: str = LINEAGE, seed: int = 3, config: Mapping[str, Any] = MappingProxyType({})
) -> TrialSpec:
    """A trial of a lineage; every length has an id of its own."""
    budget = Budget(steps=steps, check_every_steps=10, evaluate_every_steps=20)
    parameters: dict[str, Value] = {"optimizer": "adam", "learning_rate": 0.003}
    return TrialSpec(trial_id(steps), "sweep", "main", parameters, seed, budget, config=config, lineage=lineage)


def files_of(place: Place, patience: float = 30.0) -> CheckpointFiles:
    return CheckpointFiles(lambda: place.store(patience), FOLDER)


def trained(
    place: Place,
    spec: TrialSpec,
    *,
    patience: float = 30.0,
    on_report: Callable[[Trial, int], None] = lambda trial, step: None,
    ends: bool = True,
) -> Trial:
    """A trial that was trained in this process; ``ends``: its row is written."""
    trial = Trial(
        spec,
        checkpoints=Path("not-used"),
        kept=files_of(place, patience),
        on_report=lambda step, metrics: on_report(trial, step),
    )
    train(trial)
    if ends:
        trial.done()
    return trial


def curve(trial: Trial | TrialRow) -> list[tuple[int, str, float]]:
    points = trial.snapshot()[1] if isinstance(trial, Trial) else trial.curve
    return [(point.step, point.metric, point.value) for point in points]


def rows(place: Place) -> list[TrialRow]:
    store = place.store()
    found = [row for file in store.row_files() for row in bytes_to_rows(store.read_row_file(file.name))]
    return sorted(found, key=lambda row: row.started)


def test_a_longer_trial_goes_on_to_the_bit_and_takes_the_shorter_ones_place(place: Place, tmp_path: Path) -> None:
    whole = Trial(rung(90, lineage=""), checkpoints=tmp_path)
    train(whole)
    assert trained(place, rung(30)).resumed_from_step is None
    assert trained(place, rung(60)).resumed_from_step == 30
    assert files_of(place).names() == ["kgen_trainer.60.checkpoint"]
    longest = trained(place, rung(90))
    assert (longest.resumed_from_step, curve(longest)) == (60, curve(whole))
    assert not Path("not-used").exists()


def test_one_that_is_stopped_goes_on_where_it_was(place: Place) -> None:
    def stop(trial: Trial, step: int) -> None:
        if step == 40:
            trial.interrupt("SIGTERM")

    trained(place, rung(30))
    trained(place, rung(90), on_report=stop, ends=False)
    assert files_of(place).names() == ["kgen_trainer.30.checkpoint", "kgen_trainer.90.checkpoint"]
    assert trained(place, rung(90)).resumed_from_step == 50
    assert files_of(place).names() == ["kgen_trainer.90.checkpoint"]


def test_one_that_is_damaged_or_somebody_elses_is_named_and_passed_over(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    trained(place, rung(30))
    files = files_of(place)
    whole = files.read("kgen_trainer.30.checkpoint")
    files.write("kgen_trainer.30.checkpoint", whole[:-1])
    assert trained(place, rung(60), ends=False).resumed_from_step is None
    url = f"{place.location}/{FOLDER}/kgen_trainer.30.checkpoint"
    assert f"the checkpoint {url} is not used: it is damaged; training starts anew\n" in capfd.readouterr().out
    files.remove("kgen_trainer.60.checkpoint")
    files.write("kgen_trainer.30.checkpoint", whole)
    assert trained(place, rung(60, seed=4)).resumed_from_step is None
    assert f"the checkpoint {url} is not used: it is of seed 3; training starts anew\n" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("method", "part", "said"),
    [
        ("GET", "list-type", "no checkpoint is used: {place}: can't be listed: access denied (403 AccessDenied)"),
        ("GET", ".30.checkpoint", "{place}/kgen_trainer.30.checkpoint is not used: it can't be read: access denied"),
    ],
)
def test_one_that_cannot_be_read_costs_steps_but_no_trial(
    s3: Place, capfd: pytest.CaptureFixture[str], method: str, part: str, said: str
) -> None:
    trained(s3, rung(30))
    s3.front.on(method, part, front.says(403, "AccessDenied"), times=99)
    again = trained(s3, rung(60), patience=1)
    assert (again.resumed_from_step, again.steps) == (None, 60)
    assert said.format(place=f"{s3.location}/{FOLDER}") in capfd.readouterr().out


def test_one_that_cannot_be_written_or_removed_costs_no_trial(s3: Place, capfd: pytest.CaptureFixture[str]) -> None:
    fault = s3.front.on("PUT", ".checkpoint", front.says(403, "AccessDenied"), times=99)
    trained(s3, rung(30))
    out = capfd.readouterr().out
    assert f"no checkpoint is kept: {s3.location}/{FOLDER}/kgen_trainer.30.checkpoint: can't be written: access" in out
    fault.times = 0
    trained(s3, rung(30))
    s3.front.on("DELETE", "", front.says(403, "AccessDenied"), times=99)
    capfd.readouterr()
    assert trained(s3, rung(60)).resumed_from_step == 30
    assert "AccessDenied" not in capfd.readouterr().out, "nobody can do anything about it, and nothing is wrong"
    assert files_of(s3).names() == ["kgen_trainer.30.checkpoint", "kgen_trainer.60.checkpoint"]


@pytest.mark.parametrize("act", [front.breaks_before, front.breaks_within, front.breaks_after])
def test_a_connection_that_breaks_leaves_a_whole_checkpoint(s3: Place, act: front.Act) -> None:
    s3.front.on("PUT", ".30.checkpoint", act)
    trained(s3, rung(30))
    assert trained(s3, rung(60)).resumed_from_step == 30


def test_without_a_checkpoint_to_keep_the_bucket_is_not_asked(s3: Place) -> None:
    s3.front.forget()
    trained(s3, rung(30, lineage=""))
    assert s3.front.seen == []


def test_a_pod_that_is_killed_leaves_what_the_next_one_goes_on_from(place: Place) -> None:
    trainer, spec = (sys.executable, "-m", "kgen_trainer"), rung(2220, lineage="", config=OFTEN)
    files = CheckpointFiles(place.store, f"checkpoints/{spec.id}")
    first = Job(Path("unused"), trainer, spec, **pod(place, "pod-1"))
    wait_until(lambda: bool(files.names()), "the first checkpoint")
    os.kill(first.process.pid, signal.SIGKILL)
    first.end()
    again = Job(Path("unused"), trainer, spec, **pod(place, "pod-2"))
    assert again.end() == 0, again.output
    (row,) = rows(place)
    assert (row.state, row.steps) == (State.COMPLETE, 2220)
    assert row.resumed_from_step
    assert files.names() == [], "nobody needs it any more"


def pod(place: Place, name: str) -> dict[str, str]:
    return {**place.variables, "KGEN_RESULTS": place.location, "KGEN_ATTEMPT": name}


def test_files_of_a_trainer_of_ones_own(place: Place) -> None:
    files = CheckpointFiles(place.store, "checkpoints/own")
    assert files.names() == []
    with pytest.raises(StoreError, match="can't be read"):
        files.read("model")
    files.write("model", b"1")
    files.write("model", b"2")
    files.write("other", b"3")
    assert (files.names(), files.read("model")) == (["model", "other"], b"2")
    assert files.place("model") == f"{place.location}/checkpoints/own/model"
    files.remove("model", "never-there")
    assert files.names() == ["other"]
