"""Collecting inside a cluster: next to the rows, tables, figures, page and certificate, and only what is new."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import kgen
from kgen import names
from kgen.backends.kubernetes.objects import Kind, list_objects
from kgen.errors import InputError, KgenError
from kgen.render.environment import RESULTS_MOUNT
from kgen.results.pods import PodSeen
from kgen.results.store import Store
from kgen.sweep import SweepSpec
from kgen.sweep.sweepspec import Scheme
from kgen.workflow.attempts import seen_attempts
from kgen.workflow.choices import choices_of, held_choices, keep_in_step
from kgen.workflow.collect import Collected, collect_sweep
from kgen.workflow.report import draw_report
from kgen.workflow.results import mounted, stored_sweep
from kgen.workflow.store import store_of

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

_COLLECTION: Final = f"{names.COLLECTED_DIR}/{names.COLLECTION_FILE}"
_PAGE: Final = f"{names.REPORT_DIR}/{names.PAGE_FILE}"


@dataclass(frozen=True, slots=True)
class Beside:
    """What became of one sweep."""

    sweep: str
    location: str = ""
    """Of its results, as this pod has them."""
    collected: Collected | None = None
    """None where nothing has changed since the last time, or it could not be collected."""
    skipped: str = ""
    """Why it is none of this pod's."""
    error: KgenError | None = None


def collect_beside(api: Api, name: str) -> Beside:
    """Collect one sweep of the namespace, whose results this pod has. Raises InputError, StoreError, ClusterError."""
    spec = _as_mounted(stored_sweep(api, name))
    store = store_of(spec)
    keep_in_step(store, partial(held_choices, api, spec))
    return _collect(spec, store, seen_attempts(api, name))


def collect_all(api: Api) -> Iterator[Beside]:
    """Collect every sweep of the namespace whose results lie in the claim that this pod has, or in a bucket, where
    something has changed since the last time. What is wrong with one does not hinder the others.

    Raises ClusterError where the sweeps can't be listed.
    """
    chosen = f"{names.LABEL_MANAGED_BY}={names.FIELD_MANAGER},{names.LABEL_COMPONENT}={names.COMPONENT_SWEEP}"
    found = list_objects(api, Kind.CONFIG_MAP, chosen)[0]
    for name in sorted(config["metadata"].get("labels", {}).get(names.LABEL_SWEEP, "") for config in found):
        try:
            yield _collect_new(api, name)
        except KgenError as error:
            yield Beside(name, error=error)


def _collect_new(api: Api, name: str) -> Beside:
    asked = stored_sweep(api, name)
    if skipped := _why_not(asked):
        return Beside(name, skipped=skipped)
    spec = _as_mounted(asked)
    store, pods = store_of(spec), seen_attempts(api, name)
    keep_in_step(store, partial(held_choices, api, spec))
    before = _inputs(spec, store, pods)
    if _last(store) == before and store.exists(_PAGE):
        return Beside(name, store.location)
    made = _collect(spec, store, pods)
    # Rows that came meanwhile may be in the tables or not: then the next time makes them again.
    note = json.dumps({"inputs": before}) + "\n"
    store.write(_COLLECTION, note.encode())
    return made


def _collect(spec: SweepSpec, store: Store, pods: Sequence[PodSeen]) -> Beside:
    collected = collect_sweep(spec, pods)
    draw_report(spec, collected, store)
    return Beside(spec.name, store.location, collected)


def _why_not(spec: SweepSpec) -> str:
    """Why the results of a sweep are none of this pod's; empty where they are."""
    location = spec.location
    claim = os.environ.get(names.ENV_CLAIM, "")
    if location.scheme is Scheme.FOLDER:
        return f"its results lie in {location}, a folder of its pods"
    if location.scheme is Scheme.PVC and location.root != claim:
        return f"its results lie in the claim {location.root}, here is {claim or 'none'}"
    return ""


def _as_mounted(spec: SweepSpec) -> SweepSpec:
    """The sweep with its results where this pod has them. Raises InputError where it does not."""
    location = spec.location
    if location.scheme is not Scheme.PVC:
        return spec
    here = mounted(spec)
    if here is None:
        raise InputError.of(
            "the environment", names.ENV_CLAIM, os.environ.get(names.ENV_CLAIM, "") or "nothing",
            f"{location.root}, the claim of {spec.name}'s results, mounted at {RESULTS_MOUNT}",
        )  # fmt: skip
    return here


def _inputs(spec: SweepSpec, store: Store, pods: Sequence[PodSeen]) -> str:
    """A digest of everything that a collection is made from: one listing, no row is read."""
    files = sorted((file.name, file.size, file.modified_ns) for file in store.row_files())
    seen = sorted(json.dumps(asdict(pod), default=str, sort_keys=True) for pod in pods)
    choices = [sorted(choices_of(spec, store).items())] if spec.stages else []
    parts = [kgen.__version__, spec.text, spec.trainer.file_hashes(), files, seen, *choices]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _last(store: Store) -> str:
    """The digest of the last collection; empty where there was none."""
    if not store.exists(_COLLECTION):
        return ""
    try:
        found = json.loads(store.read(_COLLECTION))
        return str(found["inputs"])
    except (ValueError, LookupError, TypeError):
        return ""
