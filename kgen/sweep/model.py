"""The format of sweep.yaml: closed, frozen pydantic models with a description of each field.

What stands here is also the JSON Schema that editors use. Past :mod:`kgen.sweep.load` nothing sees these models.
"""

from __future__ import annotations

import enum
from functools import partial
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema

from kgen.names import DNS_LABEL_PATTERN, DNS_LABEL_WORDS, ENV_NAME_PATTERN, SWEEP_NAME_LIMIT
from kgen.sweep.aims import BudgetModel, ObjectiveModel
from kgen.sweep.cluster import ExecutionModel, KubernetesModel
from kgen.sweep.fields import MAX_INT, Closed, EnvName, Scalar, check_int, show, wrong
from kgen.sweep.grids import Parameters, Tally
from kgen.sweep.results import Results
from kgen.sweep.stage_model import LISTED_WITHOUT_SEARCH, MAX_STAGES, SearchModel, StageModel

BUILT_IN: Final = ("python", "-m", "kgen_trainer")
"""The command of kgen's own trainer."""


class Arguments(enum.StrEnum):
    """Whether parameters are appended to the command."""

    NONE = "none"
    FLAGS = "flags"


class Metrics(enum.StrEnum):
    """How a program tells its metrics."""

    REPORT = "report"
    FILE = "file"
    STDOUT = "stdout"


def _check_command(words: list[str]) -> list[str]:
    if not words[0].strip():
        raise wrong("no program", "a program and its arguments", 0)
    return words


class TrainerModel(Closed):
    """The program that trains."""

    image: str | None = Field(None, description="Container image; used on a cluster only")
    command: Annotated[list[str], Field(min_length=1), AfterValidator(_check_command)] = Field(
        [*BUILT_IN],
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


def _nothing() -> Any:
    return None


class ReportModel(Closed):
    """What the report shows beside the results."""

    published: Literal["article"] | None = Field(
        None,
        description='Published numbers in a column beside these: article, "Which optimizer and learning rate should I '
        'use for deep learning?"',
    )


class SweepFile(Closed):
    """A sweep: what to train, with which parameters, how far, and where the results go."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["parameters"]}, {"required": ["stages"]}],
            "allOf": [
                LISTED_WITHOUT_SEARCH,
                {
                    "if": {"required": ["stages"]},
                    "then": {"not": {"required": ["search"]}},
                },
            ],
        }
    )

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
        default_factory=_nothing,
        description="Name → values; a list of such mappings gives alternatives, each a grid of its own",
    )
    search: SearchModel | None = Field(
        None, description="Instead of every combination of parameters only those that a method asks for"
    )
    budget: BudgetModel = Field(
        default_factory=partial(BudgetModel.model_validate, {}), description="How far each trial may go"
    )
    stages: Annotated[list[StageModel], Field(min_length=1, max_length=MAX_STAGES)] | None = Field(
        None,
        description="One sweep after another, each with parameters of its own, which stand in no other place then; a "
        "later one may take them from what an earlier one found",
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
    report: ReportModel = Field(
        default_factory=partial(ReportModel.model_validate, {}), description="What the report shows beside the results"
    )


def validate(value: dict[str, Any]) -> SweepFile:
    """A file's value as SweepFile. Raises pydantic's ValidationError."""
    return SweepFile.model_validate(value, context=Tally())
