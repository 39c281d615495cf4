"""What tests, benchmarks and faults do with a cluster, whichever it is."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.cluster import identity, nodes

Found = TypeVar("Found")

_MARKER = "/readyz?marker="
_BATCH = "kgen.test/batch"


class KubectlError(Exception):
    """kubectl did not succeed; says what it said."""


def until(predicate: Callable[[], Found], timeout: float = 30, what: str = "") -> Found:
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + timeout
    while not (found := predicate()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout} s: {what or predicate}")
        time.sleep(0.05)
    return found


@dataclass(frozen=True)
class Cluster:
    """A cluster that answers."""

    kubeconfig: Path
    """Its administrator's."""
    server: str
    folder: Path
    """For files that belong to it; goes with it, or with the test run."""
    program: str
    """kubectl"""
    has_fake_nodes: bool
    """Whether pods run on fake GPU nodes, and meet the fate that `stages.yaml` lets them choose."""
    audit_log: Path | None
    """`None` where the cluster keeps none that can be read here."""

    @classmethod
    def of_controlplane(cls, told: str) -> Cluster:
        """The one that `controlplane --json` tells of."""
        read = json.loads(told)
        return cls(
            kubeconfig=Path(read["kubeconfig"]),
            server=read["server"],
            folder=Path(read["folder"]),
            program=str(Path(read["programs"]) / "kubectl"),
            has_fake_nodes=True,
            audit_log=Path(read["audit"]),
        )

    def kubectl(self, *arguments: str, input: str | None = None, check: bool = True) -> str:  # noqa: A002
        """What kubectl prints; raises `KubectlError` where it fails, unless not asked to check."""
        done = self.try_kubectl(*arguments, input=input)
        if check and done.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def try_kubectl(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002
        kubeconfig: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """The same with exit status and both outputs, possibly as somebody else."""
        return subprocess.run(
            [self.program, *arguments],
            input=input,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ
            | {
                "KUBECONFIG": str(kubeconfig or self.kubeconfig),
                # In the home directory, another cluster's that had the same port would be found.
                "KUBECACHEDIR": str(self.folder / "kubectl-cache"),
            },
        )

    def until(self, predicate: Callable[[], Found], timeout: float = 30, what: str = "") -> Found:
        """Wait until something is true, and return it; for an object's conditions there is also `kubectl wait`."""
        return until(predicate, timeout, what)

    def get(self, *arguments: str) -> Any:
        """What `kubectl get` finds, as data."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def apply(self, *manifests: nodes.Manifest, namespace: str = "default") -> None:
        """Create or change objects."""
        self.kubectl("apply", "--server-side", f"--namespace={namespace}", "-f", "-", input=nodes.listing(manifests))

    def token(self, namespace: str, serviceaccount: str) -> Path:
        """A kubeconfig of a service account, with a token of an hour."""
        token = self.kubectl("create", "token", serviceaccount, f"--namespace={namespace}").strip()
        config = json.loads(self.kubectl("config", "view", "--raw", "--minify", "--output=json"))
        config["users"][0]["user"] = {"token": token}
        config["contexts"][0]["context"]["namespace"] = namespace
        file = self.folder / f"{namespace}-{serviceaccount}-{secrets.token_hex(4)}.kubeconfig"
        return identity.write_private(file, json.dumps(config))

    def new_namespace(self) -> str:
        """Create a namespace that pods can be created in."""
        name = f"test-{secrets.token_hex(4)}"
        self.kubectl("create", "namespace", name)
        # Without its default account, which a controller makes, pods are refused.
        self.kubectl("wait", f"--namespace={name}", "--for=create", "serviceaccount/default", "--timeout=60s")
        return name

    def add_nodes(
        self,
        count: int,
        gpus: int = 8,
        product: str = nodes.H100,
        labels: dict[str, str] | None = None,
        taints: Sequence[dict[str, str]] = (),
    ) -> list[str]:
        """Add fake nodes, wait until they are ready, and return their names, for `remove_nodes`."""
        batch = secrets.token_hex(3)
        kind = nodes.Kind(gpus=gpus, product=product, labels={_BATCH: batch, **(labels or {})}, taints=taints)
        names = [f"fake-{batch}-{number}" for number in range(count)]
        self.kubectl("create", "-f", "-", input=nodes.listing([nodes.node(name, kind) for name in names]))

        def ready() -> bool:  # all in one request: `kubectl wait` takes them one by one
            found = self.get("nodes", f"--selector={_BATCH}={batch}")["items"]
            return sum(nodes.is_ready(node) for node in found) == count

        self.until(ready, timeout=60, what=f"{count} nodes are ready")
        return names

    def remove_nodes(self, names: Sequence[str]) -> None:
        """Remove nodes; their pods go with them, some time later."""
        self.kubectl("delete", "node", "--wait=false", *names)

    def audit(self, agent: str = "", user: str | None = None, after: int = 0) -> list[dict[str, Any]]:
        """The answered requests, oldest first: of user agents that hold `agent`, of one user, after a position.

        Raises `LookupError` where the cluster has no audit log.
        """
        end = self.audit_position()
        with self._log().open("rb") as log:
            log.seek(after)
            whole, _, _ = log.read(end - after).rpartition(b"\n")  # the last one may be half written
        events: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        return [
            event
            for event in events
            if agent in event.get("userAgent", "")
            and user in (None, event["user"].get("username"))
            and not event["requestURI"].startswith(_MARKER)
        ]

    def audit_position(self) -> int:
        """Where the log ends now: `audit(after=…)` then tells only of requests made later."""
        log = self._log()
        before = log.stat().st_size
        # A request is in the log a moment after its answer; once this one is there, so are those before it.
        marker = f"{_MARKER}{secrets.token_hex(8)}"
        self.kubectl("get", "--raw", marker)

        def written() -> bool:
            with log.open("rb") as file:
                file.seek(before)
                return marker.encode() in file.read()

        self.until(written, what="the audit log has the marker")
        return log.stat().st_size

    def _log(self) -> Path:
        if self.audit_log is None:
            raise LookupError("this cluster has no audit log that can be read")
        return self.audit_log
