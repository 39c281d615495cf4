"""Whatever lies between kgen and the API server does: no Job is lost, none is made twice, no table is wrong."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from kgen.backends.kubernetes import api as api_module
from kgen.backends.kubernetes import create as create_module
from kgen.backends.kubernetes import objects as objects_module
from kgen.backends.kubernetes import watch as watch_module
from kgen.backends.kubernetes.api import Api, ApiError, connect
from kgen.backends.kubernetes.create import Created, create
from kgen.backends.kubernetes.failure import UnreachableError
from kgen.backends.kubernetes.objects import Kind, list_objects
from kgen.backends.kubernetes.remove import delete, delete_all
from kgen.backends.kubernetes.watch import Change, Mirror, Type
from kgen.errors import ClusterError
from tests.cluster.client import Cluster
from tests.cluster.identity import write_private
from tests.cluster.plain_jobs import SELECTOR, api_of, config_map, job, jobs_there
from tests.cluster.proxy import (
    Act,
    Exchange,
    Proxy,
    breaks_after,
    breaks_before,
    cuts_off,
    event,
    fails_after,
    hangs_after,
    says,
)

COUNT = 40
JOBS = [job(number) for number in range(1, COUNT + 1)]
NAMES = tuple(made.name for made in JOBS)


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[Proxy]:
    if cluster.audit_log is None:
        pytest.skip("the proxy knows only how to log in to the tests' own control plane")
    with Proxy(cluster) as made:
        yield made


@pytest.fixture
def through(proxy: Proxy, namespace: str) -> Api:
    """The cluster behind the proxy."""
    return connect(proxy.kubeconfig, None, namespace)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of hundredths of a second."""
    for module in (api_module, create_module, watch_module):
        monkeypatch.setattr(module, "backoff", lambda attempt: 0.01)


def check_all(cluster: Cluster, namespace: str, made: Created) -> None:
    """Each Job is there, and was said to have been created, although some were heard of only the second time."""
    assert (made.created, made.unchanged, made.absent, made.unknown) == (NAMES, (), (), ())
    assert made.error is None
    assert set(jobs_there(cluster, namespace)) == set(NAMES)


# -- creating


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(says(429, "TooManyRequests", Retry_After="0"), id="429"),
        pytest.param(says(503, "ServiceUnavailable", Retry_After="0"), id="503 with Retry-After"),
        pytest.param(says(503, "ServiceUnavailable"), id="503"),
        pytest.param(says(500, "InternalError", "failed calling webhook: context deadline exceeded"), id="500"),
        pytest.param(says(504, "Timeout"), id="504"),
        pytest.param(says(409, "Conflict", "Operation cannot be fulfilled on resourcequotas"), id="409 of a quota"),
        pytest.param(breaks_before, id="reset before the commit"),
        pytest.param(breaks_after, id="reset after the commit"),
        pytest.param(fails_after, id="504 after the commit"),
    ],
)
def test_each_job_is_made_once(cluster: Cluster, namespace: str, through: Api, proxy: Proxy, act: Act) -> None:
    fault = proxy.on("POST", "/jobs", act, times=15)
    made = create(through, JOBS)
    assert fault.met == 15
    check_all(cluster, namespace, made)


def test_what_was_made_before_a_refusal_is_named(cluster: Cluster, namespace: str, through: Api, proxy: Proxy) -> None:
    """Its answer was lost, and the second attempt is refused, so only asking tells."""
    proxy.on("POST", "/jobs", breaks_after)
    proxy.on("POST", "/jobs", says(403, "Forbidden", "not any more"), times=100)
    made = create(through, JOBS, in_flight=1)
    assert (made.created, made.absent, made.unknown) == (NAMES[:1], NAMES[1:], ())
    assert "not any more" in str(made.error)
    assert set(jobs_there(cluster, namespace)) == set(NAMES[:1])


