"""``search`` of a file or stage → :class:`Search`, and the mistakes that only several fields show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kgen.names import CONFIG_RANGE_TEST
from kgen.spec import Packing, Value
from kgen.sweep import model, space
from kgen.sweep.choosing import DEFAULT_METHOD, DEFAULT_OTHERWISE
from kgen.sweep.document import Path
from kgen.sweep.fields import show
from kgen.sweep.findings import Findings
from kgen.sweep.packing import packing_of
from kgen.sweep.rungs import lengths_of, rungs
from kgen.sweep.stage_model import SearchModel
from kgen.sweep.stages import RANGE_TEST_CHECKS, groups_of
from kgen.sweep.sweepspec import BUILT_IN, Dimension, Method, Range, Search, Spacing, SweepSpec
from kgen.sweep.translate import did_you_mean

_RATE: Final = "learning_rate"
_ONLY: Final = {
    "trials": tuple(method for method in Method if method is not Method.RANGE_TEST),
    "reduction": (Method.HALVING,),
    "min_steps": (Method.HALVING, Method.RANGE_TEST),
    "improvement": tuple(method for method in Method if method not in (Method.HALVING, Method.RANGE_TEST)),
    "parallel": tuple(method for method in Method if method not in (Method.HALVING, Method.RANGE_TEST)),
}
"""Methods that a key belongs to; the others belong to all."""
_PARALLEL: Final = {Method.BISECTION: 1}
"""Points of a group at a time, where the file does not say: each one of bisection rests on all results before it."""
_OTHERS: Final = 4

Grids = list[tuple[Path, Mapping[str, Any]]]
Spaces = tuple[Mapping[str, Dimension], ...]


def search_of(findings: Findings, parsed: model.SweepFile, base: SweepSpec, grids: Grids, spaces: Spaces) -> Search:
    """The search over these spaces; ``grids`` are the same as the file has them, with their places."""
    given = parsed.search or SearchModel.model_validate({})
    unsuited = _not_for_bisection(spaces, given.per or ())
    method = given.method or (DEFAULT_OTHERWISE if unsuited else DEFAULT_METHOD)
    check = _Check(findings, given, method, base)
    check.limits()
    if findings.is_sound(("search", "method")):
        check.keys()
    if findings.is_sound(("parameters",)):
        check.per(spaces)
        if given.method is Method.RANGE_TEST:
            check.range_test(grids, spaces)
        if given.method is Method.BISECTION and unsuited and findings.is_sound(("search", "per")):
            allowed = f"one number on a logarithmic scale for each group; {DEFAULT_OTHERWISE} and others take any"
            findings.wrong(("search", "method"), f"{given.method} with {unsuited}", allowed)
    return Search(
        method=method,
        spaces=spaces,
        per=tuple(given.per or ()),
        trials=given.trials,
        steps=given.steps,
        seconds=given.seconds,
        improvement=given.improvement,
        parallel=given.parallel or _PARALLEL.get(method, _OTHERS),
        reduction=given.reduction,
        min_steps=given.min_steps,
    )


class _Check:
    """Finds the mistakes of one search."""

    def __init__(self, findings: Findings, given: SearchModel, method: Method, base: SweepSpec) -> None:
        self._findings = findings
        self._given = given
        self._method = method
        self._base = base

    def _wrong(self, *path: str | int, found: str, allowed: str, key: bool = False) -> None:
        self._findings.wrong(("search", *path), found, allowed, key=key)

    def keys(self) -> None:
        """Keys that the method has no use for."""
        for name, methods in _ONLY.items():
            if name in self._given.model_fields_set and self._method not in methods:
                allowed = f"{name} with {' or '.join(methods)} only"
                self._wrong(name, found=f"{name} with {self._method}", allowed=allowed, key=True)

    def limits(self) -> None:
        """Numbers of trials and of steps that do not go together."""
        given, repeats, steps = self._given, self._base.repeats, self._base.budget.steps
        if (
            self._method is not Method.RANGE_TEST
            and given.trials < repeats
            and self._findings.is_sound(("search", "trials"), ("repeats",))
        ):
            allowed = f"at least {repeats}, the repeats of one point"
            self._wrong("trials", found=f"{given.trials:,}", allowed=allowed)
        if self._method is Method.RANGE_TEST and given.min_steps and given.min_steps <= RANGE_TEST_CHECKS:
            allowed = f"more than {RANGE_TEST_CHECKS}: the rate rises every {RANGE_TEST_CHECKS} steps"
            self._wrong("min_steps", found=str(given.min_steps), allowed=allowed)
        if self._method is not Method.HALVING or not self._findings.is_sound(("budget",)):
            return
        if steps is None:
            allowed = "a number of steps, of which the rungs of halving are parts"
            self._findings.wrong(("budget", "steps"), "nothing", allowed)
        elif given.min_steps and given.min_steps >= steps:
            allowed = f"less than budget.steps, which is {steps:,}: the last rung"
            self._wrong("min_steps", found=f"{given.min_steps:,}", allowed=allowed)
        else:
            self._rungs(steps)

    def _rungs(self, steps: int) -> None:
        """One trial of each rung at least."""
        given, repeats = self._given, self._base.repeats
        sound = self._findings.is_sound(*(("search", name) for name in ("trials", "min_steps", "reduction")))
        rungs = len(lengths_of(given.min_steps, given.reduction, steps))
        if sound and repeats <= given.trials < rungs * repeats:
            words = f"{rungs} rungs" + (f" of {repeats} repeats" if repeats > 1 else "")
            self._wrong("trials", found=f"{given.trials:,}", allowed=f"at least {rungs * repeats}, for {words}")

    def per(self, spaces: Spaces) -> None:
        """Groups are made of values that the file lists."""
        raw = self._findings.raw("search")
        raw_per = raw.get("per") if isinstance(raw, dict) else None
        known = [name for name in (spaces[0] if spaces else ()) if all(_is_listed(grid.get(name)) for grid in spaces)]
        for i, name in enumerate(self._given.per or ()):
            if name not in known:
                ranges = any(isinstance(grid.get(name), Range) for grid in spaces)
                allowed = f"a parameter with listed values in every alternative: {', '.join(known) or 'there is none'}"
                self._wrong(
                    *(("per", i) if isinstance(raw_per, list) else ("per",)),
                    found=f"{name}, which has a range" if ranges else name,
                    allowed=f"{allowed}{did_you_mean(name, known)}",
                )

    def range_test(self, grids: Grids, spaces: Spaces) -> None:
        """The rate rises within one run: a logarithmic range of it, and nothing else to search."""
        trainer = self._base.trainer
        if trainer.command != BUILT_IN and self._findings.is_sound(("trainer",)):
            allowed = "kgen's own trainer, which can let the rate rise in a run; another method for others"
            found = f"range-test with {show(' '.join(trainer.command))}"
            self._wrong("method", found=found, allowed=allowed)
        for name in (_RATE, CONFIG_RANGE_TEST):
            if name in trainer.config:
                allowed = "no rate beside that which rises" if name == _RATE else "the range in parameters"
                self._findings.wrong(("trainer", "config", name), f"{name} with range-test", allowed, key=True)
        for (place, _), grid in zip(grids, spaces, strict=True):
            rate = grid.get(_RATE)
            if not isinstance(rate, Range) or rate.spacing is not Spacing.LOG:
                path = (*place, _RATE) if _RATE in grid else place
                found = _shown(rate) if rate is not None else f"no {_RATE}"
                self._findings.wrong(path, found, f"{_RATE}: {{log: {{start: …, stop: …}}}} with range-test")
            for name, dimension in grid.items():
                if name == _RATE:
                    continue
                if isinstance(dimension, Range):
                    allowed = f"listed values with range-test, which searches {_RATE} alone"
                    self._findings.wrong((*place, name), "a range", allowed)
                elif len(dimension) > 1 and name not in (self._given.per or ()):
                    allowed = f"one value with range-test, which searches {_RATE} alone; or {name} in per"
                    self._findings.wrong((*place, name), f"{len(dimension)} values", allowed)
        self._one_range(grids, spaces)

    def _one_range(self, grids: Grids, spaces: Spaces) -> None:
        """A group rises through one range."""
        seen: dict[tuple[tuple[bool, Value], ...], str] = {}
        for (place, _), grid in zip(grids, spaces, strict=True):
            groups = groups_of([grid], self._given.per or ())
            twice = [group for group in groups if tuple(map(space.identity, group.values())) in seen]
            if twice:
                first = seen[tuple(map(space.identity, twice[0].values()))]
                words = ", ".join(f"{name}={show(value)}" for name, value in twice[0].items()) or "another range"
                self._findings.wrong(place, f"{words} again", f"one range for each group (first in {first})")
            name = self._findings.name(place)
            seen |= {tuple(map(space.identity, group.values())): name for group in groups}


def _not_for_bisection(spaces: Spaces, per: Sequence[str]) -> str:
    """What of these spaces keeps it from bisecting them, in words; empty where each group has one number to choose, on
    a logarithmic scale."""
    seen: set[tuple[tuple[bool, Value], ...]] = set()
    for grid in spaces:
        chosen = [name for name, values in grid.items() if name not in per and not _is_one_value(values)]
        if len(chosen) != 1:
            return f"{', '.join(chosen)} to choose" if chosen else "nothing to choose"
        if not _is_logarithmic(grid[chosen[0]]):
            return f"{chosen[0]}, which has {_shown(grid[chosen[0]])}"
        own = {tuple(map(space.identity, group.values())) for group in groups_of([grid], per)}
        if own & seen:
            return "several alternatives of one group"
        seen |= own
    return ""


def _is_one_value(dimension: Dimension) -> bool:
    return not isinstance(dimension, Range) and len(dimension) == 1


def _is_logarithmic(dimension: Dimension) -> bool:
    return dimension.spacing is Spacing.LOG if isinstance(dimension, Range) else space.is_logarithmic(dimension)


def _shown(dimension: Dimension) -> str:
    if isinstance(dimension, Range):
        return "whole numbers" if dimension.spacing is Spacing.INT else f"a {dimension.spacing} range"
    return f"{len(dimension)} value{'s' * (len(dimension) != 1)}"


def _is_listed(dimension: Dimension | None) -> bool:
    return dimension is not None and not isinstance(dimension, Range)


def packing_of_search(asked: Packing | None, search: Search, base: SweepSpec) -> Packing:
    """Packing of everything that a search asks for: that of the points of one answer, so that it is the same however
    many there are of them at a time."""
    points = search.parallel
    if search.method is Method.HALVING and base.budget.steps is not None:
        points = rungs(search, base.budget.steps, max(search.trials // base.repeats, 1))[0].points
    together = [grid for one in search.spaces if (grid := _one_answer(search, one, points)) is not None]
    if asked is None and (len(together) < len(search.spaces) or search.method is Method.RANGE_TEST):
        return Packing.SEQUENTIAL
    return packing_of(asked, together, base.trainer, base.objective, base.budget)


def _one_answer(search: Search, given: Mapping[str, Dimension], points: int) -> Mapping[str, Sequence[Value]] | None:
    """A grid of what comes at a time, so many points of each group; None where parameters other than the rate set them
    apart."""
    groups = 1
    grid: dict[str, Sequence[Value]] = {}
    for name, dimension in given.items():
        if name == "optimizer" and not isinstance(dimension, Range):
            groups *= len(dimension) if name in search.per else 1
        elif name != _RATE and (isinstance(dimension, Range) or len(dimension) > 1):
            return None
        elif name != _RATE:
            grid[name] = dimension  # type: ignore[assignment]
    return {**grid, _RATE: range(groups * points)}
