"""The stages and the search of sweep.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

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

from kgen.names import DEFAULT_STAGE, DNS_LABEL_PATTERN, DNS_LABEL_WORDS
from kgen.spec import At, Goal
from kgen.sweep.aims import BudgetModel, ObjectiveModel
from kgen.sweep.choosing import DEFAULT_METHOD, DEFAULT_OTHERWISE, Method
from kgen.sweep.cluster import PackingWord, TimingSample
from kgen.sweep.fields import MAX_INT, Closed, Positive, PositiveWhole, all_wrong, check_int, show, wrong
from kgen.sweep.grids import NAME_WORDS, PARAMETER_NAME, Parameter, ParameterGrid, ParameterName, Values

MAX_STAGES: Final = 100
_STAGE_LIMIT: Final = 63
"""Of a name: what a label of Kubernetes holds."""


_VALUES: Final = {
    "properties": {
        "linear": {
            "description": "Evenly spaced, by num or step",
            "anyOf": [{"required": ["num"]}, {"required": ["step"]}],
        },
        "log": {
            "description": "Evenly spaced on a logarithmic scale, by num or per_decade",
            "anyOf": [{"required": ["num"]}, {"required": ["per_decade"]}],
        },
    }
}
LISTED_WITHOUT_SEARCH: Final[dict[str, Any]] = {
    "if": {"not": {"required": ["search"]}},
    "then": {
        "properties": {
            "parameters": {
                "description": "Name → values",
                "additionalProperties": _VALUES,
                "items": {"additionalProperties": _VALUES},
            }
        }
    },
}
"""JSON Schema: a range without values stands only beside a search."""


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | dict) or value is None else [value]


def _check_once(names: list[str]) -> list[str]:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise wrong(f"{name} again", "each parameter once", i)
    return names


_Names = Annotated[
    list[ParameterName],
    Field(min_length=1),
    AfterValidator(_check_once),
    BeforeValidator(_as_list),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]},
    ),
]
_OneOrMore = Annotated[
    Values,
    BeforeValidator(_as_list),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["number", "string", "boolean"]},
                {"type": "array", "items": {"type": ["number", "string", "boolean"]}, "minItems": 1},
            ]
        }
    ),
]


def _check_factor(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 < value < float("inf"):
        raise wrong(show(value), "a number above 1")
    return float(value)


def _check_odd(value: Any) -> Any:
    number = check_int(value)
    if number < 3 or number > 999 or number % 2 == 0:
        raise wrong(show(value), "an odd number from 3 to 999, so that the best is in the middle")
    return number


class AroundModel(Closed):
    """Values around the best, whatever the earlier stage has tried."""

    factor: Annotated[
        float, BeforeValidator(_check_factor), WithJsonSchema({"type": "number", "exclusiveMinimum": 1})
    ] = Field(description="From the best divided by this to the best times this, evenly on a logarithmic scale")
    num: Annotated[
        int, BeforeValidator(_check_odd), WithJsonSchema({"type": "integer", "minimum": 3, "maximum": 999})
    ] = Field(5, description="How many values in all, an odd number: the best is in their middle")


class FromModel(Closed):
    """Parameters that are the best of an earlier stage."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["neighbours", "around"]}})

    stage: Annotated[str, Field(min_length=1)] = Field(description="Name of an earlier stage")
    best: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="What makes the best: a metric; without it the earlier stage's objective"
    )
    goal: Annotated[Goal, Field(strict=False)] | None = Field(
        None, description="With best: whether a smaller or a larger value is better"
    )
    at: Annotated[At, Field(strict=False)] | None = Field(
        None, description="With best, for a reported metric: its last value, which is the default, or its best"
    )
    per: _Names | None = Field(
        None,
        description="One or several parameters: one best for each combination of their values; without it one of all",
    )
    where: Annotated[dict[ParameterName, _OneOrMore], Field(min_length=1)] | None = Field(
        None, description="Only points with these values, such as {optimizer: adam}"
    )
    top: PositiveWhole | None = Field(None, description="With per: only the best so many of these; without it all")
    along: ParameterName | None = Field(
        None, description="The parameter that neighbours differ in; without it the number with most values"
    )
    neighbours: Annotated[int, Field(ge=0, le=1000), BeforeValidator(check_int)] | None = Field(
        None, description="With the best so many values of the earlier stage to each side of it; without it none"
    )
    around: AroundModel | None = Field(None, description="Instead of neighbours: new values around the best")