def test_an_answer_that_does_not_come_is_not_waited_for(
    cluster: Cluster, namespace: str, through: Api, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_module, "READ_SECONDS", 1.0)
    over = threading.Event()
    proxy.on("POST", "/jobs", hangs_after(over), times=5)
    made = create(through, JOBS)
    over.set()
    check_all(cluster, namespace, made)


def test_a_server_that_is_busy_is_left_alone_for_as_long_as_it_says(through: Api, proxy: Proxy) -> None:
    asked: list[float] = []

    def noting(act: Act) -> Act:
        def noted(exchange: Exchange) -> None:
            asked.append(time.monotonic())
            act(exchange)

        return noted

    for act in (says(429, Retry_After="1"), says(503, Retry_After="1"), Exchange.pass_on):
        proxy.on("POST", "/jobs", noting(act))
    assert create(through, JOBS[:1]).created == NAMES[:1]
    assert [later - earlier >= 1.0 for earlier, later in pairwise(asked)] == [True, True]


def test_the_server_going_away_leaves_nothing_unsaid(
    cluster: Cluster, namespace: str, through: Api, proxy: Proxy
) -> None:
    def hear(event: object) -> None:
        heard.append(event)
        if len(heard) == 10:
            down.set()

    heard: list[object] = []
    down = threading.Event()

    def end() -> None:
        down.wait(60)
        proxy.down()

    ender = threading.Thread(target=end)
    ender.start()
    made = create(through, [*JOBS, *(job(number) for number in range(COUNT + 1, 2000))], on_event=hear)
    ender.join()
    assert isinstance(made.error, UnreachableError)
    there = set(jobs_there(cluster, namespace))
    assert set(made.created) <= there <= {*made.created, *made.unknown}
    assert not set(made.absent) & there
    assert len(made.created) + len(made.absent) + len(made.unknown) == 1999
    # And again, on a way that works: only the rest is made.
    again = create(api_of(cluster, namespace), [*JOBS, *(job(number) for number in range(COUNT + 1, 100))])
    assert set(again.unchanged) == there & {job(number).name for number in range(1, 100)}


def test_it_gives_up_in_the_end(cluster: Cluster, namespace: str, through: Api, proxy: Proxy) -> None:
    proxy.on("POST", "/jobs", says(500, "InternalError", "etcd is on fire"), times=10**6)
    made = create(through, JOBS)
    assert made.absent == NAMES
    assert "etcd is on fire" in str(made.error)
    assert len([line for line in proxy.seen if line.startswith("POST")]) <= 16 * api_module.ATTEMPTS


# -- credentials


def test_a_token_that_is_no_longer_accepted_is_read_anew(
    cluster: Cluster, namespace: str, proxy: Proxy, tmp_path: Path
) -> None:
    config = json.loads(proxy.kubeconfig.read_text())
    token = tmp_path / "token"
    token.write_text("expired")
    good = config["users"][0]["user"]["token"]
    config["users"][0]["user"] = {"tokenFile": "token"}  # relative to the kubeconfig
    api = connect(write_private(tmp_path / "kubeconfig", json.dumps(config)), None, namespace)
    token.write_text(good + "\n")
    check_all(cluster, namespace, create(api, JOBS))
    posts = [line for line in proxy.seen if line.startswith("POST")]
    assert COUNT < len(posts) <= COUNT + 16  # those that were under way asked a second time, no others


def test_credentials_that_stay_wrong_are_an_error(through: Api, proxy: Proxy) -> None:
    proxy.on("GET", "/jobs", says(401, "Unauthorized", "Unauthorized"), times=10)
    with pytest.raises(ApiError, match=r"does not accept the credentials of context .*: log in to it again"):
        list_objects(through, Kind.JOB)
    assert len(proxy.seen) == 2


