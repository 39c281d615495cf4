"""YAML text → values with the place of each, by the YAML 1.2 core schema.

Read from the parser's events, not through a constructor: so each value has its line and column, duplicate keys are
all found, floats keep their text, ``1e-6`` is a number, ``yes`` and ``12:30:45`` are text, and nesting, size and
aliases are bounded before they cost anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from kgen.errors import InputError, Problem
from kgen.spec import WrittenFloat

MAX_BYTES: Final = 1 << 19
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
_LONGEST_NUMBER: Final = 3_000  # characters; Python refuses integers of more than 4,300 digits, hexadecimal ones grow
_LONGEST_WORD: Final = 100  # of the file's own text in a message
_USER_IN_URL: Final = re.compile(r"://[^/\s]*@")
"""With a password, perhaps: such a line is not repeated."""
_LONG_TAG: Final = re.compile(r"!\S{1000}")  # ruamel.yaml takes quadratic time for it
UNUSABLE: Final = re.compile("[\0\ud800-\udfff]")
"""Characters that stand in no file name, environment or UTF-8 text."""
_LINE_BREAK: Final = re.compile(r"\r\n|\r|\n")  # what YAML 1.2 counts; str.splitlines knows more
_UNEXPECTED: Final = re.compile(r"expected (.+), but (?:found|got) (.+)")
_COLON: Final = "mapping values are not allowed here"


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
    problems: list[Problem] = field(default_factory=list)
    """What is wrong with the YAML, though it can be read: duplicate keys, tags, unknown aliases."""
    faulty: set[Path] = field(default_factory=set)
    """Where values mean nothing because of such a problem."""
    _lines: list[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._lines = _LINE_BREAK.split(self.text)

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
        source = self._lines[place.line - 1] if 0 < place.line <= len(self._lines) else ""
        if _USER_IN_URL.search(source):
            source = ""
        return Problem(self.file, place.line, place.column, _short(name), _short(found), allowed, source)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_WORD else f"{text[:_LONGEST_WORD]}…"


def field_name(path: Path) -> str:
    """``parameters.learning_rate[2]``, or ``the file`` for its root."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the file"


class UnclearScalarError(Exception):
    """Raised by who resolves plain scalars: this one must not stand there."""

    def __init__(self, found: str, allowed: str) -> None:
        super().__init__(f"found {found}, allowed {allowed}")
        self.found = found
        self.allowed = allowed


def parse(text: str, file: str, *, plain: Callable[[str], Any] | None = None) -> Document:
    """Read the text of one YAML document; ``problems`` of the result has what is wrong with it.

    ``plain`` gives the value of a scalar without quotes and tag, instead of :func:`resolve`; it may raise
    UnclearScalarError. Raises InputError when it can't be read to its end: a syntax error, or an exceeded bound.
    """
    document = Document(file, text)
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        size = f"{len(text):,} characters"
        raise InputError([document.problem_at(Place(1, 1), "the file", size, f"at most {MAX_BYTES:,} bytes")])
    if long := _LONG_TAG.search(text):
        raise InputError([document.problem_at(_place_of(text, long.start()), "the file", "a long tag", "no tags")])
    try:
        document.value = _Reader(document, plain or resolve).read()
    except MarkedYAMLError as error:
        raise InputError([*document.problems, _syntax_problem(document, error)]) from error
    except ReaderError as error:
        found = f"the character U+{ord(text[error.position]):04X}"
        place = _place_of(text, error.position)
        problem = document.problem_at(place, "YAML syntax", found, "printable characters, others escaped")
        raise InputError([*document.problems, problem]) from error
    return document


def _place_of(text: str, index: int) -> Place:
    before = _LINE_BREAK.split(text[:index])
    return Place(len(before), len(before[-1]) + 1)


def _syntax_problem(document: Document, error: MarkedYAMLError) -> Problem:
    """The parser's words in kgen's form; what was never closed is shown where it was opened."""
    mark = error.problem_mark or error.context_mark
    what = " ".join(str(error.problem or error.context).split()).removeprefix("found ")
    at_end = "<stream end>" in what or "end of stream" in what
    if at_end:
        mark = error.context_mark or mark
    found, allowed = what, "YAML 1.2"
    if unexpected := _UNEXPECTED.fullmatch(what):
        allowed, found = unexpected[1], "the end of the file" if at_end else unexpected[2]
    elif "'\\t'" in what:
        found, allowed = "a tab", "spaces for indentation"
    elif what == _COLON:
        found, allowed = (
            "a ':' that can't stand here",
            "its own line, indented deeper, or quotes around the text",
        )
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    return document.problem_at(place, "YAML syntax", found, allowed)


@dataclass(slots=True)
class _Node:
    """A value with the places of all that is in it, so that an alias can be counted and shared."""

    value: Any
    size: int


