"""What to use, by whatever rows there are: of all stages and searches that train the same thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kgen.errors import InputError
from kgen.spec import Value
from kgen.sweep import SweepSpec, expand
from kgen.sweep.stages import grids_of
from kgen.sweep.sweepspec import Method, Stage
from kgen.workflow.stages import resolved, unfinished
from kgen.workflow.store import store_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgen.analysis.recommended import Recommended
    from kgen.results.store import Store


@dataclass(frozen=True, slots=True)
class Advice:
    """What a sweep's results say of what to use."""

    spec: SweepSpec
    """With the parts of all stages whose trials are known."""
    questions: tuple[Recommended, ...]
    """One for each thing that its stages train, in their order; empty while no trial is known."""
    hints: tuple[Mapping[str, Value], ...]
    """Points at which its range tests say that training goes well; each is one short run, and confirms nothing."""
    unfinished: Mapping[str, str]
    """Stages that may get more trials, and why, in words."""


def recommend(spec: SweepSpec, *, stage: str = "") -> Advice:
    """What to use for each group (an optimizer), how safe and how sure that is, and which trials would tell most.

    Reads the rows that are there, and changes nothing. With ``stage`` only the question that this stage is of. Raises
    InputError for a stage that is none or for a choice that was made for another question than the file has now,
    StoreError when the results can't be read.
    """
    from kgen.analysis.recommended import recommended
    from kgen.results.collect import look

    store = store_of(spec)
    spec = resolved(spec, store)
    names = [one.name for one in spec.stages] or [spec.stage]
    if stage and stage not in names:
        raise InputError.of(str(spec.file), "--stage", stage, f"a stage of the sweep: {', '.join(names)}")
    parts = spec.parts if spec.stages else (spec,)
    trials = [trial for part in parts for trial in expand(part)]
    questions: tuple[Recommended, ...] = ()
    if trials:
        results = look(store, trials)
        questions = recommended(parts, results.trials, results.curves, _per(spec), _names(spec))
    return Advice(
        spec=spec,
        questions=tuple(question for question in questions if not stage or stage in question.stages),
        hints=hints_of(spec, store),
        unfinished=unfinished(spec, store),
    )


def _per(spec: SweepSpec) -> tuple[str, ...] | None:
    """The parameters that make the groups, where the file says it."""
    for stage in spec.stages:
        named = stage.search or stage.source
        if named is not None and named.per:
            return named.per
    return None


def _names(spec: SweepSpec) -> list[str]:
    """The parameters in the order of the file; a search's rows have lost it."""
    found = (name for stage in spec.stages for grid in grids_of(stage, spec.stages) for name in grid)
    return list(dict.fromkeys([*found, *spec.parameters]))


def hints_of(spec: SweepSpec, store: Store | None = None) -> tuple[Mapping[str, Value], ...]:
    """Points at which a sweep's range tests say that training goes well, as far as they have run. Raises StoreError."""
    return tuple(point for stage in spec.stages for point in _hints(stage, store or store_of(spec)))


def _hints(stage: Stage, store: Store) -> tuple[Mapping[str, Value], ...]:
    if stage.search is None or stage.search.method is not Method.RANGE_TEST:
        return ()
    from kgen.search import suggested
    from kgen.workflow.searched import asked_before, standing_of, tried_of

    standing = standing_of(stage, store, asked_before(store, [stage]))
    tried, _ = tried_of(standing, {}, ())
    return suggested(stage, tried) if tried else ()
