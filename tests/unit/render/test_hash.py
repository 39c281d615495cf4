"""``kgen.dev/spec``: the same for the same Job, another for another one."""

from __future__ import annotations

import json

import pytest

import kgen
from kgen.names import LABEL_SPEC
from kgen.render import render
from kgen.render.manifest import Manifest
from kgen.sweep import expand, loads
from tests.unit.sweep.sweeps import text

BLOCKS = {"trainer": "{image: r.example/t:1}", "results": "pvc://claim"}


def job(*, namespace: str = "", **blocks: str) -> Manifest:
    spec = loads(text(**BLOCKS | blocks))
    return next(iter(render(spec, expand(spec), namespace=namespace).jobs))


def test_it_is_the_label_of_job_and_pod() -> None:
    made = job()
    assert made.object()["metadata"]["labels"][LABEL_SPEC] == made.spec
    assert made.object()["spec"]["template"]["metadata"]["labels"][LABEL_SPEC] == made.spec


@pytest.mark.parametrize(
    "blocks",
    [
        {"trainer": "{image: r.example/t:2}"},
        {"kubernetes": "{priority_class: low}"},
        {"kubernetes": "{labels: {a: b}}"},
        {"results": "pvc://claim/path"},
    ],
)
def test_another_job_has_another_one(blocks: dict[str, str]) -> None:
    assert job(**blocks).spec != job().spec


def test_a_namespace_makes_no_other_job() -> None:
    there = job(namespace="ml")
    assert there.object()["metadata"]["namespace"] == "ml"
    assert there.spec == job().spec == job(kubernetes="{namespace: other}").spec


def test_a_newer_kgen_makes_no_other_job(monkeypatch: pytest.MonkeyPatch) -> None:
    before = job()
    monkeypatch.setattr(kgen, "__version__", "99.0.0")
    after = job()
    assert "99.0.0" in json.dumps(after.object())
    assert after.spec == before.spec


def test_a_newer_kgen_makes_no_other_config_map_of_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = loads(text(**BLOCKS, execution="{trials_per_pod: 2}"))
    ((_, before),) = render(spec, expand(spec)).config_maps
    monkeypatch.setattr(kgen, "__version__", "99.0.0")
    ((_, after),) = render(spec, expand(spec)).config_maps
    assert "99.0.0" in after.text
    assert (after.name, after.spec) == (before.name, before.spec)
