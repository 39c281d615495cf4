"""The whole sweep on this machine, stage after stage, to the finished report."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, Protocol

from kgen.backends.local.devices import Slot, slots
from kgen.backends.local.events import Event
from kgen.backends.local.pool import Pool
from kgen.errors import IncompleteStageError, InputError, InterruptedRunError, MissingExtraError, StoreError
from kgen.interrupt import heeding_interrupts
from kgen.names import LOCK_FILE, SWEEP_FILE
from kgen.plan import Action, Plan, PlannedTrial
from kgen.results.folder import FolderStore
from kgen.results.store import Store
from kgen.spec import Timing
from kgen.sweep import SweepSpec, expand
from kgen.sweep.stages import most
from kgen.trial.channel import Ended
from kgen.workflow.collect import Collected, collect_sweep
from kgen.workflow.fuse import Fuse, Fuses
from kgen.workflow.plan import plan_on, title
from kgen.workflow.report import report_sweep
from kgen.workflow.stages import Course
from kgen.workflow.store import store_of
from kgen.workflow.timing import timing_sample


class Display(Protocol):
    """Shows a run as it goes."""

    def begin(self, plan: Plan) -> None:
        """The plan is made; trials are about to start. Again for each part of a sweep with stages, and for those that
        are timed after that."""

    def event(self, message: Event) -> None:
        """A trial started, reported or ended, or the pool has something to say of it."""

    def end(self) -> None:
        """No trial runs any more."""

    def tell(self, line: str) -> None:
        """Something was decided between two parts: what a stage takes from an earlier one, why a search has ended."""

    def note(self, line: str) -> None:
        """Something is left undone, and why."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run came to."""

    plans: tuple[Plan, ...]
    """What it worked off, part by part; one with nothing to do where all was done."""
    page: Path
    collected: Collected
    stopped: str | None
    """Why it was stopped before its end; None if it was not."""
    blocked: str | None = None
    """Why a stage could not start; None if all could."""


def run_sweep(
    spec: SweepSpec,
    display: Display,
    *,
    max_failures: int | None = None,
    allow_incomplete: bool = False,
    rechoose: Collection[str] = (),
) -> Run:
    """Run what has no result yet, stage after stage, then collect and report everything.

    Can be stopped and run again at any time: it goes on with what is missing. ``allow_incomplete`` lets a stage take
    from an earlier one that lacks results; ``rechoose`` names stages that take anew. Raises InputError for a program
    that can't start or a choice that does not suit the file, StoreError when results can't be written or another run
    works on them, MissingExtraError before the first trial when the report could not be made, InterruptedRunError after
    Ctrl-C or SIGTERM.
    """
    if importlib.util.find_spec("matplotlib") is None:  # said now, not after an hour of training
        raise MissingExtraError("the report at the end of a run", "report")
    store = store_of(spec)
    places = slots(spec.local.processes, spec.local.gpus)
    _refuse_shared(spec, places)
    course = Course(spec, store, allow_incomplete=allow_incomplete, rechoose=rechoose)
    with _only_run(store), _stoppable(spec):
        _ = course.known  # a choice that does not suit the file is said before anything is written
        store.write(SWEEP_FILE, spec.text.encode())
        with Pool(store, stay=bool(spec.stages)) as pool:
            plans, stopped, blocked = _follow(course, places, pool, Fuses(max_failures), display)
            if stopped is None:
                for part in course.known.parts or (spec,):
                    _time_alone(part, places, pool, display)
        try:
            page, collected = _report(spec)
        except InputError:  # a choice that should be made anew, and could not
            if blocked is None:
                raise
            raise IncompleteStageError(blocked) from None
    return Run(plans, page, collected, stopped, blocked)


