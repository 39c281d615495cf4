"""Which cluster, as whom: kubeconfig files as kubectl reads them."""

from __future__ import annotations

import json
import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from kgen.backends.kubernetes import config as config_module
from kgen.backends.kubernetes.api import connect
from kgen.backends.kubernetes.config import log_in
from kgen.errors import ClusterError


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration of whoever runs the tests."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(config_module, "_DEFAULT", str(tmp_path / "default"))


def write(
    file: Path, *contexts: str, current: str = "", user: dict[str, Any] | None = None, authority: str = ""
) -> Path:
    """A kubeconfig; each context (`name` or `name/namespace`) has a cluster and a user of its own name."""
    named = [context.partition("/")[::2] for context in contexts]
    trusted = {"certificate-authority": authority} if authority else {}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "clusters": [{"name": n, "cluster": {"server": f"https://{n}.example:6443/", **trusted}} for n, _ in named],
        "users": [{"name": n, "user": user or {"token": f"token-of-{n}"}} for n, _ in named],
        "contexts": [
            {"name": n, "context": {"cluster": n, "user": n, **({"namespace": space} if space else {})}}
            for n, space in named
        ],
    }
    file.write_text(json.dumps(content))
    return file


def test_the_flag_goes_before_the_variable_before_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path / "default", "home", current="home")
    assert log_in().server == "https://home.example:6443"
    monkeypatch.setenv("KUBECONFIG", str(write(tmp_path / "variable", "work", current="work")))
    login = log_in()
    assert (login.server, login.context) == ("https://work.example:6443", "work")
    assert login.headers == {"Authorization": "Bearer token-of-work"}
    assert log_in(write(tmp_path / "flag", "flag", current="flag")).context == "flag"


def test_of_several_files_the_first_with_a_current_context_decides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = [
        tmp_path / "missing",
        write(tmp_path / "a", "one"),
        write(tmp_path / "b", "two", current="two"),
        write(tmp_path / "c", "three", current="three"),
    ]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, files)))
    assert log_in().context == "two"
    assert log_in(context="one").server == "https://one.example:6443"
    assert log_in(context="three").headers["Authorization"] == "Bearer token-of-three"


@pytest.mark.parametrize(
    ("flag", "sweep", "context", "found"),
    [
        ("flag", "sweep", "home/context", "flag"),
        (None, "sweep", "home/context", "sweep"),
        (None, "", "home/context", "context"),
        (None, "", "home", "default"),
    ],
)
def test_whose_namespace(flag: str | None, sweep: str, context: str, found: str, tmp_path: Path) -> None:
    api = connect(write(tmp_path / "file", context, current="home"), None, flag, sweep)
    assert (api.namespace, api.context, api.server) == (found, "home", "https://home.example:6443")


def test_no_kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=rf"there is no {tmp_path}/default; name a file with --kubeconfig"):
        log_in()
    with pytest.raises(ClusterError, match="there is no /not/there;"):
        log_in(Path("/not/there"))
    monkeypatch.setenv("KUBECONFIG", "/a:/b")
    with pytest.raises(ClusterError, match="there is no /a, /b;"):
        log_in()


def test_an_unknown_context_names_those_there_are(tmp_path: Path) -> None:
    file = write(tmp_path / "file", "one", "two")
    with pytest.raises(ClusterError, match=rf"^{file} has no context three: there are one, two$"):
        log_in(file, "three")
    with pytest.raises(
        ClusterError, match=r"names no current context: choose one with --context \(there are one, two\)"
    ):
        log_in(file)
    with pytest.raises(ClusterError, match=r"\(there is none at all\)"):
        log_in(write(tmp_path / "empty"))


