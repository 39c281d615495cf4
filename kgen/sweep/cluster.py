"""The part of the format that says how trials become Kubernetes Jobs: ``kubernetes`` and ``execution``.

Words that Kubernetes has keep its spelling where its own objects are passed through (``tolerations``, ``affinity``,
``source`` of a volume); those are checked with the whole Job, by :mod:`kgen.render`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from kgen.names import DNS_LABEL_PATTERN, DNS_LABEL_WORDS, is_label_value, is_qualified_name
from kgen.spec import text_of
from kgen.sweep.fields import Closed, EnvName, check_int, show, wrong

_QUANTITY: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:m|[kMGTPE]i?|Ki|[eE][0-9]+)?")
_DURATION: Final = re.compile(r"(?=.)(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")
_DURATION_WORDS: Final = "a whole number of seconds from 1, or a duration such as 90s, 30m, 2h or 1h30m"
_LONGEST: Final = 366 * 24 * 3600
MAX_PACK: Final = 1000
"""Trials of one pod: their parameters must fit into a ConfigMap, their ids into an annotation."""
KGEN_PREFIXES: Final = ("kgen.dev/", "app.kubernetes.io/", "batch.kubernetes.io/")
"""Of labels and annotations that are not the user's to set."""


def _check_quantity(value: Any) -> str:
    text = value if isinstance(value, str) else text_of(value) if isinstance(value, int | float) else ""
    if isinstance(value, bool) or not _QUANTITY.fullmatch(text):
        raise wrong(show(value), "a quantity of Kubernetes, such as 2, 500m or 4Gi")
    return text


Quantity = Annotated[
    str,
    BeforeValidator(_check_quantity),
    WithJsonSchema({"type": ["number", "string"], "pattern": f"^({_QUANTITY.pattern})$"}),
]


def _check_duration(value: Any) -> int:
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        value = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LONGEST:
        raise wrong(show(value), _DURATION_WORDS)
    return value


Duration = Annotated[
    int,
    BeforeValidator(_check_duration),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^([0-9]+[dhms])+$"}]}),
]


def _check_object_name(name: str) -> str:
    if len(name) > 253 or not all(DNS_LABEL_PATTERN.fullmatch(part) for part in name.split(".")):
        raise wrong(show(name), "the name of an object of the cluster: DNS labels, with dots between them")
    return name


def _check_label_name(name: str) -> str:
    if len(name) > 63 or not DNS_LABEL_PATTERN.fullmatch(name):
        raise wrong(show(name), f"a DNS label of at most 63 characters: {DNS_LABEL_WORDS}")
    return name


ObjectName = Annotated[str, AfterValidator(_check_object_name)]
LabelName = Annotated[
    str,
    AfterValidator(_check_label_name),
    WithJsonSchema({"type": "string", "pattern": f"^{DNS_LABEL_PATTERN.pattern}$", "maxLength": 63}),
]


def _check_key(name: str) -> str:
    if not is_qualified_name(name):
        raise wrong(show(name), "a key of Kubernetes: letters, digits, '-', '_', '.', after an optional domain and '/'")
    return name


def _check_own_key(name: str) -> str:
    for prefix in KGEN_PREFIXES:
        if name.startswith(prefix):
            raise wrong(show(name), f"a key without the prefix {prefix}, which is kgen's to set")
    return _check_key(name)


def _check_label_value(value: Any) -> str:
    text = value if isinstance(value, str) else text_of(value) if isinstance(value, bool | int | float) else None
    if text is None or not is_label_value(text):
        raise wrong(show(value), "the value of a label: at most 63 letters, digits, '-', '_' and '.'")
    return text


