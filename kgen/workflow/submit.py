"""Carrying out a plan on a cluster: ConfigMaps, replaced Jobs, new Jobs; then, attached, what was held back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from kgen import names
from kgen.backends.kubernetes.create import Created, Progress, Waiting, create, put
from kgen.backends.kubernetes.remove import GONE_SECONDS, delete, wait_until_gone
from kgen.errors import ClusterError, InputError, InterruptedRunError, TimedOutError
from kgen.plan import Action
from kgen.render.manifest import Manifest
from kgen.status import Fuse, Object, State, Verdict
from kgen.workflow.follow import Following
from kgen.workflow.observe import SeenSweep, SeenTrial, trials_selector
from kgen.workflow.prepare import Prepared
from kgen.workflow.wait import LOOK_SECONDS, Watcher

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

_CREATING_SECONDS: Final = 0.5
"""Between two looks while Jobs are being created."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A ConfigMap is there as it should be."""

    name: str
    outcome: str
    """created, configured or unchanged."""


@dataclass(frozen=True, slots=True)
class Going:
    """Jobs that are to be replaced are deleted, and waited for until they are gone."""

    jobs: int


OnEvent = Callable[[Progress | Waiting | Stored | Going], None]
"""Hears what is done about each object, one at a time, also from other threads."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a submission came to."""

    created: tuple[str, ...]
    """Names of Jobs that were not there, or that replace another."""
    unchanged: tuple[str, ...]
    """Names of Jobs that somebody else created at the same time."""


def refuse(prepared: Prepared, *, attached: bool = True) -> None:
    """Raise what must be said before anything is created: InputError, or ClusterError for the cluster's side.

    ``attached`` says whether somebody stays to create what ``execution.max_parallel`` holds back.
    """
    spec = prepared.spec
    conflicts = prepared.having(Action.CONFLICT)
    if conflicts:
        found = f"{spec.name}, whose Job {conflicts[0].name} is there, not made by kgen"
        others = f" (and {len(conflicts) - 1:,} more)" if len(conflicts) > 1 else ""
        raise InputError.of(str(spec.file), "name", found + others, "a name whose Jobs' names are free")
    more = len(prepared.plan.pending) + unfinished(prepared.seen)
    if spec.max_parallel is not None and not attached and prepared.plan.pending and more > spec.max_parallel:
        found = f"{spec.max_parallel} without --wait"
        raise InputError.of(
            str(spec.file), "execution.max_parallel", found,
            "kgen submit --wait, which stays and creates the rest; or a queue (kubernetes.queue), which holds them "
            "back in the cluster",
        )  # fmt: skip
    prepared.forecast.raise_refusals(spec)


def needs_yes(prepared: Prepared) -> str | None:
    """Why going on should not be taken for granted; None where it may be."""
    plan = prepared.plan
    if len(plan.orphans) * 2 > len(plan.planned):
        return (
            f"{len(plan.orphans):,} Jobs of a sweep {plan.name} are there that this file does not ask for, beside "
            f"{len(plan.planned):,} that it does"
        )
    return None


def store(prepared: Prepared, api: Api, on_event: OnEvent) -> None:
    """See that the sweep's ConfigMaps are there as they should be. Raises ClusterError."""
    for manifest in prepared.shared:
        on_event(Stored(manifest.name, put(api, manifest)))


def submit(prepared: Prepared, api: Api, on_event: OnEvent, *, again: str) -> Submitted:
    """Carry out the plan. Doing it again does only what is missing.

    ``again`` is the command that does. Raises ClusterError for what the cluster refuses, InterruptedRunError after
    Ctrl-C; both say what is there, and ``again``.
    """
    store(prepared, api, on_event)
    new, other = prepared.having(Action.CREATE), prepared.having(Action.REPLACE)
    made = create(api, new, on_event=on_event)
    raise_unfinished(made, len(new) + len(other), again)
    # Those whose names must become free first come last: that takes as long as their pods take to end.
    old = [prepared.existing[m.trial] for m in other if m.trial in prepared.existing]
    remove(api, prepared.spec.name, old, on_event, again=again)
    instead = create(api, other, on_event=on_event)
    raise_unfinished(instead, len(other), again)
    return Submitted(made.created + instead.created, made.unchanged + instead.unchanged)


