"""One answer for all groups of a search: what each wants next, as far as its limits allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kgen.analysis.evidence import Evidence, cap_of, evidence
from kgen.analysis.outcomes import Status
from kgen.analysis.text import plural
from kgen.analysis.tried import Tried
from kgen.errors import InputError
from kgen.search.asked import Ask, Done
from kgen.search.bisection import bisection_points
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
_EXHAUSTED = "every combination was tried"


@dataclass(frozen=True, slots=True)
class Asking:
    """One group of a search, with its trials."""

    stage: Stage
    search: Search
    group: Group
    tried: tuple[Tried, ...]
    pending: tuple[Tried, ...]

    def answer(self) -> Ask | Done:
        """What this group wants next: first the rest of what is under way; whether that was enough is asked after it.

        So a search that was killed ends with the trials of one that was not.
        """
        if again := self._again():
            return again
        if self.search.method is Method.HALVING:
            return self._halving()
        if self.search.method is Method.RANGE_TEST:
            return self._range_test()
        return self._next_batch() if self.search.parallel > 1 else self._points()

    @property
    def complete(self) -> list[Tried]:
        """Trials that say something of their point: those with a result."""
        return [one for one in self.tried if one.complete and not one.is_range_test]

    def evidence(self) -> tuple[Evidence, ...]:
        """Of the last trial of each lineage."""
        return self._evidence(self.complete)

    def suggested(self) -> Point | None:
        """What its range test says; ``None`` without one, and where training goes well nowhere."""
        return suggestion(self.group, self.tried)

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
        rest = tuple(point for point in points if key_of(point) not in over)
        if len(rest) == len(points) and (why := spent(self.search, self.tried)):  # this rung has not begun
            return Ask(()) if self.pending else Done(why)
        return Ask(rest, steps)

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

    def _next_batch(self) -> Ask | Done:
        """The points of a batch of ``parallel`` that is under way or comes next.

        A batch is a function of the results of those before it, and limits are judged between two of them. So a search
        that was killed within one finds its way again, and asks for the rest of that batch.
        """
        repeats = self.stage.base.repeats
        waiting = {key_of(one.parameters) for one in self.pending}
        known = {key_of(one.parameters) for one in self.tried} | waiting
        path: set[Key] = set()
        while True:
            if path == known and (why := self._enough()):
                return Done(why)
            left = max(self.search.trials // repeats, 1) - len(path)
            if left <= 0:  # more were asked for before an edit of the file
                break
            before = [one for one in self.tried if key_of(one.parameters) in path]
            done, failed = [one for one in before if one.complete], [one for one in before if not one.complete]
            batch = {key_of(one): one for one in self._proposed(done, failed, min(self.search.parallel, left))}
            if not batch and path == known:
                return Done(_EXHAUSTED)
            if not batch or not batch.keys() <= known - waiting:
                if not batch or known - path - batch.keys():
                    break  # some were asked for by what the file was before an edit
                return Ask(tuple(point for key, point in batch.items() if key not in known))
            path |= batch.keys()
        return self._points()

    def _points(self) -> Ask | Done:
        """The next points by all results, whatever asked for these."""
        wanted = min(self._left(), self.search.parallel - len({key_of(one.parameters) for one in self.pending}))
        if wanted <= 0 and self.pending:
            return Ask(())
        if why := self._enough():
            return Ask(()) if self.pending else Done(why)
        failed = [one for one in self.tried if not one.complete]
        points = self._proposed(self.complete, [*self.pending, *failed], wanted)
        return Ask(tuple(points)) if points or self.pending else Done(_EXHAUSTED)

    def _enough(self) -> str | None:
        """Why nothing more is asked for, in words; ``None`` where more is."""
        if why := spent(self.search, self.tried):
            return why
        if not self._left():
            return plural(self.search.trials, "trial")
        seen = self.evidence()
        return no_gain(self.search, self.group, seen, self._cap(seen))

    def _proposed(self, done: Sequence[Tried], others: Sequence[Tried], wanted: int) -> list[Point]:
        """So many new points, by the results of those that are ``done``; ``others`` are pending or failed."""
        seed, seen = self.stage.base.seed, self._evidence(done)
        known = {key_of(one.parameters) for one in (*done, *others)}
        match self.search.method:
            case Method.RANDOM:
                return fresh(random_points(self.group, seed), wanted, known, self.group)
            case Method.SOBOL:
                return fresh(sobol_points(self.group, seed), wanted, known, self.group)
            case Method.BISECTION:
                return bisection_points(self.group, seen, others, wanted, seed, self._cap(seen))
            case _:
                return tpe_points(self.group, seen, others, wanted, (seed + len(done)) % 2**31 + self.group.number)


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
