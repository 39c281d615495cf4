"""One answer for all groups of a search: what each wants next, as far as its limits allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

import numpy as np

from kgen.analysis.outcomes import Status
from kgen.analysis.text import plural
from kgen.errors import InputError
from kgen.search.asked import Ask, Done, Tried
from kgen.search.bisection import belief_of, bisection_points, cap_of, line_of
from kgen.search.evidence import Evidence, Kind, evidence
from kgen.search.halving import halving_points, latest
from kgen.search.limits import no_gain, spent
from kgen.search.plain import fresh, random_points, sobol_points
from kgen.search.range_test import rising_point, suggestion
from kgen.search.space import Group, Key, Point, groups_of, key_of
from kgen.search.tpe import tpe_points
from kgen.spec import STEPS_TO_TARGET
from kgen.sweep.sweepspec import Method, Search, Stage

_TWICE = 2
"""A failed trial is trained once more."""

Propose = Callable[[Sequence[Tried], Sequence[Tried], int], list[Point]]
"""Trials with a result, others that must not be asked for (pending, failed), how many points → new points."""


@dataclass(frozen=True, slots=True)
class Asking:
    """One group of a search, with its trials."""

    stage: Stage
    search: Search
    group: Group
    tried: tuple[Tried, ...]
    pending: tuple[Tried, ...]

    def answer(self) -> Ask | Done:
        """What this group wants next."""
        if why := spent(self.search, self.tried):
            return Done(why)
        if again := self._again():
            return again
        if self.search.method is Method.HALVING:
            return self._halving()
        if self.search.method is Method.RANGE_TEST:
            return self._range_test()
        return self._points()

    @property
    def complete(self) -> list[Tried]:
        """Trials that say something of their point: those with a result."""
        return [one for one in self.tried if one.complete and not one.is_range_test]

    def evidence(self) -> tuple[Evidence, ...]:
        """Of the last trial of each lineage."""
        return self._evidence(self.complete)

    def recommended(self) -> Point | None:
        """The point that works and is expected to take least; ``None`` when nothing works."""
        if self.search.method is Method.RANGE_TEST:
            return suggestion(self.group, self.tried)
        seen = self.evidence()
        working = [one for one in seen if one.kind is Kind.REACHED]
        if not working:
            return None
        found = line_of(self.group)
        if found is not None:
            belief = belief_of(found[1], seen, self._cap(seen))
            axis = found[1]
            places = [axis.low + axis.position(one.tried.parameters[axis.name]) * axis.span for one in working]
            return working[int(np.argmin(belief.cost(np.array(places))))].tried.parameters
        means: dict[Key, list[float]] = {}
        for one in seen:
            means.setdefault(key_of(one.tried.parameters), []).append(one.at)
        best = min(working, key=lambda one: float(np.mean(means[key_of(one.tried.parameters)])))
        return best.tried.parameters

    def _evidence(self, tried: Sequence[Tried]) -> tuple[Evidence, ...]:
        return evidence(latest(tried), self.stage.base.budget, self.stage.base.objective)

    def _cap(self, seen: Sequence[Evidence]) -> float:
        in_steps = self.stage.base.objective.metric == STEPS_TO_TARGET
        return cap_of(seen, self.stage.base.budget.steps if in_steps else None)

    @property
    def _steps(self) -> int | None:
        return self.stage.base.budget.steps

    def _left(self) -> int:
        """Points that the limit of trials still allows."""
        asked = {(key_of(one.parameters), one.seed, one.steps_budget) for one in (*self.tried, *self.pending)}
        left = (self.search.trials - len(asked)) // self.stage.base.repeats
        return max(left, 0 if asked else 1)

    def _again(self) -> Ask | None:
        """Points that failed once, or have a result for some of their seeds only."""
        waiting = {(key_of(one.parameters), one.steps_budget) for one in self.pending}
        places: dict[tuple[Key, int | None], list[Tried]] = {}
        for one in self.tried:
            places.setdefault((key_of(one.parameters), one.steps_budget), []).append(one)
        for place, here in places.items():
            if place not in waiting and not self._settled(here):
                one = here[0]
                steps = one.steps_budget if one.is_range_test or self.search.method is Method.HALVING else None
                return Ask((one.parameters,), steps, one.is_range_test)
        return None

    def _settled(self, here: Sequence[Tried]) -> bool:
        """Whether each seed of a point has a result, or failed twice."""
        if here[0].is_range_test:
            return any(one.complete for one in here) or len(here) >= _TWICE
        done = {one.seed for one in here if one.complete}
        failed = [one.seed for one in here if one.status is Status.FAILED]
        return all(seed in done or failed.count(seed) >= _TWICE for seed in self.stage.base.seeds)

    def _known(self) -> set[Key]:
        return {key_of(one.parameters) for one in (*self.tried, *self.pending)}

    def _halving(self) -> Ask | Done:
        if self._steps is None:
            raise InputError.of(str(self.stage.base.file), "budget.steps", "none", "a number, for the method halving")
        base = self.stage.base
        most = max(self.search.trials // base.repeats, 1)
        points, steps = halving_points(
            self.group, self.search, self.tried, base.budget, base.objective, most, base.seed
        )
        if steps is None:
            return Done(f"every rung up to {self._steps:,} steps is done")
        over = {key_of(one.parameters) for one in (*self.tried, *self.pending) if one.steps_budget == steps}
        return Ask(tuple(point for point in points if key_of(point) not in over), steps)

    def _range_test(self) -> Ask | Done:
        if any(one.is_range_test for one in self.pending):
            return Ask(())
        if any(one.is_range_test for one in self.tried):
            return Done("the range test")
        point = rising_point(self.group)
        if point is None:
            allowed = "one range of learning_rate on a logarithmic scale, and nothing else, for the method range-test"
            raise InputError.of(str(self.stage.base.file), "parameters", "something else", allowed)
        return Ask((point,), self.search.min_steps, range_test=True)

    def _points(self) -> Ask | Done:
        left, known = self._left(), self._known()
        if not left:
            return Ask(()) if self.pending else Done(f"{plural(self.search.trials, 'trial')}")
        wanted = min(left, self.search.parallel - len({key_of(one.parameters) for one in self.pending}))
        if wanted <= 0:
            return Ask(())
        seen = self.evidence()
        if why := no_gain(self.search, self.group, seen, self._cap(seen)):
            return Ask(()) if self.pending else Done(why)
        points = self._proposed(wanted, known)
        if not points and not self.pending:
            return Done("every combination was tried")
        return Ask(tuple(points))

    def _proposed(self, wanted: int, known: Set[Key]) -> list[Point]:
        seed = self.stage.base.seed
        match self.search.method:
            case Method.RANDOM:
                return fresh(random_points(self.group, seed), wanted, known, self.group)
            case Method.SOBOL:
                return fresh(sobol_points(self.group, seed), wanted, known, self.group)
            case Method.BISECTION if line_of(self.group) is not None:
                return self._in_batches(self._bisection, wanted)
            case _:
                return self._in_batches(self._tpe, wanted)

    def _bisection(self, tried: Sequence[Tried], others: Sequence[Tried], wanted: int) -> list[Point]:
        seen = self._evidence(tried)
        return bisection_points(self.group, seen, others, wanted, self.stage.base.seed, self._cap(seen))

    def _tpe(self, tried: Sequence[Tried], others: Sequence[Tried], wanted: int) -> list[Point]:
        seed = (self.stage.base.seed + len(tried)) % 2**31 + self.group.number
        return tpe_points(self.group, self._evidence(tried), others, wanted, seed)

    def _in_batches(self, propose: Propose, wanted: int) -> list[Point]:
        """The points of a method that learns from results, in batches of ``parallel``.

        A batch is a function of the results of those before it. So a search that was killed within one finds its way
        again, and asks for the rest of that batch: it ends with the trials of one that was not killed.
        """
        size = self.search.parallel
        known = {key_of(one.parameters) for one in self.tried}  # those that failed for good among them
        waiting = {key_of(one.parameters) for one in self.pending}
        failed = [one for one in self.tried if not one.complete]
        path: list[Key] = []
        while size > 1:
            before = [one for one in self.complete if key_of(one.parameters) in path]
            left = max((self.search.trials - len(path) * self.stage.base.repeats) // self.stage.base.repeats, 1)
            others = [one for one in failed if key_of(one.parameters) in path]
            batch = propose(before, others, min(size, left))
            rest = known.difference(path) - {key_of(point) for point in batch}
            missing = [point for point in batch if key_of(point) not in known]
            if not missing and batch and rest:
                path += [key_of(point) for point in batch]
                continue
            if missing and not rest:
                return [point for point in missing if key_of(point) not in waiting]
            break  # a whole batch is done, or the file had another search once: all results count
        return propose(self.complete, [*self.pending, *failed], wanted)


def asking(stage: Stage, tried: Sequence[Tried], pending: Sequence[Tried]) -> tuple[Asking, ...]:
    """One for each group, each with its own trials."""
    assert stage.search is not None, "a stage with a search"
    return tuple(
        Asking(
            stage,
            stage.search,
            group,
            tuple(one for one in tried if group.has(one.parameters) and (one.complete or one.status is Status.FAILED)),
            tuple(one for one in pending if group.has(one.parameters)),
        )
        for group in groups_of(stage.search)
    )


def together(answers: Sequence[tuple[Group, Ask | Done]]) -> Ask | Done:
    """The points of all groups that share a budget, the shortest one first."""
    asks = [answer for _, answer in answers if isinstance(answer, Ask) and answer.points]
    if asks:
        first = min(asks, key=lambda ask: (not ask.range_test, ask.steps is None, ask.steps or 0))
        same = [ask for ask in asks if (ask.steps, ask.range_test) == (first.steps, first.range_test)]
        return Ask(tuple(point for ask in same for point in ask.points), first.steps, first.range_test)
    if any(isinstance(answer, Ask) for _, answer in answers):
        return Ask(())
    reasons = {answer.why: group for group, answer in answers if isinstance(answer, Done)}
    if len(answers) == 1:
        return Done(next(iter(reasons)))
    if len(reasons) == 1:
        return Done(f"{next(iter(reasons))} of each group")
    return Done("; ".join(f"{group.label}: {answer.why}" for group, answer in answers if isinstance(answer, Done)))
