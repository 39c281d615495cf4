"""The mistakes that only several fields of sweep.yaml show, and where each of the fields stands."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from kgen.errors import Problem
from kgen.sweep.document import Document, Path, field_name

_OWN: Final = ("name", "parameters", "search")
"""Blocks that stages have and never share."""
_SHARED: Final = {"trainer": 3, "execution": 2}
"""Blocks of which a stage has some fields and the file the others: length of the path of such a field."""


class Findings:
    """Collects mistakes, for the file or for one of its stages.

    ``broken`` fields have mistakes of their own and stand-ins: nothing is said of what depends on them.
    """

    def __init__(self, document: Document, broken: Collection[Path], stage: int | None = None) -> None:
        self.problems: list[Problem] = []
        self.stage = stage
        self._document = document
        self._broken = broken
        stages = document.value.get("stages")
        self._own: dict[str, Any] = {}
        if stage is not None and isinstance(stages, list) and stage < len(stages) and isinstance(stages[stage], dict):
            self._own = stages[stage]

    @property
    def document(self) -> Document:
        """The file."""
        return self._document

    def names_of_stages(self) -> list[Any]:
        """Of all stages in the file's order, as they stand there."""
        stages = self._document.value.get("stages")
        return [stage.get("name") if isinstance(stage, dict) else None for stage in stages or ()]

    def of_stage(self, number: int) -> Findings:
        """The same for that stage: paths are those of a file without stages."""
        made = Findings(self._document, self._broken, number)
        made.problems = self.problems
        return made

    def at(self, path: Path) -> Path:
        """Where that field of the stage stands: in the stage, or in the file, whose values hold for all stages."""
        return ("stages", self.stage, *path) if self.stage is not None and self._is_own(path) else path

    def _is_own(self, path: Path) -> bool:
        name = str(path[0])
        if name not in _SHARED:
            return name in self._own or name in _OWN or name not in self._document.value
        depth = _SHARED[name]
        inner: Any = self._own
        for part in path[:depth]:
            inner = inner.get(part, self) if isinstance(inner, dict) else self
        return len(path) >= depth and inner is not self

    def name(self, path: Path) -> str:
        """That field as messages have it."""
        return field_name(self.at(path))

    def raw(self, name: str) -> Any:
        """That block as it stands in the file, whatever is wrong with it."""
        return self._own.get(name) if self.at((name,)) != (name,) else self._document.value.get(name)

    def is_sound(self, *paths: Path) -> bool:
        """Whether none of these fields has a mistake of its own."""
        return not any(self.at(path) in self._broken or path in self._broken for path in paths)

    def wrong(self, path: Path, found: str, allowed: str, *, key: bool = False, here: bool = False) -> None:
        """A mistake at that field; ``here``: of the stage, also where it has the file's value."""
        where = ("stages", self.stage, *path) if here and self.stage is not None else self.at(path)
        self.problems.append(self._document.problem(where, found, allowed, key=key))

    def lacking(self, path: Path, found: str, allowed: str, *, beside: Path) -> None:
        """A field that is missing, shown at its block, or where that is missing too, ``beside`` another one."""
        block = path[:1] if self.raw(str(path[0])) is not None else beside
        place = self._document.place(self.at(block), key=block == beside)
        self.problems.append(self._document.problem_at(place, self.name(path), found, allowed))
