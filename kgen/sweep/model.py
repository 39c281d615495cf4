"""The format of sweep.yaml: closed, frozen pydantic models with a description of each field.

What stands here is also the JSON Schema that editors use. Past :mod:`kgen.sweep.load` nothing sees these models.
"""

from __future__ import annotations

import enum
from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from kgen.names import DNS_LABEL_PATTERN, DNS_LABEL_WORDS, ENV_NAME_PATTERN, SWEEP_NAME_LIMIT
from kgen.spec import TO_TARGET, At, Goal
from kgen.sweep.cluster import ExecutionModel, KubernetesModel
from kgen.sweep.fields import (
    MAX_INT,
    Closed,
    EnvName,
    Number,
    Positive,
    PositiveWhole,
    Scalar,
    Share,
    check_int,
    exactly_one,
    show,
    wrong,
)
from kgen.sweep.grids import Parameters, Tally
from kgen.sweep.results import Results


class Arguments(enum.StrEnum):
    """Whether parameters are appended to the command."""

    NONE = "none"
    FLAGS = "flags"


class Metrics(enum.StrEnum):
    """How a program tells its metrics."""

    REPORT = "report"
    FILE = "file"
    STDOUT = "stdout"


class Bound(Closed):
    """A target for a metric that is not a share between 0 and 1, or that should fall."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["at_least"]}, {"required": ["at_most"]}]})

    at_least: Number | None = Field(None, description="Reached when the metric is this large")
    at_most: Number | None = Field(None, description="Reached when the metric is this small")

    @model_validator(mode="after")
    def _one(self) -> Self:
        exactly_one(self, "at_least", "at_most")
        return self


def _target_form(value: Any) -> str:
    return "bound" if isinstance(value, dict) else "share"


TargetValue = Annotated[Annotated[Share, Tag("share")] | Annotated[Bound, Tag("bound")], Discriminator(_target_form)]


class BudgetModel(Closed):
    """How far each trial may go."""

    target: Annotated[dict[str, TargetValue], Field(min_length=1, max_length=1)] | None = Field(
        None, description="Metric and the value at which a trial stops early, such as {train_accuracy: 0.97}"
    )
    steps: PositiveWhole | None = Field(None, description="Training steps at the most")
    seconds: Positive | None = Field(None, description="Counted training seconds at the most")
    check_every_steps: PositiveWhole = Field(50, description="Steps between two looks at target and budget")
    evaluate_every_steps: PositiveWhole | None = Field(
        None, description="Steps between two evaluations on held-out data; without it only at the end"
    )


class ObjectiveModel(Closed):
    """What trials are compared by; changing it changes no trial."""

    metric: Annotated[str, Field(min_length=1)] = Field(
        description="steps_to_target, seconds_to_target, or any metric that the trainer reports"
    )
    goal: Annotated[Goal, Field(strict=False)] = Field(
        Goal.MINIMIZE, description="Whether a smaller or a larger value is better"
    )
    at: Annotated[At, Field(strict=False)] = Field(
        At.FINAL, description="For a reported metric: its last value or its best"
    )

    @model_validator(mode="after")
    def _times_are_minimized(self) -> Self:
        if self.metric in TO_TARGET and self.goal is not Goal.MINIMIZE:
            raise wrong(str(self.goal), "minimize, because the metric is a time", "goal")
        return self


def _check_command(words: list[str]) -> list[str]:
    if not words[0].strip():
        raise wrong("no program", "a program and its arguments", 0)
    return words


class TrainerModel(Closed):
    """The program that trains."""

    image: str | None = Field(None, description="Container image; used on a cluster only")
    command: Annotated[list[str], Field(min_length=1), AfterValidator(_check_command)] = Field(
        ["python", "-m", "kgen_trainer"],
        description="Program and arguments; {learning_rate} stands for that parameter's value, {seed} for the seed",
    )
    arguments: Annotated[Arguments, Field(strict=False)] = Field(
        Arguments.NONE, description="flags appends --learning_rate=0.1 … for each parameter"
    )
    metrics: Annotated[Metrics, Field(strict=False)] = Field(
        Metrics.REPORT,
        description="report: the program uses kgen.trial; stdout or file: it writes JSON lines itself",
    )
    files: list[str] = Field(default_factory=list, description="Small sources beside this file that the program needs")
    config: dict[str, Any] = Field(default_factory=dict, description="Passed to the trainer as it is")
    env: dict[EnvName, Scalar] = Field(
        default_factory=dict,
        description="Environment variables of the trainer",
        json_schema_extra={"propertyNames": {"pattern": f"^(?!KGEN_){ENV_NAME_PATTERN.pattern}$"}},
    )
    revision: str | None = Field(None, description="Your own name for the version of the code; part of the identity")


def _check_processes(value: Any) -> Any:
    if value != "auto" and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 4096):
        raise wrong(show(value), "auto, or a whole number from 1 to 4096")
    return value


class LocalModel(Closed):
    """How `kgen run` uses this machine; changing it changes no trial."""

    processes: Annotated[
        Any,
        BeforeValidator(_check_processes),
        WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": 4096}]}),
    ] = Field("auto", description="Trials at the same time; auto is one per GPU, or per core where there is none")
    gpus: Annotated[int, Field(ge=0), BeforeValidator(check_int)] | None = Field(
        None, description="GPUs to use; without it all that are visible, 0 for none"
    )


def _check_name(name: str) -> str:
    if len(name) > SWEEP_NAME_LIMIT or not DNS_LABEL_PATTERN.fullmatch(name):
        raise wrong(show(name), f"a DNS label of at most {SWEEP_NAME_LIMIT} characters: {DNS_LABEL_WORDS}")
    return name


def _check_version(value: Any) -> Any:
    if value != 1 or isinstance(value, bool):
        raise wrong(show(value), "1, the only version of the format that this kgen reads")
    return 1


class SweepFile(Closed):
    """A sweep: what to train, with which parameters, how far, and where the results go."""

    version: Annotated[Literal[1], BeforeValidator(_check_version)] = Field(description="Version of this format")
    name: Annotated[str, AfterValidator(_check_name)] = Field(
        description=f"Name of the sweep: a DNS label of at most {SWEEP_NAME_LIMIT} characters",
        json_schema_extra={"pattern": f"^{DNS_LABEL_PATTERN.pattern}$", "maxLength": SWEEP_NAME_LIMIT},
    )
    seed: Annotated[int, Field(ge=0, le=MAX_INT), BeforeValidator(check_int)] = Field(
        0, description="Seed for everything random in a trial"
    )
    repeats: Annotated[int, Field(ge=1, le=1000), BeforeValidator(check_int)] = Field(
        1, description="Trials for each point, with the seeds seed … seed + repeats - 1"
    )
    objective: ObjectiveModel | None = Field(None, description="Without it steps_to_target, when there is a target")
    trainer: TrainerModel = Field(
        default_factory=partial(TrainerModel.model_validate, {}),
        description="The program that trains; by default kgen's own, in Keras",
    )
    parameters: Parameters = Field(
        description="Name → values; a list of such mappings gives alternatives, each a grid of its own"
    )
    budget: BudgetModel = Field(
        default_factory=partial(BudgetModel.model_validate, {}), description="How far each trial may go"
    )
    results: Results = Field(
        "results/",
        description="Folder of the results, from the folder of this file; on a cluster pvc://claim/path, s3:// or "
        "gs://, or a mapping with url, endpoint and region",
    )
    local: LocalModel = Field(
        default_factory=partial(LocalModel.model_validate, {}), description="How `kgen run` uses this machine"
    )
    kubernetes: KubernetesModel = Field(
        default_factory=partial(KubernetesModel.model_validate, {}), description="How `kgen submit` uses a cluster"
    )
    execution: ExecutionModel = Field(
        default_factory=partial(ExecutionModel.model_validate, {}), description="How trials are spread over time"
    )


def validate(value: dict[str, Any]) -> SweepFile:
    """A file's value as SweepFile. Raises pydantic's ValidationError."""
    return SweepFile.model_validate(value, context=Tally())
