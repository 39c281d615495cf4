"""Each object is created once, whatever happens, and afterwards it is known what is there."""

from __future__ import annotations

import _thread
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from kgen.backends.kubernetes import create as create_module
from kgen.backends.kubernetes.api import connect
from kgen.backends.kubernetes.create import Outcome, Progress, Waiting, create, put, spec_of
from kgen.backends.kubernetes.objects import Kind, list_objects
from kgen.backends.kubernetes.remove import delete, delete_all, wait_until_gone
from kgen.errors import ClusterError, TimedOutError
from tests.cluster.client import Cluster
from tests.cluster.plain_jobs import SELECTOR, api_of, config_map, job, jobs_there


def names(first: int, last: int) -> tuple[str, ...]:
    return tuple(job(number).name for number in range(first, last + 1))


# -- creating


def test_a_second_time_nothing_is_new(cluster: Cluster, namespace: str) -> None:
    api = api_of(cluster, namespace)
    jobs = [job(number) for number in range(1, 101)]
    told: list[Progress | Waiting] = []
    made = create(api, jobs, on_event=told.append)
    assert (made.created, made.absent, made.unknown, made.conflicts) == (names(1, 100), (), (), ())
    assert (made.error, made.interrupted) == (None, False)
    before = jobs_there(cluster, namespace)
    assert set(before) == set(names(1, 100))
    assert sorted(told, key=str) == [Progress(name, Outcome.CREATED) for name in names(1, 100)]
    again = create(api, jobs)
    assert (again.created, again.unchanged) == ((), names(1, 100))
    assert jobs_there(cluster, namespace) == before


def test_the_object_is_the_manifest_and_its_manager_is_kgen(cluster: Cluster, namespace: str) -> None:
    create(api_of(cluster, namespace), [job(1)])
    (item,) = list_objects(api_of(cluster, namespace), Kind.JOB, SELECTOR)[0]
    assert spec_of(item) == job(1).spec
    assert {entry["manager"] for entry in item["metadata"]["managedFields"] if "subresource" not in entry} == {"kgen"}
    assert (item["apiVersion"], item["kind"]) == ("batch/v1", "Job")


def test_a_job_costs_one_request(cluster: Cluster, namespace: str) -> None:
    if cluster.audit_log is None:
        pytest.skip("the cluster keeps no audit log that can be read")
    position = cluster.audit_position()
    create(api_of(cluster, namespace), [job(number) for number in range(60)])
    asked = [event["verb"] for event in cluster.audit("kgen/", after=position) if namespace in event["requestURI"]]
    assert asked == ["create"] * 60


def test_another_of_the_same_name_is_left_alone(cluster: Cluster, namespace: str) -> None:
    api = api_of(cluster, namespace)
    foreign = job(2).object()
    del foreign["metadata"]["labels"]
    cluster.kubectl("create", f"--namespace={namespace}", "-f", "-", input=json.dumps(foreign))
    create(api, [job(1)])
    before = cluster.get("jobs", f"--namespace={namespace}")["items"]
    made = create(api, [job(1, change={"backoffLimit": 3}), job(2), job(3)])
    assert made.created == names(3, 3)
    assert [(conflict.name, conflict.is_kgens) for conflict in made.conflicts] == [
        (names(1, 1)[0], True),
        (names(2, 2)[0], False),
    ]
    after = {item["metadata"]["name"]: item for item in cluster.get("jobs", f"--namespace={namespace}")["items"]}
    for item in before:
        assert after[item["metadata"]["name"]]["spec"] == item["spec"]


def test_two_at_once_make_each_job_once(cluster: Cluster, namespace: str) -> None:
    jobs = [job(number) for number in range(1, 81)]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda api: create(api, jobs), [api_of(cluster, namespace) for _ in range(2)]))
    assert sorted(name for made in both for name in made.created) == sorted(names(1, 80))
    assert all(set(made.created) | set(made.unchanged) == set(names(1, 80)) for made in both)
    assert len(jobs_there(cluster, namespace)) == 80


