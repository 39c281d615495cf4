"""Errors in kgen's words, made by real connections where they can be."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kgen.backends.kubernetes import api as api_module
from kgen.backends.kubernetes.api import Api, connect
from kgen.backends.kubernetes.failure import UnreachableError, is_unclear, may_pass, refused
from kgen.errors import ClusterError


def api_at(folder: Path, server: str) -> Api:
    content = {
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": server}}],
        "users": [{"name": "x", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(content))
    return connect(folder / "kubeconfig", None, None)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of somebody who listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_nobody_there(tmp_path: Path) -> None:
    port = closed_port()
    with pytest.raises(UnreachableError) as caught:
        api_at(tmp_path, f"https://127.0.0.1:{port}").get("/version")
    assert str(caught.value) == f"the cluster at https://127.0.0.1:{port} can't be reached: connection refused"
    assert not caught.value.sent


def test_no_such_host(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=r"at https://nowhere\.invalid can't be reached: there is no address"):
        api_at(tmp_path, "https://nowhere.invalid").get("/version")


def test_no_answer(tmp_path: Path, silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "READ_SECONDS", 0.1)
    with pytest.raises(UnreachableError, match="it took too long to answer") as caught:
        api_at(tmp_path, f"http://127.0.0.1:{silent}").post("/x", {})
    assert caught.value.sent


def test_a_certificate_of_nobody_known(tmp_path: Path) -> None:
    """Also a server that speaks no TLS."""
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
         "/CN=x", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for greeting in (True, False):
                connection, _ = server.accept()
                try:
                    if greeting:
                        context.wrap_socket(connection, server_side=True).close()
                    else:
                        connection.recv(1)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                except OSError:
                    pass
                finally:
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        api = api_at(tmp_path, f"https://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(UnreachableError, match="its certificate is not trusted: self-signed certificate"):
            api.get("/version")
        with pytest.raises(UnreachableError, match="TLS fails: "):
            api.get("/version")
        thread.join()


@pytest.mark.parametrize(
    ("status", "message", "words"),
    [
        (401, "Unauthorized", "the cluster at S does not accept the credentials of context C: log in to it again"),
        (
            403,
            'jobs.batch is forbidden: User "alice" cannot create resource "jobs" in API group "batch" in the namespace '
            '"x"',
            "alice may not create jobs.batch in namespace x of the cluster at S",
        ),
        (
            403,
            'nodes is forbidden: User "alice" cannot list resource "nodes" in API group "" at the cluster scope',
            "alice may not list nodes of the cluster at S",
        ),
        (403, "exceeded quota: jobs", "the cluster at S answered 403 R: exceeded quota: jobs"),
        (404, 'namespaces "x" not found', "there is no namespace x in the cluster at S"),
        (404, 'jobs.batch "x" not found', 'the cluster at S answered 404 R: jobs.batch "x" not found'),
    ],
)
def test_words(status: int, message: str, words: str) -> None:
    body = json.dumps({"kind": "Status", "reason": "R", "message": message, "details": {"kind": "jobs"}}).encode()
    error = refused(status, {"Retry-After": "7"}, body, server="S", context="C")
    assert str(error) == words
    assert (error.status, error.reason, error.message, error.retry_after) == (status, "R", message, 7.0)
    assert error.details == {"kind": "jobs"}


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Gateway</html>", b"[1]", b'{"kind": "Pod"}', b"\xff\xfe", b"x" * 10**6]
)
def test_an_answer_of_somebody_else(body: bytes) -> None:
    error = refused(502, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, body, server="S", context="C")
    assert str(error).startswith("the cluster at S answered 502: ")
    assert len(str(error)) < 1000
    assert (error.reason, error.retry_after, dict(error.details)) == ("", None, {})


def test_what_may_pass_and_what_may_have_happened() -> None:
    def answered(status: int) -> ClusterError:
        return refused(status, {}, b"", server="S", context="C")

    assert [may_pass(answered(status)) for status in (400, 403, 404, 409, 422, 429, 500, 503, 504)] == [
        False, False, False, False, False, True, True, True, True,
    ]  # fmt: skip
    assert [is_unclear(answered(status)) for status in (403, 409, 429, 500, 504)] == [False, False, False, True, True]
    lost = [UnreachableError("S", "why", sent=sent) for sent in (True, False)]
    assert [(may_pass(error), is_unclear(error)) for error in lost] == [(True, True), (True, False)]
    other = ClusterError("something else")
    assert (may_pass(other), is_unclear(other)) == (False, True)