@pytest.mark.parametrize(
    "text",
    ["", "just text", "- a\n- list\n", "a: [", "contexts: 3\ncurrent-context: x\n", "\0", "current-context: x\n"],
)
def test_what_is_no_kubeconfig(text: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    with pytest.raises(ClusterError, match=f"^{file}"):
        log_in(file, "x")


def test_a_context_without_its_cluster(tmp_path: Path) -> None:
    file = write(tmp_path / "file", "one", current="one")
    file.write_text(file.read_text().replace('"cluster": "one"', '"cluster": "none"'))
    with pytest.raises(ClusterError, match=f"{file} can't be used: .*none"):
        log_in(file)


def test_a_certificate_that_is_not_there(tmp_path: Path) -> None:
    file = write(tmp_path / "file", "one", current="one", authority="ca.crt")
    with pytest.raises(ClusterError, match=f"File does not exist: {tmp_path}/ca.crt"):
        log_in(file)


def test_a_token_file_ends_with_a_line_break(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    file = write(tmp_path / "file", "one", current="one", user={"tokenFile": "token"})
    assert log_in(file).headers == {"Authorization": "Bearer secret"}


def plugin(folder: Path, *lines: str) -> dict[str, Any]:
    """A user whose credentials come from a program."""
    program = folder / "plugin"
    program.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program)}}


def test_a_credential_plugin_gives_the_token(tmp_path: Path) -> None:
    status = {"token": "fresh", "expirationTimestamp": "2000-01-01T00:00:00Z"}
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    user = plugin(tmp_path, "echo run >>" + str(tmp_path / "runs"), f"echo '{json.dumps(answer)}'")
    login = log_in(write(tmp_path / "file", "one", current="one", user=user))
    assert login.headers == {"Authorization": "Bearer fresh"}
    assert (tmp_path / "runs").read_text() == "run\n"


def test_a_credential_plugin_that_fails_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    handlers = list(logging.getLogger().handlers)
    file = write(tmp_path / "file", "one", current="one", user=plugin(tmp_path, "echo expired session >&2", "exit 3"))
    words = rf"{tmp_path}/plugin, which context one logs in with, gave no credentials: .*returned 3.*expired session"
    with pytest.raises(ClusterError, match=words):
        log_in(file)
    assert logging.getLogger().handlers == handlers


def test_as_somebody_else(tmp_path: Path) -> None:
    file = write(tmp_path / "file", "one", current="one", user={"token": "t", "as": "alice", "as-uid": "7"})
    assert log_in(file).headers == {
        "Authorization": "Bearer t",
        "Impersonate-User": "alice",
        "Impersonate-Uid": "7",
    }
    file = write(tmp_path / "file", "one", current="one", user={"token": "t", "as": "alice", "as-groups": ["a"]})
    with pytest.raises(ClusterError, match="has as-groups, which kgen does not know"):
        log_in(file)


def test_proxies_are_for_what_is_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", ".inside.example")
    file = write(tmp_path / "file", "far", "near.inside", current="far")
    assert log_in(file).pool.proxy is not None
    assert log_in(file, "near.inside").pool.proxy is None
    file.write_text(file.read_text().replace("far.example", "127.0.0.1"))
    assert log_in(file).pool.proxy is None


def test_in_a_pod_without_a_kubeconfig_its_service_account_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from kubernetes.config import incluster_config

    for name, text in (("token", "pods\n"), ("ca.crt", "x"), ("namespace", "here\n")):
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(config_module, "_POD_NAMESPACE", tmp_path / "namespace")
    with pytest.raises(ClusterError, match="this pod's service account can't be used: Service token file"):
        log_in()
    real: Any = incluster_config.InClusterConfigLoader

    def loader(*_: Any, **more: Any) -> Any:
        return real(tmp_path / "token", tmp_path / "ca.crt", more["try_refresh_token"])

    monkeypatch.setattr(incluster_config, "InClusterConfigLoader", loader)
    login = log_in()
    assert (login.server, login.context, login.namespace) == ("https://10.0.0.1:443", "in-cluster", "here")
    assert login.headers == {"Authorization": "bearer pods"}
    # Whoever names a context does not mean the pod.
    with pytest.raises(ClusterError, match="no cluster is configured"):
        log_in(context="home")
