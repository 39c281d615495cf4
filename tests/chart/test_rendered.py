"""What the chart makes, without a cluster: the same as `manifests/`, under names that never clash, nothing secret."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import kgen
from kgen import names
from kgen.render.environment import RESULTS_MOUNT
from kgen.render.tools import DEFAULT_USER
from tests.chart.helm import CASES, CHART, MANIFESTS, ROOT, Helm, Object, documents, of_kind, pod_specs
from tests.chart.readme import write_readme
from tests.cluster import build
from tests.cluster.fixtures import built

ALL = ("--set", "collector.enabled=true,queue.enabled=true,queue.clusterQueue=gpus")
LONGEST = "a" * 53
"""Helm takes no longer name for a release."""
TOOLS = {names.COMPONENT_SUBMIT, names.COMPONENT_COLLECT, names.COMPONENT_DOCTOR}


def without_metadata(found: Object) -> Object:
    """What an object says beside its labels."""
    metadata = {key: found["metadata"][key] for key in ("name", "namespace")}
    return {key: value for key, value in found.items() if key != "metadata"} | {"metadata": metadata}


def plain(*files: str) -> list[Object]:
    return [each for file in files for each in documents((MANIFESTS / file).read_text())]


def test_the_manifests_are_what_the_chart_makes(helm: Helm) -> None:
    made = [each for each in helm.rendered(*ALL) if each["kind"] != "Pod"]  # helm test's
    manifests = plain("rbac.yaml", "results.yaml", "collector.yaml", "queue.yaml")
    key = lambda each: (each["kind"], each["metadata"]["name"])  # noqa: E731
    assert sorted(map(without_metadata, made), key=key) == sorted(map(without_metadata, manifests), key=key)


def test_chart_and_manifests_are_of_this_version() -> None:
    chart = YAML(typ="safe").load(CHART / "Chart.yaml")
    assert chart["appVersion"] == kgen.__version__
    (collector,) = plain("collector.yaml")
    (spec,) = pod_specs([collector])
    assert spec["containers"][0]["image"] == f"kgen-trainer:{kgen.__version__}"


def test_the_readme_is_made_from_the_values(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    copy = tmp_path / "kgen"
    shutil.copytree(CHART, copy)
    (copy / "README.md").unlink()
    program = built(request.config, build.HELM_DOCS) / "helm-docs"
    write_readme(program, tmp_path)
    assert (copy / "README.md").read_text() == (CHART / "README.md").read_text(), "make chart-docs"
    values = [line for line in (copy / "README.md").read_text().splitlines() if line.startswith("| `")]
    assert len(values) > 50
    assert [line for line in values if line.rstrip("| ").count("|") < 3] == [], "a value without a word about it"


def test_the_values_in_the_docs_are_values(helm: Helm, tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "install.md").read_text(), re.DOTALL)
    file = tmp_path / "values.yaml"
    file.write_text(example)
    made = helm.rendered("--values", file)
    assert len([each for each in made if each["kind"] == "CronJob"]) == 3


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_rendering_twice_gives_the_same(helm: Helm, case: Path) -> None:
    command = ("template", "kgen", CHART, "--namespace=kgen", "--values", case)
    assert helm(*command) == helm(*command)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_no_variable_of_a_pod_is_set_twice(helm: Helm, case: Path) -> None:
    for spec in pod_specs(helm.rendered("--values", case)):
        counts = Counter(each["name"] for each in spec["containers"][0]["env"])
        assert [name for name, count in counts.items() if count > 1] == []


def test_a_variable_of_the_users_own_takes_the_place_of_the_charts(helm: Helm) -> None:
    variables = (
        '[{"name": "PROXY", "value": "old"}, {"name": "HOME", "value": "/home"}, {"name": "PROXY", "value": "new"}]'
    )
    (spec,) = pod_specs(helm.rendered("--set-json", f"extraEnv={variables}"))
    env = {each["name"]: each["value"] for each in spec["containers"][0]["env"]}
    assert (env["HOME"], env["PROXY"], env["TMPDIR"]) == ("/home", "new", "/tmp")


def test_the_pods_are_what_a_command_in_the_cluster_expects(helm: Helm) -> None:
    collector, doctor = pod_specs(helm.rendered(*ALL))
    for spec in (collector, doctor):
        (container,) = spec["containers"]
        assert {each["name"]: each["value"] for each in container["env"]}[names.ENV_CLAIM] == "kgen-results"
        assert {each["name"]: each["mountPath"] for each in container["volumeMounts"]}["results"] == RESULTS_MOUNT
        assert spec["automountServiceAccountToken"] is True
        security = spec["securityContext"]
        assert {security[each] for each in ("runAsUser", "runAsGroup", "fsGroup")} == {DEFAULT_USER}
        assert container["image"] == f"kgen-trainer:{kgen.__version__}"
    assert collector["containers"][0]["command"] == ["kgen", "collect", "--all", "--in-cluster"]
    assert doctor["containers"][0]["command"] == ["kgen", "doctor", "--in-cluster"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_nothing_is_for_the_whole_cluster_and_no_secret_is_made(helm: Helm, case: Path) -> None:
    made = helm.rendered("--values", case)
    kinds = {each["kind"] for each in made}
    assert not {kind for kind in kinds if kind.startswith("Cluster")} | kinds & {"CustomResourceDefinition", "Secret"}
    assert {each["metadata"].get("namespace", "kgen") for each in made} == {"kgen"}
    granted = json.dumps([each["rules"] for each in of_kind("Role", made).values()])
    assert "*" not in granted
    assert "secrets" not in granted


def test_keys_of_a_bucket_are_named_never_written(helm: Helm) -> None:
    case = CHART / "ci" / "bucket-values.yaml"
    written = helm("template", "kgen", CHART, "--values", case)
    assert "secretKeyRef" not in written
    collector, doctor = pod_specs(documents(written))
    for spec in (collector, doctor):
        (container,) = spec["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "lab-bucket"}}]
        env = {each["name"]: each.get("value") for each in container["env"]}
        assert (env["AWS_ENDPOINT_URL"], env["AWS_REGION"]) == ("https://s3.example", "eu-central-1")
        assert env[names.ENV_RESULTS] == "s3://lab/sweeps"
        assert not [name for name in env if re.search("KEY|SECRET|TOKEN|PASSWORD|CLAIM", name)]
        assert {each["name"] for each in spec["volumes"]} == {"scratch"}
    assert not of_kind("PersistentVolumeClaim", documents(written))


@pytest.mark.parametrize("value", ["accessKey=AKIA", "bucket.secretKey=hush", "bucket.accessKeyId=AKIA"])
def test_there_is_no_value_to_put_a_key_into(helm: Helm, value: str) -> None:
    assert "not allowed" in helm.refusal("--set", f"results.{value}")


@pytest.mark.parametrize("namespace", ["1e3", "123", "on", "null"])
def test_names_that_yaml_would_take_for_something_else_stay_names(helm: Helm, namespace: str) -> None:
    for each in helm.rendered(*ALL, "--set-json", f'namespaces=["{namespace}"]', namespace="true"):
        assert each["metadata"]["namespace"] in ("true", namespace)
        for subject in each.get("subjects", ()):
            assert isinstance(subject["namespace"], str)


def test_each_namespace_gets_the_same(helm: Helm) -> None:
    made = [e for e in helm.rendered(*ALL, "--set", "namespaces={team-a,team-b,kgen}") if e["kind"] != "Pod"]
    by_namespace: dict[str, list[tuple[str, str]]] = {}
    for each in made:
        by_namespace.setdefault(each["metadata"]["namespace"], []).append((each["kind"], each["metadata"]["name"]))
    assert by_namespace.keys() == {"kgen", "team-a", "team-b"}
    assert by_namespace["kgen"] == by_namespace["team-a"] == by_namespace["team-b"]
    for namespace in by_namespace:
        (read,) = [rule for role in made if role["kind"] == "Role" and role["metadata"]["namespace"] == namespace
                   for rule in role["rules"] if rule.get("resourceNames")]  # fmt: skip
        assert read["resourceNames"] == [namespace]


@pytest.mark.parametrize("release", ["kgen", "x", "team-1", "a.b", LONGEST, "a" * 40 + ".b"])
def test_names_fit_and_are_each_objects_own(helm: Helm, release: str) -> None:
    limits = {"CronJob": 52}
    made = helm.rendered(*ALL, "--set", "networkPolicy.enabled=true,quota.enabled=true", release=release)
    for each in made:
        name = each["metadata"]["name"]
        assert len(name) <= limits.get(each["kind"], 63), name
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", name)
    assert max(Counter((each["kind"], each["metadata"]["name"]) for each in made).values()) == 1


@pytest.mark.parametrize(("one", "other"), [("kgen", "other"), (LONGEST, LONGEST[:-1] + "b"), ("x.y", "x-y")])
def test_two_releases_share_no_name(helm: Helm, one: str, other: str) -> None:
    keys = [
        {(each["kind"], each["metadata"]["name"]) for each in helm.rendered(*ALL, release=release)}
        for release in (one, other)
    ]
    assert not keys[0] & keys[1]


def test_a_release_called_kgen_has_the_names_that_commands_take_by_themselves(helm: Helm) -> None:
    expected = {"kgen-trial", "kgen-submitter", "kgen-collector"}
    assert of_kind("ServiceAccount", helm.rendered()).keys() == expected
    renamed = helm.rendered("--set", "fullnameOverride=kgen", release="other")
    assert of_kind("ServiceAccount", renamed).keys() == expected


def test_labels_of_the_users_own_are_added_and_take_no_place(helm: Helm) -> None:
    mine = {"commonLabels": {"team": "vision", names.LABEL_MANAGED_BY: "me"}, "podLabels": {names.LABEL_NAME: "x"}}
    made = helm.rendered(*ALL, *(f"--set-json={key}={json.dumps(value)}" for key, value in mine.items()))
    assert {each["metadata"]["labels"]["team"] for each in made} == {"vision"}
    assert {each["metadata"]["labels"][names.LABEL_MANAGED_BY] for each in made if each["kind"] != "Pod"} == {"Helm"}
    (pod,) = of_kind("Pod", made).values()
    assert pod["metadata"]["labels"][names.LABEL_NAME] == "kgen"


def matches(policy: Object, labels: dict[str, Any]) -> bool:
    """Whether a NetworkPolicy is about pods with these labels."""
    selector = policy["spec"]["podSelector"]
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", ())
    )


def test_network_policies_are_about_the_pods_that_kgen_makes(helm: Helm) -> None:
    made = helm.rendered(*ALL, "--set", "networkPolicy.enabled=true")
    policies = of_kind("NetworkPolicy", made)
    golden = (Path(__file__).parents[1] / "golden" / "manifests").rglob("*")
    jobs = [each for file in golden if file.is_file() for each in documents(file.read_text()) if each["kind"] == "Job"]
    trials = [job["spec"]["template"]["metadata"]["labels"] for job in jobs]
    tools = [
        *(pod["metadata"]["labels"] for pod in of_kind("Pod", made).values()),
        *(
            each["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
            for each in of_kind("CronJob", made).values()
        ),
        *({names.LABEL_MANAGED_BY: names.FIELD_MANAGER, names.LABEL_COMPONENT: tool} for tool in TOOLS),
    ]
    assert trials
    for labels in trials:
        assert [name for name, policy in policies.items() if matches(policy, labels)] == ["kgen-trials"]
    for labels in tools:
        assert [name for name, policy in policies.items() if matches(policy, labels)] == ["kgen-trials", "kgen-tools"]
    ports = {port["port"] for rule in policies["kgen-trials"]["spec"]["egress"] for port in rule["ports"]}
    assert ports == {53}
    assert "ingress" not in policies["kgen-trials"]["spec"]
    assert "Ingress" in policies["kgen-trials"]["spec"]["policyTypes"]