def test_one_that_is_being_deleted_is_made_anew(cluster: Cluster, namespace: str) -> None:
    api = api_of(cluster, namespace)
    create(api, [job(1)])
    old = jobs_there(cluster, namespace)
    path = f"--namespace={namespace}"
    held = {"metadata": {"finalizers": ["example.org/hold"]}}
    cluster.kubectl("patch", "job", *names(1, 1), path, "--type=merge", f"--patch={json.dumps(held)}")
    cluster.kubectl("delete", "job", *names(1, 1), path, "--wait=false")
    freed = {"metadata": {"finalizers": None}}
    release = threading.Timer(
        0.5, lambda: cluster.kubectl("patch", "job", *names(1, 1), path, "--type=merge", f"--patch={json.dumps(freed)}")
    )
    release.start()
    made = create(api, [job(1)])
    release.join()
    assert (made.created, made.unchanged) == (names(1, 1), ())
    assert jobs_there(cluster, namespace) != old


# -- being refused


def test_a_full_quota_is_waited_for_and_said_once(cluster: Cluster, namespace: str) -> None:
    limit(cluster, namespace, 3)
    told: list[Progress | Waiting] = []
    waiting = threading.Event()

    def hear(event: Progress | Waiting) -> None:
        told.append(event)
        if isinstance(event, Waiting):
            waiting.set()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(create, api_of(cluster, namespace), [job(n) for n in range(1, 9)], on_event=hear)
        assert waiting.wait(30)
        cluster.until(lambda: len(jobs_there(cluster, namespace)) == 3)
        assert not running.done()
        limit(cluster, namespace, 100)
        made = running.result(60)
    assert made.created == names(1, 8)
    said = [event.why for event in told if isinstance(event, Waiting)]
    assert len(said) == 1
    assert "count/jobs.batch=3" in said[0]
    assert len(jobs_there(cluster, namespace)) == 8


def test_stopping_while_a_quota_is_full_says_what_is_there(cluster: Cluster, namespace: str) -> None:
    limit(cluster, namespace, 3)
    stop = threading.Event()

    def hear(event: Progress | Waiting) -> None:
        if isinstance(event, Waiting):
            stop.set()

    made = create(api_of(cluster, namespace), [job(n) for n in range(1, 9)], on_event=hear, stop=stop)
    assert made.interrupted
    assert made.error is None
    assert set(made.created) == set(jobs_there(cluster, namespace))
    assert set(made.created) | set(made.absent) == set(names(1, 8))


def limit(cluster: Cluster, namespace: str, jobs: int) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "jobs"},
        "spec": {"hard": {"count/jobs.batch": str(jobs)}},
    }
    cluster.apply(quota, namespace=namespace)
    cluster.until(
        lambda: (
            cluster.get("resourcequota", "jobs", f"--namespace={namespace}")["status"].get("hard", {})
            == {"count/jobs.batch": str(jobs)}
        )
    )


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"backofLimit": 3}, 400, 'unknown field "spec.backofLimit"'),
        ({"backoffLimit": -1}, 422, "must be greater than or equal to 0"),
    ],
)
def test_a_refusal_is_the_end(
    cluster: Cluster, namespace: str, change: dict[str, int], status: int, words: str
) -> None:
    jobs = [job(1), job(2, change=change), *(job(number) for number in range(3, 50))]
    made = create(api_of(cluster, namespace), jobs, in_flight=1)
    assert made.created == names(1, 1)
    assert made.absent == names(2, 49)
    assert getattr(made.error, "status", None) == status
    assert words in str(made.error)
    assert not made.interrupted
    assert tuple(jobs_there(cluster, namespace)) == names(1, 1)


def test_many_in_flight_are_finished_after_a_refusal(cluster: Cluster, namespace: str) -> None:
    jobs = [job(number, change={"backoffLimit": -1} if number == 20 else None) for number in range(1, 200)]
    made = create(api_of(cluster, namespace), jobs)
    assert made.error is not None
    assert set(made.created) == set(jobs_there(cluster, namespace))
    assert names(20, 20)[0] in made.absent
    assert sorted((*made.created, *made.absent)) == sorted(names(1, 199))
    assert len(made.created) < 150


def test_a_missing_namespace_is_named(cluster: Cluster) -> None:
    made = create(api_of(cluster, "not-there"), [job(1), job(2)])
    assert made.absent == names(1, 2)
    assert str(made.error).startswith("there is no namespace not-there in the cluster at https://")


