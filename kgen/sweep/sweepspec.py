"""A sweep as frozen values: what the rest of kgen sees of sweep.yaml."""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

from kgen.errors import InputError
from kgen.names import DEFAULT_STAGE, ENV_GS_ENDPOINT, ENV_S3_ENDPOINT, ENV_S3_REGION
from kgen.spec import Budget, Objective, Packing, Value
from kgen.sweep.model import Arguments, Metrics

BUILT_IN: Final = ("python", "-m", "kgen_trainer")
"""The command of kgen's own trainer."""


@dataclass(frozen=True, slots=True)
class Trainer:
    """The program that trains, and how kgen talks with it."""

    command: tuple[str, ...]
    """Words; ``{learning_rate}`` stands for that parameter's value."""
    arguments: Arguments
    metrics: Metrics
    files: Mapping[str, bytes]
    """Small sources that travel with the sweep: path beside the sweep file → content."""
    config: Mapping[str, Any]
    env: Mapping[str, str]
    revision: str
    image: str

    def file_hashes(self) -> dict[str, str]:
        """SHA-256 of each file's content: what counts for a trial's identity."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(self.files.items())}


@dataclass(frozen=True, slots=True)
class Local:
    """How trials run on one machine; never part of their identity."""

    processes: int | None
    """Workers at the same time; None means one per core, or one per GPU."""
    gpus: int | None
    """GPUs to use; None means all that are visible."""


class Scheme(enum.StrEnum):
    """What kind of place results can lie in."""

    FOLDER = "folder"
    PVC = "pvc"
    S3 = "s3"
    GS = "gs"


@dataclass(frozen=True, slots=True)
class Location:
    """Where a sweep's results lie: a folder of this machine, or a claim's volume, or a bucket."""

    scheme: Scheme
    root: str
    """The claim or the bucket; empty for a folder."""
    path: str
    """Folder, or path below the root, of this sweep: it ends with the sweep's name."""
    endpoint: str = ""
    """URL of a bucket's service; empty for the cloud's own."""
    region: str = ""
    """Of an S3 bucket; empty where the environment says it."""

    @property
    def in_bucket(self) -> bool:
        """Whether any machine with the right credentials can read and write there."""
        return self.scheme in (Scheme.S3, Scheme.GS)

    @property
    def variables(self) -> Mapping[str, str]:
        """Environment variables that say where the bucket's service is."""
        if self.scheme is Scheme.S3:
            given = {ENV_S3_ENDPOINT: self.endpoint, ENV_S3_REGION: self.region}
        else:
            given = {ENV_GS_ENDPOINT: self.endpoint}
        return {name: value for name, value in given.items() if value}

    def __str__(self) -> str:
        return self.path if self.scheme is Scheme.FOLDER else f"{self.scheme}://{self.root}/{self.path}"


class Sharing(enum.StrEnum):
    """Whether a trial may get a GPU that others use at the same time."""

    NONE = "none"
    TIME_SLICING = "time-slicing"
    MPS = "mps"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Gpu:
    """Which GPUs will do."""

    products: tuple[str, ...] = ()
    family: str = ""
    memory: str = ""
    """At least this much, a quantity."""
    sharing: Sharing = Sharing.ANY


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key of a Secret of the cluster."""

    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class Volume:
    """One more volume of a trial's pod."""

    name: str
    mount_path: str
    read_only: bool
    sub_path: str
    source: Mapping[str, Any]
    """One entry, as in a pod's ``volumes``."""


@dataclass(frozen=True, slots=True)
class Template:
    """A user's own Job template."""

    file: Path
    text: str


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """How trials run on a cluster; never part of their identity. Quantities and durations are normal: text, seconds."""

    namespace: str
    """Empty: whoever submits says it."""
    resources: Mapping[str, str]
    """As requests and limits, the defaults filled in; no entry is zero."""
    gpu: Gpu
    shared_memory: str
    scratch: str
    node_selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, Any], ...]
    affinity: Mapping[str, Any] | None
    runtime_class: str
    resource_claims: tuple[Mapping[str, Any], ...]
    priority_class: str
    queue: str
    queue_priority: str
    service_account: str
    image_pull_policy: str
    image_pull_secrets: tuple[str, ...]
    secret_env: Mapping[str, SecretKey]
    volumes: tuple[Volume, ...]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    run_as_user: int
    deadline: int | None
    """Seconds from a pod's start; None where neither a deadline nor ``budget.seconds`` is given."""
    allowance: int | None
    """Seconds that a pod has beside the budgets of its trials; None where the deadline is not made of them."""
    backoff_limit: int
    ttl_seconds_after_finished: int | None
    template: Template | None

    @property
    def accelerators(self) -> Mapping[str, str]:
        """Extended resources, such as ``nvidia.com/gpu`` or ``nvidia.com/mig-1g.10gb``, with their counts."""
        return {name: count for name, count in self.resources.items() if "/" in name}


@dataclass(frozen=True, slots=True)
class From:
    """``parameters: {from: …}``: a stage's parameters are the best of an earlier one's."""

    stage: str
    objective: Objective
    """What makes the best; by default the earlier stage's own objective."""
    per: tuple[str, ...]
    """One best for each combination of these parameters' values; empty for the best of all."""
    top: int | None
    """Only the best so many of these; None for all."""
    along: str
    """The parameter that neighbours differ in; empty for the number with most values."""
    neighbours: int
    """So many values of the earlier stage to each side of the best."""
    factor: float | None
    """Instead of neighbours: values evenly spread on a logarithmic scale, from best / factor to best × factor."""
    num: int
    """With a factor: how many values, an odd number, the best in their middle."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, to see whether a choice was made for the same question."""
        plain = {
            "stage": self.stage,
            "objective": self.objective.to_json(),
            "per": list(self.per),
            "top": self.top,
            "along": self.along,
            "neighbours": self.neighbours,
            "factor": self.factor,
            "num": self.num,
        }
        return {name: value for name, value in plain.items() if value not in (None, "")}


