"""A sweep's results on this machine, wherever they lie: a folder as it is, a bucket and a claim as a copy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kgen.errors import InputError, StoreError
from kgen.names import SWEEP_FILE
from kgen.results.folder import FolderStore
from kgen.results.mirror import Fetched, fetch
from kgen.results.pods import PODS, PodSeen, merged, pods_from_bytes, stored_pods
from kgen.results.store import Store
from kgen.sweep import SweepSpec
from kgen.sweep.sweepspec import Scheme
from kgen.workflow.attempts import seen_attempts
from kgen.workflow.interrupt import sigterm_as_interrupt
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
            _check_is_here(spec)
        here = spec if results is None else spec.with_results(results)
        pods = tuple(seen_attempts(connect(), spec.name)) if stored else ()
        return Opened(here, FolderStore(here.results), None, pods)
    here = spec.with_results(spec.folder / RESULTS_DIR if results is None else results)
    target = FolderStore(here.results)
    with far_results(spec, image=image, connect=connect, on_event=on_event) as source:
        fetched = fetch(source, target, on_event)
        pods = _stored_pods(source)
    target.write(SWEEP_FILE, spec.text.encode())
    if stored or spec.location.scheme is Scheme.PVC:  # a bucket's sweep needs no cluster to be read
        pods = merged(pods, seen_attempts(connect(), spec.name))
    return Opened(here, target, fetched, pods)


def _stored_pods(source: Store | Claim) -> tuple[PodSeen, ...]:
    """What collections inside the cluster saw of pods."""
    if isinstance(source, Store):
        return stored_pods(source)[0]
    data = source.find(PODS)
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
        with sigterm_as_interrupt(), claim:
            yield claim
        return
    if location.scheme is Scheme.FOLDER:
        _check_is_here(spec)
    yield store_of(spec)


def stored_sweep(api: Api, name: str) -> SweepSpec:
    """The sweep of that name as the cluster holds it. Raises InputError where it holds none, ClusterError."""
    from kgen.workflow.observe import no_sweep, stored_spec

    spec, _, trouble = stored_spec(api, name)
    if spec is None:
        if trouble:
            raise InputError.of("the command line", "SWEEP", f"{name}: {trouble}", "its sweep file")
        raise no_sweep(api, name)
    return spec


def _check_is_here(spec: SweepSpec) -> None:
    """Where a volume is not mounted, the folder of all results is not there either."""
    folder = Path(spec.location.path)
    try:
        here = folder.is_dir() or folder.parent.is_dir()
    except PermissionError:
        here = True  # which reading it says better
    if not here:
        raise StoreError(f"{folder}: the results lie in that folder of the sweep's pods, which is not on this machine")
