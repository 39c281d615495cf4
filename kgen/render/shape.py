"""A Job cut into pieces of JSON: what is the same for all packs, and the holes between it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any, Final

from kgen.names import LABEL_VERSION
from kgen.render.draft import Mistake, Slot
from kgen.render.manifest import Manifest
from kgen.render.objects import digest
from kgen.render.rules import EXPANDED_BY_KUBELET, FieldRule, fits, is_free, leaf_mistake, leaf_rule
from kgen.render.sandbox import Json, text
from kgen.render.tree import Hole, Text, is_number, leaves, slots_in_keys
from kgen.spec import text_of
from kgen.sweep.document import Path as FieldPath

_INDENT: Final = "  "
_QUANTITIES: Final = (("limits", "*"), ("requests", "*"), ("sizeLimit",))
_RULED: Final = (("labels", "*"), ("nodeSelector", "*"), ("containers", "*", "image"))
"""Where a value that differs between trials is checked for each; nothing else in the Job depends on it."""
_UNHASHED: Final = (("metadata", "namespace"), ("labels", LABEL_VERSION))
"""What changes nothing of what runs: ``-n`` and a newer kgen must not make an unchanged Job another one."""


@dataclass(frozen=True, slots=True)
class _Unhashed:
    """A key with its value that the hash leaves out."""

    text: str


class Shape:
    """One form of a Job: all packs whose values have the same types, and are the same where that matters."""

    def __init__(self, tree: dict[str, Any], values: Sequence[Any]) -> None:
        """``values`` are those of the first pack of this shape."""
        self.tree = tree
        self._last: list[Any] = [None] * len(values)
        self._known = [False] * len(values)
        self._pieces: list[str] = []
        self._where: dict[int, list[tuple[int, Hole | Text, bool]]] = {}
        """Per slot: which pieces depend on it, and how."""
        self._spec_pieces: list[int] = []
        self._unhashed: dict[int, str] = {}
        """Pieces that are not part of the hash, with their text."""
        self._parts: list[str | _Unhashed | tuple[FieldPath, Hole | Text]] = []
        self._cut(tree, (), "\n")
        self._parts.append("\n")
        self._number()
        self._rules = list(self._leaf_rules())
        self._checked: set[tuple[int, Any]] = set()

    def manifest(self, values: Sequence[Any]) -> Manifest:
        """The Job of the pack that these values are of."""
        last, known = self._last, self._known
        changed = [slot for slot in self._where if not known[slot] or values[slot] is not last[slot]]
        for slot in changed:
            last[slot] = values[slot]
            known[slot] = True
        pieces = self._pieces
        for slot in changed:
            for position, leaf, escape in self._where[slot]:
                pieces[position] = _encode(leaf, values, escape=escape)
        for position in self._spec_pieces:
            pieces[position] = '""'
        for position in self._unhashed:
            pieces[position] = ""
        spec = digest("".join(pieces).encode())
        for position, said in self._unhashed.items():
            pieces[position] = said
        for position in self._spec_pieces:
            pieces[position] = f'"{spec}"'
        return Manifest("Job", values[Slot.NAME], "".join(pieces), spec, tuple(values[Slot.TRIALS].split(",")))

    def mistakes(self, values: Sequence[Any]) -> Iterator[Mistake]:
        """What is wrong with this pack's own values."""
        for number, (path, leaf, rule) in enumerate(self._rules):
            value = leaf.value(values)
            if (number, value) not in self._checked:
                self._checked.add((number, value))
                if mistake := leaf_mistake(path, value, rule):
                    yield mistake

    def pinned(self) -> list[int]:
        """Slots whose values are part of the shape: in keys, names, and whatever other parts are compared with."""
        found = set(slots_in_keys(self.tree))
        for path, leaf in leaves(self.tree):
            if isinstance(leaf, Hole | Text) and not is_free(path) and not any(fits(path, p) for p in _RULED):
                found |= set(_slots(leaf))
        return sorted(slot for slot in found if slot >= len(Slot))

    def _leaf_rules(self) -> Iterator[tuple[FieldPath, Hole | Text, FieldRule]]:
        for path, leaf in leaves(self.tree):
            own = isinstance(leaf, Hole | Text) and any(slot >= len(Slot) for slot in _slots(leaf))
            if own and any(fits(path, p) for p in _RULED) and (rule := leaf_rule(path)):
                assert isinstance(leaf, Hole | Text)
                yield path, leaf, rule

    def _cut(self, node: Any, path: FieldPath, newline: str) -> None:
        if isinstance(node, Hole | Text):
            self._parts.append((path, node))
            return
        if not isinstance(node, dict | list) or not node:
            self._parts.append(json.dumps(node, allow_nan=False))
            return
        inner = newline + _INDENT
        opening, closing = "{}" if isinstance(node, dict) else "[]"
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for number, (key, item) in enumerate(items):
            name = f"{encode_basestring_ascii(key)}: " if isinstance(node, dict) else ""
            begun = f"{',' if number else opening}{inner}{name}"
            if number and isinstance(item, str) and any(fits((*path, key), p) for p in _UNHASHED):
                self._parts.append(_Unhashed(begun + encode_basestring_ascii(item)))
                continue
            self._parts.append(begun)
            self._cut(item, (*path, key), inner)
        self._parts.append(f"{newline}{closing}")

    def _number(self) -> None:
        """Join neighbouring constants, and note which pieces depend on which slot."""
        constant: list[str] = []
        for part in self._parts:
            if isinstance(part, str):
                constant.append(part)
                continue
            if isinstance(part, _Unhashed):
                self._pieces += ["".join(constant), part.text]
                constant = []
                self._unhashed[len(self._pieces) - 1] = part.text
                continue
            self._pieces += ["".join(constant), ""]
            constant = []
            path, leaf = part
            position = len(self._pieces) - 1
            if isinstance(leaf, Hole) and leaf.slot == Slot.SPEC:
                self._spec_pieces.append(position)
                continue
            escape = any(fits(path, pattern) for pattern in EXPANDED_BY_KUBELET)
            for slot in _slots(leaf):
                self._where.setdefault(slot, []).append((position, leaf, escape))
        self._pieces.append("".join(constant))
        self._parts = []