# -- deleting


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(says(429, "TooManyRequests", Retry_After="0"), id="429"),
        pytest.param(says(500, "InternalError"), id="500"),
        pytest.param(breaks_before, id="reset before the commit"),
        pytest.param(breaks_after, id="reset after the commit"),
    ],
)
def test_each_job_is_deleted_once(cluster: Cluster, namespace: str, through: Api, proxy: Proxy, act: Act) -> None:
    create(api_of(cluster, namespace), JOBS)
    seen = list_objects(through, Kind.JOB, SELECTOR)[0]
    proxy.on("DELETE", "/jobs", act, times=10)
    made = delete(through, seen)
    assert (made.deleted, made.gone, made.left) == (NAMES, (), ())
    assert jobs_there(cluster, namespace) == {}
    create(api_of(cluster, namespace), JOBS)
    proxy.on("DELETE", "/jobs", act)
    delete_all(through, Kind.JOB, SELECTOR)
    assert jobs_there(cluster, namespace) == {}


# -- listing


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(says(429, "TooManyRequests", Retry_After="0"), id="429"),
        pytest.param(says(500, "InternalError"), id="500"),
        pytest.param(says(503), id="503"),
        pytest.param(breaks_before, id="reset"),
        pytest.param(says(410, "Expired", "The provided continue parameter is too old"), id="410"),
    ],
)
def test_a_list_is_whole(
    cluster: Cluster, namespace: str, through: Api, proxy: Proxy, act: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects_module, "PAGE", 7)
    create(api_of(cluster, namespace), JOBS)
    proxy.on("GET", "continue=", act)
    items, version = list_objects(through, Kind.JOB, SELECTOR)
    assert sorted(item["metadata"]["name"] for item in items) == list(NAMES)
    assert int(version) > 0


def test_a_list_that_fails_is_no_empty_list(through: Api, proxy: Proxy) -> None:
    proxy.on("GET", "/jobs", says(500, "InternalError", "no luck"), times=100)
    with pytest.raises(ClusterError, match="500 InternalError: no luck"):
        list_objects(through, Kind.JOB)
    proxy.on("GET", "/pods", says(200), times=100)
    with pytest.raises(ClusterError, match="something that is no list"):
        list_objects(through, Kind.POD)
    proxy.on("GET", "/configmaps", lambda exchange: exchange.answer(200, b"<html>log in, please"), times=100)
    with pytest.raises(ClusterError, match="is not a Kubernetes API server"):
        list_objects(through, Kind.CONFIG_MAP)


def test_nobody_at_the_address(through: Api, proxy: Proxy) -> None:
    proxy.down()
    with pytest.raises(UnreachableError, match=rf"the cluster at {proxy.url} can't be reached: connection refused"):
        list_objects(through, Kind.JOB)


# -- watching


