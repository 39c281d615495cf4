"""The JSON Schema that editors complete from agrees with what kgen accepts."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kgen.errors import InputError
from kgen.sweep import loads
from kgen.sweep.document import parse
from kgen.sweep.schema import schema
from tests.unit.sweep.sweeps import text

ROOT = Path(__file__).parents[3]
EXAMPLES = [path for path in sorted((ROOT / "examples").rglob("*.yaml")) if "results" not in path.parts]
SCHEMA = schema()
DRAFTS = [jsonschema.Draft202012Validator, jsonschema.Draft7Validator]
"""The second is what the YAML server of many editors knows."""


def is_valid(file: str, draft: Any = jsonschema.Draft202012Validator) -> bool:
    return bool(draft(SCHEMA).is_valid(parse(file, "sweep.yaml").value))


@pytest.mark.parametrize("draft", DRAFTS)
def test_it_is_a_schema(draft: Any) -> None:
    draft.check_schema(SCHEMA)


def test_there_are_examples() -> None:
    assert {path.name for path in EXAMPLES} >= {"quickstart.yaml", "argparse-script.yaml", "shell.yaml"}


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_it_accepts_every_example(path: Path, draft: Any) -> None:
    draft(SCHEMA).validate(parse(path.read_text(encoding="utf-8"), str(path)).value)


def test_it_accepts_what_init_writes() -> None:
    file = importlib.resources.files("kgen.sweep").joinpath("init.yaml").read_text(encoding="utf-8")
    assert is_valid(file)


RANGES = "{optimizer: [sgd, adam], learning_rate: {log: {start: 1e-4, stop: 10}}}"


def stages(
    source: str = "{stage: grid, per: x}", more: str = "repeats: 2", name: str = "grid"
) -> dict[str, str | None]:
    """The blocks of a file of two stages."""
    grid = f"name: {name}, parameters: {{x: [1, 2], y: [0.1, 1]}}, budget: {{steps: 1, target: {{b: 1}}}}"
    best = f"name: best, parameters: {{from: {source}}}, budget: {{steps: 1, target: {{b: 1}}}}, {more}"
    return {"parameters": None, "budget": None, "stages": f"[{{{grid}}}, {{{best}}}]"}


ACCEPTED: list[dict[str, str | None]] = [
    {},
    {"parameters": "[{a: [1]}, {b: x, c: true}]"},
    {"parameters": "{a: {log: {start: 1e-6, stop: 1, num: 7}, except: [1]}}"},
    {"parameters": "{a: {linear: {start: 0, stop: 1, step: .5}}}"},
    {"parameters": "{a: {int: {start: 1, stop: 3}}, b: {values: [x, 1, true]}, c: {log: {start: 1, stop: 9, num: 2}}}"},
    {"budget": "{seconds: 0.5, steps: 1, target: {loss: {at_most: 0.1}}, evaluate_every_steps: 3}"},
    {"objective": "{metric: loss, goal: minimize, at: best}"},
    {"trainer": "{command: [a, '{seed}'], arguments: flags, metrics: file, config: {x: [1, null]}, env: {A: 1, B: x}}"},
    {"local": "{processes: 3, gpus: 0}"},
    {"local": "{processes: auto}", "seed": "9", "repeats": "3", "results": "/data/results"},
    {"results": "{url: s3://lab/x, endpoint: 'https://minio.example', region: eu-1}"},
    {"parameters": RANGES, "search": "{}"},
    {"parameters": RANGES, "search": "{method: tpe, per: optimizer, trials: 8, improvement: 0.05, parallel: 2}"},
    {"parameters": RANGES, "search": "{method: halving, per: [optimizer], reduction: 2, min_steps: 3}"},
    {"parameters": RANGES, "search": "{method: range-test, per: optimizer, min_steps: 30, steps: 300}"},
    stages(),
    stages("{stage: grid, best: loss, goal: minimize, at: best, per: [x], where: {x: 1}, top: 1, neighbours: 2}"),
    stages("{stage: grid, per: x, where: {x: [1, 2]}, along: y, around: {factor: 4, num: 7}}, z: {values: [1]}"),
    stages(more="repeats: 3, seed: 9, trainer: {config: {a: 1}}, execution: {packing: fused, timing_sample: 2}"),
    stages(more="objective: {metric: b, goal: maximize, at: best}"),
]
REFUSED: list[dict[str, str | None]] = [
    {"version": "2"},
    {"version": None},
    {"name": None},
    {"name": "My_Sweep"},
    {"name": "a" * 41},
    {"name": "7"},
    {"parameters": None},
    {"parameters": "{}"},
    {"parameters": "[]"},
    {"parameters": "[{}]"},
    {"parameters": "3"},
    {"parameters": "{a: []}"},
    {"parameters": "{a: [1, 1.0]}"},
    {"parameters": "{a: [[1]]}"},
    {"parameters": "{a: null}"},
    {"parameters": "{a b: [1]}"},
    {"parameters": "{a: {lgo: {start: 1, stop: 2, num: 2}}}"},
    {"parameters": "{a: {log: {start: 1, stop: 2, num: 2}, linear: {start: 1, stop: 2, num: 2}}}"},
    {"parameters": "{a: {log: {start: 1, stop: 2}}}"},
    {"parameters": "{a: {log: {start: 1, stop: 2, num: 2, per_decade: 2}}}"},
    {"parameters": "{a: {log: {start: 0, stop: 2, num: 2}}}"},
    {"parameters": "{a: {log: {start: 1, num: 2}}}"},
    {"parameters": "{a: {linear: {start: 1, stop: 2, num: 1.5}}}"},
    {"parameters": "{a: {linear: {start: 1, stop: 2, num: 100001}}}"},
    {"parameters": "{a: {int: {start: 1, stop: x}}}"},
    {"budget": "{step: 1}"},
    {"budget": "{steps: 0}"},
    {"budget": "{seconds: 0}"},
    {"budget": "{target: {a: 97}}"},
    {"budget": "{target: {a: {at_least: 1, at_most: 2}}}"},
    {"budget": "{target: {a: {}}}"},
    {"budget": "{target: {a: 0.1, b: 0.1}}"},
    {"objective": "{goal: minimize}"},
    {"objective": "{metric: a, goal: minimise}"},
    {"trainer": "{comand: [a]}"},
    {"trainer": "{command: []}"},
    {"trainer": "{command: python}"},
    {"trainer": "{metrics: maybe}"},
    {"trainer": "{env: {1A: x}}"},
    {"trainer": "{env: {KGEN_A: x}}"},
    {"trainer": "{env: {A: [x]}}"},
    {"local": "{processes: 0}"},
    {"local": "{processes: all}"},
    {"results": "ftp://bucket"},
    {"results": "{url: ftp://bucket}"},
    {"results": "{url: s3://lab, endpoint: minio}"},
    {"results": "{endpoint: 'https://minio.example'}"},
    {"results": "{url: s3://lab, bucket: a}"},
    {"kubernetes": "{queue: Team}"},
    {"kubernetes": "{gpu: {sharing: yes}}"},
    {"kubernetes": "{resources: {cpu: many}}"},
    {"kubernetes": "{deadline: soon}"},
    {"kubernetes": "{volumes: [{name: a, mount_path: /a}]}"},
    {"execution": "{max_parallel: 0}"},
    {"results": "~/results"},
    {"results": "''"},
    {"seed": "-1"},
    {"repeats": "0"},
    {"bugdet": "{}"},
    {"parameters": "{a: {linear: {start: 1, stop: 2}}}"},
    {"parameters": "[{b: [1]}, {a: {log: {start: 1, stop: 2}}}]"},
    {"parameters": RANGES, "search": "{method: grid}"},
    {"parameters": RANGES, "search": "{trials: 0}"},
    {"parameters": RANGES, "search": "{improvement: 0}"},
    {"parameters": RANGES, "search": "{per: []}"},
    {"parameters": RANGES, "search": "{metod: tpe}"},
    {"parameters": "{a: {log: {start: 1, stop: 2, num: 2, per_decade: 2}}}", "search": "{}"},
    {**stages(), "parameters": "{a: [1]}"},
    {**stages(), "search": "{}"},
    {**stages(), "stages": "[]"},
    stages("{per: x}"),
    stages("{stage: grid, neighbors: 1}"),
    stages("{stage: grid, neighbours: 1, around: {factor: 2}}"),
    stages("{stage: grid, around: {factor: 1}}"),
    stages("{stage: grid, top: 0}"),
    stages("{stage: grid}, y: {log: {start: 1, stop: 2}}"),
    stages(more="repeats: 0"),
    stages(more="trainer: {command: [x]}"),
    stages(more="execution: {trials_per_pod: 2}"),
    stages(name="main"),
    stages(name="Grid"),
]


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("blocks", ACCEPTED, ids=str)
def test_what_kgen_accepts_it_accepts(blocks: dict[str, str | None], draft: Any) -> None:
    loads(text(**blocks))
    draft(SCHEMA).validate(parse(text(**blocks), "sweep.yaml").value)


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("blocks", REFUSED, ids=str)
def test_an_obvious_mistake_is_refused_by_both(blocks: dict[str, str | None], draft: Any) -> None:
    with pytest.raises(InputError):
        loads(text(**blocks))
    assert not is_valid(text(**blocks), draft)


# -- what editors show --------------------------------------------------------------------------------------------


def properties(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        for name, value in node.get("properties", {}).items():
            yield f"{path}/{name}", value
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from properties(value, f"{path}/{key}")


def test_every_field_has_a_description() -> None:
    found = dict(properties(SCHEMA))
    assert len(found) > 30
    assert [path for path, value in found.items() if not value.get("description", "").strip()] == []


def references(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_nothing_stands_beside_a_reference_where_older_editors_would_not_see_it() -> None:
    found = list(references(SCHEMA))
    assert found
    assert all(list(node) == ["$ref"] for node in found)


def test_no_class_of_kgens_own_shows_up_as_a_title() -> None:
    assert SCHEMA["title"] == "kgen sweep"
    assert "title" not in SCHEMA["properties"]["budget"]
    assert all("title" not in node for node in SCHEMA["$defs"].values())
