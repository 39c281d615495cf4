"""What of a sweep nobody knows yet: stages that have not begun, searches that would ask for more."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping

from kgen.errors import StoreError
from kgen.results.store import Store
from kgen.sweep import SweepSpec
from kgen.workflow.choices import WithChoices
from kgen.workflow.observe import SeenSweep
from kgen.workflow.rows import RowReader


def later_stages(
    spec: SweepSpec, store: Store | None, choices: Mapping[str, str], without: Collection[str] = ()
) -> dict[str, str]:
    """Stages that may still get trials which nobody knows yet, and why, in words. Where the ``store`` can't be read,
    those that have none at all. Choices of the stages ``without`` are to be made anew."""
    if not spec.stages:
        return {}
    from kgen.sweep.stages import waiting
    from kgen.workflow.stages import not_begun, unfinished

    if store is not None:
        with contextlib.suppress(StoreError):
            return unfinished(spec, WithChoices(store, choices, without=without))
    return {stage.name: not_begun(stage) for stage in waiting(spec)}


def later_of(seen: SeenSweep) -> dict[str, str]:
    """The same of a sweep as it is seen."""
    spec = seen.spec
    if spec is None or not spec.stages:
        return {}
    found = later_stages(spec, RowReader(spec).store(), {})
    chosen = {part.stage for part in spec.parts} & {stage.name for stage in spec.stages if stage.source is not None}
    return {stage: why for stage, why in found.items() if stage not in chosen}
