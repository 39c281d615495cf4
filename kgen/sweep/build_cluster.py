"""The ``kubernetes`` block of a valid file → :class:`Kubernetes`, defaults filled in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Final

from kgen.sweep.cluster import KubernetesModel
from kgen.sweep.model import SweepFile
from kgen.sweep.results import url_of
from kgen.sweep.sweepspec import Gpu, Kubernetes, SecretKey, Sharing, Template, Volume

_DEFAULTS: Final = {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "4Gi"}
GPU: Final = "nvidia.com/gpu"

Mistake = tuple[tuple[str | int, ...], str, str]
"""Path of the field in the file, what was found, what is allowed."""


def kubernetes(parsed: SweepFile, read: Callable[[str], Template | None]) -> tuple[Kubernetes, list[Mistake]]:
    """The settings, and the mistakes that only several fields together show. ``read`` fetches the template."""
    given = parsed.kubernetes
    seconds = parsed.budget.seconds
    gpu = given.gpu
    resources = _resources(given)
    made = Kubernetes(
        namespace=given.namespace or "",
        resources=MappingProxyType(resources),
        gpu=Gpu(
            products=tuple((gpu and gpu.product) or ()),
            family=(gpu and gpu.family) or "",
            memory=(gpu and gpu.memory) or "",
            sharing=_sharing(parsed),
        ),
        shared_memory=given.shared_memory,
        scratch=given.scratch,
        node_selector=MappingProxyType(given.node_selector),
        tolerations=tuple(map(MappingProxyType, given.tolerations)),
        affinity=None if given.affinity is None else MappingProxyType(given.affinity),
        runtime_class=given.runtime_class or "",
        resource_claims=tuple(map(MappingProxyType, given.resource_claims)),
        priority_class=given.priority_class or "",
        queue=given.queue or "",
        queue_priority=given.queue_priority or "",
        service_account=given.service_account or "",
        image_pull_policy=given.image_pull_policy or "",
        image_pull_secrets=tuple(given.image_pull_secrets),
        secret_env=MappingProxyType({name: SecretKey(s.secret, s.key) for name, s in given.secret_env.items()}),
        volumes=tuple(
            Volume(v.name, v.mount_path, v.read_only, v.sub_path or "", MappingProxyType(v.source))
            for v in given.volumes
        ),
        labels=MappingProxyType(given.labels),
        annotations=MappingProxyType(given.annotations),
        run_as_user=given.run_as_user,
        deadline=given.deadline or (None if seconds is None else int(-(-seconds // 1)) + given.allowance),
        allowance=None if given.deadline or seconds is None else given.allowance,
        backoff_limit=given.backoff_limit,
        ttl_seconds_after_finished=given.ttl_seconds_after_finished,
        template=None if given.template is None else read(given.template),
    )
    return made, list(_mistakes(parsed))


def _resources(given: KubernetesModel) -> dict[str, str]:
    """What is given over the defaults; a GPU of another name, or a claim, stands for the default one."""
    default = dict(_DEFAULTS)
    if not given.resource_claims and not any("/" in name for name in given.resources):
        default = {GPU: "1", **default}
    merged = {**default, **given.resources}
    return {name: amount for name, amount in merged.items() if _number(amount) != 0}


def _number(quantity: str) -> float:
    """The number that a quantity starts with: enough to tell zero from others.

    >>> _number("0"), _number("500m"), _number("4Gi"), _number("1e3")
    (0.0, 500.0, 4.0, 1000.0)
    """
    return float(quantity.rstrip("mkKMGTPEi"))


def _sharing(parsed: SweepFile) -> Sharing:
    gpu = parsed.kubernetes.gpu
    if gpu is not None and gpu.sharing is not None:
        return Sharing(gpu.sharing)
    return Sharing.NONE if _is_in_seconds(parsed) else Sharing.ANY


def _is_in_seconds(parsed: SweepFile) -> bool:
    return parsed.objective is not None and parsed.objective.metric == "seconds_to_target"


def _mistakes(parsed: SweepFile) -> Iterator[Mistake]:
    given = parsed.kubernetes
    here = ("kubernetes",)
    gpu = given.gpu
    if gpu is not None and gpu.sharing not in (None, "none") and _is_in_seconds(parsed):
        yield (
            (*here, "gpu", "sharing"),
            f"{gpu.sharing} with the objective seconds_to_target",
            "none: seconds on a shared GPU can't be compared; an objective in steps can",
        )
    if given.queue_priority and not given.queue:
        yield (*here, "queue_priority"), given.queue_priority, "a queue beside it: it orders what waits in one"
    if given.ttl_seconds_after_finished is not None and url_of(parsed.results).startswith("pvc://"):
        yield (
            (*here, "ttl_seconds_after_finished"),
            f"{given.ttl_seconds_after_finished} with results in a claim",
            "nothing: from outside, a finished Job is all that says that its trial is done",
        )
    yield from _same_volumes(given)
    for name in given.secret_env:
        if name in parsed.trainer.env:
            yield (*here, "secret_env", name), f"{name}, which trainer.env sets", "each variable once"
    for name in ("cpu", "memory"):
        if name in given.resources and _number(given.resources[name]) == 0:
            yield (*here, "resources", name), given.resources[name], "more than nothing"


def _same_volumes(given: KubernetesModel) -> Iterator[Mistake]:
    for field in ("name", "mount_path"):
        first: dict[str, int] = {}
        for i, volume in enumerate(given.volumes):
            value = getattr(volume, field)
            if first.setdefault(value, i) != i:
                allowed = f"each {field} once (first in volumes[{first[value]}])"
                yield ("kubernetes", "volumes", i, field), f"{value} again", allowed
