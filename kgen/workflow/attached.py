"""A submission that stays: creates what was held back as others end, and stops early where nothing good can come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from kgen.backends.kubernetes.create import Created, create
from kgen.backends.kubernetes.remove import GONE_SECONDS, delete
from kgen.interrupt import check_interrupt
from kgen.packs import Pack
from kgen.plan import Action
from kgen.render import render_packs
from kgen.render.manifest import Manifest
from kgen.status import Fuse, Object, State, TrialStatus, Verdict
from kgen.workflow.follow import Following
from kgen.workflow.observe import SeenSweep, SeenTrial
from kgen.workflow.prepare import Prepared
from kgen.workflow.submit import OnEvent, drop_outdated, hand_over, raise_unfinished, remove, store, unfinished
from kgen.workflow.wait import LOOK_SECONDS, Watcher

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

_CREATING_SECONDS: Final = 0.5
"""Between two looks while Jobs are being created."""
_SETTLE_SECONDS: Final = 15.0
"""How long a stop waits to see Jobs that it has created: a watch lags by as much on a busy server."""


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
    stage: str = "",
    earlier: Sequence[TrialStatus] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Attached:
    """Carry out the plan and stay until its end: hold Jobs over ``execution.max_parallel`` back, and stop early when
    trials can't start or all fail for one cause. What waits then is deleted, so that its GPUs are free.

    ``since`` is when this submission began, if that was in another process: what failed later is its own. Of a sweep
    with stages ``stage`` is that of the part, and ``earlier`` trials count for when to stop, too. Raises as
    :func:`submit` does.
    """
    store(prepared, api, on_event)
    hand_over(prepared.config_maps, api, on_event, again=again)
    remove(api, prepared.spec.name, prepared.replaced(), on_event, again=again)
    drop_outdated(prepared, api)
    with Following(api, prepared.spec.name, prepared.spec, stage=stage, on_trouble=watcher.say) as following:
        attachment = _Attachment(prepared, api, on_event, following, again, since, earlier)
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
        earlier: Sequence[TrialStatus],
    ) -> None:
        self._api = api
        self._spec = prepared.spec
        self._on_event = on_event
        self._following = following
        self._again = again
        self._limit = prepared.spec.max_parallel
        self._held = prepared.having(Action.CREATE, Action.REPLACE)
        self.wanted = len(self._held)
        self._earlier = earlier
        self._coming = list(self._held)
        """Jobs that are not seen yet."""
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
            check_interrupt()  # before anything is created
            seen = self._following.see()
            self._coming = [job for job in self._coming if job.name not in self._following.met_jobs]
            watcher.show(seen, changed)
            ignored = self._failed_before.union(*(job.trials for job in self._coming))
            now = {t.id: t.status for t in seen.asked}
            counted = [status for trial, status in now.items() if trial not in ignored]
            counted += [status for status in self._earlier if status.trial not in now]
            verdict = fuse.see(counted, clock())
            if verdict.stop:
                seen = self._settle(seen)
            broom.sweep(seen, verdict)
            if verdict.stop:
                return Attached(seen, verdict.stop, broom.deleted)
            if self._creation is not None and not self._creation.is_alive():
                raise_unfinished(self._creation.finish(), self.wanted, self._again)
                self._creation, created = None, time.monotonic()
            if self._creation is None and self._held:
                self._leave_to_others(seen)
                self._create(seen)
            # A Job that came and went between two looks at the cluster is never seen: not waited for for ever.
            all_seen = not self._coming or time.monotonic() - created > GONE_SECONDS
            if self._creation is None and not self._held and all_seen and seen.ended:
                return Attached(seen, "", broom.deleted)
            changed = self._following.wait(LOOK_SECONDS if self._creation is None else _CREATING_SECONDS)

    def _settle(self, seen: SeenSweep) -> SeenSweep:
        """What is there once nothing more is created, and all that was created is seen: none outlives a stop."""
        made = self.end_creation()
        never = {job.name for job in self._held} | set(() if made is None else made.absent)
        until = time.monotonic() + _SETTLE_SECONDS
        while not {job.name for job in self._coming} <= never | self._following.met_jobs and time.monotonic() < until:
            self._following.wait(LOOK_SECONDS)
            seen = self._following.see()
        return seen

    def _create(self, seen: SeenSweep) -> None:
        """Begin with as many of the Jobs that are held back as there may be."""
        held = {job.name for job in self._held}
        there = {job.name for job in self._coming if job.name not in held} | unfinished(seen)
        room = len(self._held) if self._limit is None else self._limit - len(there)
        if self._held and room > 0:
            now, self._held = self._held[:room], self._held[room:]
            self._creation = _Creation(self._api, now, self._on_event)
            self._creation.start()

    def _leave_to_others(self, seen: SeenSweep) -> None:
        """Take what somebody else has created meanwhile out of what is held back: whole Jobs, and trials of other Jobs,
        so that none is trained in two."""
        own = {trial.id: trial.job_name for trial in seen.trials if trial.job is not None}
        specs = {trial.id: trial.spec for trial in seen.trials if trial.spec is not None}
        kept: list[Manifest] = []
        smaller: list[Pack] = []
        for job in self._held:
            if job.name in self._following.met_jobs:
                continue
            left = [trial for trial in job.trials if own.get(trial, job.name) == job.name]
            if len(left) == len(job.trials):
                kept.append(job)
            elif left:
                smaller.append(Pack(job.name.rpartition("-")[2], tuple(specs[trial] for trial in left)))
        if len(kept) == len(self._held):
            return
        rendered = render_packs(self._spec, smaller, namespace=self._api.namespace)
        hand_over([each for _, each in rendered.config_maps], self._api, self._on_event, again=self._again)
        before = {job.name for job in self._held}
        self._held = [*kept, *rendered.jobs]
        # Those that others have are theirs to wait for.
        self._coming = [job for job in self._coming if job.name not in before] + self._held

    def end_creation(self) -> Created | None:
        """End what is on its way; None where nothing is."""
        creation, self._creation = self._creation, None
        return None if creation is None else creation.finish(early=True)


def _failed_after(seen: SeenSweep, since: datetime | None) -> set[str]:
    """Trials that failed at that time or later; none where there is no such time."""
    return {trial.id for trial in seen.trials if since and trial.status.ended and trial.status.ended >= since}


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
        found: dict[str, tuple[Object, str]] = {}
        for trial in seen.trials:
            stopped = verdict.stop and trial.status.state in waits
            if trial.job is None or trial.job["metadata"]["uid"] in self._done:
                continue
            if trial.id in verdict.give_up or stopped:
                why = verdict.give_up.get(trial.id, "it had not started when the sweep was stopped")
                found.setdefault(trial.job["metadata"]["uid"], (trial.job, why))
                self.deleted[trial.id] = why
        if not found:
            return
        gone = delete(self._api, [job for job, _ in found.values()])
        if gone.error is not None:
            raise gone.error
        if gone.interrupted:
            raise KeyboardInterrupt
        self._done.update(found)
        for job, why in found.values():
            self._watcher.say(f"job.batch/{job['metadata']['name']} deleted: {why}")