class Spacing(enum.StrEnum):
    """How a range is measured."""

    LINEAR = "linear"
    LOG = "log"
    INT = "int"


@dataclass(frozen=True, slots=True)
class Range:
    """All numbers between two, both included, for a search to choose from."""

    spacing: Spacing
    start: Value
    stop: Value


Dimension = tuple[Value, ...] | Range
"""What a search may choose one parameter from."""


class Method(enum.StrEnum):
    """How a search chooses what to try next."""

    RANDOM = "random"
    SOBOL = "sobol"
    TPE = "tpe"
    HALVING = "halving"
    RANGE_TEST = "range-test"


@dataclass(frozen=True, slots=True)
class Search:
    """``search: …``: instead of every combination only those that a method asks for."""

    method: Method
    spaces: tuple[Mapping[str, Dimension], ...]
    """Alternatives, each with its own ranges."""
    per: tuple[str, ...]
    """A search of its own, with all of the limits below, for each combination of these parameters' values."""
    trials: int
    """At the most; every repeat counts, and every rung of ``halving``."""
    steps: int | None
    """Training steps of all trials together after which nothing more is asked for."""
    seconds: float | None
    """The same in counted seconds."""
    improvement: float | None
    """Nothing more is asked for when another trial is expected to better the best by less than this share of it."""
    parallel: int
    """Points that are asked for at a time."""
    reduction: int
    """Of ``halving``: each rung keeps one in so many, and trains these so many times as long."""
    min_steps: int | None
    """Of ``halving``: steps of the first rung; of ``range-test``: steps of the run. None: a share of budget.steps."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a sweep as the file has it. Exactly one of ``alternatives``, ``source`` and ``search`` is given."""

    base: SweepSpec
    """All of it but the trials: ``base.stage`` is its name, ``base.alternatives`` is empty; ``stages`` too."""
    alternatives: tuple[Mapping[str, tuple[Value, ...]], ...] | None = None
    source: From | None = None
    beside: Mapping[str, tuple[Value, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """With a source: more parameters, crossed with what it gives."""
    search: Search | None = None

    @property
    def name(self) -> str:
        """Of the stage."""
        return self.base.stage

    def given(self, alternatives: tuple[Mapping[str, tuple[Value, ...]], ...]) -> SweepSpec:
        """The stage with its trials: what a back end runs. Its packing is the one that suits them."""
        raise NotImplementedError  # the SPEC helper: packing_of, size


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """A validated sweep file, or one stage of it.

    A file of several stages, or with a search, has ``stages``, and its trials are those of its ``parts``: the stages
    whose trials are known, each a SweepSpec of its own. :func:`kgen.workflow.stages.resolved` finds them.
    """

    name: str
    seed: int
    repeats: int
    objective: Objective
    trainer: Trainer
    alternatives: tuple[Mapping[str, tuple[Value, ...]], ...]
    """Each one a grid of its own: parameter → its values in the file's order."""
    budget: Budget
    location: Location
    """Where the results lie."""
    local: Local
    kubernetes: Kubernetes
    max_parallel: int | None
    """Jobs that are unfinished at the same time; None for all."""
    packing: Packing
    """How the trials of one process share it."""
    trials_per_pod: int
    timing_sample: int
    """Trials that ``kgen run`` trains again alone after fused ones, so that seconds per step are known."""
    file: Path
    """The sweep file itself; relative paths in it start from its folder."""
    text: str
    """Its text."""
    stage: str = DEFAULT_STAGE
    size: int = field(default=0)
    """Trials: sum over alternatives of the product of their parameters' values, times repeats."""
    lineage: bool = False
    """Whether trials of the same parameters and seed go on from each other's checkpoints: rungs of a search."""
    stages: tuple[Stage, ...] = ()
    """All stages, in the file's order; empty for one stage, and for a file without any."""
    parts: tuple[SweepSpec, ...] = ()
    """Of a file with stages: those whose trials are known so far, in the order of the stages; a search may have several
    parts, one for each budget."""

    @property
    def results(self) -> Path:
        """Folder of this sweep's results, ``<results>/<name>``. Raises InputError where they lie elsewhere."""
        if self.location.scheme is not Scheme.FOLDER:
            found = str(self.location)
            allowed = "here a folder (--results names one) or a bucket: this machine reads and writes there"
            raise InputError.of(str(self.file), "results", found, allowed)
        return Path(self.location.path)

    def with_results(self, folder: Path) -> Self:
        """The same sweep, the same trials, with its results in ``<folder>/<name>`` of this machine."""
        return replace(self, location=Location(Scheme.FOLDER, "", str(folder / self.name)))

    def pod_deadline(self, trials: int) -> int | None:
        """Seconds from the start of a pod in which so many trials come one after another; None for no deadline."""
        allowance = self.kubernetes.allowance
        if allowance is None or self.budget.seconds is None:
            return self.kubernetes.deadline
        return math.ceil(self.budget.seconds * trials) + allowance

    @property
    def folder(self) -> Path:
        """Folder of the sweep file: where local trials run."""
        return self.file.parent

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of all parameters, in the order of the file."""
        return tuple(dict.fromkeys(name for alternative in self.alternatives for name in alternative))

    @property
    def seeds(self) -> range:
        """One seed per repeat."""
        return range(self.seed, self.seed + self.repeats)