def test_a_missing_right_is_named(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("create", "serviceaccount", "nobody", f"--namespace={namespace}")
    made = create(connect(cluster.token(namespace, "nobody"), None, None), [job(1)])
    account = f"system:serviceaccount:{namespace}:nobody"
    assert str(made.error).startswith(f"{account} may not create jobs.batch in namespace {namespace}")


@pytest.fixture
def webhook(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A webhook for the namespace's Jobs that can't be reached; it's gone when its name is deleted."""
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts and says nothing, so TLS times out
        configuration = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": namespace},
            "webhooks": [
                {
                    "name": "slow.example.org",
                    "clientConfig": {"url": f"https://127.0.0.1:{server.getsockname()[1]}/"},
                    "rules": [
                        {
                            "apiGroups": ["batch"],
                            "apiVersions": ["v1"],
                            "resources": ["jobs"],
                            "operations": ["CREATE"],
                        }
                    ],
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                    "timeoutSeconds": 1,
                    "failurePolicy": "Fail",
                }
            ],
        }
        cluster.apply(configuration)
        probe = json.dumps(job(1).object())
        cluster.until(  # the server learns of it a moment later
            lambda: (
                "failed calling webhook"
                in cluster.try_kubectl(
                    "create", f"--namespace={namespace}", "--dry-run=server", "-f", "-", input=probe
                ).stderr
            )
        )
        yield namespace
        cluster.kubectl("delete", "validatingwebhookconfiguration", namespace, "--ignore-not-found")


def test_a_webhook_that_comes_back_is_waited_for(cluster: Cluster, namespace: str, webhook: str) -> None:
    back = threading.Timer(1.5, lambda: cluster.kubectl("delete", "validatingwebhookconfiguration", webhook))
    back.start()
    made = create(api_of(cluster, namespace), [job(number) for number in range(1, 21)])
    back.join()
    assert made.created == names(1, 20)
    assert len(jobs_there(cluster, namespace)) == 20


def test_a_webhook_that_stays_away_is_an_error(
    cluster: Cluster, namespace: str, webhook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(create_module, "ATTEMPTS", 2)
    made = create(api_of(cluster, namespace), [job(number) for number in range(1, 41)])
    assert made.absent == names(1, 40)
    assert made.unknown == ()
    assert "failed calling webhook" in str(made.error)
    assert jobs_there(cluster, namespace) == {}


# -- being stopped


@pytest.mark.parametrize("by", ["event", "Ctrl-C"])
def test_stopping_finishes_what_is_under_way(cluster: Cluster, namespace: str, by: str) -> None:
    stop = threading.Event()
    seen = []

    def hear(event: Progress | Waiting) -> None:
        seen.append(event)
        if len(seen) == 30:
            stop.set() if by == "event" else _thread.interrupt_main()

    made = create(
        api_of(cluster, namespace),
        [job(number) for number in range(1, 401)],
        on_event=hear,
        stop=stop if by == "event" else None,
    )
    assert made.interrupted
    assert set(made.created) == set(jobs_there(cluster, namespace))
    assert 30 <= len(made.created) < 300
    assert sorted((*made.created, *made.absent)) == sorted(names(1, 400))


# -- deleting


def test_only_what_was_seen_is_deleted(cluster: Cluster, namespace: str) -> None:
    api = api_of(cluster, namespace)
    create(api, [job(number) for number in range(1, 5)])
    seen = list_objects(api, Kind.JOB, SELECTOR)[0]
    cluster.kubectl("delete", "job", *names(1, 2), f"--namespace={namespace}")
    create(api, [job(1)])
    told: list[str] = []
    made = delete(api, seen, on_event=told.append)
    assert (made.deleted, made.gone, made.left, made.error) == (names(3, 4), names(1, 2), (), None)
    assert sorted(told) == sorted(names(3, 4))
    assert tuple(jobs_there(cluster, namespace)) == names(1, 1)


def test_foreground_keeps_a_job_until_its_pod_is_gone(fake_cluster: Cluster, namespace: str) -> None:
    api = api_of(fake_cluster, namespace)
    where = f"--namespace={namespace}"
    create(api, [job(number, suspend=False, fate="run") for number in (1, 2)])
    fake_cluster.until(lambda: len(running(fake_cluster, namespace)) == 2)
    held = running(fake_cluster, namespace)[0]
    finalizers = fake_cluster.get("pod", held, where)["metadata"].get("finalizers", [])
    patch = json.dumps({"metadata": {"finalizers": [*finalizers, "example.org/hold"]}})
    fake_cluster.kubectl("patch", "pod", held, where, "--type=merge", f"--patch={patch}")
    seen = list_objects(api, Kind.JOB, SELECTOR)[0]
    delete(api, seen, foreground=True)
    fake_cluster.until(lambda: len(jobs_there(fake_cluster, namespace)) < 2)
    with pytest.raises(TimedOutError):
        wait_until_gone(api, seen, SELECTOR, timeout=0.2)
    fake_cluster.kubectl("patch", "pod", held, where, "--type=merge", '--patch={"metadata":{"finalizers":null}}')
    wait_until_gone(api, seen, SELECTOR, timeout=60)
    assert jobs_there(fake_cluster, namespace) == {}
    assert fake_cluster.get("pods", where)["items"] == []


def running(cluster: Cluster, namespace: str) -> list[str]:
    items = cluster.get("pods", f"--namespace={namespace}")["items"]
    return [item["metadata"]["name"] for item in items if item["status"]["phase"] == "Running"]


def test_what_does_not_go_is_named(cluster: Cluster, namespace: str) -> None:
    api = api_of(cluster, namespace)
    create(api, [job(number) for number in range(1, 8)])
    seen = list_objects(api, Kind.JOB, SELECTOR)[0]
    with pytest.raises(TimedOutError, match=r"not gone after 0.2 s: toy-0000000001, .* and 2 more"):
        wait_until_gone(api, seen, SELECTOR, timeout=0.2)


def test_a_sweep_is_deleted_in_one_request(cluster: Cluster, namespace: str) -> None:
    api = api_of(cluster, namespace)
    create(api, [job(number) for number in range(1, 31)])
    other = replace(job(99), text=job(99).text.replace('"toy"', '"other"'))
    create(api, [other])
    position = cluster.audit_position() if cluster.audit_log else 0
    assert delete_all(api, Kind.JOB, SELECTOR) == 30
    if cluster.audit_log:
        verbs = [event["verb"] for event in cluster.audit("kgen/", after=position)]
        assert verbs == ["deletecollection"]
    assert tuple(jobs_there(cluster, namespace)) == (other.name,)


def test_without_that_right_each_is_deleted(cluster: Cluster, namespace: str) -> None:
    create(api_of(cluster, namespace), [job(number) for number in range(1, 11)])
    api = connect(allowed(cluster, namespace, "list", "delete"), None, None)
    assert delete_all(api, Kind.JOB, SELECTOR) == 10
    assert jobs_there(cluster, namespace) == {}


def test_a_refused_deletion_leaves_everything(cluster: Cluster, namespace: str) -> None:
    create(api_of(cluster, namespace), [job(number) for number in range(1, 4)])
    api = connect(allowed(cluster, namespace, "list"), None, None)
    made = delete(api, list_objects(api, Kind.JOB, SELECTOR)[0])
    assert made.left == names(1, 3)
    assert "may not delete jobs.batch" in str(made.error)


def allowed(cluster: Cluster, namespace: str, *verbs: str) -> Path:
    """A kubeconfig of somebody who may do this with Jobs."""
    where = f"--namespace={namespace}"
    cluster.kubectl("create", "serviceaccount", "some", where)
    cluster.kubectl("create", "role", "some", where, f"--verb={','.join(verbs)}", "--resource=jobs.batch")
    cluster.kubectl("create", "rolebinding", "some", where, "--role=some", f"--serviceaccount={namespace}:some")
    return cluster.token(namespace, "some")


# -- ConfigMaps


def test_a_config_map_follows_its_manifest(cluster: Cluster, namespace: str) -> None:
    api = api_of(cluster, namespace)
    assert put(api, config_map("file", text="1")) == "created"
    assert put(api, config_map("file", text="1")) == "unchanged"
    assert put(api, config_map("file", text="2")) == "configured"
    assert cluster.get("configmap", "file", f"--namespace={namespace}")["data"] == {"text": "2"}


def test_a_foreign_config_map_is_left_alone(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("create", "configmap", "file", "--from-literal=mine=1", f"--namespace={namespace}")
    with pytest.raises(ClusterError, match="ConfigMap file can't be created: it is there, but kgen did not make it"):
        put(api_of(cluster, namespace), config_map("file", text="1"))
    assert cluster.get("configmap", "file", f"--namespace={namespace}")["data"] == {"mine": "1"}
