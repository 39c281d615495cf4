"""YAML text → values with the place of each, by the YAML 1.2 core schema.

Read from the parser's events, not through a constructor: so each value has its line and column, duplicate keys are
all found, floats keep their text, ``1e-6`` is a number, ``yes`` and ``12:30:45`` are text, and nesting, size and
aliases are bounded before they cost anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from kgen.errors import InputError, Problem
from kgen.spec import WrittenFloat

MAX_BYTES: Final = 1 << 20
MAX_VALUES: Final = 50_000
"""Values in a file, those behind aliases counted each time: more is a mistake or an alias bomb."""
MAX_DEPTH: Final = 32

Path = tuple[str | int, ...]

_INT: Final = re.compile(r"[-+]?[0-9]+")
_OTHER_INT: Final = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TAG: Final = "tag:yaml.org,2002:"
_MAX_DIGITS: Final = 4_000  # Python refuses longer integers by default; nobody means one


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """A parsed file: its plain value, and where each part of it stands."""

    file: str
    text: str
    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    """Place of the value at each path."""
    keys: dict[Path, Place] = field(default_factory=dict)
    """Place of the key at each path that ends in a key."""

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Where that path stands; for one that is not in the file, the nearest part around it that is."""
        while path:
            found = (self.keys if key else self.places).get(path) or self.places.get(path)
            if found is not None:
                return found
            path = path[:-1]
            key = True
        return self.places.get((), Place(1, 1))

    def problem(self, path: Path, found: str, allowed: str, *, key: bool = False) -> Problem:
        """A mistake at that path of the file."""
        return self.problem_at(self.place(path, key=key), field_name(path), found, allowed)

    def problem_at(self, place: Place, name: str, found: str, allowed: str) -> Problem:
        """A mistake at that place of the file."""
        lines = self.text.splitlines()
        source = lines[place.line - 1] if 0 < place.line <= len(lines) else ""
        return Problem(self.file, place.line, place.column, name, found, allowed, source)


def field_name(path: Path) -> str:
    """``parameters.learning_rate[2]``, or ``the file`` for its root."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the file"


def parse(text: str, file: str) -> Document:
    """Read the text of one YAML document.

    Raises InputError with every duplicate key, or with the first syntax error or exceeded bound.
    """
    document = Document(file, text)
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        size = f"{len(text):,} characters"
        raise InputError([document.problem_at(Place(1, 1), "the file", size, f"at most {MAX_BYTES:,} bytes")])
    reader = _Reader(document)
    try:
        document.value = reader.read()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        what = " ".join(str(error.problem or error.context).split())
        raise InputError([document.problem_at(place, "YAML syntax", what, "YAML 1.2")]) from error
    except YAMLError as error:
        what = " ".join(str(error).splitlines()[0].split())
        raise InputError([document.problem_at(Place(1, 1), "YAML syntax", what, "YAML 1.2 text")]) from error
    if reader.problems:
        raise InputError(reader.problems)
    return document


@dataclass(slots=True)
class _Node:
    """A value with the places of all that is in it, so that an alias can be counted and shared."""

    value: Any
    size: int


class _Reader:
    """Builds plain values from parser events; recursion is bounded by MAX_DEPTH."""

    def __init__(self, document: Document) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._events: Iterator[Any] = iter(YAML(typ="safe", pure=True).parse(document.text))
        self._anchors: dict[str, _Node] = {}
        self._count = 0

    def read(self) -> Any:
        event = self._next("StreamStartEvent")
        event = next(self._events)
        if type(event).__name__ == "StreamEndEvent":
            return None
        root = self._node(next(self._events), ()).value
        self._next("DocumentEndEvent")
        event = next(self._events)
        if type(event).__name__ != "StreamEndEvent":
            self._stop(event, "the file", "a second document", "one YAML document")
        return root

    def _next(self, kind: str) -> Any:
        event = next(self._events)
        assert type(event).__name__ == kind, f"expected {kind}, the parser gave {event}"
        return event

    def _stop(self, event: Any, name: str, found: str, allowed: str) -> None:
        raise InputError([self._document.problem_at(_place(event), name, found, allowed)])

    def _node(self, event: Any, path: Path) -> _Node:
        self._document.places.setdefault(path, _place(event))
        if len(path) > MAX_DEPTH:
            self._stop(event, "the file", f"nesting deeper than {MAX_DEPTH}", f"at most {MAX_DEPTH} levels")
        kind = type(event).__name__
        if kind == "AliasEvent":
            node = self._anchors.get(event.anchor)
            if node is None:
                self._stop(event, field_name(path), f"alias *{event.anchor}", "the name of an anchor before it")
                raise AssertionError
            self._add(node.size, event)
            return node
        before = self._count
        self._add(1, event)
        if kind == "ScalarEvent":
            value = self._scalar(event, path)
        elif kind == "SequenceStartEvent":
            value = self._sequence(path)
        else:
            value = self._mapping(path)
        node = _Node(value, self._count - before)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _add(self, count: int, event: Any) -> None:
        self._count += count
        if self._count > MAX_VALUES:
            self._stop(event, "the file", f"more than {MAX_VALUES:,} values", f"at most {MAX_VALUES:,} (aliases expanded)")

    def _sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while type(event := next(self._events)).__name__ != "SequenceEndEvent":
            items.append(self._node(event, (*path, len(items))).value)
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while type(event := next(self._events)).__name__ != "MappingEndEvent":
            if type(event).__name__ != "ScalarEvent":
                self._stop(event, field_name(path), "a key that is no plain text", "text keys")
            key = event.value
            here = (*path, key)
            if key in items:
                first = self._document.keys[here]
                self.problems.append(
                    self._document.problem_at(
                        _place(event), field_name(here), "the key again", f"each key once (first on line {first.line})"
                    )
                )
            else:
                self._document.keys[here] = _place(event)
            self._add(1, event)
            value = next(self._events)
            items[key] = self._node(value, here).value
            if getattr(value, "value", None) == "":  # the parser places an absent value where the next key begins
                self._document.places[here] = self._document.keys[here]
        return items

    def _scalar(self, event: Any, path: Path) -> Any:
        tag = str(event.tag) if event.tag is not None else None
        plain = event.style is None
        if tag is None:
            return resolve(event.value) if plain else event.value
        if tag == _TAG + "str" or tag == "!":
            return event.value
        value = resolve(event.value)
        kinds = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}
        wanted = kinds.get(tag.removeprefix(_TAG)) if tag.startswith(_TAG) else None
        if wanted is None or not isinstance(value, wanted):
            found = f"{tag.replace(_TAG, '!!')} {event.value}"
            self.problems.append(
                self._document.problem_at(_place(event), field_name(path), found, "values without tags")
            )
        return value


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def resolve(text: str) -> Any:
    """A plain scalar by the YAML 1.2 core schema; a float keeps its text.

    >>> resolve("1e-6"), resolve("017"), resolve("1_000"), resolve("yes"), resolve("0x1F")
    (1e-06, 17, '1_000', 'yes', 31)
    """
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _MAX_DIGITS:
        if _INT.fullmatch(text):
            return int(text)
        if _OTHER_INT.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text):
            return WrittenFloat(text)
        if _SPECIAL.fullmatch(text):
            return float(text.replace(".", "", 1))
    return text
