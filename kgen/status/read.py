"""Reads the API's JSON without trust: whatever stands somewhere, there is a value of the type that was asked for.

A new server may leave out, add or change fields, and what is unknown must not hide what is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, TypeGuard

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
LONG_AGO: Final = datetime(1, 1, 2, tzinfo=UTC)
LONGEST: Final = 300
"""Characters of other programs' messages that are shown."""
_SPACE: Final = re.compile(r"\s+")


def mapping(thing: Any, *path: str) -> Mapping[str, Any]:
    """The object at a path of keys; an empty one if there is none."""
    for key in path:
        if not _is_mapping(thing):
            return _NOTHING
        thing = thing.get(key)
    return thing if _is_mapping(thing) else _NOTHING


def _is_mapping(thing: Any) -> TypeGuard[Mapping[str, Any]]:
    # Asked most often of all; JSON's own type is the quick question.
    return type(thing) is dict or isinstance(thing, Mapping)


def items(thing: Any, *path: str) -> list[Mapping[str, Any]]:
    """The objects in the list at a path; anything else in it is passed over."""
    *way, last = path
    found = mapping(thing, *way).get(last)
    return [each for each in found if _is_mapping(each)] if isinstance(found, list | tuple) else []


def text(thing: Any, *path: str) -> str:
    """The text at a path, as it is; empty if there is none."""
    *way, last = path
    found = mapping(thing, *way).get(last)
    return found if isinstance(found, str) else ""


def whole(thing: Any, *path: str) -> int | None:
    """The integer at a path."""
    *way, last = path
    found = mapping(thing, *way).get(last)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def count(thing: Any, *path: str) -> int:
    """The number of things at a path; 0 if there is none."""
    return max(whole(thing, *path) or 0, 0)


def moment(thing: Any, *path: str) -> datetime | None:
    """The time at a path."""
    written = text(thing, *path)
    if not written:
        return None
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def condition(thing: Any, *kinds: str) -> Mapping[str, Any]:
    """The first true condition of these kinds in an object's status; an empty object if none is true."""
    found = {
        text(each, "type"): each for each in items(thing, "status", "conditions") if text(each, "status") == "True"
    }
    return next((found[kind] for kind in kinds if kind in found), _NOTHING)


def line(said: str, longest: int = LONGEST) -> str:
    """Another program's words as one printable line of bounded length."""
    said = _SPACE.sub(" ", said[: 8 * longest]).strip()
    if not said.isprintable():
        said = "".join(each for each in said if each.isprintable())
    return said if len(said) <= longest else f"{said[: longest - 1].rstrip()}…"


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def event_time(event: Any) -> datetime:
    """When an event last happened; long ago if it does not say."""
    for path in (("series", "lastObservedTime"), ("lastTimestamp",), ("eventTime",), ("firstTimestamp",)):
        if found := moment(event, *path):
            return found
    return LONG_AGO
