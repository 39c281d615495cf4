"""A submission that goes through the stages of a sweep: the Jobs of one part, their results, the next part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from kgen import names
from kgen.backends.kubernetes.objects import Kind, list_objects
from kgen.errors import IncompleteStageError
from kgen.plan import Action
from kgen.results.store import Store
from kgen.spec import TrialSpec
from kgen.status import TrialStatus, read
from kgen.sweep import SweepSpec
from kgen.workflow.attached import Attached, submit_attached
from kgen.workflow.choices import choices_of
from kgen.workflow.chosen import to_rechoose
from kgen.workflow.known import asked_in
from kgen.workflow.observe import SeenSweep, see_existing
from kgen.workflow.parts import of_part
from kgen.workflow.prepare import Prepared, prepare
from kgen.workflow.prepare_stages import PreparedSweep
from kgen.workflow.reached import Reached
from kgen.workflow.stages import Course, unfinished
from kgen.workflow.stored import list_config_maps, trials_selector
from kgen.workflow.submit import OnEvent, as_retry, has_retried
from kgen.workflow.wait import Watcher

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.workflow.results import OnEvent as OnResults


@dataclass(frozen=True, slots=True)
class Options:
    """How a sweep is submitted, as the command line says it."""

    namespace: str = ""
    rerun_stale: bool = False
    replace_running: bool = False
    has_file: bool = True
    """Whether the sweep file lies on this machine."""
    max_failures: int | None = None
    allow_incomplete: bool = False
    """Whether a stage may take from an earlier one that lacks results."""
    rechoose: tuple[str, ...] = ()
    """Stages that take anew."""
    image: str = ""
    """Of the pod that reads a claim; empty: the trainer's."""


@dataclass(frozen=True, slots=True)
class Walked:
    """What a submission through all stages came to."""

    seen: SeenSweep
    """All trials that are known at its end."""
    stopped: str = ""
    """Why it ended early; empty if it did not."""
    blocked: str = ""
    """Why a stage could not start; empty if all could."""
    deleted: Mapping[str, str] = field(default_factory=dict)
    """Trials whose Jobs it deleted, and why."""


def is_due(prepared: PreparedSweep, options: Options) -> bool:
    """Whether more of the sweep can be known now, by the results of what has ended."""
    if options.rechoose:
        return True
    trials = prepared.seen.asked
    for stage in prepared.spec.stages:
        if stage.name not in prepared.later:
            continue
        needed = stage.name if stage.source is None else stage.source.stage
        of_stage = [trial for trial in trials if trial.stage == needed]
        ended = all(trial.status.state.ended for trial in of_stage)
        if stage.source is None:  # a search that has not begun has no trials yet
            due = ended
        else:
            complete = all(trial.has_result for trial in of_stage)
            due = bool(of_stage) and (complete or (options.allow_incomplete and ended))
        if due:
            return True
    return False


