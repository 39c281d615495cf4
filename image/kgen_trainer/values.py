"""Rules for the values that a user writes, and the errors that say what was found and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from kgen.errors import BadParametersError
from kgen.spec import text_of

_SMALLEST: Final = 1.1754943508222875e-38
_LARGEST: Final = 3.4028234663852886e38
"""Ends of the normal 32-bit floats: what is smaller is 0 in training, what is larger is infinite."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What one setting may be."""

    allowed: str
    """In words, as an error message says it."""
    accepts: Callable[[Any], bool]
    convert: Callable[[Any], Any]

    def read(self, where: str, value: object) -> Any:
        """The value as training uses it. Raises BadParametersError when the rule does not accept it."""
        if not self.accepts(value):
            raise BadParametersError(f"{where}: found {_shown(value)}, allowed {self.allowed}")
        return self.convert(value)


def _shown(value: object) -> str:
    return text_of(value) if isinstance(value, (bool, int, float)) else repr(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


POSITIVE: Final = Rule("a number above 0", lambda v: _is_number(v) and _SMALLEST <= v <= _LARGEST, float)
NOT_NEGATIVE: Final = Rule(
    "a number, 0 or above", lambda v: _is_number(v) and (v == 0 or _SMALLEST <= v <= _LARGEST), float
)
FRACTION: Final = Rule("a number from 0 to below 1", lambda v: _is_number(v) and 0 <= v < 1, float)
COUNT: Final = Rule("a whole number above 0", lambda v: type(v) is int and 1 <= v < 2**31, int)
SWITCH: Final = Rule("true or false", lambda v: isinstance(v, bool), bool)
TEXT: Final = Rule("text", lambda v: isinstance(v, str) and v != "", str)


def unknown(what: str, name: object, allowed: Iterable[str]) -> BadParametersError:
    """The error for a name that is none of the allowed ones, with the one that was probably meant."""
    names = list(allowed)
    close = difflib.get_close_matches(str(name), names, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    return BadParametersError(f"unknown {what} {name!r}: {meant}allowed: {', '.join(names)}")


def choose(what: str, value: object, allowed: Iterable[str]) -> str:
    """One of the allowed names. Raises BadParametersError for anything else."""
    names = list(allowed)
    if not isinstance(value, str) or value not in names:
        raise unknown(what, value, names)
    return value
