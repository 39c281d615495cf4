"""Formats that other programs read: JSON, YAML, names."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_PLAIN_KEY: Final = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)\Z)[a-z_][a-z0-9_-]*", re.IGNORECASE)


class Output(enum.StrEnum):
    """Formats of ``-o``."""

    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class ListOutput(enum.StrEnum):
    """Formats of ``-o`` for what is printed as a table."""

    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def dump(value: Mapping[str, Any], output: Output) -> str:
    """A mapping of plain values as JSON or YAML."""
    if output is Output.JSON:
        return json.dumps(value, ensure_ascii=False, indent=2)
    return "\n".join(_yaml(value))


def _yaml(value: Any) -> Iterator[str]:
    """Lines that readers of YAML 1.1 and 1.2 take for the same: text in quotes, a dot in every float.

    >>> list(_yaml({"a": {"on": 1e-06}, "b": ["x", {"c": None, "d": []}]}))
    ['a:', '  "on": 1.0e-06', 'b:', '- "x"', '- c: null', '  d: []']
    """
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            name = key if _PLAIN_KEY.fullmatch(key) else _quoted(key)
            if isinstance(item, Mapping | list) and item:
                indent = "  " if isinstance(item, Mapping) else ""
                yield f"{name}:"
                yield from (indent + line for line in _yaml(item))
            else:
                yield f"{name}: {_scalar(item)}"
    elif isinstance(value, list) and value:
        for item in value:
            first, *rest = _yaml(item)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    text = json.dumps(value)
    return text.replace("e", ".0e") if isinstance(value, float) and "." not in text else text


def _quoted(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in json.dumps(text, ensure_ascii=False))
