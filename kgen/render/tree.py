"""A rendered text as data with holes: where its tokens stood, the trials' values will be.

A hole that is a whole plain scalar takes the value as it is (text, number, list, mapping); one inside quotes or
beside other text takes the value's text.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jinja2 import Undefined

from kgen.render.sandbox import Json, TemplateMistake, text
from kgen.sweep.document import Document, UnclearScalarError, parse, resolve
from kgen.sweep.document import Path as FieldPath

_LEADING_ZERO: Final = re.compile(r"[-+]?0[0-9_]+")


@dataclass(frozen=True, slots=True)
class Hole:
    """The value of a slot, or a part of it."""

    slot: int
    path: FieldPath = ()
    as_text: bool = False
    """A number becomes text, as quantities are."""

    def value(self, values: Sequence[Any]) -> Any:
        """What stands here for these values."""
        found = values[self.slot]
        if isinstance(found, Json):
            found = found.value
        for key in self.path:
            found = found[key]
        return text(found) if self.as_text and is_number(found) else found


@dataclass(frozen=True, slots=True)
class Text:
    """Text around the values of slots, in the order of the output."""

    parts: tuple[str | int, ...]

    def value(self, values: Sequence[Any]) -> str:
        """The text for these values. Raises TemplateMistake for a list or a mapping among them."""
        return "".join([part if isinstance(part, str) else text(values[part]) for part in self.parts])


Leaf = Hole | Text | str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a part of an object comes from: the template's text, or a field of the sweep file."""

    source: str
    """``template`` or ``sweep``."""
    path: FieldPath


@dataclass(slots=True)
class Origins:
    """Where containers come from, so that a mistake in a Job can be shown where its author wrote it."""

    known: dict[int, tuple[Any, Origin]] = field(default_factory=dict)  # the container too: an id lives as long as it

    def add(self, container: Any, origin: Origin) -> None:
        """This list or mapping comes from there."""
        self.known[id(container)] = (container, origin)

    def add_all(self, value: Any, origin: Origin) -> None:
        """It, and what it holds."""
        if isinstance(value, dict | list):
            self.add(value, origin)
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                self.add_all(item, Origin(origin.source, (*origin.path, key)))

    def copy(self, old: Any, new: Any) -> None:
        """The new container comes from where the old one did."""
        if id(old) in self.known:
            self.add(new, self.known[id(old)][1])

    def of(self, tree: Any, path: FieldPath) -> Origin | None:
        """Where the value at a path of a tree was written; None for what is kgen's own."""
        found: Origin | None = None
        node = tree
        for done in range(len(path) + 1):
            known = self.known.get(id(node))
            if known is not None:
                found = Origin(known[1].source, (*known[1].path, *path[done:]))
            if done == len(path):
                break
            try:
                node = node[path[done]]
            except (LookupError, TypeError):
                break
        return found


