"""Stages whose trials are found on the way: from what an earlier one found, or by a search."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from kgen.choice import Choice
from kgen.names import CONFIG_RANGE_TEST
from kgen.spec import Value
from kgen.sweep import space
from kgen.sweep.rungs import Rung, lengths_of, rungs
from kgen.sweep.sweepspec import Dimension, Method, Range, Stage, SweepSpec

RANGE_TEST_STEPS: Final = 300
"""Of a learning-rate range test, where the file does not say."""
RANGE_TEST_CHECKS: Final = 5
"""Steps between two looks at the loss in a range test."""
_RATE: Final = "learning_rate"
RISES_TO: Final = "learning_rate_stop"
"""Of a point of a range test, beside where its rate starts: where it rises to. Both stand in the trainer's config."""


def waiting(spec: SweepSpec) -> tuple[Stage, ...]:
    """Stages without any trial that is known, in the file's order."""
    known = {part.stage for part in spec.parts}
    return tuple(stage for stage in spec.stages if stage.name not in known)


def part_of(stage: Stage, choice: Choice) -> SweepSpec:
    """The stage with the trials that a choice gives it: an alternative for each point, crossed with what stands beside
    ``from`` in the file."""
    points = _distinct(point for one in choice.chosen for point in one.points)
    single = (_single(_ordered(point, stage.order)) for point in points)
    return stage.given(tuple(MappingProxyType({**point, **stage.beside}) for point in single))


def rungs_of(stage: Stage, points: Sequence[Mapping[str, Value]], steps: int | None) -> tuple[SweepSpec, ...]:
    """The stage with those points that its search asks for, as parts: one for trials, and one for each range of a range
    test; none without points. ``steps`` take the place of ``budget.steps``.

    Where the method is a range test, trials are those of its points that have a rate and no other one to rise to. The
    others have no rate of their own: they go through the range of the file or, where they have them, from
    ``learning_rate`` to :data:`RISES_TO`.
    """
    assert stage.search is not None, "a stage with a search"
    may_test = stage.search.method is Method.RANGE_TEST
    trials: list[Mapping[str, Value]] = []
    ranges: dict[tuple[Value, Value], list[Mapping[str, Value]]] = {}
    order = tuple(name for grid in stage.search.spaces for name in grid)  # rows have lost it
    for point in (_ordered(point, order) for point in points):
        if may_test and (_RATE not in point or RISES_TO in point):
            others = {name: value for name, value in point.items() if name not in (_RATE, RISES_TO)}
            ranges.setdefault(_range_of(stage.search.spaces, point), []).append(others)
        else:
            trials.append(point)
    parts = (_rung(stage, trials, steps),) if trials else ()
    tests = (_range_test(stage, group, start, stop, steps) for (start, stop), group in ranges.items())
    return (*parts, *tests)


def _rung(stage: Stage, points: Iterable[Mapping[str, Value]], steps: int | None) -> SweepSpec:
    assert stage.search is not None
    made = stage.given(one_by_one(points))
    budget = made.budget if steps is None else replace(made.budget, steps=steps)
    ranges = {
        name: dimension.spacing
        for space in stage.search.spaces
        for name, dimension in space.items()
        if isinstance(dimension, Range)
    }
    return replace(made, budget=budget, method=stage.search.method, ranges=MappingProxyType(ranges))


def _range_test(
    stage: Stage, points: Iterable[Mapping[str, Value]], start: Value, stop: Value, steps: int | None
) -> SweepSpec:
    assert stage.search is not None
    made = stage.given(one_by_one(points))
    config = {**made.trainer.config, CONFIG_RANGE_TEST: {"start": start, "stop": stop}}
    budget = replace(
        made.budget,
        target=None,
        steps=steps or stage.search.min_steps or RANGE_TEST_STEPS,
        check_every_steps=RANGE_TEST_CHECKS,
    )
    trainer = replace(made.trainer, config=MappingProxyType(config))
    return replace(made, budget=budget, trainer=trainer, method=stage.search.method)


