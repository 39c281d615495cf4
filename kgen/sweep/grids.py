"""The parameters of sweep.yaml: lists, ranges, alternatives."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag, ValidationInfo, model_validator

from kgen.spec import Value
from kgen.sweep import space
from kgen.sweep.fields import Closed, GridSize, Number, Scalar, Whole, all_wrong, at_most_one, show, wrong

PARAMETER_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")


class LinearRange(Closed):
    """Evenly spaced values, both ends included."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["num", "step"]}})

    start: Number = Field(description="First value")
    stop: Number = Field(description="Last value")
    num: GridSize | None = Field(None, description="How many values in all")
    step: Number | None = Field(None, description="Distance of two neighbours, instead of num")

    @model_validator(mode="after")
    def _one(self) -> Self:
        at_most_one(self, "num", "step")
        return self


class LogRange(Closed):
    """Values evenly spaced on a logarithmic scale, both ends included."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["num", "per_decade"]}})

    start: Number = Field(description="First value, above 0", json_schema_extra={"exclusiveMinimum": 0})
    stop: Number = Field(description="Last value, above 0", json_schema_extra={"exclusiveMinimum": 0})
    num: GridSize | None = Field(None, description="How many values in all")
    per_decade: GridSize | None = Field(None, description="How many for each factor of ten, instead of num")

    @model_validator(mode="after")
    def _one(self) -> Self:
        at_most_one(self, "num", "per_decade")
        return self


class IntRange(Closed):
    """Whole numbers, both ends included."""

    start: Whole = Field(description="First value")
    stop: Whole = Field(description="Last value")
    step: Whole = Field(1, description="Distance of two neighbours")


@dataclass
class Tally:
    """What a file has come to so far; the context of its validation."""

    values: int = 0
    """In all grids."""


class GridModel(Closed):
    """A parameter that is more than a plain list: what its values are, and which of these are left out."""

    except_: list[Scalar] = Field(default_factory=list, alias="except", description="Values to leave out")

    def _points(self) -> tuple[Value, ...]:
        raise AssertionError("each kind of grid has its own")

    def _ends(self) -> tuple[Value, Value] | None:
        return None

    @cached_property
    def ends(self) -> tuple[Value, Value] | None:
        """Of a range without ``num``, ``step`` and ``per_decade``, where all numbers between two are meant: these."""
        found = self._ends()
        return None if found is None else (space.as_float(found[0]), space.as_float(found[1]))

    @cached_property
    def points(self) -> tuple[Value, ...]:
        """The values, exact and in order; of a range without ``num``, ``step`` and ``per_decade`` none."""
        return () if self.ends else space.without(self._points(), self.except_)

    @model_validator(mode="after")
    def _possible(self, info: ValidationInfo) -> Self:
        tally: Tally = info.context or Tally()
        if tally.values > space.MAX_GRIDS:
            raise wrong("more values in the grids up to here", f"at most {space.MAX_GRIDS:,}", self.kind)
        if self.ends is not None:
            self._check_ends(*self.ends)
        try:
            points = self.points
        except space.SpaceError as error:
            raise all_wrong([(found, allowed, self._path(rest)) for found, allowed, rest in error.mistakes]) from error
        tally.values += len(points)
        for value, following in itertools.pairwise(points):
            if value == following and space.identity(value) == space.identity(following):
                raise wrong(f"{show(value)} twice", "different values", self.kind)
        return self

    def _check_ends(self, start: Value, stop: Value) -> None:
        mistakes: list[space.Mistake] = []
        if self.kind == "log":
            ends = (("start", start), ("stop", stop))
            mistakes += [(show(end), space.ABOVE_0, ("log", name)) for name, end in ends if space.exact(end) <= 0]
        if not mistakes and space.exact(stop) <= space.exact(start):
            mistakes.append((show(stop), f"more than start, which is {show(start)}", (self.kind, "stop")))
        if self.except_:
            mistakes.append(("except in a range without values", "nothing to leave out", ("except",)))
        if mistakes:
            raise all_wrong(mistakes)

    def _path(self, part: tuple[str | int, ...]) -> tuple[str | int, ...]:
        return part if part[0] == "except" else (self.kind, *part)

    @property
    def kind(self) -> str:
        """The key that names this kind in the file."""
        return next(name for name in type(self).model_fields if name != "except_")


class LinearParameter(GridModel):
    """A linear grid."""

    linear: LinearRange = Field(description="Evenly spaced, by num or step")

    def _ends(self) -> tuple[Value, Value] | None:
        r = self.linear
        return (r.start, r.stop) if r.num is None and r.step is None else None

    def _points(self) -> tuple[Value, ...]:
        r = self.linear
        return space.linear(r.start, r.stop, num=r.num, step=r.step)


class LogParameter(GridModel):
    """A logarithmic grid."""

    log: LogRange = Field(description="Evenly spaced on a logarithmic scale, by num or per_decade")

    def _ends(self) -> tuple[Value, Value] | None:
        r = self.log
        return (r.start, r.stop) if r.num is None and r.per_decade is None else None

    def _points(self) -> tuple[Value, ...]:
        r = self.log
        return space.log(r.start, r.stop, num=r.num, per_decade=r.per_decade)


class IntParameter(GridModel):
    """A grid of whole numbers."""

    int: IntRange = Field(description="Whole numbers from start to stop")

    def _points(self) -> tuple[Value, ...]:
        r = self.int
        return space.whole(r.start, r.stop, r.step)


def _distinct(values: list[Any]) -> list[Any]:
    seen: set[tuple[bool, Value]] = set()
    twice: list[space.Mistake] = []
    for i, value in enumerate(values):
        if space.identity(value) in seen:
            twice.append((f"{show(value)} again", "different values", (i,)))
        seen.add(space.identity(value))
    if twice:
        raise all_wrong(twice)
    return values


Values = Annotated[
    list[Scalar],
    Field(min_length=1, max_length=space.MAX_VALUES, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]


class ValuesParameter(GridModel):
    """A list, in the long form."""

    values: Values = Field(description="The values themselves")

    def _points(self) -> tuple[Value, ...]:
        return space.same_type(self.values)


KINDS: Final = ("values", "linear", "log", "int")


def _kind(value: Any) -> str | None:
    if isinstance(value, list):
        return "list"
    if isinstance(value, dict):
        found = [kind for kind in KINDS if kind in value]
        return found[0] if len(found) == 1 else None
    return None if value is None else "scalar"


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


NAME_WORDS: Final = "a name of letters, digits, '_' and '-', beginning with a letter, at most 63 long"


def _check_parameter_name(name: str) -> str:
    if not PARAMETER_NAME.fullmatch(name):
        raise wrong(show(name), NAME_WORDS)
    return name


ParameterName = Annotated[str, AfterValidator(_check_parameter_name)]
ParameterGrid = Annotated[
    dict[ParameterName, Parameter],
    Field(min_length=1, json_schema_extra={"propertyNames": {"pattern": f"^{PARAMETER_NAME.pattern}$"}}),
]


def _grid_form(value: Any) -> str | None:
    return "grid" if isinstance(value, dict) else "alternatives" if isinstance(value, list) else None


Parameters = Annotated[
    Annotated[ParameterGrid, Tag("grid")] | Annotated[list[ParameterGrid], Field(min_length=1), Tag("alternatives")],
    Discriminator(
        _grid_form,
        custom_error_type="kgen_parameter",
        custom_error_message="a mapping from name to values, or a list of such mappings",
    ),
]