def remove(api: Api, sweep: str, jobs: Sequence[Object], on_event: OnEvent, *, again: str) -> None:
    """Delete these Jobs and wait until they and their pods are gone. Raises as :func:`submit` does."""
    if not jobs:
        return
    gone = delete(api, jobs, foreground=True)
    done = f"{len(gone.deleted) + len(gone.gone):,} of {len(jobs):,} Jobs that are to be replaced are deleted"
    if gone.error is not None:
        raise ClusterError(f"{gone.error}\n{done}; to go on: {again}")
    try:
        if gone.interrupted:
            raise KeyboardInterrupt
        on_event(Going(len(jobs)))
        wait_until_gone(api, jobs, trials_selector(sweep), timeout=GONE_SECONDS)
    except KeyboardInterrupt:
        raise InterruptedRunError(f"stopped: {done}; to go on: {again}") from None
    except TimedOutError as error:
        raise ClusterError(f"Jobs that are to be replaced are {error}; to go on: {again}") from error


def raise_unfinished(made: Created, wanted: int, again: str) -> None:
    """Raise what kept some of the ``wanted`` Jobs from being created, with what is there and how to go on."""
    there = len(made.created) + len(made.unchanged)
    unknown = f", of {len(made.unknown):,} it is not known" if made.unknown else ""
    words = f"{there:,} of {wanted:,} Jobs are there{unknown}; to go on: {again}"
    if made.error is not None:
        raise ClusterError(f"{made.error}\n{words}")
    if made.interrupted:
        raise InterruptedRunError(f"stopped: {words}")
    if made.conflicts:
        first = made.conflicts[0]
        more = f" (and {len(made.conflicts) - 1:,} more)" if len(made.conflicts) > 1 else ""
        raise ClusterError(f"Job {first.name}{more}: {first.why}, since a moment ago; what to do now: {again}")


@dataclass(frozen=True, slots=True)
class Attached:
    """What an attached submission came to."""

    seen: SeenSweep
    stopped: str
    """Why it ended early; empty if it did not."""
    deleted: Mapping[str, str] = field(default_factory=dict)
    """Trials whose Jobs it deleted, and why."""


class _Creation(threading.Thread):
    """Jobs on their way, while somebody else watches what becomes of those that are there."""

    def __init__(self, api: Api, manifests: Sequence[Manifest], on_event: OnEvent) -> None:
        super().__init__(name="create", daemon=True)
        self._api = api
        self._manifests = manifests
        self._on_event = on_event
        self._end = threading.Event()
        self._made: Created | None = None
        self._failure: Exception | None = None

    def run(self) -> None:
        """As a thread."""
        try:
            self._made = create(self._api, self._manifests, on_event=self._on_event, stop=self._end)
        except Exception as error:  # noqa: BLE001  raised where it is waited for
            self._failure = error

    def finish(self, *, early: bool = False) -> Created:
        """What it came to, once it has ended; ``early`` makes that soon."""
        if early:
            self._end.set()
        if self.ident is not None:
            self.join()
        if self._failure is not None:
            raise self._failure
        # Ctrl-C may have come before it could begin.
        names = tuple(manifest.name for manifest in self._manifests)
        return self._made or Created((), (), (), absent=names, unknown=(), error=None, interrupted=True)


