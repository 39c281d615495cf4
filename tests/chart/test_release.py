"""The chart's life on a real API server: installed, tested, changed, taken back, removed, beside another."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from kgen.sweep import loads
from tests.chart.helm import CASES, CHART, ROOT, Helm, HelmError, Object, with_version
from tests.cluster.client import Cluster
from tests.cluster.kwok import FATE
from tests.cluster.planned import kueue_kinds

KINDS = "serviceaccounts,roles,rolebindings,persistentvolumeclaims,cronjobs,networkpolicies,resourcequotas,limitranges"
LONGEST = "a" * 53
COLLECTOR = ("--set", "collector.enabled=true")
OTHER_NAMESPACES = "namespaces={%s}"


def there(cluster: Cluster, namespace: str, release: str = "kgen") -> dict[tuple[str, str], Object]:
    """What a release has in a namespace."""
    found = cluster.get(KINDS, "-n", namespace, "-l", f"app.kubernetes.io/instance={release}")["items"]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def notes(helm: Helm, namespace: str, release: str = "kgen") -> str:
    return helm("get", "notes", release, "-n", namespace).rstrip()


def former(folder: Path) -> Path:
    """The last chart with another version in the history; while there is none, this one with a lower version."""
    version = YAML(typ="safe").load(CHART / "Chart.yaml")["version"]
    commits = git("log", "--format=%H", "--", "charts/kgen/Chart.yaml").split()
    for commit in commits:
        chart = YAML(typ="safe").load(git("show", f"{commit}:charts/kgen/Chart.yaml"))
        if chart["version"] != version:
            archive = folder / "former.tar"
            git("archive", f"--output={archive}", commit, "charts/kgen")
            subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
            return folder / "charts" / "kgen"
    return with_version("0.0.9", folder)


def git(*arguments: str) -> str:
    """Nothing, where this is no checkout."""
    return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=False).stdout


@pytest.fixture
def namespaces(cluster: Cluster) -> Iterator[list[str]]:
    """Two more."""
    made = [cluster.new_namespace() for _ in range(2)]
    yield made
    cluster.kubectl("delete", "namespace", *made, "--wait=false")


def dry_run(cluster: Cluster, objects: str) -> tuple[int, str]:
    """What the server says of objects by its own schemas and admission; nothing is made."""
    done = cluster.try_kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", input=objects)
    return done.returncode, done.stderr


def volume(cluster: Cluster, namespace: str, claim: str) -> None:
    """Something that a claim is bound to, as a storage class would make it."""
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": namespace},
            "spec": {
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteMany"],
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"name": claim, "namespace": namespace},
                "hostPath": {"path": "/nowhere"},
            },
        }
    )


def test_it_installs_without_any_value(installing: Helm, cluster: Cluster, restricted: str) -> None:
    done = installing.attempt("install", "kgen", CHART, "-n", restricted)
    assert (done.returncode, done.stderr) == (0, "")
    found = there(cluster, restricted)
    accounts = {name for kind, name in found if kind == "ServiceAccount"}
    assert accounts == {"kgen-trial", "kgen-submitter", "kgen-collector"}
    assert {name for kind, name in found if kind == "Role"} == {"kgen-submitter", "kgen-collector"}
    assert ("PersistentVolumeClaim", "kgen-results") in found
    assert not [kind for kind, _ in found if kind == "CronJob"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_every_case_installs_and_its_objects_are_all_known_to_the_server(
    installing: Helm, cluster: Cluster, restricted: str, case: Path
) -> None:
    values = ("-n", restricted, "--values", case)
    with kueue_kinds(cluster) if "queue" in case.read_text() else nullcontext():
        rendered = installing("template", "kgen", CHART, "--skip-tests", *values)
        assert dry_run(cluster, rendered) == (0, ""), "the server knows every field, and warns of nothing"
        done = installing.attempt("install", "kgen", CHART, *values)
        assert (done.returncode, done.stderr) == (0, "")
        test = installing("template", "kgen", CHART, "--show-only=templates/tests/doctor.yaml", *values)
        assert dry_run(cluster, test) == (0, ""), "now that its account is there"
        changed = installing.attempt("upgrade", "kgen", CHART, *values)
        assert (changed.returncode, changed.stderr) == (0, "")
        installing("uninstall", "kgen", "-n", restricted)


@pytest.mark.parametrize(
    "case", [each for each in CASES if "collector" in each.read_text()], ids=lambda case: case.stem
)
def test_pods_of_the_collector_are_let_into_a_restricted_namespace(
    installing: Helm, cluster: Cluster, restricted: str, case: Path
) -> None:
    values = ("--values", case, "--set", "collector.enabled=true,queue.enabled=false,limitRange.enabled=false")
    installing("install", "kgen", CHART, "-n", restricted, *values)
    made = cluster.try_kubectl("create", "job", "now", "--from=cronjob/kgen-collector", "-n", restricted)
    assert (made.returncode, made.stderr) == (0, "")

    def pods() -> Any:
        refused = cluster.get("events", "-n", restricted, "--field-selector=reason=FailedCreate")["items"]
        assert not refused, refused[0]["message"]
        return cluster.get("pods", "-n", restricted, "-l", "job-name=now")["items"]

    (pod,) = cluster.until(pods, what="the Job has a pod")
    assert pod["spec"]["serviceAccountName"] == "kgen-collector"
    assert pod["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "kgen"


@pytest.mark.parametrize(("fate", "ends"), [("exit-0", "Succeeded"), ("exit-1", "Failed")])
def test_helm_test_ends_as_the_doctor_does(
    installing: Helm, fake_cluster: Cluster, restricted: str, tmp_path: Path, fate: str, ends: str
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        json.dumps({"podAnnotations": {FATE: fate}, "tolerations": [{"operator": "Exists"}]})  # to run on a fake node
    )
    volume(fake_cluster, restricted, "kgen-results")
    try:
        installing("install", "kgen", CHART, "-n", restricted, "--values", values)
        done = installing.attempt("test", "kgen", "-n", restricted, "--timeout=2m")
        assert re.search(rf"TEST SUITE: +kgen-doctor\n.*\n.*\nPhase: +{ends}", done.stdout), done.stdout + done.stderr
        assert (done.returncode == 0) is (ends == "Succeeded")
        left = fake_cluster.get("pods", "-n", restricted)["items"]
        assert bool(left) is (ends == "Failed"), "what failed can be looked at"
    finally:
        fake_cluster.kubectl("delete", "persistentvolume", restricted, "--wait=false")


def test_an_upgrade_from_the_former_version_and_back(
    installing: Helm, cluster: Cluster, restricted: str, tmp_path: Path
) -> None:
    installing("install", "kgen", former(tmp_path), "-n", restricted, *COLLECTOR)
    before = there(cluster, restricted)
    changed = ("--set", "collector.schedule=@daily,results.claim.annotations.note=x,rbac.subjects[0].kind=Group")
    more = ("--set", "rbac.subjects[0].name=vision,quota.enabled=true")
    installing("upgrade", "kgen", CHART, "-n", restricted, *COLLECTOR, *changed, *more)
    after = there(cluster, restricted)
    assert after.keys() - before.keys() == {("ResourceQuota", "kgen-quota")}
    assert before.keys() <= after.keys()
    assert after["CronJob", "kgen-collector"]["spec"]["schedule"] == "@daily"
    subjects = after["RoleBinding", "kgen-submitter"]["subjects"]
    assert [(each["kind"], each["name"]) for each in subjects] == [
        ("ServiceAccount", "kgen-submitter"),
        ("Group", "vision"),
    ]
    for key in before.keys() & after.keys():
        assert before[key]["metadata"]["uid"] == after[key]["metadata"]["uid"], f"{key} was made anew"

    installing("rollback", "kgen", "1", "-n", restricted)
    back = there(cluster, restricted)
    assert back.keys() == before.keys()
    assert back["CronJob", "kgen-collector"]["spec"] == before["CronJob", "kgen-collector"]["spec"]
    assert back["RoleBinding", "kgen-submitter"]["subjects"] == before["RoleBinding", "kgen-submitter"]["subjects"]
    installing("upgrade", "kgen", CHART, "-n", restricted, *COLLECTOR, *changed, *more)


def test_results_stay_when_it_is_uninstalled_and_are_found_again(
    installing: Helm, cluster: Cluster, restricted: str
) -> None:
    installing("install", "kgen", CHART, "-n", restricted, *COLLECTOR)
    claim = ("PersistentVolumeClaim", "kgen-results")
    before = there(cluster, restricted)[claim]["metadata"]["uid"]
    installing("uninstall", "kgen", "-n", restricted)
    cluster.until(lambda: there(cluster, restricted).keys() == {claim}, what="only the claim is left")
    assert there(cluster, restricted)[claim]["metadata"]["uid"] == before
    installing("install", "kgen", CHART, "-n", restricted)
    assert there(cluster, restricted)[claim]["metadata"]["uid"] == before


def test_the_claim_stays_when_an_upgrade_no_longer_asks_for_it(
    installing: Helm, cluster: Cluster, restricted: str
) -> None:
    installing("install", "kgen", CHART, "-n", restricted)
    bucket = "results.store=bucket,results.bucket.url=s3://lab/sweeps"
    installing("upgrade", "kgen", CHART, "-n", restricted, "--set", bucket)
    assert ("PersistentVolumeClaim", "kgen-results") in there(cluster, restricted)


def test_two_releases_live_in_one_namespace(installing: Helm, cluster: Cluster, restricted: str) -> None:
    everything = (*COLLECTOR, "--set", "quota.enabled=true,limitRange.enabled=true,networkPolicy.enabled=true")
    for release in ("kgen", "other"):
        installing("install", release, CHART, "-n", restricted, *everything)
    kgen, other = (there(cluster, restricted, release) for release in ("kgen", "other"))
    named = {(kind, name.replace("kgen-", "other-kgen-")) for kind, name in kgen}
    assert named == other.keys()
    installing("uninstall", "kgen", "-n", restricted)
    assert there(cluster, restricted, "other").keys() == other.keys()


def test_the_longest_name_of_a_release_installs(installing: Helm, cluster: Cluster, restricted: str) -> None:
    for release in (LONGEST, LONGEST[:-1] + "b"):
        installing("install", release, CHART, "-n", restricted, *COLLECTOR)
        assert len(there(cluster, restricted, release)) == 9
        (cron_job,) = [name for kind, name in there(cluster, restricted, release) if kind == "CronJob"]
        cluster.kubectl("create", "job", f"from-{release[-1]}", f"--from=cronjob/{cron_job}", "-n", restricted)
    with pytest.raises(HelmError, match="release name"):
        installing("install", LONGEST + "a", CHART, "-n", restricted)


def test_other_namespaces_get_the_same(
    installing: Helm, cluster: Cluster, restricted: str, namespaces: list[str]
) -> None:
    others = ("--set", OTHER_NAMESPACES % ",".join(namespaces))
    installing("install", "kgen", CHART, "-n", restricted, *COLLECTOR, *others)
    own = there(cluster, restricted).keys()
    assert [there(cluster, each).keys() for each in namespaces] == [own, own]
    installing("uninstall", "kgen", "-n", restricted)

    def left() -> list[str]:
        return [kind for each in namespaces for kind, _ in there(cluster, each)]

    cluster.until(lambda: left() == ["PersistentVolumeClaim"] * 2, what="the claims are left")


def test_the_notes_end_with_what_to_type_next(installing: Helm, restricted: str) -> None:
    installing("install", "kgen", CHART, "-n", restricted)
    said = notes(installing, restricted)
    next_lines = ["Next:", "", f"  kgen doctor -n {restricted}", f"  kgen submit sweep.yaml -n {restricted} --wait"]
    assert said.splitlines()[-4:] == next_lines
    for value in ("collector.enabled", "queue.enabled", "quota.enabled", "networkPolicy.enabled", "rbac.subjects"):
        assert f"({value})" in said
    assert "--service-account" not in said
    assert "\n\n\n" not in said
    assert located(sweep_part(said)) == "pvc://kgen-results/sweeps/first"
    assert sweep_part(said) == {
        "results": "pvc://kgen-results/sweeps",
        "kubernetes": {"namespace": restricted, "service_account": "kgen-trial"},
    }


def test_the_notes_tell_of_other_names_and_buckets(installing: Helm, restricted: str) -> None:
    bucket = ("--values", CHART / "ci" / "bucket-values.yaml", "--set", "networkPolicy.enabled=true")
    installing("install", "other", CHART, "-n", restricted, *bucket)
    said = notes(installing, restricted, "other")
    assert "submit and doctor --in-cluster: --service-account other-kgen-submitter" in said
    assert "collect --in-cluster: --service-account other-kgen-collector" in said
    assert "(collector.enabled)" not in said
    assert "(networkPolicy.enabled)" not in said
    assert located(sweep_part(said)) == "s3://lab/sweeps/first"
    assert sweep_part(said) == {
        "results": {"url": "s3://lab/sweeps", "endpoint": "https://s3.example", "region": "eu-central-1"},
        "kubernetes": {
            "namespace": restricted,
            "service_account": "other-kgen-trial",
            "secret_env": {
                name: {"secret": "lab-bucket", "key": name} for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            },
        },
    }


def located(part: Any) -> str:
    """Where a sweep's results lie, once the notes' lines stand in its file."""
    sweep = {
        "version": 1,
        "name": "first",
        "parameters": {"a": [1]},
        "budget": {"steps": 1, "target": {"accuracy": 0.9}},
        "trainer": {"image": "registry.example/trainer:1"},
    }
    return str(loads(json.dumps(sweep | part)).location)


def sweep_part(said: str) -> Any:
    """What the notes say is to stand in a sweep file."""
    lines = said.partition("In sweep files:\n")[2].splitlines()
    end = next((number for number, line in enumerate(lines) if line and not line.startswith(" ")), len(lines))
    return json.loads(json.dumps(YAML(typ="safe").load("\n".join(lines[:end]))))
