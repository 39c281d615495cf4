"""What the models of sweep.yaml are made of: mistakes in kgen's words, numbers and text with their limits."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from kgen.names import ENV_NAME_PATTERN
from kgen.spec import text_of
from kgen.sweep import space

_SHOWN: Final = 40
"""Characters of a value in a message."""
_NOT_ZERO: Final = re.compile(r"[^eE]*[1-9]")
_DIGITS: Final = 38
"""Of a whole number: what Arrow's decimal type holds."""
MAX_INT: Final = 2**63 - 1


def wrong(found: str, allowed: str, *path: str | int) -> PydanticCustomError:
    """A mistake in kgen's words; ``path`` leads from the validated value to the part that is wrong."""
    return all_wrong([(found, allowed, path)])


def all_wrong(mistakes: list[space.Mistake], *, key: bool = False) -> PydanticCustomError:
    """Several mistakes in one value; ``key``: of its keys."""
    return PydanticCustomError("kgen", "a mistake", {"mistakes": mistakes, "key": key})


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
    text = value if isinstance(value, str) else text_of(value)
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return f"the text {short!r}" if isinstance(value, str) else short


def number_mistakes(value: Any) -> list[tuple[str, str]]:
    """What is found and what is allowed, for NaN, infinity, and numbers that a double or a table can't hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return [(show(value), "a finite number")]
    if isinstance(value, float) and value == 0 and _NOT_ZERO.match(text_of(value)):
        return [(show(value), "a number that a double can tell from 0, at least 5e-324")]
    if isinstance(value, int) and abs(value) >= 10**_DIGITS:
        return [(f"a whole number of {len(str(abs(value)))} digits", f"at most {_DIGITS} digits")]
    return []


def _check_finite(value: Any) -> None:
    for found, allowed in number_mistakes(value):
        raise wrong(found, allowed)


def _check_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        plain = value.replace("_", "") if isinstance(value, str) else ""
        hint = f" (write {plain})" if plain != value and plain.replace(".", "", 1).isdecimal() else ""
        raise wrong(show(value), f"a number{hint}")
    _check_finite(value)
    return value


def _check_scalar(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise wrong(show(value), "a number, text, true or false")
    _check_finite(value)
    return value


def check_int(value: Any) -> Any:
    """A whole number, also one that is written as a float."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(show(value), "a whole number")
    _check_finite(value)
    return value


Number = Annotated[Any, BeforeValidator(_check_number), WithJsonSchema({"type": "number"})]
Scalar = Annotated[Any, BeforeValidator(_check_scalar), WithJsonSchema({"type": ["number", "string", "boolean"]})]
Whole = Annotated[int, BeforeValidator(check_int)]
PositiveWhole = Annotated[int, Field(ge=1, le=MAX_INT), BeforeValidator(check_int)]
GridSize = Annotated[int, Field(ge=1, le=space.MAX_VALUES), BeforeValidator(check_int)]


class Closed(BaseModel):
    """A block of the file: unknown keys are mistakes, nothing is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def exactly_one(model: BaseModel, *names: str) -> None:
    """Refuse none or several of these fields."""
    given = [name for name in names if getattr(model, name) is not None]
    if len(given) != 1:
        raise wrong(" and ".join(given) or f"no {' or '.join(names)}", f"exactly one of {' and '.join(names)}")


def at_most_one(model: BaseModel, *names: str) -> None:
    """Refuse several of these fields."""
    if any(getattr(model, name) is not None for name in names):
        exactly_one(model, *names)


def _check_share(value: Any) -> float:
    number = _check_number(value)
    if not 0 <= number <= 1:
        raise wrong(show(value), "a share between 0 and 1, or {at_least: …} or {at_most: …} for other metrics")
    return float(number)


Share = Annotated[float, BeforeValidator(_check_share), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})]


def _check_positive(value: Any) -> Any:
    number = _check_number(value)
    if number <= 0:
        raise wrong(show(value), "a number above 0")
    return float(number)


Positive = Annotated[float, BeforeValidator(_check_positive), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]


def _check_env_name(name: str) -> str:
    if not ENV_NAME_PATTERN.fullmatch(name):
        raise wrong(show(name), "letters, digits and '_', not beginning with a digit")
    if name.startswith("KGEN_"):
        raise wrong(show(name), "a name that does not begin with KGEN_, which are kgen's own")
    return name


EnvName = Annotated[str, AfterValidator(_check_env_name)]
