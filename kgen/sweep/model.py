"""The format of sweep.yaml: closed, frozen pydantic models with a description of each field.

What stands here is also the JSON Schema that editors use. Past :mod:`kgen.sweep.load` nothing sees these models.
"""

from __future__ import annotations

import enum
import math
import re
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from kgen.names import DNS_LABEL_PATTERN, DNS_LABEL_WORDS, ENV_NAME_PATTERN, SWEEP_NAME_LIMIT
from kgen.spec import TO_TARGET, At, Goal, Value
from kgen.sweep import space

_PARAMETER_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
MAX_SEED: Final = 2**63 - 1


class Arguments(enum.StrEnum):
    """Whether parameters are appended to the command."""

    NONE = "none"
    FLAGS = "flags"


class Metrics(enum.StrEnum):
    """How a program tells its metrics."""

    REPORT = "report"
    FILE = "file"
    STDOUT = "stdout"


def wrong(found: str, allowed: str, *path: str | int) -> PydanticCustomError:
    """A mistake in kgen's words; ``path`` leads from the validated value to the part that is wrong."""
    return PydanticCustomError("kgen", "{allowed}", {"found": found, "allowed": allowed, "path": list(path)})


def show(value: Any) -> str:
    """A value as a message names it: what kind of thing, and its text in short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"a mapping with {', '.join(map(str, list(value)[:4]))}" if value else "an empty mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, str):
        return f"the text {value[:40]!r}" + ("…" if len(value) > 40 else "")
    return getattr(value, "text", None) or repr(value)


def _check_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = ""
        if isinstance(value, str) and value.replace("_", "").replace(".", "", 1).isdigit() and "_" in value:
            hint = f" (write {value.replace('_', '')})"
        raise wrong(show(value), f"a number{hint}")
    if isinstance(value, float) and not math.isfinite(value):
        raise wrong(show(value), "a finite number")
    return value


def _check_scalar(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise wrong(show(value), "a number, text, true or false")
    if isinstance(value, float) and not math.isfinite(value):
        raise wrong(show(value), "a finite number")
    if isinstance(value, int) and len(str(abs(value))) > 38:
        raise wrong(f"a whole number of {len(str(abs(value)))} digits", "at most 38 digits")
    return value


def _check_int(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            return int(value)
        raise wrong(show(value), "a whole number")
    return value


Number = Annotated[Any, BeforeValidator(_check_number), WithJsonSchema({"type": "number"})]
Scalar = Annotated[
    Any, BeforeValidator(_check_scalar), WithJsonSchema({"type": ["number", "string", "boolean"]})
]
Whole = Annotated[int, BeforeValidator(_check_int)]
PositiveWhole = Annotated[int, Field(ge=1), BeforeValidator(_check_int)]
GridSize = Annotated[int, Field(ge=1, le=space.MAX_VALUES), BeforeValidator(_check_int)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_enum_values=False)


def _exactly_one(model: BaseModel, *names: str) -> None:
    given = [name for name in names if getattr(model, name) is not None]
    if len(given) != 1:
        raise wrong(" and ".join(given) or f"no {' or '.join(names)}", f"exactly one of {' and '.join(names)}")


# -- parameters ---------------------------------------------------------------------------------------------------


class LinearRange(_Closed):
    """Evenly spaced values, both ends included."""

    start: Number = Field(description="First value")
    stop: Number = Field(description="Last value")
    num: GridSize | None = Field(None, description="How many values in all")
    step: Number | None = Field(None, description="Distance of two neighbours, instead of num")

    @model_validator(mode="after")
    def _one(self) -> LinearRange:
        _exactly_one(self, "num", "step")
        return self


class LogRange(_Closed):
    """Values evenly spaced on a logarithmic scale, both ends included."""

    start: Number = Field(description="First value, above 0")
    stop: Number = Field(description="Last value, above 0")
    num: GridSize | None = Field(None, description="How many values in all")
    per_decade: GridSize | None = Field(None, description="How many for each factor of ten, instead of num")

    @model_validator(mode="after")
    def _one(self) -> LogRange:
        _exactly_one(self, "num", "per_decade")
        return self


class IntRange(_Closed):
    """Whole numbers, both ends included."""

    start: Whole = Field(description="First value")
    stop: Whole = Field(description="Last value")
    step: Whole = Field(1, description="Distance of two neighbours")


class _Range(_Closed):
    except_: list[Scalar] = Field(default_factory=list, alias="except", description="Values to leave out")

    def _points(self) -> tuple[Value, ...]:
        raise AssertionError("each kind of range has its own")

    @property
    def points(self) -> tuple[Value, ...]:
        """The values, exact and in order."""
        return space.without(self._points(), self.except_)

    @model_validator(mode="after")
    def _possible(self) -> _Range:
        try:
            points = self.points
        except space.SpaceError as error:
            path = error.field if error.field.startswith("except") else f"{self.kind}.{error.field}"
            raise wrong(error.found, error.allowed, *_split(path)) from error
        for i, value in enumerate(points):
            if i and any(space.is_same(value, other) for other in points[max(0, i - 1) : i]):
                raise wrong(f"{show(value)} twice", "different values", self.kind)
        return self

    @property
    def kind(self) -> str:
        """The key that names this kind in the file."""
        return next(name for name in type(self).model_fields if name != "except_")


def _split(path: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in re.split(r"[.\[\]]+", path) if part]


class LinearParameter(_Range):
    """A linear grid."""

    linear: LinearRange

    def _points(self) -> tuple[Value, ...]:
        r = self.linear
        return space.linear(r.start, r.stop, num=r.num, step=r.step)


class LogParameter(_Range):
    """A logarithmic grid."""

    log: LogRange

    def _points(self) -> tuple[Value, ...]:
        r = self.log
        return space.log(r.start, r.stop, num=r.num, per_decade=r.per_decade)


class IntParameter(_Range):
    """A grid of whole numbers."""

    int: IntRange

    def _points(self) -> tuple[Value, ...]:
        r = self.int
        return space.whole(r.start, r.stop, r.step)


def _distinct(values: list[Any]) -> list[Any]:
    seen: set[tuple[bool, Any]] = set()
    for i, value in enumerate(values):
        key = (isinstance(value, bool), value)
        if key in seen:
            raise wrong(f"{show(value)} again", "different values", i)
        seen.add(key)
    return values


Values = Annotated[list[Scalar], Field(min_length=1, max_length=space.MAX_VALUES), AfterValidator(_distinct)]


class ValuesParameter(_Range):
    """A list, in the long form."""

    values: Values

    def _points(self) -> tuple[Value, ...]:
        return space.same_type(self.values)


_KINDS: Final = ("values", "linear", "log", "int")


def _kind(value: Any) -> str | None:
    if isinstance(value, list):
        return "list"
    if isinstance(value, dict):
        found = [kind for kind in _KINDS if kind in value]
        return found[0] if found else None
    return None if isinstance(value, BaseModel | None) else "scalar"


Parameter = Annotated[
    Annotated[Values, Tag("list")]
    | Annotated[Scalar, Tag("scalar")]
    | Annotated[ValuesParameter, Tag("values")]
    | Annotated[LinearParameter, Tag("linear")]
    | Annotated[LogParameter, Tag("log")]
    | Annotated[IntParameter, Tag("int")],
    Discriminator(
        _kind,
        custom_error_type="kgen_parameter",
        custom_error_message="a list of values, or one of values, linear, log, int",
    ),
]
PARAMETER_TAGS: Final = ("list", "scalar", *_KINDS)


def _check_parameter_name(name: str) -> str:
    if not _PARAMETER_NAME.fullmatch(name):
        raise wrong(show(name), "a name of letters, digits, '_' and '-', beginning with a letter, at most 63 long")
    return name


ParameterName = Annotated[str, AfterValidator(_check_parameter_name)]
ParameterGrid = Annotated[dict[ParameterName, Parameter], Field(min_length=1)]


def _grid_form(value: Any) -> str | None:
    return "grid" if isinstance(value, dict) else "alternatives" if isinstance(value, list) else None


Parameters = Annotated[
    Annotated[ParameterGrid, Tag("grid")]
    | Annotated[list[ParameterGrid], Field(min_length=1), Tag("alternatives")],
    Discriminator(
        _grid_form,
        custom_error_type="kgen_parameter",
        custom_error_message="a mapping from name to values, or a list of such mappings",
    ),
]
GRID_TAGS: Final = ("grid", "alternatives")

# -- the other blocks ---------------------------------------------------------------------------------------------


class Bound(_Closed):
    """A target for a metric that is not a share between 0 and 1, or that should fall."""

    at_least: Number | None = Field(None, description="Reached when the metric is this large")
    at_most: Number | None = Field(None, description="Reached when the metric is this small")

    @model_validator(mode="after")
    def _one(self) -> Bound:
        _exactly_one(self, "at_least", "at_most")
        return self


def _check_share(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    number = _check_number(value)
    if not 0 <= number <= 1:
        raise wrong(show(value), "a share between 0 and 1, or {at_least: …} or {at_most: …} for other metrics")
    return float(number)


TargetValue = Annotated[
    float | Bound,
    BeforeValidator(_check_share),
    WithJsonSchema(
        {
            "oneOf": [
                {"type": "number", "minimum": 0, "maximum": 1},
                {
                    "type": "object",
                    "properties": {"at_least": {"type": "number"}, "at_most": {"type": "number"}},
                    "additionalProperties": False,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ]
        }
    ),
]


def _check_positive(value: Any) -> Any:
    number = _check_number(value)
    if number <= 0:
        raise wrong(show(value), "a number above 0")
    return float(number)


Positive = Annotated[
    float, BeforeValidator(_check_positive), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})
]


class BudgetModel(_Closed):
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


class ObjectiveModel(_Closed):
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
    def _times_are_minimized(self) -> ObjectiveModel:
        if self.metric in TO_TARGET and self.goal is not Goal.MINIMIZE:
            raise wrong(str(self.goal), "minimize, because the metric is a time", "goal")
        return self


def _check_env_name(name: str) -> str:
    if not ENV_NAME_PATTERN.fullmatch(name):
        raise wrong(show(name), "letters, digits and '_', not beginning with a digit")
    if name.startswith("KGEN_"):
        raise wrong(show(name), "a name that does not begin with KGEN_, which are kgen's own")
    return name


def _check_command(words: list[str]) -> list[str]:
    if not words[0].strip():
        raise wrong("no program", "a program and its arguments", 0)
    return words


class TrainerModel(_Closed):
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
        description="report: the program uses kgen.trial; stdout or file: it writes JSON lines and knows nothing of kgen",
    )
    files: list[str] = Field(default_factory=list, description="Small sources beside this file that the program needs")
    config: dict[str, Any] = Field(default_factory=dict, description="Passed to the trainer as it is")
    env: dict[Annotated[str, AfterValidator(_check_env_name)], Scalar] = Field(
        default_factory=dict, description="Environment variables of the trainer"
    )
    revision: str | None = Field(None, description="Your own name for the version of the code; part of the identity")


def _check_processes(value: Any) -> Any:
    if value != "auto" and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 4096):
        raise wrong(show(value), "auto, or a whole number from 1 to 4096")
    return value


class LocalModel(_Closed):
    """How `kgen run` uses this machine; changing it changes no trial."""

    processes: Annotated[
        Any,
        BeforeValidator(_check_processes),
        WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": 4096}]}),
    ] = Field("auto", description="Trials at the same time; auto is one per GPU, or per core where there is none")
    gpus: Annotated[int, Field(ge=0), BeforeValidator(_check_int)] | None = Field(
        None, description="GPUs to use; without it all that are visible, 0 for none"
    )


def _check_name(name: str) -> str:
    if len(name) > SWEEP_NAME_LIMIT or not DNS_LABEL_PATTERN.fullmatch(name):
        raise wrong(show(name), f"a DNS label of at most {SWEEP_NAME_LIMIT} characters: {DNS_LABEL_WORDS}")
    return name


def _check_results(value: str) -> str:
    scheme = re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", value)
    if scheme or not value.strip() or "\0" in value:
        raise wrong(show(value), "a folder, such as results/")
    return value


def _check_version(value: Any) -> Any:
    if value != 1 or isinstance(value, bool):
        raise wrong(show(value), "1, the only version of the format that this kgen reads")
    return 1


class SweepFile(_Closed):
    """A sweep: what to train, with which parameters, how far, and where the results go."""

    version: Annotated[Literal[1], BeforeValidator(_check_version)] = Field(description="Version of this format")
    name: Annotated[str, AfterValidator(_check_name)] = Field(
        description=f"Name of the sweep: a DNS label of at most {SWEEP_NAME_LIMIT} characters",
        json_schema_extra={"pattern": f"^{DNS_LABEL_PATTERN.pattern}$", "maxLength": SWEEP_NAME_LIMIT},
    )
    seed: Annotated[int, Field(ge=0, le=MAX_SEED), BeforeValidator(_check_int)] = Field(0, description="Seed for everything random in a trial")
    repeats: Annotated[int, Field(ge=1, le=1000), BeforeValidator(_check_int)] = Field(
        1, description="Trials for each point, with the seeds seed … seed + repeats - 1"
    )
    objective: ObjectiveModel | None = Field(None, description="Without it steps_to_target, when there is a target")
    trainer: TrainerModel = Field(default_factory=TrainerModel)
    parameters: Parameters = Field(
        description="Name → values; a list of such mappings gives alternatives, each a grid of its own"
    )
    budget: BudgetModel = Field(default_factory=BudgetModel)
    results: Annotated[str, AfterValidator(_check_results)] = Field(
        "results/", description="Folder of the results, from the folder of this file"
    )
    local: LocalModel = Field(default_factory=LocalModel)
