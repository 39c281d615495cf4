"""Everything that can be looked at from a machine with a kubeconfig, in the order in which one thing needs another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kgen.backends.kubernetes.failure import UnreachableError
from kgen.backends.kubernetes.reader import Reader
from kgen.errors import ClusterError
from kgen.sweep import SweepSpec
from kgen.sweep.sweepspec import Scheme
from kgen.workflow.doctor import client, namespace, pod, sweep
from kgen.workflow.doctor.model import Check, State, missing, ok, skipped

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

Connect = Callable[[str], "Api"]
"""Logs in to the cluster; given the namespace that the sweep file names, or nothing."""
_OF_SWEEP: Final = (sweep.JOBS, pod.IMAGE, pod.RESULTS)


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be looked at."""

    file: Path | None = None
    image: str = ""
    """Tried out instead of the sweep's."""
    gpu: bool = False
    """Whether a pod asks for one."""
    namespace: str = ""
    """From the command line."""
    say: Callable[[str], None] = lambda _: None
    """Hears what is waited for."""


def examine(connect: Connect, options: Options) -> Iterator[Check]:
    """Look at one thing after the other; nothing stays of what is tried out, and no failure ends it early."""
    yield client.client()
    asked = sweep.Asked(None, None, ())
    if options.file is not None:
        asked = sweep.read_sweep(options.file, options.namespace, options.image)
        yield from asked.checks
    needs_pod = asked.job is not None or bool(options.image)
    of_pod = _OF_SWEEP if asked.job is not None else (pod.IMAGE,) if options.image else ()
    try:
        api = connect(asked.spec.kubernetes.namespace if asked.spec else "")
    except ClusterError as error:
        yield missing(client.CLUSTER, str(error), "a kubeconfig: --kubeconfig, KUBECONFIG; --context chooses in it")
        yield from skipped([client.SERVER, client.CLOCK, *namespace.CHECKS, *of_pod], "no cluster is configured")
        return
    yield ok(client.CLUSTER, f"context {api.context}, namespace {api.namespace}")
    left = [client.SERVER, client.CLOCK, *namespace.CHECKS, *of_pod]
    try:
        for check in _of_cluster(api, asked, options, needs_pod=needs_pod):
            left = [name for name in left if name != check.check]
            yield check
            if check.check == namespace.NAMESPACE and check.state is State.MISSING:
                yield from skipped(left, "the namespace is not there")
                return
    except ClusterError as error:
        broken = left.pop(0) if left else client.SERVER
        unreachable = isinstance(error, UnreachableError)
        fix = (
            "a way to it (VPN, proxy, cluster started?), or another --context" if unreachable else "log in to it again"
        )
        yield missing(broken, str(error), fix)
        yield from skipped(left, "the cluster does not answer")
    if asked.spec is not None:
        yield from sweep.bucket(asked.spec)


def _of_cluster(api: Api, asked: sweep.Asked, options: Options, *, needs_pod: bool) -> Iterator[Check]:
    spec, name = asked.spec, api.namespace
    reader = Reader(api)
    yield client.server(api)
    ahead = client.ahead(api)
    yield client.clock(client.CLOCK, "the API server's clock", ahead)
    yield from namespace.namespace(reader, name)
    yield from namespace.rights(api, name, needs_claims=_has_claim(spec))
    yield from namespace.accelerators(api, wanted=spec is None or bool(spec.kubernetes.accelerators))
    yield from namespace.queue(reader, name, spec.kubernetes.queue if spec else "")
    yield from namespace.quotas(reader, name)
    yield from namespace.limits(reader, name)
    if spec is not None:
        yield from sweep.claim(reader, name, spec)
    if spec is not None and asked.job is not None:
        found = list(sweep.jobs(api, spec, asked.job, name))
        yield from found
        if any(check.state is State.MISSING for check in found):
            yield from skipped([pod.IMAGE, pod.RESULTS], "the cluster would not take the sweep's Jobs")
            return
        tried = pod.of_trial(spec, asked.job, image=options.image, gpu=options.gpu)
        yield from pod.probe(api, tried, ahead, options.say)
    elif needs_pod:
        yield from pod.probe(api, pod.of_image(options.image), ahead, options.say)


def _has_claim(spec: SweepSpec | None) -> bool:
    return spec is not None and spec.location.scheme is Scheme.PVC
