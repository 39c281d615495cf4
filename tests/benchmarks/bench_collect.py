"""Collect 288 and 10,000 one-row files, cold and with nothing new, beside a plain pyarrow.dataset read of the same.

The row files are as trials write them: a curve of 20 reports of two metrics, ten log lines. The files themselves are
in the system's cache, as they are right after a sweep.
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.dataset as ds

from kgen.names import COLLECTED_DIR, ROWS_DIR, row_file
from kgen.results.collect import collect
from kgen.results.folder import FolderStore
from kgen.results.rows import CurvePoint, Environment, MetricSummary, Outcome, State, TrialRow, rows_to_bytes
from kgen.spec import Budget, Timing, TrialSpec

SIZES = (288, 10_000)
REPEATS = 3
START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


def main() -> None:
    """Measure and print."""
    print(f"{'files':>6}  {'':<12} {'seconds':>8}  {'of dataset read':>15}")
    for size in SIZES:
        with tempfile.TemporaryDirectory(prefix="kgen-bench-") as folder:
            measured = measure(Path(folder), size)
        for name, seconds in measured.items():
            print(f"{size:>6}  {name:<12} {seconds:8.3f}  {seconds / measured['dataset read']:15.2f}")


def measure(folder: Path, size: int) -> dict[str, float]:
    """Seconds of each way to read the same files, in turns."""
    trials = write_rows(folder, size)
    return {
        "dataset read": best(lambda: ds.dataset(folder / ROWS_DIR, format="parquet").to_table()),
        "cold": best(lambda: run(folder, trials, again=False)),
        "nothing new": best(lambda: run(folder, trials, again=True)),
    }


def write_rows(folder: Path, size: int) -> list[TrialSpec]:
    """One complete row per trial."""
    trials = []
    (folder / ROWS_DIR).mkdir()
    for number in range(size):
        spec = TrialSpec(f"t{number:09d}", "bench", "main", {"optimizer": "adam", "rate": number / size}, 1, Budget())
        (folder / ROWS_DIR / row_file(spec.id, "a")).write_bytes(rows_to_bytes([row(spec)]))
        trials.append(spec)
    return trials


def row(spec: TrialSpec) -> TrialRow:
    """The row of a trial that was capped after 20 reports."""
    return TrialRow(
        trial=spec.id,
        attempt="a",
        sweep=spec.sweep,
        stage=spec.stage,
        seed=spec.seed,
        parameters=spec.parameters,
        budget="{}",
        objective="{}",
        state=State.COMPLETE,
        outcome=Outcome.CAPPED,
        exit_reason="budget of 1000 steps spent",
        exit_code=0,
        timing=Timing.EXCLUSIVE,
        steps=1000,
        steps_to_target=None,
        seconds_to_target=None,
        seconds=1.0,
        total_seconds=2.0,
        resumed_from_step=None,
        started=START,
        ended=START + dt.timedelta(seconds=2),
        metrics=[MetricSummary(name, 0.5, 0.1, 0.9) for name in ("loss", "train_accuracy")],
        curve=[CurvePoint(50 * k, 0.05 * k, name, k / 40) for k in range(20) for name in ("loss", "train_accuracy")],
        environment=Environment(node="node", device="processor", kgen="0.1.0", python="3.11.7"),
        log="\n".join(f'{{"trial":"{spec.id}","step":{100 * k},"loss":0.5}}' for k in range(10)),
    )


def run(folder: Path, trials: list[TrialSpec], *, again: bool) -> None:
    """Collect, without what an earlier collection has kept unless ``again``."""
    if not again:
        shutil.rmtree(folder / COLLECTED_DIR, ignore_errors=True)
    certificate = collect(FolderStore(folder), trials).certificate
    if not certificate.complete:
        raise SystemExit(f"incomplete: {certificate}")


def best(work: Callable[[], object]) -> float:
    """The shortest of a few runs, in seconds."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