@contextlib.contextmanager
def _stoppable(spec: SweepSpec) -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM end the run with what there is to say of it."""
    try:
        with heeding_interrupts():
            yield
    except KeyboardInterrupt:
        again = f"kgen run {shlex.quote(str(spec.file))}"
        raise InterruptedRunError(
            f"stopped; results so far are in {spec.location}, '{again}' goes on with the rest"
        ) from None


def _follow(
    course: Course, places: Sequence[Slot], pool: Pool, fuses: Fuses, display: Display
) -> tuple[tuple[Plan, ...], str | None, str | None]:
    """Work off one part after another; returns the plans, why that was stopped, and why a stage could not start."""
    plans: list[Plan] = []
    stopped = blocked = None
    try:
        while stopped is None and (part := course.next()) is not None:
            _tell(course, display)
            plans.append(_in_search(plan_on(part, places), part, course.known))
            stopped = _work_off(part, plans[-1], pool, places, fuses.of(part.stage), display)
    except IncompleteStageError as error:
        blocked = str(error)
    _tell(course, display)
    if not plans:
        plans.append(plan_on(course.known, places))
        display.begin(plans[0])
        display.end()
    return tuple(plans), stopped, blocked


def _in_search(plan: Plan, part: SweepSpec, known: SweepSpec) -> Plan:
    """The plan of a part that a search asked for, with how far that search has come; any other as it is."""
    stage = next((stage for stage in known.stages if stage.name == part.stage and stage.search is not None), None)
    if stage is None:
        return plan
    asked = sum(len(expand(other)) for other in known.parts if other.stage == part.stage) - len(plan.pending)
    return replace(plan, at_most=max(most(stage, known.stages), asked + len(plan.pending)), asked=asked)


def _tell(course: Course, display: Display) -> None:
    for line in course.notes:
        display.tell(line)
    course.notes.clear()


def _report(spec: SweepSpec) -> tuple[Path, Collected]:
    """Where the results are, or from a copy of those in a bucket."""
    if not spec.location.in_bucket:
        return report_sweep(spec)
    from kgen.workflow.results import open_results

    opened = open_results(spec, connect=_no_cluster)
    return report_sweep(opened.spec, collect_sweep(opened.spec, opened.pods))


def _no_cluster() -> NoReturn:
    raise AssertionError("a bucket needs no cluster to be read")


def _refuse_shared(spec: SweepSpec, places: Sequence[Slot]) -> None:
    """Seconds of trials that share a core or a GPU could never be compared: better said before the first one."""
    alone = sum(place.timing is Timing.EXCLUSIVE for place in places)
    objectives = [spec.objective, *(stage.base.objective for stage in spec.stages)]
    if any(objective.needs_exclusive for objective in objectives) and alone < len(places):
        raise InputError.of(
            str(spec.file), "local.processes", f"{len(places)} at a time, which have to share their cores or GPUs",
            "one per core or GPU of this machine (auto), because the objective is in seconds",
        )  # fmt: skip


def _work_off(
    spec: SweepSpec, plan: Plan, pool: Pool, places: Sequence[Slot], fuse: Fuse, display: Display
) -> str | None:
    """Train what the plan has pending, in its way; returns why that was stopped, None where it was not."""
    stopped: list[str] = []
    trials = {trial.id: trial for trial in plan.pending}

    def on_event(event: Event) -> None:
        display.event(event)
        if not isinstance(event, Ended) or stopped:
            return
        if reason := fuse.blow(event, beside=pool.beside, trial=trials.get(event.trial), left=pool.left):
            stopped.append(reason)
            pool.stop(reason)

    display.begin(plan)
    try:
        pool.run(spec, plan.pending, on_event, slots=places, packing=plan.packing)
    finally:
        display.end()
    return stopped[0] if stopped else None


def _time_alone(spec: SweepSpec, places: Sequence[Slot], pool: Pool, display: Display) -> None:
    """Train some of the fused trials once more, each alone on its core or GPU, as ``execution.timing_sample`` asks."""
    sample = timing_sample(spec)
    alone = [place for place in places if place.timing is Timing.EXCLUSIVE]
    if sample and not alone:
        display.note(f"no timing sample: {len(places)} processes have to share their cores or GPUs (local.processes)")
    elif sample:
        planned = tuple(PlannedTrial(trial, Action.CREATE) for trial in sample)
        plan = Plan(f"{title(spec)}, timed alone", planned, spec.budget, min(len(alone), len(sample)), None)
        if stopped := _work_off(spec, plan, pool, alone, Fuse(), display):
            display.note(f"no timing sample: {stopped}")


@contextlib.contextmanager
def _only_run(store: Store) -> Iterator[None]:
    """Refuse a second run on the same results; the kernel drops the lock however this process ends. A bucket has no
    locks; two runs there do no harm, but train the same trials."""
    if not isinstance(store, FolderStore):
        store.check()
        yield
        return
    try:
        store.root.mkdir(parents=True, exist_ok=True)
        lock = (store.root / LOCK_FILE).open("a+")
    except OSError as error:
        raise StoreError(f"{store.root}: can't be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with lock:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
        raise StoreError(f"{store.root}: another kgen run (process {owner}) is at work there") from None
    except OSError:
        pass  # some shared file systems know no locks; a trial run twice does no harm, see collect
    with contextlib.suppress(OSError):  # only for the message above, so a full disk does not matter here
        lock.truncate(0)
        os.write(lock.fileno(), str(os.getpid()).encode())
    try:
        yield
    finally:
        lock.close()