class _Reader:
    """Builds plain values from parser events; recursion is bounded by MAX_DEPTH."""

    def __init__(self, document: Document, plain: Callable[[str], Any]) -> None:
        self._document = document
        self._plain = plain
        self._events: Iterator[Any] = iter(YAML(typ="safe", pure=True).parse(document.text))
        self._anchors: dict[str, _Node] = {}
        self._count = 0

    def read(self) -> Any:
        """The document's value; mistakes that leave one are noted in the document. Raises InputError for others."""
        self._next("StreamStartEvent")
        start = next(self._events)
        if type(start).__name__ == "StreamEndEvent":
            return None
        if start.version not in (None, (1, 2)):
            self._note(start, (), "%YAML {}.{}".format(*start.version), "%YAML 1.2, or no such line")
        root = self._node(next(self._events), ()).value
        self._next("DocumentEndEvent")
        event = next(self._events)
        if type(event).__name__ != "StreamEndEvent":
            self._note(event, (), "a second document", "one YAML document")
        return root

    def _next(self, kind: str) -> Any:
        event = next(self._events)
        assert type(event).__name__ == kind, f"expected {kind}, the parser gave {event}"
        return event

    def _note(self, event: Any, path: Path, found: str, allowed: str) -> None:
        """Something wrong after which reading can go on."""
        self._document.problems.append(self._document.problem_at(_place(event), field_name(path), found, allowed))

    def _spoil(self, event: Any, path: Path, found: str, allowed: str) -> None:
        """The same, and the value there means nothing."""
        self._note(event, path, found, allowed)
        self._document.faulty.add(path)

    def _stop(self, event: Any, name: str, found: str, allowed: str) -> NoReturn:
        problem = self._document.problem_at(_place(event), name, found, allowed)
        raise InputError([*self._document.problems, problem])

    def _node(self, event: Any, path: Path) -> _Node:
        self._document.places.setdefault(path, _place(event))
        if len(path) > MAX_DEPTH:
            self._stop(event, "the file", f"nesting deeper than {MAX_DEPTH}", f"at most {MAX_DEPTH} levels")
        kind = type(event).__name__
        if kind == "AliasEvent":
            node = self._anchors.get(event.anchor)
            if node is None:
                self._spoil(event, path, f"alias *{event.anchor}", "the name of an anchor before it")
                node = _Node(None, 1)
            self._add(node.size, event)
            return node
        before = self._count
        self._add(1, event)
        if kind == "ScalarEvent":
            value = self._scalar(event, path)
        elif kind == "SequenceStartEvent":
            self._check_tag(event, path, "seq")
            value = self._sequence(path)
        else:
            self._check_tag(event, path, "map")
            value = self._mapping(path)
        node = _Node(value, self._count - before)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _add(self, count: int, event: Any) -> None:
        self._count += count
        if self._count > MAX_VALUES:
            allowed = f"at most {MAX_VALUES:,} (aliases expanded)"
            self._stop(event, "the file", f"more than {MAX_VALUES:,} values", allowed)

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
            self._check_text(event, here)
            self._add(1, event)
            first = self._document.keys.setdefault(here, _place(event))
            value = next(self._events)
            node = self._node(value, here)
            if key in items:
                self._note(event, here, "the key again", f"each key once (first on line {first.line})")
            elif key == "<<" and event.style is None:
                self._note(event, here, "a merge key", "every key written out; YAML 1.2 has no merge keys")
            else:
                items[key] = node.value
                if _is_absent(value):  # the parser places an absent value where the next key begins
                    self._document.places[here] = first
        return items

    def _check_text(self, event: Any, path: Path) -> None:
        if bad := UNUSABLE.search(event.value):
            self._spoil(event, path, f"the character U+{ord(bad[0]):04X}", "text without it")

    def _check_tag(self, event: Any, path: Path, kind: str) -> None:
        tag = _tag(event)
        if tag is not None and tag not in ("!", _TAG + kind):
            self._spoil(event, path, f"the tag {tag.replace(_TAG, '!!')}", "values without tags")

    def _scalar(self, event: Any, path: Path) -> Any:
        text = event.value
        self._check_text(event, path)
        tag = _tag(event)
        if tag is None:
            if event.style is not None:
                return text
            if len(text) > _LONGEST_NUMBER and _is_number(text):
                self._spoil(event, path, f"a number of {len(text):,} characters", f"at most {_LONGEST_NUMBER:,}")
            try:
                return self._plain(text)
            except UnclearScalarError as error:
                self._spoil(event, path, error.found, error.allowed)
                return text
        kind = tag.removeprefix(_TAG)
        if kind in ("!", "str"):
            return text
        value = resolve(text)
        if kind == "float" and type(value) is int:
            value = WrittenFloat(str(value))
        if not _is_kind(value, kind):
            self._spoil(event, path, f"{tag.replace(_TAG, '!!')} {text[:40]}", "values without tags")
        return value


def _is_absent(event: Any) -> bool:
    return type(event).__name__ == "ScalarEvent" and event.value == "" and event.style is None


def _tag(event: Any) -> str | None:
    return None if event.tag is None else str(event.tag)


def _is_kind(value: Any, kind: str) -> bool:
    wanted: dict[str, type] = {"int": int, "float": float, "bool": bool, "null": type(None)}
    return kind in wanted and isinstance(value, wanted[kind]) and isinstance(value, bool) == (kind == "bool")


def _is_number(text: str) -> bool:
    return any(pattern.fullmatch(text) for pattern in (_INT, _OTHER_INT, _FLOAT))


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def resolve(text: str) -> Any:
    """A plain scalar by the YAML 1.2 core schema; a float keeps its text.

    >>> resolve("1e-6"), resolve("017"), resolve("1_000"), resolve("yes"), resolve("0x1F")
    (1e-06, 17, '1_000', 'yes', 31)
    """
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _LONGEST_NUMBER:
        if _INT.fullmatch(text):
            return int(text)
        if _OTHER_INT.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text):
            return WrittenFloat(text)
        if _SPECIAL.fullmatch(text):
            return float(text.replace(".", "", 1))
    return text
