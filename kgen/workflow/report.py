"""Tables → figures and the page."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath

from kgen.names import FIGURES_DIR, PAGE_FILE, REPORT_DIR
from kgen.report import write_report
from kgen.results.store import Store
from kgen.sweep import SweepSpec
from kgen.workflow.collect import Collected, collect_sweep
from kgen.workflow.store import store_of


def report_sweep(spec: SweepSpec, collected: Collected | None = None) -> tuple[Path, Collected]:
    """Write figures and page from the rows that are there; returns the page's path.

    Raises MissingExtraError without matplotlib, StoreError when the store can't be read or written.
    """
    collected = collect_sweep(spec) if collected is None else collected
    draw_report(spec, collected, store_of(spec))
    return spec.results / REPORT_DIR / PAGE_FILE, collected


def draw_report(spec: SweepSpec, collected: Collected, store: Store) -> None:
    """Write figures and page of collected results into a store. Raises as :func:`report_sweep` does."""
    written = write_report(
        collected.analysis,
        collected.results.trials,
        collected.results.certificate.to_json(),
        reproduce=f"kgen run {shlex.quote(spec.file.name)}",
        sweep_text=spec.text,
        write=store.write,
    )
    drawn = {path.name for name in written if (path := PurePosixPath(name)).parent.name == FIGURES_DIR}
    store.keep_only(FIGURES_DIR, drawn)
