"""TrialSpecs → the objects for a cluster: the Job of each trial, or of several, and what they share."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from kgen.packs import Pack, packs
from kgen.render.jobs import Jobs, check_namespace
from kgen.render.manifest import Manifest
from kgen.render.objects import files_manifest, sweep_manifest
from kgen.render.pack_objects import ConfigMaps
from kgen.spec import Packing, TrialSpec
from kgen.sweep import SweepSpec
from kgen.sweep.sweepspec import BUILT_IN

__all__ = ["Manifest", "Rendered", "first_packs", "render", "render_packs", "shared_manifests"]


@dataclass(frozen=True, slots=True)
class Joined:
    """The ConfigMaps of several parts, one after another."""

    parts: tuple[ConfigMaps | Joined, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[tuple[str, Manifest]]:
        return itertools.chain.from_iterable(self.parts)


class JoinedJobs(Sequence[Manifest]):
    """The Jobs of several parts, one after another; made anew each time they are gone through."""

    def __init__(self, parts: tuple[Sequence[Manifest], ...]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[Manifest]:
        return itertools.chain.from_iterable(self._parts)

    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]


@dataclass(frozen=True, slots=True)
class Rendered:
    """Everything that a sweep is on a cluster."""

    shared: tuple[Manifest, ...]
    """The sweep's ConfigMap, then that of ``trainer.files`` if there are any."""
    config_maps: ConfigMaps | Joined
    """One for each Job of several trials, which it must be there before; made when they are gone through."""
    jobs: Sequence[Manifest]
    """One Job per pack, in order; each is made when it is asked for, so that 100,000 need no memory."""
    alone: Set[str]
    """Trials that have a Job of their own."""
    notes: tuple[str, ...]
    """What kgen changed in a template, and what the sweep may not get of its GPUs, for people to read."""

    @classmethod
    def join(cls, shared: tuple[Manifest, ...], parts: Sequence[Rendered], notes: Iterable[str] = ()) -> Self:
        """A sweep's parts as one, with what they share."""
        alone = frozenset[str]().union(*(part.alone for part in parts))
        said = dict.fromkeys([*(note for part in parts for note in part.notes), *notes])
        maps, jobs = Joined(tuple(part.config_maps for part in parts)), JoinedJobs(tuple(part.jobs for part in parts))
        return cls(shared, maps, jobs, alone, tuple(said))

    def objects(self) -> Iterator[Manifest]:
        """All of them, each after what it needs."""
        yield from self.shared
        yield from (config_map for _, config_map in self.config_maps)
        yield from self.jobs


def first_packs(spec: SweepSpec, trials: Sequence[TrialSpec]) -> tuple[Pack, ...]:
    """The Jobs of these trials where none of them has one."""
    return packs(trials, spec.trials_per_pod, by_seed=spec.packing is Packing.FUSED)


def render(
    spec: SweepSpec,
    trials: Sequence[TrialSpec],
    *,
    namespace: str = "",
    choices: Mapping[str, str] = MappingProxyType({}),
) -> Rendered:
    """The objects of these trials where none of them has a Job, see :func:`render_packs`."""
    return render_packs(spec, first_packs(spec, trials), namespace=namespace, choices=choices)


def render_packs(
    spec: SweepSpec, packs: Sequence[Pack], *, namespace: str = "", choices: Mapping[str, str] = MappingProxyType({})
) -> Rendered:
    """The objects of the sweep, or of one part of it, with these Jobs; the same bytes on every run and machine.

    They say the namespace, or that of the sweep file; without either none. ``choices`` are those that its stages came
    of: stage → JSON. Raises InputError with every mistake in the
    sweep file or its template that only a cluster sees; there is none left in what it returns.
    """
    check_namespace(namespace)
    namespace = namespace or spec.kubernetes.namespace
    jobs = Jobs(spec, packs, namespace)
    alone = frozenset(pack.id for pack in packs if pack.is_single)
    shared = shared_manifests(spec, namespace, choices)
    notes = (*jobs.notes, *_not_fused(spec, packs))
    return Rendered(shared, ConfigMaps(spec, packs, namespace), jobs, alone, notes)


def shared_manifests(
    spec: SweepSpec, namespace: str, choices: Mapping[str, str] = MappingProxyType({})
) -> tuple[Manifest, ...]:
    """The objects that all Jobs of a sweep share, whatever its trials are."""
    files = (files_manifest(spec, namespace),) if spec.trainer.files else ()
    return (sweep_manifest(spec, namespace, choices), *files)


def _not_fused(spec: SweepSpec, packs: Sequence[Pack]) -> Iterator[str]:
    """That a GPU keeps kgen's own trainer from training the trials of a pod together."""
    given = spec.kubernetes
    asked = [f"{name}: {number}" for name, number in given.accelerators.items()]
    asked += ["resource_claims"] if given.resource_claims else []
    is_fused = spec.packing is Packing.FUSED and spec.trainer.command == BUILT_IN
    if asked and is_fused and not all(pack.is_single for pack in packs):
        yield (
            f"{', '.join(asked)}: kgen's own trainer trains fused trials on processors; on a GPU those of a pod are "
            "trained one after another, with kubernetes.resources {nvidia.com/gpu: 0} together"
        )
