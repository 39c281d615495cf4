"""Sweep files for tests, and what loading them says."""

from __future__ import annotations

import json

import pytest

from kgen.errors import InputError, Problem
from kgen.spec import TrialSpec, Value
from kgen.sweep import expand, loads

BLOCKS = {
    "version": "1",
    "name": "sweep",
    "parameters": "{a: [1, 2]}",
    "budget": "{steps: 10, target: {accuracy: 0.9}}",
}


def text(**blocks: str | None) -> str:
    """A valid file of one line per block, with these blocks instead; None leaves one out."""
    merged = {**BLOCKS, **blocks}
    return "".join(f"{name}: {value}\n" for name, value in merged.items() if value is not None)


def foreign(**blocks: str | None) -> str:
    """The same for anybody's trainer: a file on disk is checked by what kgen's own knows, too."""
    return text(**{**blocks, "trainer": blocks.get("trainer", "{command: [train]}")})


def trials(**blocks: str | None) -> tuple[TrialSpec, ...]:
    return expand(loads(text(**blocks)))


def values(parameter: str) -> list[Value]:
    """The values of one parameter, as trials get them."""
    return [trial.parameters["a"] for trial in trials(parameters=f"{{a: {parameter}}}")]


def ids(file: str) -> list[str]:
    return [trial.id for trial in expand(loads(file))]


def problems(file: str) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        loads(file)
    return caught.value.problems


def messages(file: str) -> list[str]:
    """``LINE:COLUMN field: found X, allowed Y`` of each mistake."""
    return [str(problem).removeprefix("sweep.yaml:").replace(": ", " ", 1) for problem in problems(file)]


def only_message(**blocks: str | None) -> str:
    (message,) = messages(text(**blocks))
    return message


def quoted(content: str) -> str:
    """Any text as YAML: in quotes, with escapes for what may not stand there."""
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in json.dumps(content, ensure_ascii=False))
