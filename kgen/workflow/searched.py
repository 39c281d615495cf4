"""What a search has tried so far, found again in the rows: the points, their trials, and how these went."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kgen.names import CONFIG_RANGE_TEST
from kgen.results.store import Store
from kgen.spec import Budget, TrialSpec, Value, dump_json, shown
from kgen.sweep import SweepSpec, expand
from kgen.sweep.expand import canonical
from kgen.sweep.sweepspec import Dimension, Method, Range, Search, Stage

if TYPE_CHECKING:
    from kgen.results.collect import Results
    from kgen.results.read import RowCache
    from kgen.search import Done, Tried

_RATE = "learning_rate"
_ROUNDING = 1e-3
"""Points that a search proposes have four significant digits: so far beside a range's end they may stand."""


def asked_before(store: Store, stages: Iterable[Stage], cache: RowCache | None = None) -> tuple[TrialSpec, ...]:
    """The trials of these stages' searches that left a row, in the order in which they started. Raises StoreError."""
    names = {stage.name for stage in stages if stage.search is not None}
    if not names or not store.has_rows():
        return ()
    from kgen.results.read import read

    found = []
    for row in read(store, cache=cache).asked(names):
        with contextlib.suppress(LookupError, TypeError, ValueError):  # a budget of a newer kgen
            found.append(TrialSpec(row.trial, "", row.stage, row.parameters, row.seed, Budget.from_json(row.budget)))
    return tuple(found)


def parts_of(stage: Stage, asked: Iterable[TrialSpec]) -> tuple[SweepSpec, ...]:
    """The stage with the points of its search that were asked for, one part for each budget.

    A point counts if one of these trials is its own: if the search may ask for its parameters and budget, and these and
    its seed give that trial's id in this stage. So what an earlier version of the file has left is none of them.
    """
    from kgen.sweep.stages import budgets_of, rungs_of

    assert stage.search is not None
    points: dict[int | None, dict[str, Mapping[str, Value]]] = {}
    ids = set()
    for trial in asked:
        if trial.stage != stage.name or not _is_offered(stage, trial.parameters):
            continue
        if trial.budget.steps in budgets_of(stage, trial.parameters):
            points.setdefault(trial.budget.steps, {}).setdefault(_key(trial.parameters), trial.parameters)
            ids.add(trial.id)
    parts: list[SweepSpec] = []
    for steps, found in points.items():
        own = {_key(trial.parameters) for rung in rungs_of(stage, tuple(found.values()), steps)
               for trial in expand(rung) if trial.id in ids}  # fmt: skip
        parts += rungs_of(stage, tuple(point for key, point in found.items() if key in own), steps)
    return tuple(parts)


def _is_offered(stage: Stage, point: Mapping[str, Value]) -> bool:
    """Whether the search may still ask for that point: an edit may have narrowed its ranges."""
    search = stage.search
    assert search is not None
    is_test = search.method is Method.RANGE_TEST and _RATE not in point
    names = {*point, _RATE} if is_test else set(point)
    return any(set(space) == names and _fits(space, point) for space in search.spaces)


def _fits(space: Mapping[str, Dimension], point: Mapping[str, Value]) -> bool:
    return all(_is_in(space[name], value) for name, value in point.items())


def _is_in(dimension: Dimension, value: Value) -> bool:
    if not isinstance(dimension, Range):
        return _key(value) in {_key(one) for one in dimension}
    ends = [float(dimension.start), float(dimension.stop)]
    if isinstance(value, bool | str):
        return False
    return min(ends) - abs(min(ends)) * _ROUNDING <= value <= max(ends) + abs(max(ends)) * _ROUNDING


def _key(value: Any) -> str:
    return dump_json(canonical(value))


