"""Trials of the built-in trainer in one program, in this process and in others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from kgen.results.folder import FolderStore
from kgen.results.rows import TrialRow
from kgen.spec import Budget, TrialSpec
from kgen.trial.crew import Crew
from kgen.trial.environment import Surroundings
from kgen.trial.fused import Fused
from kgen.trial.output import Tail
from kgen.trial.pack import Pack, PackSource
from kgen_trainer import describe, train_many
from tests.unit.trial.trainers import PackJob, rows, trial_id

TRAINER: Final = "import runpy\nrunpy.run_module('kgen_trainer', run_name='__main__')\n"
ONE_THREAD: Final = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}


def spec(number: int, optimizer: str = "adam", rate: float = 0.001, /, seed: int = 3141592, **more: Any) -> TrialSpec:
    """A trial; ``more`` is its ``budget``, its ``config`` and more parameters."""
    budget, config = more.pop("budget", {}), more.pop("config", {})
    parameters = {"optimizer": optimizer, "learning_rate": rate, **more}
    return TrialSpec(trial_id(number), "sweep", "main", parameters, seed, Budget(**budget), config=config)


def process(folder: Path, trials: Sequence[TrialSpec], **more: str) -> PackJob:
    """They are trained in a process of their own, as in a pod."""
    return PackJob(folder, TRAINER, trials, "fused", **{**ONE_THREAD, **more})


def train_here(folder: Path, trials: Sequence[TrialSpec]) -> dict[str, TrialRow]:
    """The rows of trials that are trained in this process, by trial."""

    def leave() -> NoReturn:
        raise AssertionError("nothing is written over the trainer's head")

    def give_up(error: BaseException) -> None:
        raise error

    def tell(text: str) -> None:
        raise AssertionError(f"they are not trained twice: {text}")

    surroundings = Surroundings.read({"KGEN_RESULTS": str(folder), "KGEN_ATTEMPT": "here", "KGEN_PACKING": "fused"})
    source = PackSource(Pack(trials), "here")
    crew = Crew(source, store=FolderStore(folder), surroundings=surroundings, tail=Tail(), describe=describe,
                on_failure=lambda text: None, on_unwritable=give_up)  # fmt: skip
    Fused(train_many, crew, tell=tell, leave=leave, ends_after_crash=False).run()
    return by_trial(rows(folder))


def by_trial(found: Iterable[TrialRow]) -> dict[str, TrialRow]:
    """One row each."""
    listed = list(found)
    out = {row.trial: row for row in listed}
    assert len(out) == len(listed)
    return out


def said(row: TrialRow) -> Mapping[str, Any]:
    """All that a row says of its trial, but for times and where it ran."""
    return {
        **{name: getattr(row, name) for name in ("trial", "seed", "state", "outcome", "exit_reason", "exit_code")},
        **{name: getattr(row, name) for name in ("timing", "steps", "steps_to_target", "seconds_to_target", "metrics")},
        "curve": [(point.step, point.metric, point.value) for point in row.curve],
    }