class Walk:
    """The way of one submission through a sweep's stages."""

    def __init__(
        self,
        spec: SweepSpec,
        api: Api,
        options: Options,
        *,
        tell: Callable[[str], None],
        on_results: OnResults,
        fetch: bool = True,
    ) -> None:
        """``tell`` hears what is chosen, in sentences. Raises InputError for a stage that can't be chosen anew,
        StoreError for results that can't be read from here, ClusterError."""
        self._spec = spec
        self._api = api
        self._options = options
        self._tell = tell
        self._reached = Reached(spec, api, image=options.image, on_event=on_results)
        self._searches = {stage.name for stage in spec.stages if stage.search is not None}
        self._store: Store = self._reached.open(fetch=fetch or bool(options.rechoose))
        self._reached.check_writable(to_rechoose(spec, options.rechoose))
        self._course = Course(
            spec,
            self._store,
            allow_incomplete=options.allow_incomplete,
            rechoose=options.rechoose,
            pending=self._pending,
            says_outdated=False,
        )
        self._statuses: dict[str, list[TrialStatus]] = {}

    def next(self) -> Iterator[Prepared]:
        """For somebody who does not stay: the parts that can be made now, each prepared; of a search what it asks for
        first. Raises IncompleteStageError for what can't, as :meth:`Course.next` does."""
        while (part := self._following()) is not None and part.size:
            prepared = self._prepare(part)
            yield prepared
            if part.stage in self._searches and prepared.has_work:  # else what it asks for has failed for good
                return

    def stay(
        self,
        begin: Callable[[Prepared], OnEvent],
        watcher: Watcher,
        *,
        again: str,
        since: datetime | None = None,
        first: Iterable[SweepSpec] = (),
    ) -> Walked:
        """Create the Jobs of one part after another, each when those before have ended.

        ``begin`` is told of each, may refuse it, and says who hears what becomes of its Jobs; parts that come ``first``
        are submitted although they have all results. Raises as :func:`kgen.workflow.attached.submit_attached` does.
        """
        blocked = ""
        try:
            for prepared in self._parts(first):
                done = self._submit(prepared, begin, watcher, again, since)
                if done.stopped:
                    return Walked(self._see(), done.stopped, deleted=done.deleted)
                self._reached.refresh()
        except IncompleteStageError as error:
            blocked = str(error)
        self._say()
        return Walked(self._see(), blocked=blocked)

    def later(self) -> dict[str, str]:
        """Stages that may still get trials which nobody knows yet, and why, in words."""
        return unfinished(self._course.known, self._store)

    def _parts(self, first: Iterable[SweepSpec]) -> Iterator[Prepared]:
        yield from map(self._prepare, first)
        while (part := self._following()) is not None:
            if part.size:
                yield self._prepare(part)
            else:  # nothing new before what another submission has created has ended
                own = [each for each in self._course.known.parts if each.stage == part.stage]
                yield from (_only_kept(self._prepare(each)) for each in own)

    def _following(self) -> SweepSpec | None:
        part = self._course.next()
        self._say()
        return part

    def _say(self) -> None:
        for line in self._course.notes:
            self._tell(line)
        self._course.notes.clear()

    def _prepare(self, part: SweepSpec) -> Prepared:
        options = self._options
        whole = see_existing(self._api, part, stage=part.stage, store=self._reached.claim)
        prepared = prepare(
            part,
            self._api,
            namespace=options.namespace,
            rerun_stale=options.rerun_stale,
            replace_running=options.replace_running,
            has_file=options.has_file,
            seen=of_part(whole, part),
            choices=choices_of(self._spec, self._store),
        )
        return _with_second_chances(prepared) if part.stage in self._searches else prepared

    def _submit(
        self,
        prepared: Prepared,
        begin: Callable[[Prepared], OnEvent],
        watcher: Watcher,
        again: str,
        since: datetime | None,
    ) -> Attached:
        stage, limit = prepared.spec.stage, self._options.max_failures
        # What fails all trials of one stage may spare another; a limit that somebody gave is that of all.
        before = self._statuses.get(stage, []) if limit is None else [s for own in self._statuses.values() for s in own]
        done = submit_attached(
            prepared,
            self._api,
            begin(prepared),
            watcher,
            again=again,
            max_failures=limit,
            since=since,
            stage=stage,
            earlier=before,
        )
        self._statuses.setdefault(stage, []).extend(trial.status for trial in done.seen.asked)
        return done

    def _see(self) -> SeenSweep:
        return see_existing(self._api, self._spec, store=self._reached.claim)

    def _pending(self) -> list[TrialSpec]:
        """Trials of searches whose Jobs have not ended."""
        if not self._searches:
            return []
        jobs = list_objects(self._api, Kind.JOB, trials_selector(self._spec.name))[0]
        going = [job for job in jobs if not read.condition(job, "Complete", "Failed")]
        return list(asked_in(self._spec, going, partial(list_config_maps, self._api, self._spec.name)))


def _only_kept(prepared: Prepared) -> Prepared:
    """What is there and has not ended, and nothing new."""
    kept = tuple(item for item in prepared.plan.planned if item.action is Action.KEEP)
    return replace(prepared, plan=replace(prepared.plan, planned=kept))


def _with_second_chances(prepared: Prepared) -> Prepared:
    """A search asks once more for a trial that failed: its Job is replaced, unless that happened before."""
    jobs = dict(prepared.jobs)
    planned = []
    for item in prepared.plan.planned:
        manifest = jobs.get(item.trial.id)
        old = None if manifest is None else prepared.seen.jobs.get(manifest.name)
        if item.action is Action.FAILED and manifest and old and old.has_ended and not has_retried(old.job):
            item = replace(item, action=Action.REPLACE)
            if names.ANNOTATION_RETRY not in manifest.object()["metadata"].get("annotations", {}):
                again = as_retry(manifest, old.job, item.reason)
                jobs |= {trial: again for trial in manifest.trials if trial in jobs}
        planned.append(item)
    return replace(prepared, jobs=jobs, plan=replace(prepared.plan, planned=tuple(planned)))