def limit_of(search: Search) -> str:
    """What ends a search at the latest, in words."""
    own = f" for each {', '.join(search.per)}" if search.per else ""
    return f"{search.trials:,} trials{own}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How the known trials of a search stand."""

    parts: tuple[SweepSpec, ...]
    results: Results | None
    """Of all of its trials; None without any row."""
    failures: Mapping[str, int]
    """Trials without a result → their failed attempts."""

    def lacking(self) -> Iterator[tuple[SweepSpec, list[TrialSpec]]]:
        """Each part with those of its trials that have no result, whatever became of them."""
        done = self.done
        for part in self.parts:
            if missing := [trial for trial in expand(part) if trial.id not in done]:
                yield part, missing

    @property
    def done(self) -> frozenset[str]:
        """Trials with a result."""
        if self.results is None:
            return frozenset()
        trials = self.results.trials
        without = trials["status"].isin(["failed", "interrupted", "missing"])
        return frozenset(trials.loc[~without, "trial"])


def standing_of(stage: Stage, store: Store, asked: Iterable[TrialSpec], cache: RowCache | None = None) -> Standing:
    """How those trials stand by the rows. Raises StoreError."""
    parts = parts_of(stage, asked)
    trials = [trial for part in parts for trial in expand(part)]
    if not trials or not store.has_rows():
        return Standing(parts, None, {})
    from kgen.results.collect import look
    from kgen.results.read import read

    results = look(store, trials, cache)
    failed = Counter(read(store, cache=cache).failed())
    ids = {trial.id for trial in trials}
    return Standing(parts, results, {trial: number for trial, number in failed.items() if trial in ids})


def tried_of(standing: Standing, given: Mapping[str, int], pending: Iterable[str]) -> tuple[list[Tried], list[Tried]]:
    """What the search is told: what was tried, and what is being tried.

    ``given`` says how often a trial was handed out to be trained. Of one without a result each time was a failed
    attempt, whether it left no row, or a Job left one of each of its pods; of others each row is one.
    """
    from kgen.analysis import Status
    from kgen.analysis.tried import Tried, curves_by_trial, lines_by_trial, trained

    done, waits = standing.done, set(pending)
    results = standing.results
    lines = {} if results is None else lines_by_trial(results.trials)
    curves = {} if results is None else curves_by_trial(results.curves)
    tried: list[Tried] = []
    running: list[Tried] = []
    for part in standing.parts:
        for trial in expand(part):
            point = _as_asked(part, trial.parameters)
            about = (point, trial.seed, part.budget.steps)
            if trial.id in done:
                tried.append(trained(part, point, trial.seed, lines[trial.id], curves.get(trial.id, {})))
            elif trial.id in waits:
                running.append(Tried(*about, Status.MISSING, None))
            else:
                failed = given.get(trial.id) or standing.failures.get(trial.id, 0)
                tried += [Tried(*about, Status.FAILED, None)] * failed
    return tried, running


def _as_asked(part: SweepSpec, parameters: Mapping[str, Value]) -> Mapping[str, Value]:
    """A trial's point as the search named it: that of a range test has both ends of its rate."""
    from kgen.sweep.stages import RISES_TO

    rises = part.trainer.config.get(CONFIG_RANGE_TEST) if _RATE not in parameters else None
    if not isinstance(rises, Mapping):
        return parameters
    return {**parameters, _RATE: rises["start"], RISES_TO: rises["stop"]}


def ended(stage: Stage, answer: Done, tried: Sequence[Tried]) -> str:
    """Why the search of a stage has ended, in words; of range tests also what they hint at."""
    from kgen.search import suggested

    search = stage.search
    if search is None or search.method is not Method.RANGE_TEST or not (points := suggested(stage, tried)):
        return answer.why
    near = []
    for point in points:
        group = ", ".join(shown(point[name]) for name in search.per)
        near.append(shown(point[_RATE]) + (f" for {group}" if group else ""))
    return f"{answer.why}; training goes well near {_RATE} {', '.join(near)}"


def untested(point: Mapping[str, Value]) -> Mapping[str, Value]:
    """The other way round: without its rate, which is that of the file, so that rows lead back to the same trial."""
    from kgen.sweep.stages import RISES_TO

    return {name: value for name, value in point.items() if name not in (_RATE, RISES_TO)}
