"""Carrying out a plan on a cluster: ConfigMaps, replaced Jobs, new Jobs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from kgen import names
from kgen.backends.kubernetes.create import Created, Outcome, Progress, Waiting, create, put
from kgen.backends.kubernetes.objects import Kind
from kgen.backends.kubernetes.remove import GONE_SECONDS, delete, delete_all, wait_until_gone
from kgen.errors import ClusterError, InputError, InterruptedRunError, TimedOutError
from kgen.plan import Action
from kgen.render.manifest import Manifest
from kgen.status import Object
from kgen.workflow.observe import SeenSweep
from kgen.workflow.prepare import Prepared
from kgen.workflow.stored import selector, trials_selector

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.workflow.prepare_stages import PreparedSweep

_DROPPED_AT_ONCE: Final = 100
"""Objects that one request names: a server takes no address of any length."""


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
    coming = {manifest.name for manifest in prepared.having(Action.CREATE, Action.RETRY, Action.REPLACE)}
    more = len(coming | unfinished(prepared.seen))
    if spec.max_parallel is not None and not attached and prepared.plan.pending and more > spec.max_parallel:
        found = f"{spec.max_parallel} without --wait"
        raise InputError.of(
            str(spec.file), "execution.max_parallel", found,
            "kgen submit --wait, which stays and creates the rest; or a queue (kubernetes.queue), which holds them "
            "back in the cluster",
        )  # fmt: skip
    prepared.forecast.raise_refusals(spec)


def refuse_sweep(prepared: PreparedSweep, *, attached: bool = True) -> None:
    """The same of every part that is known."""
    for part in prepared.parts:
        refuse(part, attached=attached)


def needs_yes(prepared: PreparedSweep) -> str | None:
    """Why going on should not be taken for granted; None where it may be."""
    orphans = sum(len(part.plan.orphans) for part in prepared.parts)
    planned = sum(len(part.plan.planned) for part in prepared.parts)
    if orphans * 2 > planned:
        return (
            f"{orphans:,} Jobs of a sweep {prepared.spec.name} are there that this file does not ask for, beside "
            f"{planned:,} that it does"
        )
    return None


def store(prepared: Prepared | PreparedSweep, api: Api, on_event: OnEvent) -> None:
    """See that the sweep's own ConfigMaps are there as they should be. Raises ClusterError."""
    for manifest in prepared.shared:
        on_event(Stored(manifest.name, put(api, manifest)))


def hand_over(config_maps: Sequence[Manifest], api: Api, on_event: OnEvent, *, again: str) -> None:
    """Create the ConfigMaps of Jobs of several trials, before these Jobs. Raises as :func:`submit` does, also for a
    quota without room: Jobs end and make room for others, ConfigMaps don't."""
    full = threading.Event()
    why: list[str] = []

    def told(event: Progress | Waiting) -> None:
        if isinstance(event, Waiting):
            why.append(event.why)
            full.set()
        elif event.outcome in (Outcome.CREATED, Outcome.UNCHANGED):
            on_event(Stored(event.name, str(event.outcome)))

    made = create(api, config_maps, on_event=told, stop=full)
    if why and made.error is None and made.interrupted:
        made = replace(made, error=ClusterError(f"no room for the ConfigMaps of Jobs of several trials: {why[0]}"))
    raise_unfinished(made, len(config_maps), again, kind="ConfigMap")


def drop_outdated(prepared: Prepared, api: Api) -> None:
    """Delete the ConfigMaps that only Jobs mounted which are replaced now. Raises ClusterError."""
    hashes = prepared.outdated
    for start in range(0, len(hashes), _DROPPED_AT_ONCE):
        chosen = ",".join(hashes[start : start + _DROPPED_AT_ONCE])
        of_packs = f"{names.LABEL_COMPONENT}={names.COMPONENT_TRIALS},{names.LABEL_SPEC} in ({chosen})"
        delete_all(api, Kind.CONFIG_MAP, f"{selector(prepared.spec.name)},{of_packs}")


def submit(prepared: Prepared, api: Api, on_event: OnEvent, *, again: str) -> Submitted:
    """Carry out the plan. Doing it again does only what is missing.

    ``again`` is the command that does. Raises ClusterError for what the cluster refuses, InterruptedRunError after
    Ctrl-C; both say what is there, and ``again``.
    """
    store(prepared, api, on_event)
    hand_over(prepared.config_maps, api, on_event, again=again)
    new, other = prepared.having(Action.CREATE), prepared.having(Action.REPLACE)
    made = create(api, new, on_event=on_event)
    raise_unfinished(made, len(new) + len(other), again)
    # Those whose names must become free first come last: that takes as long as their pods take to end.
    remove(api, prepared.spec.name, prepared.replaced(), on_event, again=again)
    drop_outdated(prepared, api)
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


def raise_unfinished(made: Created, wanted: int, again: str, *, kind: str = "Job") -> None:
    """Raise what kept some of the ``wanted`` objects from being created, with what is there and how to go on."""
    there = len(made.created) + len(made.unchanged)
    unknown = f", of {len(made.unknown):,} it is not known" if made.unknown else ""
    words = f"{there:,} of {wanted:,} {kind}s are there{unknown}; to go on: {again}"
    if made.error is not None:
        raise ClusterError(f"{made.error}\n{words}")
    if made.interrupted:
        raise InterruptedRunError(f"stopped: {words}")
    if made.conflicts:
        first = made.conflicts[0]
        more = f" (and {len(made.conflicts) - 1:,} more)" if len(made.conflicts) > 1 else ""
        raise ClusterError(f"{kind} {first.name}{more}: {first.why}, since a moment ago; what to do now: {again}")


def unfinished(seen: SeenSweep) -> set[str]:
    """Names of the Jobs that have not ended."""
    return {name for name, job in seen.jobs.items() if not job.has_ended}


def as_retry(manifest: Manifest, job: Object | None, reason: str) -> Manifest:
    """The Job that takes a failed one's place: the same, with a note of how often and why."""
    made = manifest.object()
    note = json.dumps({"count": _retries(job) + 1, "reason": reason}, ensure_ascii=False)
    made["metadata"].setdefault("annotations", {})[names.ANNOTATION_RETRY] = note
    return replace(manifest, text=json.dumps(made, ensure_ascii=False, indent=2) + "\n")


def has_retried(job: Object) -> bool:
    """Whether a Job has taken a failed one's place already."""
    return _retries(job) > 0


def _retries(job: Object | None) -> int:
    before = (job or {}).get("metadata", {}).get("annotations", {}).get(names.ANNOTATION_RETRY, "{}")
    try:
        return int(json.loads(before).get("count", 0))
    except (AttributeError, TypeError, ValueError):
        return 0
