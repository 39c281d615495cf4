"""Sweeps and templates to render in tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kgen.errors import InputError
from kgen.render import Manifest, Rendered, render
from kgen.sweep import SweepSpec, expand, loads
from tests.unit.sweep.sweeps import text

BLOCKS = {
    "trainer": "{image: 'registry.example/trainer:1.0'}",
    "results": "pvc://results/team",
    "parameters": "{a: [1, 2]}",
}


def spec(*, template: str | None = None, files: Mapping[str, bytes] | None = None, **blocks: str | None) -> SweepSpec:
    """A sweep that can go on a cluster, with these blocks of its file instead; one of them may be a template's text."""
    contents = dict(files or {})
    if template is not None:
        contents["job.j2"] = template.encode()
        given = (blocks.get("kubernetes") or "{}")[1:-1]
        blocks["kubernetes"] = f"{{template: job.j2{', ' if given else ''}{given}}}"
    return loads(text(**{**BLOCKS, **blocks}), files=contents)


def rendered(namespace: str = "", **blocks: Any) -> Rendered:
    made = spec(**blocks)
    return render(made, expand(made), namespace=namespace)


def jobs(**blocks: Any) -> list[dict[str, Any]]:
    return [manifest.object() for manifest in rendered(**blocks).jobs]


def job(**blocks: Any) -> dict[str, Any]:
    """The first Job."""
    return jobs(**blocks)[0]


def pod(**blocks: Any) -> dict[str, Any]:
    found: dict[str, Any] = job(**blocks)["spec"]["template"]["spec"]
    return found


def container(**blocks: Any) -> dict[str, Any]:
    (found,) = pod(**blocks)["containers"]
    return dict(found)


def environment(**blocks: Any) -> dict[str, str | dict[str, Any]]:
    """Name → value or source."""
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container(**blocks)["env"]}


def messages(**blocks: Any) -> list[str]:
    """What refuses to be rendered, and why."""
    with pytest.raises(InputError) as caught:
        rendered(**blocks)
    return [str(problem) for problem in caught.value.problems]


def template(body: str = "", *, container: str = "", value: str = "") -> str:
    """A small Job, with more of its pod's spec, of its container, or one variable of this value."""
    lines = ["apiVersion: batch/v1", "kind: Job", "spec:", "  template:", "    spec:"]
    lines += [f"      {line}" for line in body.splitlines()]
    lines += ["      containers:", "        - name: trainer", "          image: registry.example/x:1"]
    lines += [f"          {line}" for line in container.splitlines()]
    if value:
        lines += ["          env:", f"            - {{name: X, value: {value}}}"]
    return "\n".join(lines) + "\n"


def differences(one: Any, other: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Paths of the leaves that are not the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = dict.fromkeys([*one, *other])
        missing = object()
        pairs = [(key, one.get(key, missing), other.get(key, missing)) for key in keys]
        return [found for key, a, b in pairs for found in differences(a, b, (*path, key))]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [found for i in range(len(one)) for found in differences(one[i], other[i], (*path, i))]
    return [] if one == other and type(one) is type(other) else [path]


def whole(made: Rendered) -> list[Manifest]:
    """All objects."""
    return [*made.shared, *made.jobs]
