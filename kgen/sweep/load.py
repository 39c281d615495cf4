"""sweep.yaml → SweepSpec, or all mistakes at once with the place of each."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from kgen.errors import InputError, Problem
from kgen.spec import STEPS_TO_TARGET, TO_TARGET, Budget, Direction, Objective, Target, Value, text_of
from kgen.sweep import model, space
from kgen.sweep.command import places_in
from kgen.sweep.document import MAX_BYTES, Document, parse
from kgen.sweep.document import Path as FieldPath
from kgen.sweep.sweepspec import Local, SweepSpec, Trainer

MAX_TRIALS: Final = 1_000_000
MAX_FILES_BYTES: Final = 900_000
"""Of ``trainer.files`` together: they must fit into one ConfigMap of 1 MiB."""
BUILT_IN: Final = ("python", "-m", "kgen_trainer")


def load(file: str | Path) -> SweepSpec:
    """Read and check a sweep file. Raises InputError with every mistake in it, or that it can't be read."""
    path = Path(file)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError.of(str(file), "the file", f"{path.stat().st_size:,} bytes", f"at most {MAX_BYTES:,} bytes")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError.of(str(file), "the file", str(error.strerror).lower(), "a readable sweep file") from error
    except UnicodeDecodeError as error:
        raise InputError.of(str(file), "the file", f"byte {error.start} that is not UTF-8", "UTF-8 text") from error
    return loads(text, file=str(file))


def loads(text: str, *, file: str = "sweep.yaml") -> SweepSpec:
    """The same from text; ``file`` names it in messages and is where relative paths start."""
    document = parse(text, file)
    if not isinstance(document.value, dict):
        raise InputError([document.problem((), model.show(document.value), "a mapping that begins with version: 1")])
    try:
        parsed = model.SweepFile.model_validate(document.value)
    except ValidationError as error:
        raise InputError(_sorted(_translate(document, error))) from error
    builder = _Builder(document, parsed)
    spec = builder.build()
    if builder.problems:
        raise InputError(_sorted(builder.problems))
    return spec


def _sorted(problems: list[Problem]) -> list[Problem]:
    unique = {(p.line, p.column, p.field, p.found): p for p in problems}
    return sorted(unique.values(), key=lambda p: (p.line, p.column, p.field))


# -- pydantic's errors in kgen's words ----------------------------------------------------------------------------


def _translate(document: Document, error: ValidationError) -> list[Problem]:
    return [_problem(document, dict(item)) for item in error.errors()]


def _problem(document: Document, item: dict[str, Any]) -> Problem:
    context = item.get("ctx", {})
    path = _file_path(item["loc"])
    kind, value = item["type"], item["input"]
    if kind == "kgen":
        path = (*path, *context["path"])
        return document.problem(path, context["found"], context["allowed"], key=item["loc"][-1:] == ("[key]",))
    if kind == "kgen_parameter":
        known = list(value)[0] if isinstance(value, dict) and value else ""
        hint = _did_you_mean(str(known), ("values", "linear", "log", "int"))
        return document.problem(path, model.show(value), item["msg"] + hint)
    if kind == "extra_forbidden":
        allowed = _fields_at(path[:-1])
        words = ", ".join(allowed)
        found = f"an unknown field {path[-1]!r}"
        return document.problem(path, found, words + _did_you_mean(str(path[-1]), allowed), key=True)
    if kind == "missing":
        return document.problem(path, "nothing", "a value, it is required")
    return document.problem(path, model.show(value), _allowed(kind, context, item["msg"]))


def _file_path(location: tuple[str | int, ...]) -> FieldPath:
    """pydantic's location without the names of union members, which do not stand in the file."""
    parts = [part for part in location if part not in ("[key]", "float", "Bound")]
    if parts[:1] == ["parameters"]:
        if len(parts) > 1 and parts[1] in model.GRID_TAGS:
            del parts[1]
        name = 2 if len(parts) > 1 and isinstance(parts[1], int) else 1
        if len(parts) > name + 1 and parts[name + 1] in model.PARAMETER_TAGS:
            del parts[name + 1]
    return tuple("except" if part == "except_" else part for part in parts)


