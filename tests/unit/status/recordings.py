"""What a real cluster said of a trial in each state: see `record_states.py` in `tests/cluster` and `tests/node`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kgen.status import Row, TrialStatus, status_of

TRIAL = "k7q2m5xw3d"
FOLDER = Path(__file__).with_name("recorded")


def names(folder: str = ".") -> list[str]:
    """Of all recordings; those of a real node are in the folder `real`."""
    return sorted(file.stem for file in (FOLDER / folder).glob("*.json"))


def recording(name: str) -> dict[str, Any]:
    """The objects of one, made anew on each call: `job`, `pods`, `events`."""
    taken: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return taken


def status(name: str, *, row: Row | None = None, index: int | None = None) -> TrialStatus:
    """What a recording is mapped to, where the results can be read."""
    taken = recording(name)
    return status_of(TRIAL, taken["job"], taken["pods"], taken["events"], row, index=index)