@pytest.mark.parametrize(
    ("act", "times", "lists", "is_told"),
    [
        pytest.param(cuts_off(3), 3, 1, False, id="cut off"),
        pytest.param(cuts_off(0, event("BOOKMARK", metadata={"resourceVersion": "1"})), 3, 1, False, id="ends at once"),
        pytest.param(cuts_off(2, b'{"type":"ADDED","obj'), 3, 1, False, id="half a line"),
        pytest.param(cuts_off(2, event("ERROR", code=410, reason="Expired")), 3, 4, False, id="410 inside"),
        pytest.param(cuts_off(2, event("ERROR", code=500, message="etcd")), 3, 1, True, id="500 inside"),
        pytest.param(says(410, "Expired", "too old resource version"), 3, 4, False, id="410"),
        pytest.param(says(429, Retry_After="0"), 3, 1, False, id="429"),
        pytest.param(says(503), 3, 1, True, id="503"),
        pytest.param(says(401, "Unauthorized"), 1, 1, False, id="401"),
        pytest.param(breaks_before, 3, 1, True, id="reset"),
    ],
)
def test_a_mirror_stays_current(
    cluster: Cluster, namespace: str, through: Api, proxy: Proxy, act: Act, times: int, lists: int, is_told: bool
) -> None:
    direct = api_of(cluster, namespace)
    create(direct, JOBS[:10])
    fault = proxy.on("GET", "watch=true", act, times)
    changes: list[Change] = []
    told: list[str] = []
    with Mirror(through, SELECTOR, [Kind.JOB], on_trouble=told.append) as mirror:
        first = list_objects(direct, Kind.JOB, SELECTOR)[0]
        create(direct, JOBS[10:20])
        delete(direct, first[:5])
        create(direct, JOBS[20:])
        wanted = set(jobs_there(cluster, namespace))
        while there(mirror) != wanted or fault.met < fault.times:
            changes += mirror.changes(30)
            if fault.met < fault.times:  # something more for a watch to tell, so that it can be cut off again
                cluster.kubectl("label", "job", NAMES[-1], f"--namespace={namespace}", "--overwrite", f"n={fault.met}")
        cluster.until(lambda: len([line for line in proxy.seen if "limit=" in line]) >= lists)
        changes += mirror.changes(0)
    heard: dict[str, list[Type]] = {}
    for change in changes:
        heard.setdefault(change.item["metadata"]["name"], []).append(change.type)
    gone = {item["metadata"]["name"] for item in first[:5]}
    assert {name for name, types in heard.items() if types[-1] is Type.DELETED} == gone
    assert all(heard[name][0] is Type.ADDED for name in NAMES[10:])
    assert all(types.count(Type.ADDED) <= 1 and types.count(Type.DELETED) <= 1 for types in heard.values())
    assert len([line for line in proxy.seen if "limit=" in line]) == lists
    assert bool(told) == is_told


def there(mirror: Mirror) -> set[str]:
    return {item["metadata"]["name"] for item in mirror.objects(Kind.JOB)}


def test_old_and_double_news_change_nothing(cluster: Cluster, namespace: str, through: Api, proxy: Proxy) -> None:
    direct = api_of(cluster, namespace)
    create(direct, [config_map("stays"), config_map("gone")])
    items = {item["metadata"]["name"]: item for item in list_objects(direct, Kind.CONFIG_MAP, SELECTOR)[0]}
    delete(direct, [items["gone"]])
    # What was true before the list, and what was not.
    old = event("ADDED", **items["gone"]) + event("DELETED", **items["stays"]) + event("ADDED", **items["stays"])
    proxy.on("GET", "watch=true", cuts_off(0, old), times=2)
    with Mirror(through, SELECTOR, [Kind.CONFIG_MAP]) as mirror:
        cluster.until(lambda: len([line for line in proxy.seen if "watch=true" in line]) >= 3)
        assert [item["metadata"]["name"] for item in mirror.objects(Kind.CONFIG_MAP)] == ["stays"]
        assert mirror.changes(0) == []
        create(direct, [config_map("new")])
        (change,) = mirror.changes(30)
        assert (change.type, change.item["metadata"]["name"]) == (Type.ADDED, "new")


def test_an_outage_is_told_once_and_ends_in_an_error(
    cluster: Cluster, through: Api, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "PATIENCE_SECONDS", 0.5)
    told: list[str] = []
    with Mirror(through, SELECTOR, [Kind.JOB], on_trouble=told.append) as mirror:
        cluster.until(lambda: any("watch=true" in line for line in proxy.seen))
        proxy.down()
        with pytest.raises(UnreachableError, match="connection refused"):
            mirror.changes(60)
        with pytest.raises(UnreachableError):
            mirror.objects(Kind.JOB)
    assert len(told) == 1
    assert "can't be reached" in told[0]


def test_a_right_that_is_taken_away_is_an_error(through: Api, proxy: Proxy) -> None:
    proxy.on("GET", "watch=true", says(403, "Forbidden", "no more"), times=100)
    with Mirror(through, SELECTOR, [Kind.JOB]) as mirror, pytest.raises(ApiError, match="403 Forbidden: no more"):
        mirror.changes(60)
