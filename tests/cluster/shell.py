"""Somebody who types commands of kgen in a folder, with a kubeconfig whose namespace is the test's own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kgen import names
from kgen.backends.kubernetes.api import Api, connect
from kgen.cli.app import main
from tests.cluster.client import Cluster
from tests.unit.cli.ran import Ran

PARAMETERS = "{optimizer: [sgd, adam], learning_rate: [1e-3, 1e-2]}"
"""Four trials."""
IMAGE = f"registry.example/trainer@sha256:{'a' * 64}"
_KGEN = (
    # What a shell starts in the background ignores Ctrl-C, and so would its children.
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from kgen.cli.app import main\n"
    "{before}\nmain()"
)
TOLERATED = "[{operator: Exists}]"


def sweep_text(
    name: str = "first",
    parameters: str = PARAMETERS,
    *,
    fate: str = "",
    seconds: str = "",
    more: str = "",
    results: str = "s3://bucket/sweeps",
    image: str = IMAGE,
    trainer: str = "",
    **kubernetes: str,
) -> str:
    """A sweep file of trials that need no GPU, so that tests do not wait for each other's.

    `fate` and `seconds` say what its pods do (`stages.yaml`); `more` are lines of the file.
    """
    wanted = {"kwok.kgen.dev/fate": fate, "kwok.kgen.dev/seconds": seconds}
    settings = {
        "resources": "{nvidia.com/gpu: 0, cpu: 1, memory: 1Gi}",
        "tolerations": TOLERATED,
        "deadline": "1h",
        "backoff_limit": "0",
        "annotations": json.dumps({key: value for key, value in wanted.items() if value}),
    } | kubernetes
    command = "" if "command:" in trainer else ", command: [python, -m, train]"  # kgen's own knows no such parameters
    return (
        f"version: 1\nname: {name}\nparameters: {parameters}\n"
        f"budget: {{steps: 10, target: {{accuracy: 0.9}}}}\nresults: {results}\n"
        f"trainer: {{{f'image: {image!r}' if image else 'env: {}'}{command}{trainer}}}\n{more}"
        "kubernetes:\n" + "".join(f"  {field}: {value}\n" for field, value in settings.items())
    )


def numbers(count: int) -> str:
    """Parameters that make so many trials."""
    return f"{{a: {{int: {{start: 1, stop: {count}}}}}}}"


@dataclass
class Shell:
    """Where commands are typed."""

    cluster: Cluster
    namespace: str
    folder: Path
    kubeconfig: Path
    _monkeypatch: pytest.MonkeyPatch
    _capsys: pytest.CaptureFixture[str]

    def kgen(self, *arguments: object) -> Ran:
        """Run a command in this process, without a terminal."""
        self._monkeypatch.setattr(sys, "argv", ["kgen", *map(str, arguments)])
        self._monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # typer puts its own there
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = self._capsys.readouterr()
        return Ran(stopped.value.code, printed.out, _without_rows(printed.err))

    def start(self, *arguments: object, before: str = "") -> subprocess.Popen[str]:
        """Begin a command in a process of its own, in which some lines of Python come before it."""
        return subprocess.Popen(
            [sys.executable, "-c", _KGEN.format(before=before), *map(str, arguments)],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kubectl(self, *arguments: str) -> str:
        """As the cluster's, in the namespace."""
        return self.cluster.kubectl(*arguments, f"--namespace={self.namespace}")

    def write(self, text: str, file: str = "sweep.yaml") -> str:
        """Write a file and say its name."""
        (self.folder / file).write_text(text)
        return file

    def submit(self, text: str, *arguments: object) -> Ran:
        """Write a sweep file and submit it; it must go well."""
        return self.kgen("submit", self.write(text), *arguments).ok()

    def jobs(self, sweep: str = "first") -> dict[str, dict[str, Any]]:
        """The sweep's Jobs by name."""
        return self._named("jobs", sweep)

    def pods(self, sweep: str = "first") -> dict[str, dict[str, Any]]:
        """The sweep's pods by name."""
        return self._named("pods", sweep)

    def config_maps(self) -> list[str]:
        """Names of the namespace's ConfigMaps that are not Kubernetes' own."""
        found = self.kubectl("get", "configmaps", "-o", "name").split()
        return sorted(name.removeprefix("configmap/") for name in found if name != "configmap/kube-root-ca.crt")

    def statuses(self, sweep: str = "first") -> dict[str, str]:
        """Trial → its status as `kgen get trials` says it."""
        lines = [line.split() for line in self.kgen("get", "trials", sweep, "--no-headers").lines]
        return {line[0]: line[1] for line in lines}

    def until_all(self, status: str, sweep: str = "first") -> None:
        """Wait until every trial has that status."""
        self.cluster.until(lambda: set(self.statuses(sweep).values()) == {status}, what=f"all are {status}")

    def api(self) -> Api:
        """The cluster, for what the command line does not let a test choose."""
        return connect(None, None, None)

    def _named(self, kind: str, sweep: str) -> dict[str, dict[str, Any]]:
        selector = f"--selector={names.LABEL_SWEEP}={sweep}"
        items = self.cluster.get(kind, f"--namespace={self.namespace}", selector)["items"]
        return {item["metadata"]["name"]: item for item in items}


def uids(objects: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Which objects they are, beside their names."""
    return {name: item["metadata"]["uid"] for name, item in objects.items()}


def read_until(process: subprocess.Popen[str], is_it: Callable[[str], object]) -> str:
    """Read what it prints up to a line, which is returned."""
    assert process.stdout is not None
    for line in process.stdout:
        if is_it(line):
            return line
    raise AssertionError(f"it ended without that line: {finish(process)}")


def interrupt(process: subprocess.Popen[str]) -> Ran:
    """Press Ctrl-C and wait for the end."""
    process.send_signal(signal.SIGINT)
    return finish(process)


def finish(process: subprocess.Popen[str]) -> Ran:
    """Wait for the end."""
    out, err = process.communicate(timeout=120)
    return Ran(process.returncode, out or "", _without_rows(err))


def _without_rows(text: str) -> str:
    """Without the line that says that nobody here can read the bucket in which the sweeps of `sweep_text` lie."""
    return re.sub(r"^.*s3://bucket/sweeps/.*; so a finished Job counts as a result\n", "", text, flags=re.MULTILINE)


@pytest.fixture
def shell(
    fake_cluster: Cluster,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shell:
    """A shell in an empty folder, with a cluster of fake nodes."""
    return typing_in(fake_cluster, namespace, tmp_path, monkeypatch, capsys)


def typing_in(
    cluster: Cluster,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shell:
    """A shell in an empty folder, with a namespace of any cluster."""
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "--output=json"))
    config["contexts"][0]["context"]["namespace"] = namespace
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(json.dumps(config))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.chdir(folder)
    return Shell(cluster, namespace, folder, kubeconfig, monkeypatch, capsys)
