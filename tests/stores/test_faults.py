"""A bucket that fails: one clear line, and nothing lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from kgen.errors import StoreError
from kgen.results.bucket import BucketStore
from kgen.results.store import open_store
from tests.stores import front, servers
from tests.stores.front import Act
from tests.stores.place import Place

CUT = "the connection was cut"


def refused(act: Callable[[], object]) -> str:
    """The one line that it ends with."""
    with pytest.raises(StoreError) as caught:
        act()
    line = str(caught.value)
    assert "\n" not in line
    assert servers.SECRET not in line
    assert servers.KEY not in line
    return line


@pytest.mark.parametrize(
    "act",
    [
        front.breaks_before,
        front.breaks_within,
        front.breaks_after,
        front.says(500),
        front.says(503, "SlowDown"),
        front.says(403, "AccessDenied"),
        front.says(409, "ConditionalRequestConflict"),
    ],
    ids=["lost", "cut", "unanswered", "500", "503", "403", "409"],
)
def test_a_row_is_written_in_spite_of(place: Place, act: Act) -> None:
    fault = place.front.on("PUT", "a.parquet", act, times=2)
    data = os.urandom(200_000)
    assert place.store().write_row_file("a.parquet", data)
    assert fault.met == 2 or act is front.breaks_after  # there the first try has already written it
    assert place.store().read_row_file("a.parquet") == data


def test_a_row_that_was_written_by_somebody_else_meanwhile_is_not_taken_for_ones_own(place: Place) -> None:
    assert place.store().write_row_file("a.parquet", b"theirs")
    place.front.on("PUT", "a.parquet", front.breaks_before)
    assert not place.store().write_row_file("a.parquet", b"mine")


@pytest.mark.parametrize("act", [front.breaks_before, front.answers_half, front.says(500)], ids=["lost", "half", "500"])
def test_a_file_and_a_listing_are_read_in_spite_of(place: Place, act: Act) -> None:
    data = os.urandom(100_000)
    store = place.store()
    assert store.write_row_file("a.parquet", data)
    place.front.on("GET", "a.parquet", act, times=2)
    place.front.on("GET", "list-type", act, times=2)
    assert [file.size for file in store.row_files()] == [100_000]
    assert store.read_row_file("a.parquet") == data


def test_slow_answers_are_waited_for(place: Place) -> None:
    data = os.urandom(100_000)
    store = place.store()
    assert store.write_row_file("a.parquet", data)
    place.front.on("GET", "a.parquet", front.slow(1000))
    assert store.read_row_file("a.parquet") == data


def test_a_server_that_says_nothing_is_given_up(place: Place) -> None:
    over = threading.Event()
    store = place.store(patience=0.5)
    try:
        place.front.on("GET", "list-type", front.hangs(over), times=9)
        line = refused(store.row_files)
    finally:
        over.set()
    assert line == f"{place.location}/rows: can't be listed: no answer from {place.front.url}: timed out"


def test_a_row_waits_for_a_server_that_is_down(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    server = place.front.server
    server.stop()
    written: list[bool] = []
    fault = place.front.on("PUT", "a.parquet", front.breaks_before, times=2)
    writer = threading.Thread(target=lambda: written.append(place.store().write_row_file("a.parquet", b"row")))
    try:
        writer.start()
        place.front.wait_for(fault, 2)  # two tries have met nobody
    finally:
        server.start()
    writer.join()
    assert written == [True]
    assert place.store().read_row_file("a.parquet") == b"row"
    assert capfd.readouterr().err == f"kgen: the row can't be written yet: no answer from {place.front.url}: {CUT}\n"


def test_a_row_that_cannot_be_written_at_all_is_an_error(place: Place) -> None:
    place.front.on("PUT", "a.parquet", front.says(503, "SlowDown"), times=999)
    line = refused(lambda: place.store(patience=1).write_row_file("a.parquet", b"row"))
    assert line == f"{place.location}/rows/a.parquet: can't be written: {place.front.url} answers 503 SlowDown"


# -- what a check says ------------------------------------------------------------------------------------------------


def test_a_bucket_that_is_not_there(place: Place) -> None:
    location = f"{place.scheme}://no-such-bucket/x"
    for act in (open_store(location).check, open_store(location).row_files):
        assert "can't be listed: there is no bucket 'no-such-bucket' at http://127.0.0.1:" in refused(act)


def test_a_wrong_key(s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    assert refused(s3.store().check) == (
        f"{s3.location}: can't be listed: access denied (403 SignatureDoesNotMatch) with the credentials in use, those "
        "of AWS_ACCESS_KEY_ID; they need s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject"
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    assert "access denied (404 XAdminUserNotFound)" in refused(s3.store().check)


def test_a_wrong_region(s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-2")
    line = refused(s3.store().check)
    assert "can't be listed: the bucket is not in the region 'us-east-2': set AWS_REGION or results.region" in line


def test_rights_to_read_only(place: Place) -> None:
    place.front.on("PUT", ".tmp-", front.says(403, "AccessDenied"), times=99)
    assert f"{place.location}: can't be written: access denied (403 AccessDenied)" in refused(place.store().check)


def test_a_trial_needs_no_right_to_delete(place: Place) -> None:
    place.front.on("DELETE", ".tmp-", front.says(403, "AccessDenied"), times=99)
    place.store().check()


def test_a_service_that_cannot_write_a_row_is_found_by_the_check(place: Place) -> None:
    fault = place.front.on("PUT", "", front.refuses_conditions, times=99)
    line = refused(place.store().check)
    assert line == f"{place.location}: can't be written: {place.front.url} answers 501 NotImplemented"
    assert fault.met == 1


def test_a_probe_of_which_the_answer_was_lost_is_there(place: Place) -> None:
    place.front.on("PUT", ".tmp-", front.breaks_after)
    place.store().check()
    assert place.front.count("PUT", ".tmp-") == 2


def test_nobody_listens(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    port = servers.free_port()
    for name in ("AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    line = refused(place.store(patience=0.5).check)
    assert line == f"{place.location}: can't be listed: no answer from http://127.0.0.1:{port}: connection refused"


def test_a_name_that_nobody_knows(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"):
        monkeypatch.setenv(name, "http://s3.invalid:9000")
    line = refused(place.store(patience=0.5).check)
    assert line.endswith("no answer from http://s3.invalid:9000: its name is not known")


def test_without_credentials(s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert refused(s3.store().check) == (
        f"{s3.location}: can't be listed: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (in pods by "
        "kubernetes.secret_env), or give the pod's service account a role"
    )


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_metadata_service_that_says_nothing_is_not_waited_for(
    scheme: str, monkeypatch: pytest.MonkeyPatch, fronts: dict[str, front.Front]
) -> None:
    """Where there is none, its address often swallows what is sent to it."""
    over, silent = threading.Event(), fronts["s3"]
    silent.forget()
    fault = silent.on("PUT" if scheme == "s3" else "GET", "", front.hangs(over), times=99)
    for name in ("AWS_EC2_METADATA_DISABLED", "AWS_ACCESS_KEY_ID", "STORAGE_EMULATOR_HOST", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", silent.url)
    monkeypatch.setenv("GCE_METADATA_HOST", silent.url.removeprefix("http://"))
    monkeypatch.setenv("HOME", "/nonexistent")
    try:
        line = refused(BucketStore(f"{scheme}://some-bucket/x", patience=2).check)
    finally:
        over.set()
        silent.forget()
    assert "no credentials: set " in line
    assert fault.met == 1


@pytest.mark.parametrize(
    ("status", "pod", "tries"),
    [(503, True, 2), (503, False, 1), (404, True, 1)],
    ids=["not-ready", "elsewhere", "has-none"],
)
@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_pods_metadata_service_may_not_be_ready_yet(
    scheme: str, status: int, pod: bool, tries: int, monkeypatch: pytest.MonkeyPatch, fronts: dict[str, front.Front]
) -> None:
    metadata = fronts["s3"]
    metadata.forget()
    method, each = ("PUT", 1) if scheme == "s3" else ("GET", 2)  # Google's is asked by its name, then by its address
    metadata.on(method, "", front.says(status), times=each)
    metadata.on(method, "", front.says(404), times=99)
    for name in ("AWS_EC2_METADATA_DISABLED", "AWS_ACCESS_KEY_ID", "STORAGE_EMULATOR_HOST", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    if pod:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", metadata.url)
    for name in ("GCE_METADATA_HOST", "GCE_METADATA_IP"):
        monkeypatch.setenv(name, metadata.url.removeprefix("http://"))
    monkeypatch.setenv("HOME", "/nonexistent")
    assert "no credentials: set " in refused(BucketStore(f"{scheme}://some-bucket/x").check)
    assert metadata.count(method) == tries * each
    metadata.forget()


def test_names_with_sts_in_them_have_nothing_to_do_with_credentials(s3: Place) -> None:
    store = open_store(f"{s3.results}/tests.v1/first")
    assert not store.exists("collected/pods.parquet")


def test_a_host_with_sts_in_its_name_may_come_back(monkeypatch: pytest.MonkeyPatch, s3: Place) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://minio.tests.localhost:{servers.free_port()}")
    line = refused(BucketStore(s3.location, patience=0.1).row_files)
    assert "no answer from http://minio.tests.localhost:" in line


def test_a_password_in_an_endpoint_is_not_told(monkeypatch: pytest.MonkeyPatch, s3: Place) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:hunter2@127.0.0.1:9")
    line = refused(BucketStore(s3.location, patience=0.1).row_files)
    assert "no answer from http://127.0.0.1:9" in line
    assert "hunter2" not in line


def test_what_is_removed_by_somebody_else_is_removed(place: Place) -> None:
    store = place.store()
    for name in "abc":
        store.write_row_file(f"{name}.parquet", b"x")
    place.front.on("DELETE", "b.parquet", front.breaks_after)  # the second try finds nothing
    assert store.remove() == 3
    assert store.row_files() == []


def test_a_profile_of_the_users_needs_boto3(s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_PROFILE", "research")
    line = refused(s3.store().check)
    assert "credentials in ~/.aws need boto3: pip install boto3, or eval" in line


# -- endpoints --------------------------------------------------------------------------------------------------------


def test_the_files_endpoint_counts_where_the_environment_names_none(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    region = servers.REGION if place.scheme == "s3" else ""
    open_store(place.location, endpoint=place.front.url, region=region).check()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", place.front.url)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", place.front.url.removeprefix("http://"))
    open_store(place.location, endpoint="http://s3.invalid", region=region).check()
