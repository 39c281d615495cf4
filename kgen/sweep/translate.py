"""pydantic's errors in kgen's words: which field of the file, what was found, what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel

from kgen.errors import Problem
from kgen.sweep import aims, cluster, grids, model, results
from kgen.sweep.document import Document
from kgen.sweep.document import Path as FieldPath
from kgen.sweep.fields import show
from kgen.sweep.stage_model import (
    AroundModel,
    FromModel,
    SearchModel,
    StageExecutionModel,
    StageModel,
    StageTrainerModel,
)


def translate(document: Document, item: dict[str, Any]) -> list[Problem]:
    """One of pydantic's errors, which may be several mistakes in one list."""
    context = item.get("ctx", {})
    path = file_path(item["loc"])
    kind, value = item["type"], item["input"]
    if kind == "kgen":
        key = context["key"] or item["loc"][-1:] == ("[key]",)
        return [
            document.problem((*path, *rest), found, allowed, key=key) for found, allowed, rest in context["mistakes"]
        ]
    if kind == "kgen_parameter" and isinstance(value, dict):
        return [_wrong_kinds(document, path, value, item["msg"])]
    if kind == "extra_forbidden":
        fields = _fields_at(path[:-1])
        words = ", ".join(fields) + did_you_mean(str(path[-1]), fields)
        return [document.problem(path, f"an unknown field {path[-1]!r}", words, key=True)]
    if kind == "missing":
        return [document.problem(path, "nothing", "a value, it is required")]
    allowed = _allowed(kind, context, value, item["msg"])
    if kind in ("enum", "literal_error") and isinstance(value, str):
        allowed += did_you_mean(value, _QUOTED.findall(str(context.get("expected", ""))))
    return [document.problem(path, show(value), allowed)]


def _wrong_kinds(document: Document, path: FieldPath, value: dict[str, Any], allowed: str) -> Problem:
    """A parameter that is a mapping, but with none or several of the keys that say what kind it is."""
    several = [kind for kind in grids.KINDS if kind in value]
    if several:
        return document.problem(path, " and ".join(several), f"exactly one of {', '.join(grids.KINDS)}")
    unknown = next((name for name in value if name != "except"), None)
    if unknown is None:
        return document.problem(path, show(value), allowed)
    if path[-1] == "from" and "stage" in value:
        return document.problem(path, "from an earlier stage", "parameters: {from: …} in a stage only", key=True)
    words = allowed + did_you_mean(unknown, grids.KINDS)
    return document.problem((*path, unknown), f"an unknown field {unknown!r}", words, key=True)


def file_path(location: tuple[str | int, ...]) -> FieldPath:
    """pydantic's location without the names of union members, which do not stand in the file."""
    parts = list(location[:-1] if location[-1:] == ("[key]",) else location)
    if parts[:1] == ["stages"]:
        return (*parts[:2], *_path_in_file(parts[2:]))
    return _path_in_file(parts)


def _path_in_file(parts: list[str | int]) -> FieldPath:
    if parts[:1] == ["parameters"]:
        form = parts[1:2]
        del parts[1:2]  # grid, alternatives or choice
        kind = 3 if len(parts) > 1 and isinstance(parts[1], int) else 2
        if form != ["choice"] or parts[1:2] != ["from"]:
            del parts[kind : kind + 1]
    elif parts[:2] == ["budget", "target"]:
        del parts[3:4]  # share or bound
    elif parts[:1] == ["results"]:
        del parts[1:2]  # url or place
    return tuple("except" if part == "except_" else part for part in parts)


def _fields_at(path: FieldPath) -> list[str]:
    """Names of the fields that the mapping at that path may have."""
    models = MODELS
    if path[:1] == ("stages",):
        path, models = path[2:], STAGE_MODELS
    if path[:2] == ("parameters", "from") and models is STAGE_MODELS:
        return _names_of(AroundModel if len(path) > 2 else FromModel)
    if path[:1] == ("parameters",):
        kind = 3 if isinstance(path[1], int) else 2
        return _names_of(_RANGES[path[kind]]) if len(path) > kind else [*grids.KINDS, "except"]
    if path[:2] == ("budget", "target"):
        return _names_of(aims.Bound)
    for form, block in _INNER.items():
        if len(form) == len(path) and all(name in (None, part) for name, part in zip(form, path, strict=True)):
            return _names_of(block)
    return _names_of(models[path[0] if path else ""])


def _names_of(block: type[BaseModel]) -> list[str]:
    return [*block.model_fields]


_RANGES: Final[dict[str | int, type[BaseModel]]] = {
    "linear": grids.LinearRange,
    "log": grids.LogRange,
    "int": grids.IntRange,
}
MODELS: Final[dict[str | int, type[BaseModel]]] = {
    "": model.SweepFile,
    "objective": aims.ObjectiveModel,
    "trainer": model.TrainerModel,
    "budget": aims.BudgetModel,
    "search": SearchModel,
    "results": results.ResultsModel,
    "local": model.LocalModel,
    "kubernetes": cluster.KubernetesModel,
    "execution": cluster.ExecutionModel,
    "report": model.ReportModel,
}
STAGE_MODELS: Final[dict[str | int, type[BaseModel]]] = {
    "": StageModel,
    "objective": aims.ObjectiveModel,
    "trainer": StageTrainerModel,
    "budget": aims.BudgetModel,
    "search": SearchModel,
    "execution": StageExecutionModel,
}
_INNER: Final[dict[tuple[str | None, ...], type[BaseModel]]] = {  # None stands for any name or number
    ("kubernetes", "gpu"): cluster.GpuModel,
    ("kubernetes", "secret_env", None): cluster.SecretKeyModel,
    ("kubernetes", "volumes", None): cluster.VolumeModel,
}


def near(word: str, known: Iterable[str], likeness: float = 0.6) -> list[str]:
    """The known word that may have been meant, if there is one; ``likeness`` is 1 for the word itself."""
    names = list(known)
    other = _OTHER_WORDS.get(word.lower().replace("-", "_"))
    return [other] if other in names else difflib.get_close_matches(word[:64], names, 1, likeness)


_QUOTED: Final = re.compile(r"'([^']*)'")
_OTHER_WORDS: Final = {
    "lr": "learning_rate",
    "alpha": "learning_rate",
    "eta": "learning_rate",
    "opt": "optimizer",
    "bs": "batch_size",
    "width": "scale",
    "dropout_rate": "dropout",
    "accuracy": "train_accuracy",
    "acc": "train_accuracy",
    "val_acc": "val_accuracy",
    "test_accuracy": "val_accuracy",
    "test_loss": "val_loss",
    "train_loss": "loss",
    "bayes": "tpe",
    "bayesian": "tpe",
    "bayesian_optimization": "tpe",
    "optuna": "tpe",
    "asha": "halving",
    "hyperband": "halving",
    "successive_halving": "halving",
    "binary": "bisection",
    "lr_find": "range-test",
    "lr_finder": "range-test",
    "quasi_random": "sobol",
    "random_search": "random",
}
"""What others call it, where that does not look alike."""


def did_you_mean(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """The end of a message that lists what is known."""
    return "".join(f"; did you mean {name}?" for name in near(word, known, likeness))


def _allowed(kind: str, context: Mapping[str, Any], value: Any, message: str) -> str:
    match kind:
        case "string_type":
            return f'text: "{show(value)}"' if isinstance(value, bool | int | float) else "text"
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
        case "too_short":
            return "at least one"
        case "string_too_short":
            return "text that is not empty"
        case "too_long":
            return f"at most {context['max_length']:,}"
    return message[:1].lower() + message[1:]