def _check_text(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong(show(value), "text")
    return value


LabelValue = Annotated[
    str, BeforeValidator(_check_label_value), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
Key = Annotated[str, AfterValidator(_check_key)]
OwnKey = Annotated[str, AfterValidator(_check_own_key)]


class GpuModel(Closed):
    """Which GPUs: by the labels that NVIDIA's feature discovery puts on nodes."""

    product: list[Annotated[str, Field(min_length=1)]] | None = Field(
        None, description="Any of these, as in the node label nvidia.com/gpu.product"
    )
    family: Annotated[str, Field(min_length=1)] | None = Field(None, description="Such as ampere or hopper")
    memory: Quantity | None = Field(None, description="At least this much memory on the GPU, such as 40Gi")
    sharing: Literal["none", "time-slicing", "mps", "any"] | None = Field(
        None,
        description="none: never a shared GPU, the default for objectives in seconds, which accept nothing else; "
        "any, the default for others: does not matter",
    )


class SecretKeyModel(Closed):
    """Where in the cluster a value lies that is nobody else's business."""

    secret: ObjectName = Field(description="Name of the Secret")
    key: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="Key in it")


class VolumeModel(Closed):
    """One more volume in each trial's pod."""

    name: LabelName = Field(description="Name of the volume in the pod")
    mount_path: str = Field(description="Where the trainer sees it")
    read_only: bool = Field(False, description="Whether the trainer can only read it")
    sub_path: str | None = Field(None, description="Folder in the volume, instead of all of it")
    source: Annotated[dict[str, Any], Field(min_length=1, max_length=1)] = Field(
        description="As in a pod's volumes, such as {persistentVolumeClaim: {claimName: data}}"
    )

    @model_validator(mode="after")
    def _is_absolute(self) -> Self:
        if not self.mount_path.startswith("/") or ".." in self.mount_path.split("/") or ":" in self.mount_path:
            raise wrong(show(self.mount_path), "an absolute path without '..' and ':'", "mount_path")
        return self


class KubernetesModel(Closed):
    """How trials run on a cluster; changing it changes no trial."""

    namespace: LabelName | None = Field(None, description="Without it --namespace, or that of the context")
    resources: dict[Key, Quantity] = Field(
        default_factory=dict,
        description="Requests and limits of each trial; by default nvidia.com/gpu: 1, cpu: 2, memory: 4Gi, "
        "ephemeral-storage: 4Gi. Another vendor's GPU, or nvidia.com/gpu: 0, takes the first one's place",
    )
    gpu: GpuModel | None = Field(None, description="Which GPUs will do")
    shared_memory: Quantity = Field("1Gi", description="Size of /dev/shm; counts as memory")
    scratch: Quantity = Field("2Gi", description="Size of /tmp, the one place that a trainer can write to")
    node_selector: dict[Key, LabelValue] = Field(default_factory=dict, description="Labels that a node must have")
    tolerations: list[dict[str, Any]] = Field(
        default_factory=list, description="As in a pod; the one for the GPU's taint is there already"
    )
    affinity: dict[str, Any] | None = Field(None, description="As in a pod")
    runtime_class: ObjectName | None = Field(None, description="runtimeClassName of the pod, such as nvidia on k3s")
    resource_claims: list[dict[str, Any]] = Field(
        default_factory=list, description="As in a pod (DRA), such as {name: gpu, resourceClaimTemplateName: h100}"
    )
    priority_class: ObjectName | None = Field(None, description="priorityClassName of the pod")
    queue: LabelName | None = Field(None, description="LocalQueue of Kueue: Jobs are created suspended and wait there")
    queue_priority: ObjectName | None = Field(None, description="WorkloadPriorityClass of Kueue")
    service_account: ObjectName | None = Field(None, description="For access to a bucket; its token is not mounted")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(None, description="As in a pod")
    image_pull_secrets: list[ObjectName] = Field(default_factory=list, description="Names of Secrets")
    secret_env: dict[EnvName, SecretKeyModel] = Field(
        default_factory=dict, description="Environment variables from Secrets: NAME: {secret: …, key: …}"
    )
    volumes: list[VolumeModel] = Field(default_factory=list, description="More volumes, for data sets and the like")
    labels: dict[OwnKey, LabelValue] = Field(default_factory=dict, description="More labels of Jobs and pods")
    annotations: dict[OwnKey, Annotated[str, BeforeValidator(_check_text)]] = Field(
        default_factory=dict, description="More annotations of Jobs and pods"
    )
    run_as_user: Annotated[int, Field(ge=1, le=2**31 - 1), BeforeValidator(check_int)] = Field(
        10001, description="User and group of the trainer; never root"
    )
    deadline: Duration | None = Field(
        None, description="After this long in its pod a trial is ended; without it budget.seconds plus allowance"
    )
    allowance: Duration = Field(
        600, description="On top of budget.seconds: pulling the image, imports, data, compiling, evaluation"
    )
    backoff_limit: Annotated[int, Field(ge=0, le=100), BeforeValidator(check_int)] = Field(
        2, description="New attempts after a crash; disruptions don't count, bad parameters are never tried again"
    )
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=_LONGEST), BeforeValidator(check_int)] | None = Field(
        None, description="Finished Jobs are removed after this long; without it never"
    )
    template: str | None = Field(
        None, description="Your own Job, a Jinja2 file beside this one; kgen init --template writes the built-in one"
    )


PackingWord = Literal["auto", "fused", "sequential"]
TimingSample = Annotated[int, Field(ge=0, le=1000), BeforeValidator(check_int)]


class ExecutionModel(Closed):
    """How trials are spread over time and over processes."""

    packing: PackingWord = Field(
        "auto",
        description="fused: many trials in one program, which the trainer must be able to do; sequential: one after "
        "another; auto: fused for kgen's own trainer where that gains and no seconds are asked for",
    )
    trials_per_pod: Annotated[int, Field(ge=1, le=MAX_PACK), BeforeValidator(check_int)] = Field(
        1, description="Trials in one pod, by packing"
    )
    timing_sample: TimingSample = Field(
        0, description="After fused trials `kgen run` trains so many of them again alone, to tell seconds per step"
    )

    max_parallel: Annotated[int, Field(ge=1, le=100_000), BeforeValidator(check_int)] | None = Field(
        None, description="Unfinished Jobs at the same time; needs `kgen submit --wait`, which creates the rest"
    )
