"""What is there is read in few requests, and stays current."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

import pytest

from kgen.backends.kubernetes import objects as objects_module
from kgen.backends.kubernetes import watch as watch_module
from kgen.backends.kubernetes.api import ApiError, connect
from kgen.backends.kubernetes.create import create
from kgen.backends.kubernetes.objects import Kind, Object, list_objects
from kgen.backends.kubernetes.remove import delete
from kgen.backends.kubernetes.watch import Change, Mirror, Type
from tests.cluster.client import Cluster
from tests.cluster.plain_jobs import SELECTOR, api_of, config_map, job, jobs_there


def names_of(items: list[Object]) -> list[str]:
    return sorted(item["metadata"]["name"] for item in items)


def test_a_list_comes_in_pages_and_is_whole(cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    api = api_of(cluster, namespace)
    create(api, [job(number) for number in range(1, 26)])
    cluster.kubectl("create", "job", "other", "--image=x", f"--namespace={namespace}")
    monkeypatch.setattr(objects_module, "PAGE", 10)
    assert names_of(list_objects(api, Kind.JOB, SELECTOR)[0]) == [job(number).name for number in range(1, 26)]
    assert len(list_objects(api, Kind.JOB)[0]) == 26


def test_each_kind_says_what_it_is(fake_cluster: Cluster, namespace: str) -> None:
    api = api_of(fake_cluster, namespace)
    create(api, [config_map("file", x="1"), job(1, suspend=False, fate="run")])
    fake_cluster.until(lambda: list_objects(api, Kind.POD, SELECTOR)[0])
    fake_cluster.until(lambda: list_objects(api, Kind.EVENT, prefix=f"{job(1).name}-")[0])
    found = {kind: list_objects(api, kind)[0][0] for kind in Kind}
    assert {kind: (item["apiVersion"], item["kind"]) for kind, item in found.items()} == {
        Kind.JOB: ("batch/v1", "Job"),
        Kind.POD: ("v1", "Pod"),
        Kind.CONFIG_MAP: ("v1", "ConfigMap"),
        Kind.EVENT: ("v1", "Event"),
    }


def test_nothing_there_is_an_empty_list_and_no_right_is_not(cluster: Cluster, namespace: str) -> None:
    assert list_objects(api_of(cluster, namespace), Kind.JOB)[0] == []
    cluster.kubectl("create", "serviceaccount", "nobody", f"--namespace={namespace}")
    api = connect(cluster.token(namespace, "nobody"), None, None)
    with pytest.raises(ApiError, match=rf"may not list jobs\.batch in namespace {namespace}"):
        list_objects(api, Kind.JOB)
    with pytest.raises(ApiError, match=r"may not list jobs\.batch"), Mirror(api, SELECTOR):
        pass


def test_a_mirror_follows(cluster: Cluster, namespace: str) -> None:
    api = api_of(cluster, namespace)
    create(api, [config_map("a"), config_map("b")])
    where = f"--namespace={namespace}"
    with Mirror(api, SELECTOR, [Kind.CONFIG_MAP]) as mirror:
        assert names_of(mirror.objects(Kind.CONFIG_MAP)) == ["a", "b"]
        assert mirror.changes(0) == []
        create(api, [config_map("c")])
        assert said(mirror.changes(30)) == [(Type.ADDED, "c")]
        cluster.kubectl("label", "configmap", "a", "x=y", where)
        assert said(mirror.changes(30)) == [(Type.MODIFIED, "a")]
        delete(api, [item for item in mirror.objects(Kind.CONFIG_MAP) if item["metadata"]["name"] == "b"])
        assert said(mirror.changes(30)) == [(Type.DELETED, "b")]
        cluster.kubectl("label", "configmap", "a", "kgen.dev/sweep-", where)  # no longer one of the sweep's
        assert said(mirror.changes(30)) == [(Type.DELETED, "a")]
        (left,) = mirror.objects(Kind.CONFIG_MAP)
        assert (left["metadata"]["name"], left["kind"], left["apiVersion"]) == ("c", "ConfigMap", "v1")


def said(changes: Sequence[Change]) -> list[tuple[Type, str]]:
    return [(change.type, change.item["metadata"]["name"]) for change in changes]


def test_a_mirror_ends_at_once_and_leaves_no_thread(cluster: Cluster, namespace: str) -> None:
    before = set(threading.enumerate())
    with Mirror(api_of(cluster, namespace), SELECTOR) as mirror:
        assert len(set(threading.enumerate()) - before) == 2
        mirror.changes(0.2)
    assert set(threading.enumerate()) <= before


def test_events_are_about_this_sweeps_jobs_and_pods(fake_cluster: Cluster, namespace: str) -> None:
    api = api_of(fake_cluster, namespace)
    create(api, [job(1, suspend=False, fate="run")])
    fake_cluster.kubectl("create", "job", "other", "--image=x", f"--namespace={namespace}")
    fake_cluster.until(lambda: len(list_objects(api, Kind.EVENT, prefix="other")[0]) >= 1)
    with Mirror(api, "", [Kind.EVENT], prefix="toy-") as mirror:
        create(api, [job(2, suspend=False, fate="run")])
        wanted = {("Job", job(1).name), ("Job", job(2).name)}
        while not wanted <= (about := {regarding(item) for item in mirror.objects(Kind.EVENT)}):
            assert mirror.changes(30)
    assert {name[:4] for _, name in about} == {"toy-"}


def regarding(item: Object) -> tuple[str, str]:
    return item["involvedObject"]["kind"], item["involvedObject"]["name"]


def test_watches_go_on_when_their_time_is_over(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "WATCH_SECONDS", (1, 1))
    api = api_of(cluster, namespace)
    position = cluster.audit_position() if cluster.audit_log else 0
    with Mirror(api, SELECTOR, [Kind.CONFIG_MAP]) as mirror:
        for name in "abcd":
            create(api, [config_map(name)])
            assert said(mirror.changes(30)) == [(Type.ADDED, name)]
            assert mirror.changes(0.5) == []  # time goes by
        assert names_of(mirror.objects(Kind.CONFIG_MAP)) == ["a", "b", "c", "d"]
    if cluster.audit_log:
        asked = [e for e in cluster.audit("kgen/", after=position) if namespace in e["requestURI"]]
        assert [e["verb"] for e in asked].count("list") == 1
        begun = [e["requestURI"].partition("resourceVersion=")[2].split("&")[0] for e in asked if e["verb"] == "watch"]
        assert len(set(begun)) >= 2  # each goes on from where the one before it was


def test_waiting_for_288_jobs_takes_few_requests(fake_cluster: Cluster, namespace: str) -> None:
    api = api_of(fake_cluster, namespace)
    position = fake_cluster.audit_position()
    create(api, [job(number, suspend=False, fate="exit-0") for number in range(288)])
    with Mirror(api, SELECTOR) as mirror:
        while not all(completed(item) for item in mirror.objects(Kind.JOB)):
            assert mirror.changes(60)
    assert len(jobs_there(fake_cluster, namespace)) == 288
    asked = [event["verb"] for event in fake_cluster.audit("kgen/", after=position) if namespace in event["requestURI"]]
    assert asked.count("create") == 288
    assert len(asked) - 288 <= 288 * 0.05
    assert {"get", "delete"}.isdisjoint(asked)


def completed(item: Object) -> bool:
    return any(c["type"] == "Complete" and c["status"] == "True" for c in item["status"].get("conditions", ()))


def test_impersonation_is_kept(cluster: Cluster, namespace: str) -> None:
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "--output=json"))
    config["users"][0]["user"]["as"] = "alice"
    file = cluster.folder / f"{namespace}-alice.kubeconfig"
    file.write_text(json.dumps(config))
    with pytest.raises(ApiError, match=rf"^alice may not list pods in namespace {namespace} of the cluster at https"):
        list_objects(connect(file, None, namespace), Kind.POD)
    file.unlink()