def _range_of(spaces: Sequence[Mapping[str, Dimension]], point: Mapping[str, Value]) -> tuple[Value, Value]:
    """Where the rate of that point's range test starts and stops."""
    if _RATE in point and RISES_TO in point:
        return point[_RATE], point[RISES_TO]
    for grid in spaces:
        rate = grid.get(_RATE)
        if isinstance(rate, Range) and all(_has(grid.get(name), point[name]) for name in point if name != _RATE):
            return rate.start, rate.stop
    raise ValueError(f"no range of {_RATE} for {dict(point)}")


def _has(dimension: Dimension | None, value: Value) -> bool:
    if dimension is None or isinstance(dimension, Range):
        return False
    return space.identity(value) in map(space.identity, dimension)


def one_by_one(points: Iterable[Mapping[str, Value]]) -> tuple[Mapping[str, tuple[Value, ...]], ...]:
    """An alternative for each point, each point once."""
    return tuple(map(_single, _distinct(points)))


def _ordered(point: Mapping[str, Value], order: Sequence[str]) -> Mapping[str, Value]:
    """The point with its parameters in that order, others last."""
    return {name: point[name] for name in dict.fromkeys((*order, *point)) if name in point}


def _single(point: Mapping[str, Value]) -> Mapping[str, tuple[Value, ...]]:
    return MappingProxyType({name: (value,) for name, value in point.items()})


def _distinct(points: Iterable[Mapping[str, Value]]) -> tuple[Mapping[str, Value], ...]:
    found = {frozenset((name, space.identity(value)) for name, value in point.items()): point for point in points}
    return tuple(found.values())


def grids_of(stage: Stage, stages: Iterable[Stage]) -> tuple[Mapping[str, Dimension], ...]:
    """What the parameters of a stage's trials may be, as far as the file says it: of a choice what the earlier stage
    may have tried. Empty where a mistake hides it."""
    if stage.source is None:
        return stage.search.spaces if stage.search else stage.alternatives or ()
    before = [*itertools.takewhile(lambda other: other is not stage, stages)]
    earlier = next((other for other in before if other.name == stage.source.stage), None)
    if earlier is None:
        return ()
    return tuple(MappingProxyType({**grid, **stage.beside}) for grid in grids_of(earlier, before))


def most(stage: Stage, stages: Iterable[Stage]) -> int:
    """Trials that the stage may have at the most, as far as the file says it; ``stages`` are those before it."""
    if stage.alternatives is not None:
        return stage.given(stage.alternatives).size
    stages = tuple(stages)
    if stage.search is not None:
        groups = len(groups_of(stage.search.spaces, stage.search.per)) or 1
        if stage.search.method is Method.RANGE_TEST:
            return groups * stage.base.repeats
        if stage.search.method is Method.HALVING and (planned := rungs_ahead(stage)):
            return groups * stage.base.repeats * sum(rung.points for rung in planned)
        return groups * stage.search.trials
    source = stage.source
    assert source is not None
    earlier = next((other for other in stages if other.name == source.stage and other is not stage), None)
    groups = len(groups_of(grids_of(earlier, stages), source.per, source.where)) if earlier else 1
    best = max(1, groups if source.top is None else min(source.top, groups))
    points = source.num if source.factor is not None else 1 + 2 * source.neighbours
    return best * points * math.prod(len(values) for values in stage.beside.values()) * stage.base.repeats


