"""What a sweep file asks for: does the cluster take its Jobs, and where do its results lie?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kgen.backends.kubernetes import access, references
from kgen.backends.kubernetes.fit import look
from kgen.backends.kubernetes.reader import Gone, Reader
from kgen.backends.kubernetes.shape import shapes
from kgen.capacity.finding import Finding, Severity
from kgen.errors import InputError, StoreError
from kgen.render import render
from kgen.results.store import open_store
from kgen.sweep import SweepSpec, expand, load
from kgen.sweep.document import field_name
from kgen.sweep.sweepspec import Scheme
from kgen.workflow.doctor.model import Check, missing, ok, warning
from kgen.workflow.reachable import local_paths

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

SWEEP: Final = "sweep file"
JOBS: Final = "jobs"
CLAIM: Final = "claim"
BUCKET: Final = "bucket"
_PATIENCE: Final = 5.0
"""Seconds that a bucket may fail to answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A sweep file as far as it could be read."""

    spec: SweepSpec | None
    job: Mapping[str, Any] | None
    """Of one trial; None where no Job can be made of it."""
    checks: tuple[Check, ...]


def read_sweep(file: Path, namespace: str, image: str) -> Asked:
    """Load it and render a Job; every mistake is a check. ``image`` takes the place of an image that is not there."""
    spec = None
    try:
        spec = load(file)
        local_paths(spec)
        job = next(iter(render(spec, expand(spec), namespace=namespace).jobs)).object()
    except InputError as error:
        found = [problem for problem in error.problems if not (image and problem.field == "trainer.image")]
        if not found:
            return Asked(
                spec, None, (warning(SWEEP, f"{file}: trainer.image is not set", f"trainer: {{image: {image}}}"),)
            )
        return Asked(spec, None, tuple(
            missing(SWEEP, f"{p.file}{f':{p.line}:{p.column}' if p.line else ''}: {p.field}: {p.found}", p.allowed)
            for p in found
        ))  # fmt: skip
    return Asked(spec, job, (ok(SWEEP, f"{file}: sweep {spec.name}, {_trials(spec.size)}"),))


def jobs(api: Api, spec: SweepSpec, job: Mapping[str, Any], namespace: str) -> Iterator[Check]:
    """Whether the cluster takes its Jobs and has what they name; what other checks say of the cluster is left out."""
    trials = expand(spec)
    rendered = render(spec, trials, namespace=namespace).jobs
    forecast = look(api, shapes(rendered, {each.name for each in rendered}), spec, namespace)
    reader = Reader(api)
    said = {*access.review(api, namespace), *references.local_queue(reader, namespace, spec.kubernetes.queue)}
    wrong = [_check(finding) for finding in forecast.findings if finding not in said and _is_of_sweep(finding)]
    yield from wrong
    if not any(check.state == "missing" for check in wrong):
        shape = forecast.shapes[0] if forecast.shapes else None
        room = "" if shape is None or shape.now is None else f", {shape.now:,} of them at the same time now"
        yield ok(JOBS, f"the cluster takes the Jobs of {_trials(len(trials))}{room}")


def _is_of_sweep(finding: Finding) -> bool:
    """Not a remark; and not that the nodes can't be read, which is said of the GPUs."""
    forbidden = "forbidden to read" in finding.found
    return finding.severity is not Severity.NOTE or (
        forbidden and not finding.found.startswith(("nodes", "pods of", "namespace", "resourcequotas", "limitranges"))
    )


def _check(finding: Finding) -> Check:
    at = f"{field_name(finding.field)}: " if finding.field else ""
    make = missing if finding.severity is Severity.REFUSE else warning
    return make(JOBS, f"{at}{finding.found}", finding.allowed)


def _trials(number: int) -> str:
    return f"{number:,} trial{'s' * (number != 1)}"


def claim(reader: Reader, namespace: str, spec: SweepSpec) -> Iterator[Check]:
    """The claim of its results, if they lie in one: whether it is there is said with the Jobs."""
    if spec.location.scheme is not Scheme.PVC:
        return
    name = spec.location.root
    found = reader.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}", f"claim {name}")
    if isinstance(found, Gone):
        return
    status = found.get("status") or {}
    modes = ", ".join(status.get("accessModes") or found["spec"].get("accessModes") or ())
    size = (status.get("capacity") or {}).get("storage") or "of no size yet"
    phase = status.get("phase", "Pending")
    if phase == "Pending":
        fix = f"none, if its storage class waits for a pod; else see kubectl describe pvc {name} -n {namespace}"
        yield warning(CLAIM, f"{name} is not bound to a volume yet ({modes})", fix)
    else:
        yield ok(CLAIM, f"{name}: {phase}, {modes}, {size}")


def bucket(spec: SweepSpec) -> Iterator[Check]:
    """Whether this machine can use the bucket of its results, if they lie in one: to read is enough here."""
    location = spec.location
    if not location.in_bucket:
        return
    fix = "credentials on this machine (environment, profile): plan, collect and report read rows there"
    try:
        store = open_store(str(location), endpoint=location.endpoint, region=location.region, patience=_PATIENCE)
    except StoreError as error:
        yield warning(BUCKET, str(error), fix)
        return
    try:
        store.check()
        yield ok(BUCKET, f"{location} can be read and written from here")
        return
    except StoreError as error:
        cause = error
    try:
        store.row_files()
        yield ok(BUCKET, f"{location} can be read from here, but not written ({cause}), which is not needed")
    except StoreError as error:
        yield warning(BUCKET, f"from here: {error}", fix)
