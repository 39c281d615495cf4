"""Somebody who types commands in a folder for as long as a module of tests needs, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kgen.results.folder import FolderStore
from kgen.results.rows import TrialRow, bytes_to_rows
from tests.cluster.identity import write_private
from tests.node.client import RealNode
from tests.unit.cli.ran import Ran

_SUBMIT = """
import sys
from kgen.cli.app import main
for file in sys.argv[1:]:
    sys.argv = ["kgen", "submit", file]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
"""


@dataclass(frozen=True)
class Terminal:
    """Where commands are typed: a folder, with a kubeconfig whose namespace is its own."""

    node: RealNode
    namespace: str
    folder: Path

    @classmethod
    def open(cls, node: RealNode, folder: Path) -> Terminal:
        """One with a new namespace."""
        namespace = node.cluster.new_namespace()
        config = json.loads(node.cluster.kubectl("config", "view", "--raw", "--minify", "--output=json"))
        config["contexts"][0]["context"]["namespace"] = namespace
        write_private(folder / "kubeconfig", json.dumps(config))
        return cls(node, namespace, folder)

    def close(self) -> None:
        """Delete the namespace without waiting for its end."""
        self.node.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Begin a command of kgen."""
        return self._start("-m", "kgen", *arguments)

    def _start(self, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=self.folder,
            env=os.environ | {"KUBECONFIG": str(self.folder / "kubeconfig"), "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kgen(self, *arguments: object) -> Ran:
        """Run a command of kgen."""
        return finish(self.start(*arguments))

    def submit(self, *files: Path) -> None:
        """Submit sweeps, all in one process: starting one takes longer than submitting."""
        done = finish(self._start("-c", _SUBMIT, *files))
        assert done.code == 0, done

    def kubectl(self, *arguments: str) -> str:
        """As the cluster's, in the namespace."""
        return self.node.cluster.kubectl(*arguments, f"--namespace={self.namespace}")

    def get(self, *arguments: str) -> Any:
        """What `kubectl get` finds, as data."""
        return self.node.cluster.get(*arguments, f"--namespace={self.namespace}")

    def write(self, name: str, text: str) -> Path:
        """Write a file."""
        file = self.folder / name
        file.write_text(text)
        return file

    def trials(self, sweep: str) -> list[dict[str, Any]]:
        """What `kgen get trials -o json` says."""
        found: list[dict[str, Any]] = json.loads(self.kgen("get", "trials", sweep, "-o", "json").ok().out)["items"]
        return found

    def until(self, sweep: str, *states: str, timeout: float = 300, **parameters: object) -> dict[str, Any]:
        """Wait until a trial is in one of several states, `State` or `State:Reason`; gives it."""

        def seen() -> dict[str, Any] | None:
            for trial in self.trials(sweep):
                if trial["parameters"].items() >= parameters.items():
                    both = f"{trial['state']}:{trial['reason']}"
                    return trial if trial["state"] in states or both in states else None
            return None

        what = f"{parameters} of {sweep} is {' or '.join(states)}"
        try:
            return self.node.cluster.until(seen, timeout, what) or {}
        except TimeoutError as error:
            told = self.kubectl("get", "pods,events", "--output=wide")
            raise AssertionError(f"{error}: {self.trials(sweep)}\n{told}") from error


@dataclass(frozen=True)
class Rows:
    """The rows of a sweep whose results lie in a folder."""

    folder: Path

    def of(self, trial: str) -> list[TrialRow]:
        """Those of a trial, the one that ended first before the others."""
        store = FolderStore(self.folder)
        rows = [row for file in store.row_files(f"{trial}.") for row in bytes_to_rows(store.read_row_file(file.name))]
        return sorted(rows, key=lambda row: row.ended)

    def until(self, node: RealNode, trial: str, count: int = 1) -> list[TrialRow]:
        """Wait until there are so many."""
        return node.cluster.until(
            lambda: rows if len(rows := self.of(trial)) >= count else [], 60, f"{count} rows of {trial}"
        )


def finish(process: subprocess.Popen[str], timeout: float = 240) -> Ran:
    """Wait for the end of a command, which is killed where it does not come."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ran(process.returncode, out, err)
