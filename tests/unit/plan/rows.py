"""Rows of trials, as a trial would leave them in a store."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from kgen.results.folder import FolderStore
from kgen.results.rows import Outcome, State, TrialRow, rows_to_bytes
from kgen.spec import Timing, TrialSpec, dump_json
from kgen.sweep import SweepSpec

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def row(trial: TrialSpec, **changes: Any) -> TrialRow:
    """A complete row, with these fields instead."""
    made = TrialRow(
        trial=trial.id,
        attempt="1",
        sweep=trial.sweep,
        stage=trial.stage,
        seed=trial.seed,
        parameters=trial.parameters,
        budget=dump_json(trial.budget.to_json()),
        objective=dump_json(trial.objective.to_json()),
        state=State.COMPLETE,
        outcome=Outcome.CAPPED,
        exit_reason="10 steps spent",
        exit_code=0,
        timing=Timing.EXCLUSIVE,
        steps=10,
        steps_to_target=None,
        seconds_to_target=None,
        seconds=1.0,
        total_seconds=30.0,
        resumed_from_step=None,
        started=NOON,
        ended=NOON,
    )
    return dataclasses.replace(made, **changes)


def leave(spec: SweepSpec, trial: TrialSpec, **changes: Any) -> None:
    """Write that row where the sweep's results lie."""
    made = row(trial, **changes)
    assert FolderStore(spec.results).write_row_file(f"{made.trial}.{made.attempt}.parquet", rows_to_bytes([made]))


def leave_failed(spec: SweepSpec, trial: TrialSpec, reason: str) -> None:
    leave(spec, trial, state=State.FAILED, outcome=None, exit_reason=reason, exit_code=1)
