"""``optimizer=adam,learning_rate<1e-3``: choosing trials by their parameters."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kgen.errors import InputError
from kgen.spec import Value, text_of

_TEST: Final = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_-]*)\s*(!=|<=|>=|==|=|<|>)\s*(.*?)\s*", re.DOTALL)
_NUMBER: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One parameter compared with one value."""

    name: str
    operator: str
    text: str

    def holds_for(self, parameters: Mapping[str, Value]) -> bool:
        """Whether it does: by number where both sides are numbers, else by text. A parameter that a trial lacks meets
        only ``!=``."""
        value = parameters.get(self.name)
        if value is None:
            return self.operator == "!="
        compare = _OPERATORS[self.operator]
        if isinstance(value, int | float) and not isinstance(value, bool):
            if _NUMBER.fullmatch(self.text):
                return compare(value, float(self.text))
            return self.operator == "!="
        return compare(text_of(value), self.text)


def where(text: str, flag: str = "--where") -> tuple[Condition, ...]:
    """The conditions of a flag, all of which must hold; raises InputError for what is none.

    >>> [str(c.operator) for c in where("optimizer=adam,learning_rate<1e-3")]
    ['=', '<']
    """
    found = []
    for part in text.split(","):
        match = _TEST.fullmatch(part)
        if match is None:
            allowed = "parameter=value, with = != < <= > >=, several with commas between them"
            raise InputError.of("the command line", flag, part.strip() or "nothing", allowed)
        found.append(Condition(match[1], match[2], match[3]))
    return tuple(found)


def check_names(conditions: tuple[Condition, ...], known: Mapping[str, object], flag: str = "--where") -> None:
    """Refuse parameters that no trial has: raises InputError."""
    for condition in conditions:
        if known and condition.name not in known:
            raise InputError.of("the command line", flag, condition.name, f"a parameter: {', '.join(known)}")