def submit_attached(
    prepared: Prepared,
    api: Api,
    on_event: OnEvent,
    watcher: Watcher,
    *,
    again: str,
    max_failures: int | None = None,
    since: datetime | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Attached:
    """Carry out the plan and stay until its end: hold Jobs over ``execution.max_parallel`` back, and stop early when
    trials can't start or all fail for one cause. What waits then is deleted, so that its GPUs are free.

    ``since`` is when this submission began, if that was in another process: what failed later is its own. Raises as
    :func:`submit` does.
    """
    store(prepared, api, on_event)
    old = [prepared.existing[m.trial] for m in prepared.having(Action.REPLACE) if m.trial in prepared.existing]
    remove(api, prepared.spec.name, old, on_event, again=again)
    with Following(api, prepared.spec.name, prepared.spec, on_trouble=watcher.say) as following:
        attachment = _Attachment(prepared, api, on_event, following, again, since)
        try:
            return attachment.stay(watcher, Fuse(max_failures), clock)
        except KeyboardInterrupt:
            made = attachment.end_creation()
            if made is not None and made.interrupted:
                raise_unfinished(made, attachment.wanted, again)
            raise
        finally:
            attachment.end_creation()


class _Attachment:
    """One attached submission while it lasts."""

    def __init__(
        self,
        prepared: Prepared,
        api: Api,
        on_event: OnEvent,
        following: Following,
        again: str,
        since: datetime | None,
    ) -> None:
        self._api = api
        self._on_event = on_event
        self._following = following
        self._again = again
        self._limit = prepared.spec.max_parallel
        self._held = prepared.having(Action.CREATE, Action.REPLACE)
        self.wanted = len(self._held)
        self._coming = {manifest.trial for manifest in self._held}
        """Trials whose Jobs are not seen yet."""
        failed = {item.trial.id for item in prepared.plan.planned if item.action is Action.FAILED}
        self._failed_before = failed - _failed_after(prepared.seen, since)
        """They failed in an earlier submission, and say nothing of this one."""
        self._creation: _Creation | None = None

    def stay(self, watcher: Watcher, fuse: Fuse, clock: Callable[[], float]) -> Attached:
        """Until the end, or until there is a reason to stop."""
        broom = _Broom(self._api, watcher)
        changed: list[SeenTrial] = []
        created = time.monotonic()
        while True:
            seen = self._following.see()
            self._coming -= self._following.met
            watcher.show(seen, changed)
            ignored = self._coming | self._failed_before
            verdict = fuse.see([t.status for t in seen.asked if t.id not in ignored], clock())
            if verdict.stop and self.end_creation() is not None:
                self._following.wait(LOOK_SECONDS)  # for what was on its way
                seen = self._following.see()
            broom.sweep(seen, verdict)
            if verdict.stop:
                return Attached(seen, verdict.stop, broom.deleted)
            if self._creation is not None and not self._creation.is_alive():
                raise_unfinished(self._creation.finish(), self.wanted, self._again)
                self._creation, created = None, time.monotonic()
            if self._creation is None:
                self._create(seen)
            # A Job that came and went between two looks at the cluster is never seen: not waited for for ever.
            all_seen = not self._coming or time.monotonic() - created > GONE_SECONDS
            if self._creation is None and not self._held and all_seen and seen.ended:
                return Attached(seen, "", broom.deleted)
            changed = self._following.wait(LOOK_SECONDS if self._creation is None else _CREATING_SECONDS)

    def _create(self, seen: SeenSweep) -> None:
        """Begin with as many of the Jobs that are held back as there may be."""
        coming = len(self._coming) - len(self._held)
        room = len(self._held) if self._limit is None else self._limit - unfinished(seen) - coming
        if self._held and room > 0:
            now, self._held = self._held[:room], self._held[room:]
            self._creation = _Creation(self._api, now, self._on_event)
            self._creation.start()

    def end_creation(self) -> Created | None:
        """End what is on its way; None where nothing is."""
        creation, self._creation = self._creation, None
        return None if creation is None else creation.finish(early=True)


def _failed_after(seen: SeenSweep, since: datetime | None) -> set[str]:
    """Trials that failed at that time or later; none where there is no such time."""
    return {trial.id for trial in seen.trials if since and trial.status.ended and trial.status.ended >= since}


def unfinished(seen: SeenSweep) -> int:
    """How many trials have a Job that has not ended."""
    return sum(not trial.status.state.ended for trial in seen.trials)


class _Broom:
    """Deletes the Jobs of a sweep that wait for nothing, each once."""

    def __init__(self, api: Api, watcher: Watcher) -> None:
        self.deleted: dict[str, str] = {}
        """Trial → why."""
        self._api = api
        self._watcher = watcher
        self._done: set[str] = set()

    def sweep(self, seen: SeenSweep, verdict: Verdict) -> None:
        """Delete what is given up, and if nothing more shall start all that waits. Raises ClusterError."""
        waits = (State.QUEUED, State.PENDING)
        found: dict[str, Object] = {}
        for trial in seen.trials:
            stopped = verdict.stop and trial.status.state in waits
            if trial.job is None or trial.job["metadata"]["uid"] in self._done:
                continue
            if trial.id in verdict.give_up or stopped:
                found[trial.id] = trial.job
                self.deleted[trial.id] = verdict.give_up.get(trial.id, "it had not started when the sweep was stopped")
        if not found:
            return
        gone = delete(self._api, found.values())
        if gone.error is not None:
            raise gone.error
        if gone.interrupted:
            raise KeyboardInterrupt
        self._done.update(job["metadata"]["uid"] for job in found.values())
        for trial_id, job in found.items():
            self._watcher.say(f"job.batch/{job['metadata']['name']} deleted: {self.deleted[trial_id]}")


def as_retry(manifest: Manifest, job: Object | None, reason: str) -> Manifest:
    """The Job that takes a failed one's place: the same, with a note of how often and why."""
    before = (job or {}).get("metadata", {}).get("annotations", {}).get(names.ANNOTATION_RETRY, "{}")
    try:
        count = int(json.loads(before).get("count", 0)) + 1
    except (AttributeError, TypeError, ValueError):
        count = 1
    made = manifest.object()
    note = json.dumps({"count": count, "reason": reason}, ensure_ascii=False)
    made["metadata"].setdefault("annotations", {})[names.ANNOTATION_RETRY] = note
    return replace(manifest, text=json.dumps(made, ensure_ascii=False, indent=2) + "\n")
