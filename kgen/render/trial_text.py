"""The JSON of many trials, quickly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from kgen.spec import TrialSpec, Value, dump_json


class TrialText:
    """``TrialSpec.to_json`` of many trials that differ in id, parameters and seed only: the rest is made once."""

    _ID: Final = "kgen-id-mark"
    _SEED: Final = 987_654_321_012_345
    _PARAMETERS: Final[Mapping[str, Value]] = {"kgen-parameters-mark": 0}

    def __init__(self) -> None:
        self._like: TrialSpec | None = None
        self._pieces: list[str] = []

    def of(self, trial: TrialSpec, parameters: str) -> str:
        """Its JSON; ``parameters`` are those of the trial as JSON."""
        if trial.lineage:  # each has its own
            return trial.to_json()
        like = self._like
        if (
            like is None
            or trial.config is not like.config
            or trial.budget is not like.budget
            or trial.objective is not like.objective
            or (trial.sweep, trial.stage) != (like.sweep, like.stage)
        ):
            self._like = trial
            marked = replace(trial, id=self._ID, parameters=self._PARAMETERS, seed=self._SEED).to_json()
            marks = (f'"{self._ID}"', dump_json(dict(self._PARAMETERS)), str(self._SEED))
            self._pieces = re.split("|".join(map(re.escape, marks)), marked)
        if len(self._pieces) != 4:  # the config has such a mark in it
            return trial.to_json()
        before, second, third, after = self._pieces
        return f'{before}"{trial.id}"{second}{parameters}{third}{trial.seed}{after}'
