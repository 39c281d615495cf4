"""What a row says of where and with what it ran; the environment variables of a trial are read here only."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import kgen
from kgen import names
from kgen.errors import DataError
from kgen.results.rows import Environment
from kgen.results.store import Store, is_bucket, open_store
from kgen.spec import Packing, Timing, TrialSpec
from kgen.trial.checkpoints import CheckpointFiles
from kgen.trial.output import printable

GRACE_SECONDS: Final = 3.0
"""How long a trainer may take to return after SIGTERM before its row is written over its head. Kubernetes grants 30,
an impatient user five."""
CHECKPOINT_SECONDS: Final = 30.0
"""How long a bucket may fail to answer before a checkpoint is done without: training goes on, or begins anew."""
_ATTEMPT = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the back end told this process."""

    results: str
    """Location of the sweep's results, see :func:`kgen.results.store.open_store`."""
    attempt: str
    """Unique per start of the process."""
    timing: Timing
    mates: int
    node: str
    image: str
    revision: str
    packing: Packing
    """How the trials of this process share it."""
    job: str = ""
    """UID of the Job of a pack; empty where nobody says it."""

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Surroundings:
        """Raises DataError when the result store is not named or a value can't be what it should be.

        Timing that nobody vouches for is ``shared``.
        """
        results = environ.get(names.ENV_RESULTS)
        if not results:
            raise DataError(f"{names.ENV_RESULTS} is not set: no place for the result row")
        attempt = environ.get(names.ENV_ATTEMPT) or uuid.uuid4().hex[:12]
        if not _ATTEMPT.fullmatch(attempt):
            raise DataError(f"{names.ENV_ATTEMPT} is {attempt!r}: not letters, digits and '-'")
        timing, mates = environ.get(names.ENV_TIMING, Timing.SHARED), environ.get(names.ENV_MATES, "0")
        if timing not in [*Timing]:
            raise DataError(f"{names.ENV_TIMING} is {timing!r}: not one of {', '.join(Timing)}")
        packing = environ.get(names.ENV_PACKING, Packing.SEQUENTIAL)
        if packing not in [*Packing]:
            raise DataError(f"{names.ENV_PACKING} is {packing!r}: not one of {', '.join(Packing)}")
        if not re.fullmatch(r"\d{1,9}", mates, re.ASCII):
            raise DataError(f"{names.ENV_MATES} is {mates!r}: not a whole number")
        return cls(
            results=results,
            attempt=attempt,
            timing=Timing(timing),
            mates=int(mates),
            node=printable(environ.get(names.ENV_NODE) or platform.node()),
            image=printable(environ.get(names.ENV_IMAGE, "")),
            revision=printable(environ.get(names.ENV_REVISION) or environ.get(names.ENV_IMAGE_REVISION, "")),
            packing=Packing(packing),
            job=environ.get(names.ENV_JOB, ""),
        )

    def checkpoints(self, spec: TrialSpec, attempt: str) -> Path:
        """Where a trial's checkpoints lie: the same folder for all its attempts, and for all trials of its lineage;
        with results in a bucket a scratch folder of this attempt, since frameworks write checkpoints to files."""
        if is_bucket(self.results):
            return Path(tempfile.gettempdir(), f"kgen-{spec.id}.{attempt}")
        return Path(self.results, names.CHECKPOINTS_DIR, spec.lineage or spec.id)

    def checkpoint_files(self, spec: TrialSpec) -> CheckpointFiles:
        """The files that every attempt of the trial finds, and every trial of its lineage: among the results."""
        folder = f"{names.CHECKPOINTS_DIR}/{spec.lineage or spec.id}"
        return CheckpointFiles(lambda: _checkpoint_store(self.results), folder)

    def tidy(self, spec: TrialSpec, attempt: str) -> None:
        """Remove what only this attempt could use."""
        if is_bucket(self.results):
            shutil.rmtree(self.checkpoints(spec, attempt), ignore_errors=True)

    def describe(self, trainer: Mapping[str, str]) -> Environment:
        """The row's environment; ``trainer`` is what the trainer knows of itself (framework, device …)."""
        own = {name: printable(str(value)) for name, value in trainer.items()}
        return Environment(
            node=self.node,
            device=own.get("device") or processor(),
            device_uuid=own.get("device_uuid", ""),
            mates=self.mates,
            image=self.image,
            revision=self.revision,
            kgen=kgen.__version__,
            trainer=own.get("trainer", ""),
            framework=own.get("framework", ""),
            framework_version=own.get("framework_version", ""),
            python=platform.python_version(),
        )


@functools.cache
def _checkpoint_store(results: str) -> Store:
    return open_store(results, patience=CHECKPOINT_SECONDS)


def processor() -> str:
    """Name of this machine's processor, as the kernel calls it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()
