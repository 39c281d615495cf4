"""Rows, files of rows and sweeps to collect them for."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kgen.names import ROWS_DIR, row_file
from kgen.results.rows import CurvePoint, Environment, MetricSummary, Outcome, State, TrialRow, rows_to_bytes
from kgen.spec import Budget, Objective, Timing, TrialSpec

START = dt.datetime(2025, 1, 1, 12, 0, tzinfo=dt.UTC)


def expected(count: int, objective: Objective | None = None) -> list[TrialSpec]:
    """The trials that a sweep file asks for: ``t0`` … with a parameter ``x``."""
    return [
        TrialSpec(f"t{i}", "sweep", "main", {"x": i / 4, "kind": "ab"[i % 2]}, i, Budget(), objective or Objective())
        for i in range(count)
    ]


def row(
    trial: str = "t0",
    attempt: str = "a",
    state: State = State.COMPLETE,
    *,
    ended: float = 0.0,
    outcome: Outcome | None = None,
    parameters: Mapping[str, Any] | None = None,
    timing: Timing = Timing.EXCLUSIVE,
    image: str = "",
    revision: str = "",
    **more: Any,
) -> TrialRow:
    """A row that ended so many seconds after noon."""
    steps = 50
    values: dict[str, Any] = {
        "trial": trial,
        "attempt": attempt,
        "sweep": "sweep",
        "stage": "main",
        "seed": 0,
        "parameters": parameters or {},
        "budget": "{}",
        "objective": "{}",
        "state": state,
        "outcome": outcome or (Outcome.REACHED if state is State.COMPLETE else None),
        "exit_reason": f"{attempt} ended",
        "exit_code": 0,
        "timing": timing,
        "steps": steps,
        "steps_to_target": steps if state is State.COMPLETE else None,
        "seconds_to_target": None,
        "seconds": 1.5,
        "total_seconds": 2.0,
        "resumed_from_step": None,
        "started": START,
        "ended": START + dt.timedelta(seconds=ended),
        "metrics": (MetricSummary("loss", 0.5, 0.25, 2.0),),
        "curve": (CurvePoint(25, 0.75, "loss", 2.0), CurvePoint(50, 1.5, "loss", 0.5)),
        "environment": Environment(node="n", image=image, revision=revision),
        "log": "one\ntwo",
    }
    return TrialRow(**{**values, **more})


def write(root: Path, *rows: TrialRow, name: str | None = None) -> Path:
    """One row file."""
    return write_bytes(root, name or row_file(rows[0].trial, rows[0].attempt), rows_to_bytes(rows))


def write_bytes(root: Path, name: str, data: bytes) -> Path:
    """Any file among the rows."""
    path = root / ROWS_DIR / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def read_all(root: Path) -> Sequence[str]:
    """Names of the row files."""
    return sorted(os.listdir(root / ROWS_DIR))  # noqa: PTH208
