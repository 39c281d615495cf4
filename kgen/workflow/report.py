"""Tables → figures and the page."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath

from kgen.names import FIGURES_DIR, PAGE_FILE, REPORT_DIR
from kgen.report import write_report
from kgen.results.store import Store
from kgen.sweep import SweepSpec
from kgen.workflow.collect import Collected, collect_sweep


def report_sweep(spec: SweepSpec, collected: Collected | None = None) -> tuple[Path, Collected]:
    """Write figures and page from the rows that are there; returns the page's path.

    Raises MissingExtraError without matplotlib, StoreError when the store can't be read or written.
    """
    collected = collect_sweep(spec) if collected is None else collected
    store = Store(spec.results)
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
    return spec.results / REPORT_DIR / PAGE_FILE, collected
