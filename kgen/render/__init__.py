"""TrialSpecs → the objects for a cluster: the Job of each trial, and what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kgen.render.jobs import Jobs, check_namespace
from kgen.render.manifest import Manifest
from kgen.render.objects import files_manifest, sweep_manifest
from kgen.spec import TrialSpec
from kgen.sweep import SweepSpec

__all__ = ["Manifest", "Rendered", "render"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """Everything that a sweep is on a cluster."""

    shared: tuple[Manifest, ...]
    """The sweep's ConfigMap, then that of ``trainer.files`` if there are any."""
    jobs: Sequence[Manifest]
    """One Job per trial, in order; each is made when it is asked for, so that 100,000 need no memory."""
    notes: tuple[str, ...]
    """What kgen changed in a template, for people to read."""


def render(spec: SweepSpec, trials: Sequence[TrialSpec], *, namespace: str = "") -> Rendered:
    """The objects of these trials; the same bytes on every run and machine.

    They say the namespace, or that of the sweep file; without either none. Raises InputError with every mistake in the
    sweep file or its template that only a cluster sees; there is none left in what it returns.
    """
    check_namespace(namespace)
    namespace = namespace or spec.kubernetes.namespace
    jobs = Jobs(spec, trials, namespace)
    shared = [sweep_manifest(spec, namespace)]
    if spec.trainer.files:
        shared.append(files_manifest(spec, namespace))
    return Rendered(tuple(shared), jobs, jobs.notes)
