"""sweep.yaml → SweepSpec, or all mistakes at once with the place of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from kgen.errors import InputError, Problem
from kgen.sweep import model
from kgen.sweep.build_stages import build
from kgen.sweep.document import MAX_BYTES, UNUSABLE, Document, parse
from kgen.sweep.document import Path as FieldPath
from kgen.sweep.fields import show
from kgen.sweep.sources import read_at_most
from kgen.sweep.stage_model import StageModel
from kgen.sweep.sweepspec import SweepSpec
from kgen.sweep.translate import MODELS, file_path, near, translate


def load(file: str | Path) -> SweepSpec:
    """Read and check a sweep file. Raises InputError with every mistake in it, or that it can't be read."""
    try:
        content = read_at_most(Path(file), MAX_BYTES)
    except OSError as error:
        raise InputError.of(str(file), "the file", str(error.strerror).lower(), "a readable sweep file") from error
    if len(content) > MAX_BYTES:
        raise InputError.of(str(file), "the file", "a larger one", f"at most {MAX_BYTES:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError.of(str(file), "the file", f"byte {error.start} that is not UTF-8", "UTF-8 text") from error
    return loads(text, file=str(file), strict=True)


def loads(
    text: str,
    *,
    file: str = "sweep.yaml",
    files: Mapping[str, bytes] | None = None,
    assumed: Mapping[str, Any] = MappingProxyType({}),
    strict: bool = False,
) -> SweepSpec:
    """The same from text; ``file`` names it in messages and is where relative paths start. ``files`` are contents that
    stand for files of those names, where the sweep's own folder is not at hand; ``assumed`` keys count where the text
    has none, or nothing behind them. ``strict``: what kgen's own trainer would refuse is a mistake, too; not of a sweep
    that a cluster holds, so that one which another kgen has submitted can be looked at and deleted."""
    document = parse(text, file)
    if not isinstance(document.value, dict):
        found = document.problem((), show(document.value), "a mapping that begins with version: 1")
        raise InputError([*document.problems, found])
    document.value |= {key: value for key, value in assumed.items() if document.value.get(key) is None}
    check = _Check(document)
    parsed = check.validate()
    spec, found_by_several = build(document, parsed, check.broken, files or {}, strict=strict)
    problems = [*document.problems, *check.problems, *found_by_several]
    if problems:
        unique = {(p.line, p.column, p.field, p.found): p for p in problems}
        raise InputError(sorted(unique.values(), key=lambda p: (p.line, p.column, p.field)))
    assert spec is not None, "whatever hides a whole sweep is a mistake"
    return spec


class _Check:
    """Validates a file field by field. What is wrong is replaced by its default and ``broken``, and it is validated
    again, so that mistakes which need several fields to be seen are found beside those of a single one."""

    def __init__(self, document: Document) -> None:
        self.problems: list[Problem] = []
        self.broken: set[FieldPath] = {path[:length] for path in document.faulty for length in _LENGTHS}
        self._document = document
        self._blocks = _copied(_usable(document.value) if document.faulty else document.value)
        stages = self._blocks.get("stages")
        if isinstance(stages, list):
            self._blocks["stages"] = [_copied(stage) if isinstance(stage, dict) else stage for stage in stages]

    def validate(self) -> model.SweepFile:
        """The file, or what is right of it."""
        stand_in: dict[str, Any] = {}
        while True:
            try:
                return model.validate({**stand_in, **self._blocks})
            except ValidationError as error:
                stand_in = _STAND_IN
                items = error.errors()
                meant = {file_path(item["loc"]) for item in items if item["type"] == "extra_forbidden"}
                for item in items:
                    path = file_path(item["loc"])
                    misspelt = item["type"] == "missing" and _is_near(path, meant)
                    if not misspelt and not self._is_known(path, item["type"]):
                        self.problems += translate(self._document, dict(item))
                    self._remove(path, item["type"])

    def _is_known(self, path: FieldPath, kind: str) -> bool:
        """Whether it follows from a problem that is known already."""
        was_removed = kind == "missing" and path in self.broken
        return was_removed or any(path[:length] in self._document.faulty for length in range(1, len(path) + 1))

    def _remove(self, path: FieldPath, kind: str) -> None:
        stages = self._blocks.get("stages")
        if path[0] == "stages" and len(path) > 1 and isinstance(stages, list) and isinstance(path[1], int):
            stage = stages[path[1]]
            if len(path) == 2 or not isinstance(stage, dict):
                self.broken.add(path[:2])
                stages[path[1]] = dict(_STAND_IN_STAGE)
            else:
                self._remove_from(stage, path[2:], kind, path[:2], StageModel)
                stages[path[1]] = {**_STAND_IN_STAGE, **stage}
            return
        self._remove_from(self._blocks, path, kind, (), model.SweepFile)

    def _remove_from(
        self, blocks: dict[str, Any], path: FieldPath, kind: str, prefix: FieldPath, whole: type[BaseModel]
    ) -> None:
        self.broken |= {(*prefix, *path[:1]), (*prefix, *path[:2])}
        name = str(path[0])
        if kind == "extra_forbidden" and len(path) == 1:  # what was meant by it is not missing
            self.broken |= {(*prefix, meant) for meant in near(name, whole.model_fields)}
        if kind == "extra_forbidden" and len(path) == 2 and name in MODELS:
            self.broken |= {(*prefix, name, meant) for meant in near(str(path[1]), MODELS[name].model_fields)}
        block = blocks.get(name)
        is_from = whole is StageModel and path[:2] == ("parameters", "from") and len(path) > 2 and kind != "missing"
        if is_from and isinstance(block, dict) and isinstance(block.get("from"), dict):
            self.broken.add((*prefix, *path[:3]))
            block["from"] = {key: value for key, value in block["from"].items() if key != path[2]}
        elif len(path) > 1 and kind != "missing" and name in MODELS and isinstance(block, dict):
            block.pop(path[1], None)
        else:
            blocks.pop(name, None)


def _usable(value: Any) -> Any:
    """Without keys that pydantic can't read, which the document has noted already."""
    if isinstance(value, list):
        return [_usable(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _usable(item) for key, item in value.items() if not UNUSABLE.search(key)}


def _copied(blocks: dict[str, Any]) -> dict[str, Any]:
    return {name: dict(block) if isinstance(block, dict) else block for name, block in blocks.items()}


def _is_near(path: FieldPath, unknown: set[FieldPath]) -> bool:
    """Whether one of these unknown fields may have been meant for the missing one at that path."""
    return any(near(str(other[-1]), [str(path[-1])]) for other in unknown if other[:-1] == path[:-1])


_STAND_IN: Final[dict[str, Any]] = {"version": 1, "name": "stand-in"}
_STAND_IN_STAGE: Final[dict[str, Any]] = {"name": "stand-in", "parameters": {"stand-in": [0]}}
_LENGTHS: Final = (1, 2, 3, 4, 5)
"""Of paths that matter: of a block and its fields, and of these in a stage, where ``from`` has fields of its own."""
