"""A Job in the making: the template's tree, one pack's values for its holes, and what is wrong with it so far."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kgen.render.tree import Hole, Origin, Origins, Text
from kgen.sweep import SweepSpec
from kgen.sweep.document import Path as FieldPath
from kgen.sweep.fields import show

POD: Final[FieldPath] = ("spec", "template", "spec")
"""Where a Job has its pod's spec."""


class Slot(enum.IntEnum):
    """The first slots of every list of values; those of the template's tokens come after them."""

    NAME = 0
    ID = 1
    """Of the pack; that of the trial where the Job is one trial's."""
    PARAMETERS = 2
    """JSON text; of one trial only, as the next two."""
    SEED = 3
    """Text."""
    TRIAL = 4
    """JSON text."""
    COMMAND = 5
    """List of words."""
    SPEC = 6
    """Hash of the manifest, filled in last."""
    TRIALS = 7
    """Ids with commas between them."""
    CONFIG_MAP = 8
    """Name of that which holds a pack's trials."""


@dataclass(frozen=True, slots=True)
class PackKind:
    """What the Jobs of packs may differ by, beside the values in their holes."""

    deadline: int | None
    """Seconds of the pod, for all its trials."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong at a path of a Job, or at a place that is known already."""

    path: FieldPath
    found: str
    allowed: str
    origin: Origin | None = None
    key: bool = False
    """It is the key that is wrong."""


@dataclass(slots=True)
class Merged:
    """A Job with everything in it, and what was noticed on the way."""

    tree: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)


class Draft:
    """Reads the tree as the template's author meant it, and collects mistakes and notes."""

    def __init__(
        self, spec: SweepSpec, namespace: str, values: Sequence[Any], origins: Origins, tree: Any, pack: PackKind | None
    ) -> None:
        self.spec = spec
        self.pack = pack
        """None for the Job of one trial."""
        self.namespace = namespace
        self.values = values
        self.origins = origins
        self.root = tree
        self.out = Merged()
        self.container_path: FieldPath = ()
        """Of the container that trains."""

    def value(self, leaf: Any) -> Any:
        """What a leaf is for the pack at hand; anything else is itself."""
        return leaf.value(self.values) if isinstance(leaf, Hole | Text) else leaf

    def wrong(self, path: FieldPath, found: str, allowed: str) -> None:
        """A mistake at that path of the tree."""
        origin = self.origins.of(self.root, path)
        self.out.mistakes.append(Mistake(path, found, allowed, origin))

    def wrong_in_file(self, path: FieldPath, found: str, allowed: str) -> None:
        """A mistake in the sweep file, at that path of it."""
        self.out.mistakes.append(Mistake(path, found, allowed, Origin("sweep", path)))

    def note(self, text: str) -> None:
        """Something that the template's author should know."""
        self.out.notes.append(text)

    def mapping(self, owner: dict[str, Any], key: str, path: FieldPath) -> dict[str, Any]:
        """The mapping there, a new one where there is nothing."""
        value = self.value(owner.get(key))
        if value is None:
            value = {}
        elif not isinstance(value, dict):
            self.wrong(path, show(value), "a mapping")
            value = {}
        owner[key] = value
        return value

    def sequence(self, owner: dict[str, Any], key: str, path: FieldPath) -> list[Any]:
        """The list there, an empty one where there is nothing."""
        value = self.value(owner.get(key))
        if value is None:
            return []
        if not isinstance(value, list):
            self.wrong(path, show(value), "a list")
            return []
        return value

    def fill_in(self, owner: dict[str, Any], key: str, value: Any) -> None:
        """Put in a value where the template says nothing."""
        if self.value(owner.get(key)) is None:
            owner[key] = value
