"""What ``kgen submit`` would do to a cluster for a whole sweep: part by part, as far as its stages are known."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kgen.choice import Choice
from kgen.errors import StoreError
from kgen.plan import Action
from kgen.render import shared_manifests
from kgen.render.manifest import Manifest
from kgen.results.store import Store
from kgen.sweep import SweepSpec
from kgen.workflow.choices import WithChoices, choices_of, held_choices
from kgen.workflow.chosen import outdated, to_rechoose
from kgen.workflow.later import later_stages
from kgen.workflow.observe import SeenSweep, see_existing
from kgen.workflow.parts import in_parts
from kgen.workflow.prepare import Prepared, prepare
from kgen.workflow.reachable import local_paths
from kgen.workflow.rows import RowReader
from kgen.workflow.stored import stored_hashes

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api


@dataclass(frozen=True, slots=True)
class PreparedSweep:
    """A plan for each part of a sweep that is known; of a sweep without stages for its only one."""

    spec: SweepSpec
    """With all parts that are known."""
    parts: tuple[Prepared, ...]
    later: Mapping[str, str]
    """Stages that may get trials which nobody knows yet, and why, in words."""
    shared: tuple[Manifest, ...]
    """The sweep's own ConfigMaps that are not there as they should be."""
    stale: frozenset[str]
    """Names of those of them that are there with another content."""
    seen: SeenSweep
    notes: tuple[str, ...] = ()
    """What of the choices is worth knowing, in sentences."""

    @property
    def has_work(self) -> bool:
        """Whether something is to be created or changed now."""
        return bool(self.shared) or any(part.has_work for part in self.parts)

    def having(self, *actions: Action) -> list[Manifest]:
        """The Jobs of the trials with these actions, in order, each once."""
        return [manifest for part in self.parts for manifest in part.having(*actions)]


def prepare_sweep(
    spec: SweepSpec,
    api: Api,
    *,
    namespace: str = "",
    rerun_stale: bool = False,
    replace_running: bool = False,
    has_file: bool = True,
    store: Store | None = None,
    rechoose: Collection[str] = (),
) -> PreparedSweep:
    """Look at everything, change nothing; as :func:`kgen.workflow.prepare.prepare`, for every part that is known.

    ``store`` has the results where this process reaches them by another way than the file says; stages of ``rechoose``,
    and those that follow from them, are taken for not begun. Raises InputError also for one that chooses nothing, and
    for a choice that was made for another file.
    """
    if not spec.stages:
        made = prepare(
            spec, api, namespace=namespace, rerun_stale=rerun_stale, replace_running=replace_running, has_file=has_file
        )
        return PreparedSweep(spec, (made,), {}, made.shared, made.stale, made.seen)
    if has_file:
        local_paths(spec)
    without = to_rechoose(spec, rechoose)
    seen = see_existing(api, spec, store=store, without=without)
    known = seen.spec or spec
    choices = known_choices(api, known, store, without)
    options = {"rerun_stale": rerun_stale, "replace_running": replace_running}
    parts = [
        prepare(part, api, namespace=namespace, has_file=has_file, seen=own, choices=choices, **options)
        for part, own in in_parts(seen)
    ]
    later = later_stages(known, RowReader(spec, store).store(), choices, without)
    if parts:
        shared, stale = parts[0].shared, parts[0].stale
    else:
        shared, stale = _shared(api, known, namespace or spec.kubernetes.namespace, choices)
    # They are the sweep's: once is enough.
    parts[1:] = [replace(part, shared=()) for part in parts[1:]]
    notes = tuple(_outdated(known, choices, RowReader(spec, store).store()))
    return PreparedSweep(known, tuple(parts), later, shared, stale, seen, notes)


def _outdated(known: SweepSpec, choices: Mapping[str, str], store: Store | None) -> Iterator[str]:
    """Choices that rest on trials which are no more. Which trials a search has only its rows tell."""
    try:
        has_rows = store is not None and store.has_rows()
    except StoreError:
        has_rows = False
    searches = {stage.name for stage in known.stages if stage.search is not None}
    made = {part.stage for part in known.parts} & choices.keys()
    for stage in (stage for stage in known.stages if stage.name in made):
        choice = Choice.from_json(choices[stage.name])
        if (has_rows or choice.source not in searches) and (words := outdated(known, choice)):
            yield words


def known_choices(
    api: Api, spec: SweepSpec, store: Store | None = None, without: Collection[str] = ()
) -> dict[str, str]:
    """The choices of a sweep's stages: those in its results, and else those in its ConfigMap. Raises ClusterError."""
    held = held_choices(api, spec)
    reached = RowReader(spec, store).store()
    try:
        return choices_of(spec, WithChoices(reached, held, without=without))
    except StoreError:
        return choices_of(spec, WithChoices(None, held, without=without))


def _shared(
    api: Api, spec: SweepSpec, namespace: str, choices: Mapping[str, str]
) -> tuple[tuple[Manifest, ...], frozenset[str]]:
    """The ConfigMaps of a sweep none of whose trials are known, and which are there."""
    stored = stored_hashes(api, spec.name)
    wanted = shared_manifests(spec, namespace, choices)
    return tuple(each for each in wanted if stored.get(each.name) != each.spec), frozenset(stored)
