"""A sweep's results on this machine, wherever they lie: a folder as it is, a bucket and a claim as a copy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kgen import names
from kgen.errors import InputError, StoreError
from kgen.interrupt import heeding_interrupts
from kgen.names import SWEEP_FILE
from kgen.render.environment import RESULTS_MOUNT
from kgen.results.folder import FolderStore
from kgen.results.mirror import Fetched, fetch
from kgen.results.pods import PODS, PodSeen, merged, pods_from_bytes, stored_pods
from kgen.results.store import Store
from kgen.sweep import SweepSpec
from kgen.sweep.sweepspec import Scheme
from kgen.workflow.attempts import seen_attempts
from kgen.workflow.store import store_of

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.backends.kubernetes.claim import Claim

RESULTS_DIR: Final = "results"
"""Where copies lie, beside the sweep file; where ``kgen run`` writes by default, too."""

OnEvent = Callable[[str | Fetched], None]
"""Hears what is waited for, in words, and how far a copy is."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A sweep whose results are in a folder of this machine."""

    spec: SweepSpec
    """The sweep with its results there."""
    store: FolderStore
    fetched: Fetched | None
    """What was copied; None where the results lie in a folder anyway."""
    pods: tuple[PodSeen, ...] = ()
    """What is known of attempts beside their rows, for the collection."""
    choices: frozenset[str] = frozenset()
    """Files of the choices that lie in the results themselves, and not only in the copy."""


def open_results(
    spec: SweepSpec,
    *,
    results: Path | None = None,
    image: str = "",
    connect: Callable[[], Api],
    on_event: OnEvent = lambda _: None,
    stored: bool = False,
) -> Opened:
    """The sweep with its results in a folder: its own one, or a copy to which only what is new is fetched.

    The copy lies in ``<results>/<name>``, by default beside the sweep file (for a sweep that the cluster knows, in the
    working directory), as if ``kgen run`` had written it, and may hold rows of such a run. ``image`` is that of the pod
    which reads a claim, and only a claim needs ``connect``. ``stored`` says that the cluster told the sweep: then a
    folder is one of its pods.

    Raises StoreError or ClusterError where the results can't be read or the copy can't be written.
    """
    if spec.location.scheme is Scheme.FOLDER:
        if stored and results is None:
            check_is_here(spec)
        here = spec if results is None else spec.with_results(results)
        if stored:
            from kgen.workflow.choices import held_choices, keep_in_step

            keep_in_step(FolderStore(here.results), lambda: held_choices(connect(), spec))
        pods = tuple(seen_attempts(connect(), spec.name)) if stored else ()
        return Opened(here, FolderStore(here.results), None, pods)
    here = spec.with_results(spec.folder / RESULTS_DIR if results is None else results)
    target = FolderStore(here.results)
    with far_results(spec, image=image, connect=connect, on_event=on_event) as source:
        fetched = fetch(source, target, on_event)
        pods = _stored_pods(source)
        choices = _copy_choices(spec, source, target, connect)
    target.write(SWEEP_FILE, spec.text.encode())
    if stored or spec.location.scheme is Scheme.PVC:  # a bucket's sweep needs no cluster to be read
        pods = merged(pods, seen_attempts(connect(), spec.name))
    return Opened(here, target, fetched, pods, choices)


def _copy_choices(
    spec: SweepSpec, source: Store | Claim, target: FolderStore, connect: Callable[[], Api]
) -> frozenset[str]:
    """Choices that were made there; of a claim, which only pods can write, also those that the cluster holds."""
    wanted = [names.choice_file(stage.name) for stage in spec.stages if stage.source is not None]
    there = {name: _found(source, name) for name in wanted}
    in_results = frozenset(name for name, data in there.items() if data is not None)
    if None in there.values() and not isinstance(source, Store):
        from kgen.workflow.choices import held_choices

        held = {names.choice_file(stage): text.encode() for stage, text in held_choices(connect(), spec).items()}
        there = {name: data or held.get(name) for name, data in there.items()}
    for name, data in there.items():
        if data is not None and not (target.exists(name) and target.read(name) == data):
            target.write(name, data)
    return in_results


def _found(source: Store | Claim, name: str) -> bytes | None:
    """A file of the results; None where there is none of that name."""
    if not isinstance(source, Store):
        return source.find(name)
    return source.read(name) if source.exists(name) else None


def _stored_pods(source: Store | Claim) -> tuple[PodSeen, ...]:
    """What collections inside the cluster saw of pods."""
    if isinstance(source, Store):
        return stored_pods(source)[0]
    data = _found(source, PODS)
    with contextlib.suppress(ValueError):  # damaged: the rows are there all the same
        return pods_from_bytes(data) if data else ()
    return ()


@contextlib.contextmanager
def far_results(
    spec: SweepSpec,
    *,
    image: str = "",
    writable: bool = False,
    connect: Callable[[], Api],
    on_event: Callable[[str], None] = lambda _: None,
) -> Iterator[Store | Claim]:
    """The results where they lie, to be looked at or removed; the pod that a claim needs for it goes at the end.

    Raises StoreError for a folder that this machine does not have, ClusterError.
    """
    location = spec.location
    if location.scheme is Scheme.PVC:
        from kgen.backends.kubernetes.claim import Claim

        claim = Claim(connect(), spec, image=image, writable=writable, on_event=on_event)
        with heeding_interrupts(), claim:
            yield claim
        return
    if location.scheme is Scheme.FOLDER:
        check_is_here(spec)
    yield store_of(spec)


def stored_sweep(api: Api, name: str) -> SweepSpec:
    """The sweep of that name as the cluster holds it. Raises InputError where it holds none, ClusterError."""
    from kgen.workflow.stored import no_sweep, stored_spec

    spec, _, trouble = stored_spec(api, name)
    if spec is None:
        if trouble:
            raise InputError.of("the command line", "SWEEP", f"{name}: {trouble}", "its sweep file")
        raise no_sweep(api, name)
    return spec


def mounted(spec: SweepSpec) -> SweepSpec | None:
    """A sweep whose results lie in a claim, with its results where this pod has that claim; None where it has not."""
    if os.environ.get(names.ENV_CLAIM, "") != spec.location.root:
        return None
    return spec.with_results((Path(RESULTS_MOUNT) / spec.location.path).parent)


def check_is_here(spec: SweepSpec) -> None:
    """Raises StoreError where the folder of a sweep's results is not on this machine: where a volume is not mounted,
    the folder of all results is not there either."""
    folder = Path(spec.location.path)
    try:
        here = folder.is_dir() or folder.parent.is_dir()
    except PermissionError:
        here = True  # which reading it says better
    if not here:
        raise StoreError(f"{folder}: the results lie in that folder of the sweep's pods, which is not on this machine")
