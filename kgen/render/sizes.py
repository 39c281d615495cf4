"""What is too large to hand to a trial."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kgen.packs import Pack
from kgen.render.objects import MAX_DATA
from kgen.render.pack_objects import trials_text
from kgen.render.rules import MAX_ANNOTATIONS
from kgen.render.trial_text import TrialText
from kgen.spec import TrialSpec, dump_json
from kgen.sweep import SweepSpec
from kgen.sweep.document import Path as FieldPath

_MAX_VARIABLE: Final = (128 << 10) - (1 << 10)
"""Bytes of one variable of the environment, without its name; Linux starts no program with a longer one."""

Found = tuple[FieldPath, str, str]
"""Field of the sweep file, what was found, what is allowed."""


class Sizes:
    """Looks at the packs of one sweep."""

    def __init__(self, spec: SweepSpec) -> None:
        self._config_size = len(dump_json(dict(spec.trainer.config), written=True))
        self._text = TrialText()

    def mistakes(self, pack: Pack) -> Iterator[Found]:
        """What is too large: for the environment and an annotation, or for a pack's ConfigMap."""
        if pack.is_single:
            yield from self._of_trial(pack.trials[0])
            return
        size = len(trials_text(pack, self._text).encode())
        if size > MAX_DATA:
            found = f"{size:,} bytes in the {len(pack.trials):,} trials of one pod"
            yield ("execution", "trials_per_pod"), found, f"at most {MAX_DATA:,}, what a ConfigMap can hold"

    def _of_trial(self, trial: TrialSpec) -> Iterator[Found]:
        size = sum(len(value) for value in trial.parameters.values() if isinstance(value, str))
        if size < 1 << 12 and self._config_size < 1 << 15:
            return
        parameters = dump_json(dict(trial.parameters), written=True)
        annotation = len(parameters.encode())
        variable = len(self._text.of(trial, parameters).encode())
        if annotation > MAX_ANNOTATIONS // 2:
            allowed = f"at most {MAX_ANNOTATIONS // 2:,}"
            yield ("parameters",), f"{annotation:,} bytes in one trial", allowed
        if variable > _MAX_VARIABLE:
            allowed = f"at most {_MAX_VARIABLE:,}, what a variable of the environment can hold"
            path: FieldPath = ("trainer", "config") if self._config_size > size else ("parameters",)
            yield path, f"{variable:,} bytes in one trial", allowed
