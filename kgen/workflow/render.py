"""Rendered objects → files that kubectl, Argo CD or Flux apply."""

from __future__ import annotations

import contextlib
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kgen import names
from kgen.errors import StoreError
from kgen.render import Manifest, Rendered, render, shared_manifests
from kgen.sweep import SweepSpec, expand
from kgen.sweep.sweepspec import Scheme
from kgen.workflow.choices import WithChoices, choices_of
from kgen.workflow.later import later_stages
from kgen.workflow.reachable import local_paths
from kgen.workflow.results import RESULTS_DIR
from kgen.workflow.rows import RowReader


@dataclass(frozen=True, slots=True)
class Written:
    """What a folder of manifests came to."""

    files: int
    """Files that it has now."""
    changed: int
    """Of them new or with another content."""
    removed: int
    """Files of objects that are no longer rendered."""


def render_sweep(spec: SweepSpec, *, namespace: str = "") -> Rendered:
    """What ``submit`` would send. Raises InputError for everything that can't work on a cluster.

    Of a sweep with stages all that is known by its results, where this machine has them or a copy, or can read their
    bucket; its notes say which stages may get more. No cluster is asked.
    """
    local_paths(spec)
    if not spec.stages:
        return render(spec, expand(spec), namespace=namespace)
    known, choices, later = _known_here(spec)
    parts = [render(part, expand(part), namespace=namespace, choices=choices) for part in known.parts]
    shared = shared_manifests(known, namespace or spec.kubernetes.namespace, choices)
    notes = [f"{names.stage_title(stage)}: {why}" for stage, why in later.items()]
    submit = shlex.join(["kgen", "submit", str(spec.file)])
    notes += [f"what is not known yet is created by '{submit} --wait', or by a Job with --in-cluster"] if later else []
    return Rendered.join(shared, parts, notes)


def _known_here(spec: SweepSpec) -> tuple[SweepSpec, dict[str, str], dict[str, str]]:
    """The sweep with the parts that are known without a cluster, the choices, and the stages that may get more."""
    from kgen.workflow.stages import resolved

    copy = spec.with_results(spec.folder / RESULTS_DIR) if spec.location.scheme is Scheme.PVC else spec
    for store in (RowReader(copy).store(), None):
        with contextlib.suppress(StoreError):  # of a bucket that can't be read from here
            held = WithChoices(store, {})
            return resolved(spec, held), choices_of(spec, held), later_stages(resolved(spec, held), store, {})
    raise AssertionError("nothing is read without a store")


def write_manifests(rendered: Rendered, sweep: str, folder: Path) -> Written:
    """One JSON file per object; those of the sweep's objects that are gone are removed, other files left alone.

    Raises StoreError when the folder can't be written.
    """
    kept: set[str] = set()
    changed = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for manifest in rendered.objects():
            name = file_name(manifest)
            kept.add(name)
            changed += _write(folder / name, manifest.text.encode())
        gone = [path for path in sorted(folder.glob("*.json")) if path.name not in kept and _is_own(path, sweep)]
        for path in gone:
            path.unlink()
    except OSError as error:
        raise StoreError(f"{error.filename or folder}: can't be written: {error.strerror}") from error
    return Written(len(kept), changed, len(gone))


def file_name(manifest: Manifest) -> str:
    """Name of an object's file."""
    return f"{manifest.kind.lower()}-{manifest.name}.json"


def _write(path: Path, content: bytes) -> bool:
    """Whether the file was not there with this content before; it is there whole or not at all."""
    if path.is_file() and path.read_bytes() == content:
        return False
    temporary = path.with_name(names.TEMPORARY_PREFIX + path.name)
    temporary.write_bytes(content)
    temporary.replace(path)
    return True


def _is_own(path: Path, sweep: str) -> bool:
    """Whether kgen wrote this file for this sweep."""
    if not path.name.startswith(("job-", "configmap-")) or not path.is_file():
        return False
    try:
        found: Any = json.loads(path.read_bytes())
        labels: Any = found["metadata"]["labels"]
        return bool(labels[names.LABEL_MANAGED_BY] == names.FIELD_MANAGER and labels[names.LABEL_SWEEP] == sweep)
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