def _fields_at(path: FieldPath) -> list[str]:
    """Names of the fields that the mapping at that path may have."""
    current: Any = model.SweepFile
    for part in path:
        if isinstance(part, int):
            continue
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = _model_in(current.model_fields[part].annotation) or current
        elif part in ("linear", "log", "int"):
            current = {"linear": model.LinearRange, "log": model.LogRange, "int": model.IntRange}[part]
    if path[:1] == ("parameters",) and current is model.SweepFile:
        return ["values", "linear", "log", "int", "except"]
    return [field.alias or name for name, field in current.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _did_you_mean(word: str, known: list[str] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, known, 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _allowed(kind: str, context: Mapping[str, Any], message: str) -> str:
    match kind:
        case "string_type":
            return "text"
        case "list_type":
            return "a list"
        case "dict_type" | "model_type":
            return "a mapping"
        case "enum" | "literal_error":
            return str(context.get("expected", message)).replace("'", "")
        case "greater_than_equal":
            return f"a whole number from {context['ge']}"
        case "less_than_equal":
            return f"at most {context['le']:,}"
        case "too_short" | "string_too_short":
            return f"at least {context.get('min_length', 1)} of them"
        case "too_long":
            return f"at most {context['max_length']:,}"
    return message[:1].lower() + message[1:]


# -- what only the whole file shows -------------------------------------------------------------------------------


class _Builder:
    """Makes the SweepSpec and collects the mistakes that no single field shows."""

    def __init__(self, document: Document, parsed: model.SweepFile) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._parsed = parsed
        self._file = Path(document.file)

    def build(self) -> SweepSpec:
        parsed = self._parsed
        alternatives = tuple(self._alternatives())
        budget = self._budget()
        size = sum(math.prod(len(v) for v in grid.values()) for grid in alternatives) * parsed.repeats
        if size > MAX_TRIALS:
            self._wrong(("parameters",), f"{size:,} trials", f"at most {MAX_TRIALS:,} trials")
        if parsed.seed + parsed.repeats - 1 > model.MAX_SEED:
            self._wrong(("seed",), str(parsed.seed), f"at most {model.MAX_SEED} with all repeats")
        return SweepSpec(
            name=parsed.name,
            seed=parsed.seed,
            repeats=parsed.repeats,
            objective=self._objective(budget),
            trainer=self._trainer(alternatives),
            alternatives=alternatives,
            budget=budget,
            results=(self._file.parent / parsed.results / parsed.name),
            local=Local(
                processes=None if parsed.local.processes == "auto" else parsed.local.processes, gpus=parsed.local.gpus
            ),
            file=self._file,
            text=self._document.text,
            size=size,
        )

    def _wrong(self, path: FieldPath, found: str, allowed: str) -> None:
        self.problems.append(self._document.problem(path, found, allowed))

    def _alternatives(self) -> Iterator[Mapping[str, tuple[Value, ...]]]:
        grids = self._parsed.parameters
        for grid in grids if isinstance(grids, list) else [grids]:
            yield MappingProxyType({name: _values(parameter) for name, parameter in grid.items()})

    def _budget(self) -> Budget:
        given = self._parsed.budget
        target = None
        for metric, bound in (given.target or {}).items():
            if isinstance(bound, model.Bound):
                low = bound.at_least is not None
                value = bound.at_least if low else bound.at_most
                target = Target(metric, float(value), Direction.AT_LEAST if low else Direction.AT_MOST)
            else:
                target = Target(metric, float(bound))
        if given.steps is None and given.seconds is None and tuple(self._parsed.trainer.command) == BUILT_IN:
            self._wrong(("budget",), "neither steps nor seconds", "at least one of them, so that every trial ends")
        return Budget(
            target=target,
            steps=given.steps,
            seconds=given.seconds,
            check_every_steps=given.check_every_steps,
            evaluate_every_steps=given.evaluate_every_steps,
        )

    def _objective(self, budget: Budget) -> Objective:
        given = self._parsed.objective
        if given is None:
            if budget.target is None:
                self._wrong(("objective",), "nothing", "a metric, because budget.target is not set either")
            return Objective(STEPS_TO_TARGET)
        if given.metric in TO_TARGET and budget.target is None:
            self._wrong(("objective", "metric"), given.metric, "a reported metric, or a budget.target to count to")
        return Objective(given.metric, given.goal, given.at)

    def _trainer(self, alternatives: tuple[Mapping[str, Any], ...]) -> Trainer:
        given = self._parsed.trainer
        for i, word in enumerate(given.command):
            for place in places_in(word):
                if place != "seed" and not all(place in grid for grid in alternatives):
                    known = [name for name in alternatives[0] if all(name in grid for grid in alternatives)]
                    self._wrong(
                        ("trainer", "command", i),
                        f"the place {{{place}}}",
                        f"{{seed}} or a parameter that every trial has: {', '.join(known) or 'there is none'}"
                        f"{_did_you_mean(place, known)}; write {{{{ for a brace",
                    )
        self._check_config(given.config, ("trainer", "config"))
        return Trainer(
            command=tuple(given.command),
            arguments=given.arguments,
            metrics=given.metrics,
            files=MappingProxyType(dict(self._files(given.files))),
            config=MappingProxyType(given.config),
            env=MappingProxyType({name: text_of(value) for name, value in given.env.items()}),
            revision=given.revision or "",
            image=given.image or "",
        )

    def _check_config(self, value: Any, path: FieldPath) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                self._check_config(item, (*path, key))
        elif isinstance(value, list):
            for i, item in enumerate(value):
                self._check_config(item, (*path, i))
        elif isinstance(value, float) and not math.isfinite(value):
            self._wrong(path, model.show(value), "a finite number")

    def _files(self, given: list[str]) -> Iterator[tuple[str, bytes]]:
        total = 0
        for i, name in enumerate(given):
            path: FieldPath = ("trainer", "files", i)
            if not _is_inside(name):
                self._wrong(path, model.show(name), "a path below the folder of the sweep file")
                continue
            if name in given[:i]:
                self._wrong(path, f"{name} again", "each file once")
                continue
            try:
                content = (self._file.parent / name).read_bytes()
            except OSError as error:
                self._wrong(path, f"{name}: {str(error.strerror).lower()}", "a readable file beside the sweep file")
                continue
            total += len(content)
            if total > MAX_FILES_BYTES:
                self._wrong(path, f"{total:,} bytes up to here", f"at most {MAX_FILES_BYTES:,} bytes in all files")
            yield name, content


def _is_inside(name: str) -> bool:
    return bool(name) and "\0" not in name and not name.startswith("/") and ".." not in re.split(r"[/\\]", name)


def _values(parameter: Any) -> tuple[Value, ...]:
    if isinstance(parameter, BaseModel):
        return parameter.points  # type: ignore[attr-defined,no-any-return]
    return space.same_type(parameter if isinstance(parameter, list) else [parameter])
