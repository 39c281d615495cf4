"""Values that can't be meant are refused before anything is installed, each with its path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.chart.helm import CASES, CHART, Helm

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
OPEN = {
    "global",
    "resources",
    "affinity",
    "podSecurityContext",
    "securityContext",
    "texts",  # labels, annotations, selectors
    "hard",
    "items",  # of lists that are Kubernetes' own
}
"""Where a key is somebody else's business."""


def objects(schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every part of a schema that describes an object, with where it stands."""
    if isinstance(schema, list):
        for each in schema:
            yield from objects(each, path)
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield path, schema
        for key, each in schema.items():
            yield from objects(each, (*path, key))


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ("collectr.enabled=true", "collectr"),
        ("collector.enabld=true", "collector"),
        ("collector.enabled=sometimes", "collector/enabled"),
        ("collector.schedule=often", "collector/schedule"),
        ("collector.failedJobsHistoryLimit=-1", "collector/failedJobsHistoryLimit"),
        ("serviceAccounts.trial.anotations.a=b", "serviceAccounts/trial"),
        ("serviceAccounts.submitter.create=false", "serviceAccounts/submitter/name"),
        ("rbac.subjects[0].kind=Person,rbac.subjects[0].name=ada", "rbac/subjects/0/kind"),
        ("rbac.subjects[0].kind=User", "rbac/subjects/0"),
        ("rbac.subjects[0].kind=ServiceAccount,rbac.subjects[0].name=ci", "rbac/subjects/0"),
        ("results.store=disk", "results/store"),
        ("results.store=bucket", "results/bucket/url"),
        ("results.bucket.url=lab/sweeps", "results/bucket/url"),
        ("results.claim.size=large", "results/claim/size"),
        ("results.claim.accessModes={ReadWriteTwice}", "results/claim/accessModes/0"),
        ("namespaces={Team_A}", "namespaces/0"),
        ("namespaces={team-a,team-a}", "namespaces"),
        ("queue.enabled=true", "queue/clusterQueue"),
        ("image.digest=latest", "image/digest"),
        ("image.repository=", "image/repository"),
        ("image.pullPolicy=Sometimes", "image/pullPolicy"),
        ("extraEnv[0].value=x", "extraEnv/0"),
        ("podLabels.team=7", "podLabels/team"),
        ("fullnameOverride=Kgen", "fullnameOverride"),
        ("networkPolicy.apiServerPorts={0}", "networkPolicy/apiServerPorts/0"),
    ],
)
def test_a_bad_value_is_refused_with_its_path(helm: Helm, setting: str, path: str) -> None:
    said = helm.refusal("--set", setting)
    assert f"at '/{path}':" in said or (f"additional properties '{path}' not allowed" in said), said
    assert "values don't meet the specifications of the schema" in said


def test_every_object_of_the_charts_own_is_closed() -> None:
    found = {path: schema for path, schema in objects(SCHEMA) if OPEN.isdisjoint(path[-1:])}
    assert len(found) > 10
    assert [path for path, schema in found.items() if schema.get("additionalProperties") is not False] == []


def test_the_schema_knows_every_value_and_no_other() -> None:
    values = YAML(typ="safe").load(CHART / "values.yaml")
    known = SCHEMA["properties"].keys() - {"global", "enabled"}  # which only a chart around this one has
    assert known == values.keys()
    for name, part in SCHEMA["properties"].items():
        if part.get("additionalProperties") is False:
            assert part["properties"].keys() == values[name].keys(), name


def test_a_chart_around_this_one_may_switch_it_and_share_values(helm: Helm, tmp_path: Path) -> None:
    around = tmp_path / "around"
    (around / "charts").mkdir(parents=True)
    (around / "charts" / "kgen").symlink_to(CHART)
    (around / "Chart.yaml").write_text(
        "apiVersion: v2\nname: around\nversion: 1.0.0\n"
        "dependencies: [{name: kgen, version: '*', repository: '', condition: kgen.enabled}]\n"
    )
    (around / "values.yaml").write_text("global: {registry: registry.example}\nkgen: {enabled: true}\n")
    assert "kgen-submitter" in helm("template", "kgen", around)
    assert "kgen-submitter" not in helm("template", "kgen", around, "--set", "kgen.enabled=false")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_chart_has_nothing_to_complain_of(helm: Helm, case: Path) -> None:
    said = helm("lint", "--strict", CHART, "--values", case)
    assert "0 chart(s) failed" in said
    assert "WARNING" not in said