def rungs_ahead(stage: Stage) -> tuple[Rung, ...]:
    """The rungs of each group of a search by halving, were no trial to reach its target before the last one; none for
    other methods."""
    search, base = stage.search, stage.base
    if search is None or search.method is not Method.HALVING or base.budget.steps is None:
        return ()
    return rungs(search, base.budget.steps, max(search.trials // base.repeats, 1))


def budgets_of(stage: Stage, point: Mapping[str, Value]) -> tuple[int | None, ...]:
    """``budget.steps`` that trials of a point may have in a search: of halving those of its rungs, of a range test,
    which has no rate, its own, and else the stage's."""
    search, steps = stage.search, stage.base.budget.steps
    assert search is not None, "a stage with a search"
    if search.method is Method.HALVING and steps is not None:
        return tuple(lengths_of(search.min_steps, search.reduction, steps))
    if search.method is Method.RANGE_TEST and (_RATE not in point or RISES_TO in point):
        return (search.min_steps or RANGE_TEST_STEPS,)
    return (steps,)


def steps_at_most(stage: Stage, unknown: int, known: Mapping[int | None, int]) -> int | None:
    """Training steps of so many trials that nobody knows yet, if none stops early; None without a cap. ``known``: how
    many trials there are already, by their budgets' steps."""
    if planned := rungs_ahead(stage):
        assert stage.search is not None, "halving is a search"
        groups = (len(groups_of(stage.search.spaces, stage.search.per)) or 1) * stage.base.repeats
        return sum(max(0, groups * rung.points - known.get(rung.steps, 0)) * rung.steps for rung in planned)
    steps = stage.base.budget.steps
    if stage.search is not None and stage.search.method is Method.RANGE_TEST:
        steps = stage.search.min_steps or RANGE_TEST_STEPS
    return None if steps is None else steps * unknown


def size_in_words(stage: Stage, stages: Iterable[Stage]) -> str:
    """How many trials the stage has, for a list of stages: ``288 trials``, ``after grid: up to 30 trials``."""
    trials = _count(most(stage, stages), "trial")
    if stage.source is not None:
        return f"after {stage.source.stage}: up to {trials}"
    return f"search {stage.search.method}: up to {trials}" if stage.search is not None else trials


def outlook(stage: Stage, stages: Iterable[Stage]) -> str:
    """What a stage whose trials are not all known will train, in words."""
    size = most(stage, stages)
    trials = f"up to {_count(size, 'trial')}"
    if stage.search is not None:
        return f"search ({stage.search.method}): {trials}, {rounds_in_words(stage)}"
    assert stage.source is not None
    repeats = stage.base.repeats
    points = f"{_count(size // repeats, 'point')} × {_count(repeats, 'repeat')}"
    return f"after stage {stage.source.stage}: {points}, {trials}"


def rounds_in_words(stage: Stage) -> str:
    """How the search of a stage goes about it."""
    search = stage.search
    assert search is not None, "a stage with a search"
    if search.method is Method.RANGE_TEST:
        return f"each of {search.min_steps or RANGE_TEST_STEPS:,} steps with a rising rate"
    if planned := rungs_ahead(stage):
        first, *others = [f"{rung.points:,} for {rung.steps:,}" for rung in planned]
        own = f" for each {', '.join(search.per)}" if search.per else ""
        return ", then ".join([f"{first} steps{own}", *others])
    return f"{_count(search.parallel, 'point')} at a time"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def groups_of(
    grids: Iterable[Mapping[str, Dimension]],
    per: Sequence[str],
    where: Mapping[str, tuple[Value, ...]] = MappingProxyType({}),
) -> tuple[Mapping[str, Value], ...]:
    """Every combination of the values of ``per`` that ``where`` lets through, in the file's order; of a range, whose
    values nobody knows yet, none."""
    found: dict[tuple[tuple[bool, Value], ...], Mapping[str, Value]] = {}
    for grid in grids:
        sides = [grid.get(name, ()) for name in per]
        for values in itertools.product(*([] if isinstance(side, Range) else side for side in sides)):
            group = dict(zip(per, values, strict=True))
            if all(_has(allowed, group[name]) for name, allowed in where.items() if name in group):
                found.setdefault(tuple(map(space.identity, values)), MappingProxyType(group))
    return tuple(found.values())
