"""How a worker is started: its command line, its environment, and what must be as the trials were named after."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kgen import names
from kgen.backends.local.devices import Slot
from kgen.backends.local.worker import Birth, Worker
from kgen.errors import InputError
from kgen.spec import Packing, Timing, TrialSpec
from kgen.sweep import SweepSpec
from kgen.sweep.command import command_line, is_same_for_all, wrapped
from kgen.sweep.model import Arguments, Metrics

_OF_ONE_TRIAL: Final = frozenset(
    {names.ENV_TRIAL, names.ENV_TRIALS, names.ENV_PACKING, names.ENV_ATTEMPT, names.ENV_WORKER, names.ENV_PARENT}
)
"""Variables that this process may have been started with itself."""


class Launcher:
    """Starts the workers of one sweep."""

    def __init__(self, spec: SweepSpec, packing: Packing, results: str, environ: Mapping[str, str]) -> None:
        """``results``: address of the place that rows are written to."""
        self._spec = spec
        self._packing = packing
        self._results = results
        self._environ = environ
        trainer = spec.trainer
        flags = trainer.arguments is Arguments.FLAGS
        self.is_resident = trainer.metrics is Metrics.REPORT and is_same_for_all(trainer.command, flags=flags)
        """Whether one process can run one trial after another."""

    def start(self, place: int, slot: Slot, first: TrialSpec) -> Worker:
        """A worker in a slot, the number of which is ``place``, for a trial or, where it is resident, for any.

        Raises InputError when the program can't start, or a file is not what it was when its trials got their names.
        """
        self.check_files()
        birth = self._birth(slot, first)
        if self._spec.trainer.metrics is not Metrics.REPORT:
            self._check_program(self._command(first)[0])
        try:
            return Worker(birth, place, slot)
        except OSError as error:
            found = f"{birth.command[0]}: {str(error.strerror).lower()}"
            raise InputError.of(str(self._spec.file), "trainer.command", found, "a program here") from error

    def suits(self, worker: Worker, slot: Slot, first: TrialSpec) -> bool:
        """Whether a worker that was started before, maybe by another launcher, is what :meth:`start` would start for
        that slot."""
        return self.is_resident and worker.slot == slot and worker.birth == self._birth(slot, first)

    def _birth(self, slot: Slot, first: TrialSpec) -> Birth:
        trainer = self._spec.trainer
        words = self._command(first)
        if trainer.metrics is not Metrics.REPORT:
            words = wrapped(words, trainer.metrics, [sys.executable, "-m", "kgen.trial.wrap"])
        return Birth(tuple(words), self._environment(slot), self._spec.folder.resolve(), trainer.file_hashes())

    def _command(self, first: TrialSpec) -> list[str]:
        trainer = self._spec.trainer
        words = command_line(trainer.command, first.parameters, first.seed, flags=trainer.arguments is Arguments.FLAGS)
        if words[0] in ("python", "python3"):
            words[0] = sys.executable  # the one that kgen is installed in, whether or not its venv is activated
        return words

    def _environment(self, slot: Slot) -> dict[str, str]:
        """Variables of a process in a slot."""
        trainer = self._spec.trainer
        bucket = {
            name: value
            for name, value in self._spec.location.variables.items()
            if not any(map(self._environ.get, names.SAME_MEANING[name]))
        }
        fused = {names.ENV_PACKING: str(Packing.FUSED), names.ENV_TIMING: str(Timing.SHARED)}
        return {
            **bucket,
            **{name: value for name, value in self._environ.items() if name not in _OF_ONE_TRIAL},
            **slot.environment(),
            **(fused if self._packing is Packing.FUSED else {}),
            **trainer.env,
            names.ENV_RESULTS: self._results,
            names.ENV_IMAGE: trainer.image,
            names.ENV_REVISION: trainer.revision,
            "PYTHONUNBUFFERED": "1",
        }

    def _check_program(self, program: str) -> None:
        """Say of a wrapped program what starting it would say, before each trial fails for it."""
        path = self._environ.get("PATH")
        found = Path(self._spec.folder, program) if "/" in program else shutil.which(program, path=path)
        if found is None or not os.access(found, os.X_OK):
            why = "no such program" if found is None or not Path(found).exists() else "not executable"
            raise InputError.of(str(self._spec.file), "trainer.command", f"{program}: {why}", "a program here")

    def check_files(self) -> None:
        """The files that trials were named after must be what now runs, else InputError."""
        for name, digest in self._spec.trainer.file_hashes().items():
            path = Path(self._spec.folder, name)
            try:
                same = hashlib.sha256(path.read_bytes()).hexdigest() == digest
            except OSError:
                same = False
            if not same:
                raise InputError.of(
                    str(path), "trainer.files", "another content than at the start of this run",
                    "files that stay as they are while a sweep runs; run again for the new content",
                )  # fmt: skip
