"""A sweep's stages, one after another: what each takes from an earlier one, and what a search asks for next.

All state is in the results: the choices, one file each, and the rows. So any command, on any machine, killed anywhere,
finds the stages as the one before it left them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kgen.errors import IncompleteStageError, MissingExtraError
from kgen.names import stage_title
from kgen.results.store import Store
from kgen.spec import TrialSpec
from kgen.sweep import SweepSpec, expand
from kgen.sweep.sweepspec import Stage
from kgen.workflow.chosen import lacking, outdated, parent_of, read_choice, said, to_rechoose, write_choice
from kgen.workflow.extras import lacking_extra
from kgen.workflow.searched import asked_before, ended, parts_of, standing_of, tried_of, untested

if TYPE_CHECKING:
    from kgen.choice import Choice
    from kgen.results.read import RowCache


def resolved(spec: SweepSpec, store: Store, jobs: Sequence[TrialSpec] = ()) -> SweepSpec:
    """The sweep with the parts of all stages whose trials are known: ``expand`` then gives every trial.

    What a stage takes from an earlier one stands in its choice; the points of a search are those of its rows and of the
    ``jobs`` that are there. A sweep without stages is returned as it is, and nothing is read. Changes nothing.

    Raises StoreError, and InputError for a choice that was made for another ``from`` than the file has now.
    """
    return _resolved(spec, store, jobs) if spec.stages else spec


def _resolved(
    spec: SweepSpec,
    store: Store,
    jobs: Iterable[TrialSpec],
    *,
    anew: Collection[str] = (),
    cache: RowCache | None = None,
) -> SweepSpec:
    """``anew`` are stages whose choice may be another one soon: it is taken as it is."""
    from kgen.sweep.stages import part_of

    asked = (*asked_before(store, spec.stages, cache), *jobs)
    parts: list[SweepSpec] = []
    for stage in spec.stages:
        if stage.alternatives is not None:
            parts.append(stage.given(stage.alternatives))
        elif stage.search is not None:
            parts += parts_of(stage, asked)
        elif choice := read_choice(spec, stage, store, check=stage.name not in anew):
            parts.append(part_of(stage, choice))
    return spec.with_parts(parts)


def unfinished(spec: SweepSpec, store: Store) -> dict[str, str]:
    """Stages that may still get trials which nobody knows yet, and why, in words: those without a choice, and searches
    that would ask for more. Of a sweep without stages: none. Changes nothing. Raises as :func:`resolved` does."""
    found = {}
    for stage in spec.stages:
        if stage.source is not None and read_choice(spec, stage, store) is None:
            found[stage.name] = not_begun(stage)
        elif stage.search is not None and why_ended(stage, store) is None:
            has_begun = any(part.stage == stage.name for part in spec.parts) or asked_before(store, [stage])
            found[stage.name] = "its search has not ended" if has_begun else not_begun(stage)
    return found


def not_begun(stage: Stage) -> str:
    """Why a stage without any trial has none yet, in words."""
    if stage.source is None:
        return "its search has not begun"
    return f"its trials are chosen when stage {stage.source.stage} is complete"


def why_ended(stage: Stage, store: Store) -> str | None:
    """Why the search of a stage has ended, in words; None where it would ask for more. Raises StoreError."""
    from kgen.search import Done, ask

    standing = standing_of(stage, store, asked_before(store, [stage]))
    if not standing.parts:
        return None
    tried, pending = tried_of(standing, {}, ())
    try:
        answer = ask(stage, tried, pending)
    except MissingExtraError:  # of a method that only whoever runs the search must have
        return None
    return ended(stage, answer, tried) if isinstance(answer, Done) else None


class Course:
    """The way through the stages of a sweep, one part at a time.

    Every part is handed out once, a failed trial of a search once more; what it leaves without a result is then
    missing. Nothing else is remembered here: a new course goes on where an earlier one ended.
    """

    def __init__(
        self,
        spec: SweepSpec,
        store: Store,
        *,
        allow_incomplete: bool = False,
        rechoose: Collection[str] = (),
        pending: Callable[[], Sequence[TrialSpec]] = lambda: (),
        says_outdated: bool = True,
    ) -> None:
        """``rechoose`` names stages whose choice is made anew, and with it those of all stages that follow from them;
        ``pending`` tells the trials that are being trained, or wait for it, somewhere else: those with a Job that has
        not ended. ``says_outdated``: choices by trials that are no more are to be said; a plan may have said them.

        Raises InputError for a name in ``rechoose`` that is no stage with ``from``, and MissingExtraError where a
        search needs one that is not installed, before anything is trained.
        """
        if what := lacking_extra(spec):
            raise MissingExtraError(what, "search")
        self._spec = spec
        self._store = store
        self._allow_incomplete = allow_incomplete
        self._anew = to_rechoose(spec, rechoose)
        self._pending = pending
        self._says_outdated = says_outdated
        self._checked: set[str] = set()
        """Stages whose choice was looked at."""
        self._given: Counter[str] = Counter()
        """How often each trial was handed out."""
        self._asked: list[TrialSpec] = []
        """Trials of searches that were handed out."""
        self._rungs: deque[SweepSpec] = deque()
        """Parts that a search asked for together."""
        self._ended: dict[str, str] = {}
        """Searches that have ended, and why."""
        self._cache = _new_cache() if spec.stages else None
        self.notes: list[str] = []
        """What was chosen and how searches ended, in sentences; whoever shows them may clear them."""

    def next(self) -> SweepSpec | None:
        """The next part with trials that lack a result, a sweep of its own; None when nothing is left to hand out.

        A part of a search may be empty (``size`` 0): then wait until something that is pending has ended. Makes the
        choices and asks the searches that are due. A sweep without stages is its own only part.

        Raises IncompleteStageError for a stage that needs an earlier one which lacks results (after everything that
        does not need it), InputError as :func:`resolved` does, StoreError, and MissingExtraError for a search method.
        """
        if not self._spec.stages:
            return self._handed(self._spec)
        blocked: dict[str, IncompleteStageError] = {}
        for stage in self._spec.stages:
            if stage.source is not None and stage.source.stage in blocked:
                blocked[stage.name] = blocked[stage.source.stage]
                continue
            try:
                part = self._part(stage)
            except IncompleteStageError as error:
                blocked[stage.name] = error
                continue
            if part is not None:
                return part
        if blocked:
            raise next(iter(blocked.values()))
        return None

    @property
    def known(self) -> SweepSpec:
        """The whole sweep with the parts of all stages whose trials are known now."""
        if not self._spec.stages:
            return self._spec
        jobs = (*self._pending(), *self._asked)
        return _resolved(self._spec, self._store, jobs, anew=self._anew, cache=self._cache)

    def _part(self, stage: Stage) -> SweepSpec | None:
        """What the stage has to train now."""
        from kgen.sweep.stages import part_of

        if stage.search is not None:
            return self._searched(stage)
        if stage.alternatives is not None:
            return self._handed(stage.given(stage.alternatives))
        return self._handed(part_of(stage, self._choice(stage)))

    def _handed(self, part: SweepSpec) -> SweepSpec | None:
        """The part, if it has trials without a result that were not handed out yet."""
        done = _done(part, self._store, self._cache)
        lacking = [trial.id for trial in expand(part) if trial.id not in done and not self._given[trial.id]]
        self._given.update(lacking)
        return part if lacking else None

    # -- choices

    def _choice(self, stage: Stage) -> Choice:
        """The choice that is there, or else one that is made now."""
        while True:  # made while its source is chosen anew somewhere else it does not count
            found = read_choice(self._spec, stage, self._store, check=stage.name not in self._anew)
            if found is not None and stage.name not in self._anew:
                self._check(found)
                return found
            parent = parent_of(self._spec, stage, self._store)
            made = replace(self._chosen(stage), parent=parent or "")
            written = write_choice(self._spec, stage, self._store, made)
            self._anew.discard(stage.name)
            self.notes += said(written)

    def _check(self, found: Choice) -> None:
        """Say once what an edit of the earlier stage has left a choice without."""
        if found.stage not in self._checked:
            self._checked.add(found.stage)
            if self._says_outdated and (words := outdated(self.known, found)):
                self.notes.append(words)

    def _chosen(self, stage: Stage) -> Choice:
        """What the stage takes from its source, as the source stands. Raises IncompleteStageError."""
        from kgen.analysis.choose import choose
        from kgen.results.collect import look

        assert stage.source is not None
        source = next(one for one in self._spec.stages if one.name == stage.source.stage)
        parts = [part for part in self.known.parts if part.stage == source.name]
        trials = [trial for part in parts for trial in expand(part)]
        results = look(self._store, trials, self._cache)
        missing = results.certificate.without_result
        if missing and not self._allow_incomplete:
            raise IncompleteStageError(
                f"stage {stage.name} needs stage {source.name}, which lacks {lacking(missing, len(trials))}; "
                f"run it again, or take what is there with --allow-incomplete"
            )
        choice = replace(choose(stage, parts, results.trials, results.curves), missing=tuple(missing))
        if not choice.chosen:
            why = "".join(f"\n  {label}: {words}" for label, words in choice.without.items())
            raise IncompleteStageError(
                f"stage {stage.name} can't start: stage {source.name} has nothing that it could take{why}"
            )
        return choice

    # -- searches

    def _searched(self, stage: Stage) -> SweepSpec | None:
        """What the stage's search asks for now."""
        from kgen.search import Done, ask
        from kgen.sweep.stages import rungs_of

        pending = [trial for trial in self._pending() if trial.stage == stage.name]
        waits = {trial.id for trial in pending}
        asked = (*asked_before(self._store, [stage], self._cache), *pending, *self._asked)
        standing = standing_of(stage, self._store, asked, self._cache)
        for part, missing in standing.lacking():  # what an earlier course left unfinished, failed trials too
            if rest := [trial for trial in missing if trial.id not in waits and not self._given[trial.id]]:
                return self._rung(_only(part, rest))
        if self._rungs:
            return self._rung(self._rungs.popleft())
        tried, running = tried_of(standing, self._given, waits)
        answer = ask(stage, tried, running)
        if isinstance(answer, Done):
            if self._ended.get(stage.name) != (why := ended(stage, answer, tried)):
                self._ended[stage.name] = why
                self.notes.append(f"{stage_title(stage.name)}: the search has ended: {why}")
            return None
        if not answer.points:
            return stage.given(()) if waits else None
        points = [untested(point) for point in answer.points] if answer.range_test else answer.points
        self._rungs.extend(rungs_of(stage, points, answer.steps))
        return self._rung(self._rungs.popleft())

    def _rung(self, part: SweepSpec) -> SweepSpec:
        trials = expand(part)
        self._given.update(trial.id for trial in trials)
        self._asked += trials
        return part


def _new_cache() -> RowCache:
    from kgen.results.read import RowCache

    return RowCache()


def _done(part: SweepSpec, store: Store, cache: RowCache | None) -> frozenset[str]:
    """Trials with a result."""
    if not store.has_rows():
        return frozenset()
    from kgen.results.collect import observe
    from kgen.results.rows import State

    seen = observe(store, expand(part), cache)
    return frozenset(trial for trial, row in seen.items() if row.state is State.COMPLETE)


def _only(part: SweepSpec, trials: Iterable[TrialSpec]) -> SweepSpec:
    """Those points of a search's part that these are trials of."""
    from kgen.sweep.stages import one_by_one

    grids = one_by_one(trial.parameters for trial in trials)
    return replace(part, alternatives=grids, size=len(grids) * part.repeats)
