"""Whether a Job is one that the API server would take: its fields and their types, by the client's own models.

The only place of the renderer that imports ``kubernetes``; that costs 0.3 s, so only when there is a Job to check.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from kgen.render.draft import Mistake
from kgen.sweep.document import Path as FieldPath
from kgen.sweep.fields import show
from kgen.sweep.translate import did_you_mean

_SHOWN_FIELDS: Final = 24
_TYPES: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def field_mistakes(job: dict[str, Any]) -> list[Mistake]:
    """Every unknown, missing or mistyped field of a Job, with its path."""
    from kubernetes.client import V1Job

    found = list(_unknown_fields(job, V1Job, ()))
    try:
        V1Job.model_validate(job)
    except ValidationError as error:
        found += [_mistake(item) for item in error.errors() if item["type"] != "extra_forbidden"]
    return found


def _mistake(item: Any) -> Mistake:
    path: FieldPath = item["loc"]
    if item["type"] == "missing":
        return Mistake(path, "nothing", "a value, it is required")
    value = item["input"]
    allowed = _TYPES.get(item["type"], item["msg"][:1].lower() + item["msg"][1:])
    if item["type"] == "string_type" and isinstance(value, bool | int | float):
        allowed = "text: put it in quotes"
    return Mistake(path, show(value), allowed)


def _unknown_fields(value: Any, kind: Any, path: FieldPath) -> Iterator[Mistake]:
    """Of a value that should be of that type; the names that the API has, not those of the client's attributes."""
    if isinstance(value, list):
        inner = _part(kind, list)
        for i, item in enumerate(value):
            yield from _unknown_fields(item, inner, (*path, i))
    elif isinstance(value, dict):
        model = _model(kind)
        fields = model.model_fields if model else {}
        known = {field.serialization_alias or name: field.annotation for name, field in fields.items()}
        inner = _part(kind, dict)
        for key, item in value.items():
            if model is not None and key not in known:
                yield Mistake((*path, key), f"an unknown field {key!r}", _names(key, model, known), key=True)
            else:
                yield from _unknown_fields(item, known.get(key, inner), (*path, key))


def _part(kind: Any, container: type) -> Any:
    """Type of the items of such a container, where the type (perhaps of several) allows one."""
    for option in (kind, *typing.get_args(kind)):
        if typing.get_origin(option) is container:
            return typing.get_args(option)[-1]
    return None


def _model(kind: Any) -> type[BaseModel] | None:
    options = (kind, *typing.get_args(kind))
    return next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)


def _names(key: str, model: type[BaseModel], known: dict[str, Any]) -> str:
    near = did_you_mean(key, known)
    if len(known) <= _SHOWN_FIELDS:
        return f"one of {', '.join(known)}{near}"
    return f"a field of {model.__name__.removeprefix('V1')}{near}"