def _slots(leaf: Hole | Text) -> list[int]:
    return [leaf.slot] if isinstance(leaf, Hole) else [part for part in leaf.parts if isinstance(part, int)]


def _encode(leaf: Hole | Text, values: Sequence[Any], *, escape: bool) -> str:
    """A leaf as JSON; ``$`` of values twice where Kubernetes would take ``$(NAME)`` for a variable."""
    if isinstance(leaf, Text):
        parts = (p if isinstance(p, str) else _escaped(text(values[p]), escape) for p in leaf.parts)
        return encode_basestring_ascii("".join(parts))
    value = leaf.value(values)
    if isinstance(value, str):
        return encode_basestring_ascii(_escaped(value, escape))
    return json.dumps(value, allow_nan=False)


def _escaped(value: str, escape: bool) -> str:
    return value.replace("$", "$$") if escape and "$" in value else value


def quantities_as_text(node: Any, path: FieldPath = ()) -> Any:
    """Numbers that are quantities become text in place, as the client's models want them."""
    if isinstance(node, dict | list):
        for key, item in list(node.items() if isinstance(node, dict) else enumerate(node)):
            node[key] = quantities_as_text(item, (*path, key))
        return node
    if any(fits(path, pattern) for pattern in _QUANTITIES):
        if isinstance(node, Hole):
            return Hole(node.slot, node.path, as_text=True)
        if is_number(node):
            return text_of(node)
    return node


def signature(value: Any) -> Any:
    """The kind of a value: two with the same fit into the same shape."""
    if isinstance(value, dict):
        return ("dict", *((key, signature(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("list", *map(signature, value))
    if isinstance(value, Json):
        return ("json", signature(value.value))
    return float if isinstance(value, float) else type(value)
