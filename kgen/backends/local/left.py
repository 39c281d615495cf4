"""Rows of trials whose worker is gone without a word of their end: those that it had written, and those it can't write
any more."""

from __future__ import annotations

from collections.abc import Sequence

from kgen import names
from kgen.backends.local.part import Part
from kgen.backends.local.worker import Handed, Worker, describe_exit
from kgen.names import row_file
from kgen.results.rows import State, TrialRow, bytes_to_rows, rows_to_bytes
from kgen.results.store import Store
from kgen.spec import Timing
from kgen.sweep.model import Metrics
from kgen.trial.attempt import Ending, row_without_process
from kgen.trial.batch import rows_left_behind
from kgen.trial.environment import Surroundings


def rows_left(store: Store, worker: Worker, *, is_fused: bool) -> list[TrialRow]:
    """The rows that it wrote before it went, such as after a signal."""
    attempts = {trial: item.attempt for trial, item in worker.handed.items()}
    if is_fused:
        return rows_left_behind(store, attempts) if attempts else []
    return [row for item in worker.handed.values() if (row := _row_of(store, item)) is not None]


def write_rows(
    store: Store, part: Part, worker: Worker, items: Sequence[Handed], code: int, *, is_stopped: bool
) -> list[TrialRow]:
    """The rows of trials whose process has left none, all in one file but those whose own came after all."""
    reason = describe_exit(code)
    if code == 0 and part.spec.trainer.metrics is Metrics.REPORT:
        reason += ": does it call kgen.trial.main? If it knows nothing of kgen, set trainer.metrics: stdout"
    ending = Ending(State.INTERRUPTED if is_stopped else State.FAILED, None, reason, code, worker.tail())
    timing = Timing.SHARED if part.is_fused else worker.slot.timing
    environment = Surroundings.read(worker.birth.environment).describe({})
    rows = [
        row_without_process(
            item.trial, item.attempt, ending, started=item.since, timing=timing, environment=environment
        )
        for item in items
    ]
    for number, item in enumerate(items):
        if store.write_row_file(row_file(item.trial.id, item.attempt), rows_to_bytes(rows[number:])):
            break
        rows[number] = _row_of(store, item) or rows[number]
    return rows


def _row_of(store: Store, item: Handed) -> TrialRow | None:
    name = row_file(item.trial.id, item.attempt)
    if not store.exists(f"{names.ROWS_DIR}/{name}"):
        return None
    return bytes_to_rows(store.read_row_file(name))[0]
