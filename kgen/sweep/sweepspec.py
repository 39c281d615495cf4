"""A sweep as frozen values: what the rest of kgen sees of sweep.yaml."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kgen.names import DEFAULT_STAGE
from kgen.spec import Budget, Objective, Value
from kgen.sweep.model import Arguments, Metrics

BUILT_IN: Final = ("python", "-m", "kgen_trainer")
"""The command of kgen's own trainer."""


@dataclass(frozen=True, slots=True)
class Trainer:
    """The program that trains, and how kgen talks with it."""

    command: tuple[str, ...]
    """Words; ``{learning_rate}`` stands for that parameter's value."""
    arguments: Arguments
    metrics: Metrics
    files: Mapping[str, bytes]
    """Small sources that travel with the sweep: path beside the sweep file → content."""
    config: Mapping[str, Any]
    env: Mapping[str, str]
    revision: str
    image: str

    def file_hashes(self) -> dict[str, str]:
        """SHA-256 of each file's content: what counts for a trial's identity."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(self.files.items())}


@dataclass(frozen=True, slots=True)
class Local:
    """How trials run on one machine; never part of their identity."""

    processes: int | None
    """Workers at the same time; None means one per core, or one per GPU."""
    gpus: int | None
    """GPUs to use; None means all that are visible."""


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """A validated sweep file."""

    name: str
    seed: int
    repeats: int
    objective: Objective
    trainer: Trainer
    alternatives: tuple[Mapping[str, tuple[Value, ...]], ...]
    """Each one a grid of its own: parameter → its values in the file's order."""
    budget: Budget
    results: Path
    """Folder of this sweep's results, ``<results>/<name>``."""
    local: Local
    file: Path
    """The sweep file itself; relative paths in it start from its folder."""
    text: str
    """Its text."""
    stage: str = DEFAULT_STAGE
    size: int = field(default=0)
    """Trials: sum over alternatives of the product of their parameters' values, times repeats."""

    @property
    def folder(self) -> Path:
        """Folder of the sweep file: where local trials run."""
        return self.file.parent

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of all parameters, in the order of the file."""
        return tuple(dict.fromkeys(name for alternative in self.alternatives for name in alternative))

    @property
    def seeds(self) -> range:
        """One seed per repeat."""
        return range(self.seed, self.seed + self.repeats)
