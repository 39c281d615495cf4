"""A name in a template that does not exist: what it may have been meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final

from jinja2.utils import missing

from kgen.render.sandbox import UnknownName

_OF_ONE_KIND: Final[Mapping[str, tuple[str, str]]] = {
    "trial": (
        "what is of one trial, for a Job of several",
        "pack.id, pack.name, pack.stage, pack.budget or pack.trials, or execution.trials_per_pod: 1; "
        "{% if trial is defined %} for both",
    ),
    "pack": (
        "what is of several trials, for the Job of one",
        "trial.id, trial.name and so on, or execution.trials_per_pod from 2; {% if pack is defined %} for both",
    ),
}
"""Variables that only some Jobs have: what was found, and what is allowed."""


def explain(error: UnknownName, context: Mapping[str, Any], globals_: Mapping[str, Any]) -> tuple[str, str, str]:
    """Field, found and allowed of a name that does not exist."""
    name = str(error.name)
    if error.owner is missing and name in _OF_ONE_KIND:
        return name, *_OF_ONE_KIND[name]
    if error.owner is missing:
        known, prefix = [*context, *globals_], ""
    elif isinstance(error.owner, dict):
        known, prefix = [*map(str, error.owner)], _name_of(error.owner, context)
    else:
        kind = type(error.owner).__name__
        return name, f"{name!r} of a value of the kind {kind}, which is not there or not allowed", "another expression"
    near = "".join(f"; did you mean {word}?" for word in difflib.get_close_matches(name, known, 1))
    return f"{prefix}{name}", "a name that does not exist", f"one of {', '.join(known) or 'nothing'}{near}"


def _name_of(owner: object, context: Mapping[str, Any]) -> str:
    """The path of a mapping in the context, with a dot behind it."""
    waiting: list[tuple[str, Any]] = [(f"{name}.", value) for name, value in context.items()]
    while waiting:
        name, value = waiting.pop()
        if value is owner:
            return name
        if isinstance(value, dict):
            waiting += [(f"{name}{key}.", item) for key, item in value.items()]
    return ""