def is_number(value: Any) -> bool:
    """Whether JSON has it as a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def read(output: str, file: str, tokens: re.Pattern[str], first_slot: int) -> tuple[Document, Any]:
    """Parse a rendered text. The document has its problems and places, the tree has holes for tokens.

    Token number n becomes slot ``first_slot`` + n. Raises InputError when it is no YAML.
    """

    def plain(scalar: str) -> Any:
        if whole := tokens.fullmatch(scalar):
            return Hole(first_slot + int(whole[1]))
        return clear_scalar(scalar)

    def holes(value: Any) -> Any:
        if isinstance(value, dict):
            return {holes(key): holes(item) for key, item in value.items()}
        if isinstance(value, list):
            return [holes(item) for item in value]
        if isinstance(value, str) and tokens.search(value):
            parts = tokens.split(value)  # text and numbers in turns
            return Text(tuple(first_slot + int(part) if i % 2 else part for i, part in enumerate(parts) if part))
        return value

    document = parse(output, file, plain=plain)
    return document, holes(document.value)


def clear_scalar(scalar: str) -> Any:
    """The value of a plain scalar. Raises UnclearScalarError for a whole number with leading zeros, which is octal to
    kubectl (YAML 1.1) and decimal to others."""
    if not _LEADING_ZERO.fullmatch(scalar):
        return resolve(scalar)
    digits = scalar.lstrip("+-").replace("_", "")
    octal = f"{int(digits, 8)} (as kubectl reads it), " if re.fullmatch(r"0[0-7]+", digits) else ""
    allowed = f'{octal}{int(digits)}, or "{scalar}" for text'
    raise UnclearScalarError(f"{scalar}, a number that not everybody reads as the same", allowed)


def plain_value(value: Any) -> Any:
    """A printed value as JSON has it, itself if it is that already. Raises TemplateMistake for what is no data."""
    if value is None or isinstance(value, bool | int | float) or type(value) is str:
        return value
    if isinstance(value, Json):
        inner = _inner(value.value)
        return value if inner is value.value else Json(inner)
    if isinstance(value, Mapping):
        if not all(type(key) is str for key in value):
            raise TemplateMistake("a mapping with keys that are not text", "text keys")
        made = {key: _inner(item) for key, item in value.items()}
        return value if type(value) is dict and all(made[key] is value[key] for key in made) else made
    if isinstance(value, list | tuple | range):
        items = [_inner(item) for item in value]
        return value if type(value) is list and all(map(operator.is_, items, value)) else items
    if isinstance(value, Undefined):
        raise TemplateMistake("a name that does not exist", "names that do")
    raise TemplateMistake(f"a value of the kind {type(value).__name__}", "text, numbers, lists and mappings")


def _inner(value: Any) -> Any:
    """A part of a printed value: inside of others, JSON is what it is of."""
    found = plain_value(value)
    return found.value if isinstance(found, Json) else found


def expand(tree: Any, values: Sequence[Any], origins: Origins) -> Any:
    """The tree with each hole for a list or a mapping replaced by one that holds holes: structure, then leaves.

    Keys become text. Raises TemplateMistake when two keys of a mapping are the same.
    """
    if isinstance(tree, Hole):
        return _expanded(tree, tree.value(values), origins)
    if isinstance(tree, dict):
        made: dict[str, Any] = {}
        for key, item in tree.items():
            name = key.value(values) if isinstance(key, Text) else key
            if name in made:
                raise TemplateMistake(f"the key {name} twice", "each key once")
            made[name] = expand(item, values, origins)
        origins.copy(tree, made)
        return made
    if isinstance(tree, list):
        items = [expand(item, values, origins) for item in tree]
        origins.copy(tree, items)
        return items
    return tree


def _expanded(hole: Hole, value: Any, origins: Origins) -> Any:
    made: Any
    if isinstance(value, dict):
        made = {key: _expanded(Hole(hole.slot, (*hole.path, key)), item, origins) for key, item in value.items()}
    elif isinstance(value, list):
        made = [_expanded(Hole(hole.slot, (*hole.path, i)), item, origins) for i, item in enumerate(value)]
    else:
        return hole
    origins.copy(value, made)
    return made


def fill(tree: Any, values: Sequence[Any]) -> Any:
    """The tree with these values in its holes."""
    if isinstance(tree, dict):
        return {key: fill(item, values) for key, item in tree.items()}
    if isinstance(tree, list):
        return [fill(item, values) for item in tree]
    return tree.value(values) if isinstance(tree, Hole | Text) else tree


def leaves(tree: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Leaf]]:
    """Every leaf with its path; empty lists and mappings are not among them."""
    if isinstance(tree, dict):
        for key, item in tree.items():
            yield from leaves(item, (*path, key))
    elif isinstance(tree, list):
        for i, item in enumerate(tree):
            yield from leaves(item, (*path, i))
    else:
        yield path, tree


def slots_in_keys(tree: Any) -> Iterator[int]:
    """Slots whose values are parts of keys."""
    if isinstance(tree, dict):
        for key, item in tree.items():
            if isinstance(key, Text):
                yield from (part for part in key.parts if isinstance(part, int))
            yield from slots_in_keys(item)
    elif isinstance(tree, list):
        for item in tree:
            yield from slots_in_keys(item)
