"""A sweep as frozen values: what the rest of kgen sees of sweep.yaml."""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from kgen.errors import InputError
from kgen.names import DEFAULT_STAGE, ENV_GS_ENDPOINT, ENV_S3_ENDPOINT, ENV_S3_REGION
from kgen.spec import Budget, Objective, Packing, Value
from kgen.sweep.choosing import DEFAULT_METHOD, Dimension, From, Method, Range, Search, Spacing
from kgen.sweep.model import BUILT_IN, Arguments, Metrics
from kgen.sweep.packing import packing_of

__all__ = [
    "BUILT_IN",
    "DEFAULT_METHOD",
    "Dimension",
    "From",
    "Gpu",
    "Kubernetes",
    "Local",
    "Location",
    "Method",
    "Range",
    "Scheme",
    "Search",
    "SecretKey",
    "Sharing",
    "Spacing",
    "Stage",
    "SweepSpec",
    "Template",
    "Trainer",
    "Volume",
]


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
class Stage:
    """One stage of a sweep as the file has it. Exactly one of ``alternatives``, ``source`` and ``search`` is given."""

    base: SweepSpec
    """All of it but the trials: ``base.stage`` is its name, ``base.alternatives`` is empty; ``stages`` too."""
    alternatives: tuple[Mapping[str, tuple[Value, ...]], ...] | None = None
    source: From | None = None
    beside: Mapping[str, tuple[Value, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """With a source: more parameters, crossed with what it gives."""
    order: tuple[str, ...] = ()
    """With a source: names of the parameters that it gives, as the file has them; a choice has lost their order."""
    search: Search | None = None
    packing: Packing | None = None
    """What the file asks for; None: what suits its trials."""

    @property
    def name(self) -> str:
        """Of the stage."""
        return self.base.stage

    def given(self, alternatives: tuple[Mapping[str, tuple[Value, ...]], ...]) -> SweepSpec:
        """The stage with its trials: what a back end runs. Its packing is the one that suits them; that of a search is
        the same for all that it asks for."""
        base = self.base
        packing = base.packing
        if self.search is None:
            packing = packing_of(self.packing, alternatives, base.trainer, base.objective, base.budget)
        size = sum(math.prod(len(values) for values in grid.values()) for grid in alternatives) * base.repeats
        return replace(base, alternatives=alternatives, packing=packing, size=size)


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
    method: Method | None = None
    """Of the search that asked for these trials."""
    ranges: Mapping[str, Spacing] = field(default_factory=lambda: MappingProxyType({}))
    """How the ranges are measured that it chose from, by the parameters' names."""
    stages: tuple[Stage, ...] = ()
    """All stages, in the file's order; empty for one stage, and for a file without any."""
    published: str = ""
    """Whose published numbers the report shows beside these (:data:`kgen.analysis.published.WORKS`); empty for none."""
    parts: tuple[SweepSpec, ...] = ()
    """Of a file with stages: those whose trials are known so far, in the order of the stages; a search may have several
    parts, one for each budget."""

    @property
    def lineage(self) -> bool:
        """Whether trials of the same parameters and seed go on from each other's checkpoints: rungs of a search."""
        return self.method is Method.HALVING

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
        location = Location(Scheme.FOLDER, "", str(folder / self.name))
        return replace(
            self,
            location=location,
            stages=tuple(replace(stage, base=replace(stage.base, location=location)) for stage in self.stages),
            parts=tuple(replace(part, location=location) for part in self.parts),
        )

    def with_parts(self, parts: Iterable[SweepSpec]) -> Self:
        """The same file with these stages' trials known, which are put into the order of the stages."""
        order = {stage.name: number for number, stage in enumerate(self.stages)}
        known = tuple(sorted(parts, key=lambda part: order[part.stage]))
        return replace(self, parts=known, size=sum(part.size for part in known))

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
        """Names of all parameters, of all stages, in the order of the file."""
        grids: list[Mapping[str, Any]] = [*self.alternatives]
        for stage in self.stages:
            grids += [*(stage.alternatives or ()), *(stage.search.spaces if stage.search else ()), stage.beside]
        return tuple(dict.fromkeys(name for grid in grids for name in grid))

    @property
    def seeds(self) -> range:
        """One seed per repeat."""
        return range(self.seed, self.seed + self.repeats)
