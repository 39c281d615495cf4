"""Tables → figures and the page."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from kgen.analysis.compare import Comparison, compare
from kgen.names import FIGURES_DIR, PAGE_FILE, REPORT_DIR
from kgen.report import Origin, write_report
from kgen.results.store import Store
from kgen.sweep import SweepSpec
from kgen.sweep.stages import rounds_in_words
from kgen.sweep.sweepspec import Stage
from kgen.workflow.collect import Collected, collect_sweep
from kgen.workflow.searched import limit_of
from kgen.workflow.stages import why_ended
from kgen.workflow.store import store_of


def report_sweep(spec: SweepSpec, collected: Collected | None = None) -> tuple[Path, Collected]:
    """Write figures and page from the rows that are there; returns the page's path.

    Raises MissingExtraError without matplotlib, StoreError when the store can't be read or written, InputError as
    :func:`kgen.workflow.collect.collect_sweep` does.
    """
    collected = collect_sweep(spec) if collected is None else collected
    draw_report(spec, collected, store_of(spec))
    return spec.results / REPORT_DIR / PAGE_FILE, collected


def draw_report(spec: SweepSpec, collected: Collected, store: Store) -> None:
    """Write figures and page of collected results into a store. Raises as :func:`report_sweep` does."""
    written = write_report(
        collected.analyses,
        collected.results.trials,
        collected.results.certificate.to_json(),
        origins=origins_of(collected, store),
        comparison=_published(collected),
        reproduce=f"kgen run {shlex.quote(spec.file.name)}",
        sweep_text=spec.text,
        write=store.write,
    )
    drawn = {path.name for name in written if (path := PurePosixPath(name)).parent.name == FIGURES_DIR}
    store.keep_only(FIGURES_DIR, drawn)


def _published(collected: Collected) -> Comparison | None:
    """The published numbers that the file asks for."""
    spec = collected.spec
    if not spec.published:
        return None
    configs = {part.stage: part.trainer.config for part in spec.parts or (spec,)}
    return compare(spec.published, collected.analyses, collected.results.trials, configs)


def origins_of(collected: Collected, store: Store) -> dict[str, Origin]:
    """By stage how its trials came about, where the file does not say it. Raises StoreError."""
    choices = {choice.stage: choice for choice in collected.choices}
    asked = {stage.name: tuple(_searched(stage, collected, store)) for stage in collected.spec.stages}
    return {
        stage.name: Origin(choices.get(stage.name), asked[stage.name])
        for stage in collected.spec.stages
        if stage.name in choices or asked[stage.name]
    }


def _searched(stage: Stage, collected: Collected, store: Store) -> Iterator[str]:
    """Of a search its method, how many trials it asked for, and why it ended."""
    if stage.search is None:
        return
    asked = sum(part.size for part in collected.spec.parts if part.stage == stage.name)
    yield (
        f"A search by {stage.search.method}: {asked:,} trials asked for, at the most {limit_of(stage.search)}, "
        f"{rounds_in_words(stage)}."
    )
    why = why_ended(stage, store)
    yield f"It ended: {why}." if why else "It has not ended."