class ChoiceParameters(BaseModel):
    """What an earlier stage gives, and more parameters beside it, all combinations of both."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, Parameter] = Field(init=False)

    from_: FromModel = Field(alias="from", description="The best of an earlier stage")

    @model_validator(mode="after")
    def _names(self) -> Self:
        bad = [name for name in self.beside if not PARAMETER_NAME.fullmatch(name)]
        if bad:
            raise all_wrong([(show(name), NAME_WORDS, (name,)) for name in bad], key=True)
        return self

    @property
    def beside(self) -> dict[str, Any]:
        """Name → values, of the parameters beside ``from``."""
        return self.__pydantic_extra__


def _form(value: Any) -> str | None:
    if isinstance(value, dict):
        return "choice" if "from" in value else "grid"
    return "alternatives" if isinstance(value, list) else None


StageParameters = Annotated[
    Annotated[ParameterGrid, Tag("grid")]
    | Annotated[list[ParameterGrid], Field(min_length=1), Tag("alternatives")]
    | Annotated[ChoiceParameters, Tag("choice")],
    Discriminator(
        _form,
        custom_error_type="kgen_parameter",
        custom_error_message="a mapping from name to values, a list of such mappings, or from an earlier stage",
    ),
]


def _check_improvement(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise wrong(show(value), "a share above 0 and at most 1, such as 0.05")
    return float(value)


class SearchModel(Closed):
    """Which combinations of the parameters are tried, and how many: each limit counts for each group of ``per``."""

    method: Annotated[Method, Field(strict=False)] | None = Field(
        None,
        description=f"How the next points are chosen; without it {DEFAULT_METHOD} where each group has one number on a "
        f"logarithmic scale to choose, which did best in kgen's own benchmark, and else {DEFAULT_OTHERWISE}",
    )
    per: _Names | None = Field(
        None, description="A parameter with listed values, or several: a search of its own for each combination"
    )
    trials: PositiveWhole = Field(12, description="Trials at the most; every repeat counts, and every rung")
    steps: PositiveWhole | None = Field(None, description="Training steps, of all trials together, after which it ends")
    seconds: Positive | None = Field(None, description="The same in counted seconds")
    improvement: (
        Annotated[
            float,
            BeforeValidator(_check_improvement),
            WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
        ]
        | None
    ) = Field(None, description="It ends when another trial would better the best by less than this share")
    parallel: Annotated[int, Field(ge=1, le=1000), BeforeValidator(check_int)] | None = Field(
        None, description="Points of each group that are asked for at a time; without it 1 for bisection, else 4"
    )
    reduction: Annotated[int, Field(ge=2, le=100), BeforeValidator(check_int)] = Field(
        3, description="Of halving: one in so many goes on, with so many times the steps"
    )
    min_steps: PositiveWhole | None = Field(
        None, description="Of halving: steps of the first rung; of range-test: steps of the one run"
    )


class StageTrainerModel(Closed):
    """What a stage changes of the trainer."""

    config: dict[str, Any] = Field(
        default_factory=dict, description="Keys that take the place of those in the file's trainer.config"
    )


class StageExecutionModel(Closed):
    """What a stage changes of how its trials are spread."""

    packing: PackingWord | None = Field(None, description="As in the file's execution")
    timing_sample: TimingSample | None = Field(None, description="As in the file's execution")


def _check_name(name: str) -> str:
    if len(name) > _STAGE_LIMIT or not DNS_LABEL_PATTERN.fullmatch(name):
        raise wrong(show(name), f"a DNS label of at most {_STAGE_LIMIT} characters: {DNS_LABEL_WORDS}")
    if name == DEFAULT_STAGE:
        raise wrong(show(name), f"another name: {DEFAULT_STAGE} is the stage of a file without stages")
    return name


class StageModel(Closed):
    """One stage: a sweep of its own, with everything that it does not say as the file has it."""

    model_config = ConfigDict(json_schema_extra={"allOf": [LISTED_WITHOUT_SEARCH]})

    name: Annotated[str, AfterValidator(_check_name)] = Field(
        description=f"Name of the stage: a DNS label of at most {_STAGE_LIMIT} characters; part of a trial's identity",
        json_schema_extra={
            "pattern": f"^{DNS_LABEL_PATTERN.pattern}$",
            "maxLength": _STAGE_LIMIT,
            "not": {"const": DEFAULT_STAGE},
        },
    )
    parameters: StageParameters = Field(
        description="As in a file without stages, or {from: …}: what an earlier stage found, with more beside it"
    )
    search: SearchModel | None = Field(
        None, description="Instead of every combination of parameters only those that a method asks for"
    )
    budget: BudgetModel | None = Field(None, description="In place of the file's, as a whole")
    seed: Annotated[int, Field(ge=0, le=MAX_INT), BeforeValidator(check_int)] | None = Field(
        None, description="As in the file"
    )
    repeats: Annotated[int, Field(ge=1, le=1000), BeforeValidator(check_int)] | None = Field(
        None, description="As in the file"
    )
    objective: ObjectiveModel | None = Field(None, description="As in the file")
    trainer: StageTrainerModel | None = Field(None, description="Only config")
    execution: StageExecutionModel | None = Field(None, description="Only packing and timing_sample")
