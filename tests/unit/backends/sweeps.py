"""Small sweeps of toy trainers, run by the real pool in this process."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kgen.backends.local.devices import Slot
from kgen.backends.local.events import Event
from kgen.backends.local.pool import Pool
from kgen.results.folder import FolderStore
from kgen.results.rows import TrialRow, bytes_to_rows
from kgen.spec import Timing, TrialSpec
from kgen.sweep import SweepSpec, expand, load
from kgen.trial.channel import Ended, Started

HEAD = "import os, signal, sys, time\nfrom kgen.trial import *\n"


def body(*lines: str) -> str:
    """A trainer of these lines."""
    return HEAD + "def train(trial):\n" + "".join(f"    {line}\n" for line in lines) + "main(train)\n"


def fused(*lines: str, capacity: int = 100) -> str:
    """A trainer of many that does these lines for each ``trial`` in turn, at each of its steps: 10, 20, … ``x`` is the
    trial's own, ``step`` its step, and ``loss`` what it reports unless the lines say else."""
    loop = "".join(f"            {line}\n" for line in lines)
    return (
        HEAD
        + f"""
def train_many(trials):
    steps = {{}}
    while trials.take({capacity} - len(trials.running)) or trials.running:
        for trial in trials.running:
            x = trial.parameters["x"]
            step = steps[trial] = steps.get(trial, 0) + 10
            loss = x / step
{loop}            if trial.report(step=step, loss=loss).stop:
                trials.end(trial)
main(None, train_many)
"""
    )


def slot(number: int = 0, **more: Any) -> Slot:
    """A slot without pinning, so that tests may share a core."""
    return Slot(**{"cpus": (), "gpu": None, "timing": Timing.SHARED, "mates": number, **more})


def sweep(
    folder: Path, trainer: str, *, count: int = 4, more: str = "", files: str = "[train.py]", packing: str = "auto"
) -> SweepSpec:
    """A sweep of ``count`` trials with a parameter ``x`` from 1, of the Python program ``trainer``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.py").write_text(trainer)
    text = more or "  command: [python, train.py]\n"
    (folder / "sweep.yaml").write_text(
        "version: 1\nname: toy\nobjective: {metric: loss, goal: minimize}\nbudget: {steps: 100}\n"
        f"parameters: {{x: {{int: {{start: 1, stop: {count}}}}}}}\ntrainer:\n  files: {files}\n{text}"
        f"execution: {{packing: {packing}}}\n"
    )
    return load(folder / "sweep.yaml")


@dataclass
class Story:
    """What a pool did."""

    spec: SweepSpec
    trials: Sequence[TrialSpec]
    messages: list[Event] = field(default_factory=list)

    @property
    def store(self) -> FolderStore:
        return FolderStore(self.spec.results)

    @property
    def rows(self) -> dict[int, TrialRow]:
        """The row of each trial, by its ``x``; there must be at most one."""
        out: dict[int, TrialRow] = {}
        for file in self.store.row_files():
            for row in bytes_to_rows(self.store.read_row_file(file.name)):
                x = row.parameters["x"]
                assert isinstance(x, int)
                assert x not in out, f"two rows of {x}"
                out[x] = row
        return out

    @property
    def states(self) -> dict[int, str]:
        """The state in each row."""
        return {x: str(row.state) for x, row in sorted(self.rows.items())}

    @property
    def ended(self) -> dict[str, Ended]:
        """The end of each trial as it was told."""
        return {message.trial: message for message in self.messages if isinstance(message, Ended)}

    def log(self, x: int) -> dict[str, str]:
        """What a trial printed as ``name=value``."""
        return dict(line.split("=", 1) for line in self.rows[x].log.splitlines() if "=" in line)


def play(
    spec: SweepSpec,
    slots: Sequence[Slot] = (slot(), slot(1)),
    *,
    trials: Sequence[TrialSpec] | None = None,
    environ: Mapping[str, str] = os.environ,
    on_event: Any = None,
) -> Story:
    """Run all trials, or some; ``on_event(pool, message)`` hears of each event, too."""
    story = Story(spec, expand(spec) if trials is None else trials)

    def hear(message: Event) -> None:
        story.messages.append(message)
        if on_event is not None:
            on_event(pool, message)

    with Pool(story.store, environ=environ) as pool:
        pool.run(spec, story.trials, hear, slots=slots)
    started = {message.trial for message in story.messages if isinstance(message, Started)}
    assert started <= {trial.id for trial in story.trials}
    return story
