"""A control plane with fake GPU nodes, in a temporary directory, for as long as this process lives.

`python -m tests.cluster.controlplane` builds what is missing, starts etcd, the API server, the controller manager, the
scheduler and kwok, prints how to reach them, and waits. It ends on SIGTERM, SIGINT and SIGHUP, and when its standard
input is a pipe that closes, as it does when the process at the other end dies; then it stops everything and removes the
directory. Killed outright, it leaves that to its watchdog. With `--json` it prints one line of JSON instead.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import build, identity, kwok, nodes, processes, supervisor

NODES = 2
"""How many fake nodes there are from the start."""
PATIENCE = 120
"""Seconds for everything to be ready; it takes 4 where nothing else runs."""

_SHORT = 70  # leaves a hundred bytes, as far as a socket's path may go, for the rest of it

# A line for each answered request, with who asked, but nothing of what was said.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
# The defaults let a controller make 20 requests a second; sweeps of thousands of Jobs would measure that.
_UNHURRIED = ("--kube-api-qps=2000", "--kube-api-burst=4000", "--leader-elect=false", "--secure-port=0")


@dataclass(frozen=True)
class Kubelets:
    """What the API server shows to kubelets that are to let it in, as PEM files."""

    certificate: Path
    key: Path


def kubeconfig(folder: Path, user: str = identity.ADMIN) -> Path:
    """The file of one of `identity.USERS` in a control plane's folder."""
    return folder / ("kubeconfig" if user == identity.ADMIN else f"{user.replace(':', '-')}.kubeconfig")


class ControlPlane:
    """The running programs and what they need, all in one directory."""

    def __init__(
        self, programs: Path, folder: Path, watchdog: processes.Watchdog, kubelets: Kubelets | None = None
    ) -> None:
        """With `kubelets` it has no fake nodes: its nodes are real, and started by somebody else."""
        self.programs = programs
        self.folder = folder
        self._kubelets = kubelets
        self.kubeconfig = kubeconfig(folder)
        self.audit = folder / "audit.log"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.pids = {"supervisor": os.getpid(), "watchdog": watchdog.pid}
        self._authority = folder / "ca.crt"
        self._watchdog = watchdog
        self._tokens = identity.Tokens.draw()
        # Bound for as long as this lives, so nobody else is given the port; the server may share it, and alone listens.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.server = f"https://127.0.0.1:{self._reserved.getsockname()[1]}"

    def start(self) -> None:
        """Start everything and return when Jobs can run."""
        deadline = time.monotonic() + PATIENCE
        self._start_etcd()
        self._start_apiserver()
        authority = self._signer(deadline)
        for user, token in self._tokens.by_user.items():
            identity.write_private(
                kubeconfig(self.folder, user), identity.kubeconfig(self.server, authority, user, token)
            )
        self._authority.write_bytes(authority)
        self._client = ssl.create_default_context(cadata=authority.decode())
        # Before that, what the others ask for is forbidden, and they would wait before they ask again.
        self._until(deadline, "the API server is ready", lambda: self._get("/readyz") is not None)
        self._start_clients()
        if not self._kubelets:
            for number in range(NODES):
                self._post("/api/v1/nodes", nodes.node(f"gpu-{number}", nodes.Kind()))
            self._until(deadline, "the fake nodes are ready", self._nodes_are_ready)
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._until(deadline, "the controllers work", lambda: self._get(account) is not None)

    def told(self) -> dict[str, Any]:
        """What whoever uses it has to know."""
        return {
            "kubeconfig": str(self.kubeconfig),
            "server": self.server,
            "folder": str(self.folder),
            "programs": str(self.programs),
            "audit": str(self.audit),
            "pids": self.pids,
        }

    def stop(self) -> None:
        """Kill everything: nothing in it is worth an orderly end."""
        for process in self.running.values():
            process.kill()
        for process in self.running.values():
            process.wait()
        self._reserved.close()

    def dead(self) -> str | None:
        """Why the control plane no longer works, with the last it said; `None` while it does."""
        for name, process in self.running.items():
            if process.poll() is not None:
                return f"{name} ended with {process.returncode}:\n{self._said(name)}"
        return None

    def _start_etcd(self) -> None:
        self._run(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            # As Kubernetes' integration tests do: a socket needs no port. The other addresses are never used.
            f"--listen-client-urls=unix://{self.folder / 'etcd.sock'}",
            "--advertise-client-urls=http://127.0.0.111:0",
            "--listen-peer-urls=http://127.0.0.1:0",
            "--unsafe-no-fsync",
            "--quota-backend-bytes=8589934592",
            "--log-level=warn",
        )

    def _start_apiserver(self) -> None:
        key = identity.write_private(self.folder / "accounts.key", identity.private_key())
        tokens = self.folder / "tokens.csv"
        self._tokens.write(tokens)
        policy = self.folder / "audit-policy.json"
        policy.write_text(json.dumps(_AUDIT_POLICY))
        self._run(
            "kube-apiserver",
            f"--etcd-servers=unix://{self.folder / 'etcd.sock'}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",  # without it: the default route's, which a machine may not have
            "--endpoint-reconciler-type=none",  # which refuses that address
            f"--secure-port={self._reserved.getsockname()[1]}",
            "--permit-port-sharing",
            f"--cert-dir={self.folder / 'certificates'}",
            f"--token-auth-file={tokens}",
            "--authorization-mode=Node,RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged",
            "--max-requests-inflight=2000",
            "--max-mutating-requests-inflight=1000",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit}",
            "--audit-log-maxsize=100000",  # MB; at 100, the default, it begins anew
            "--profiling=false",
            *self._to_kubelets(),
        )

    def _to_kubelets(self) -> list[str]:
        if not self._kubelets:
            return []
        return [
            f"--kubelet-client-certificate={self._kubelets.certificate}",
            f"--kubelet-client-key={self._kubelets.key}",
            "--kubelet-preferred-address-types=InternalIP",
        ]

    def _start_clients(self) -> None:
        self._run(
            "kube-controller-manager",
            f"--kubeconfig={kubeconfig(self.folder, 'system:kube-controller-manager')}",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={self.folder / 'accounts.key'}",
            f"--root-ca-file={self._authority}",
            "--concurrent-job-syncs=50",
            "--concurrent-gc-syncs=50",
            "--concurrent-namespace-syncs=20",
            *_UNHURRIED,
        )
        self._run("kube-scheduler", f"--kubeconfig={kubeconfig(self.folder, 'system:kube-scheduler')}", *_UNHURRIED)
        if not self._kubelets:
            self._run("kwok", *kwok.arguments(self.programs, kubeconfig(self.folder, "kwok"), self.folder))

    def _run(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.log").open("wb") as log:
            # Its home is here, so that nothing a user keeps in theirs has a say, and nothing is left there.
            environment = {"HOME": str(self.folder), "PATH": os.defpath, "TMPDIR": str(self.folder)}
            process = processes.start([self.programs / program, *arguments], log.fileno(), environment, self.folder)
        self.running[program] = process
        self.pids[program] = process.pid
        self._watchdog.add(process.pid)

    def _said(self, program: str) -> str:
        return "\n".join((self.folder / f"{program}.log").read_text(errors="replace").splitlines()[-20:])

    def _signer(self, deadline: float) -> bytes:
        """The authority that the server has made, together with a certificate, for itself."""
        key = self.folder / "certificates" / "apiserver.key"  # the last of the files it writes
        self._until(deadline, "the API server has a certificate", key.exists)
        begin = b"-----BEGIN CERTIFICATE-----"
        return begin + key.with_suffix(".crt").read_bytes().rpartition(begin)[2]

    def _until(self, deadline: float, what: str, done: Any) -> None:
        while not done():
            if dead := self.dead():
                raise supervisor.StartError(dead)
            if time.monotonic() > deadline:
                said = "\n".join(f"--- {name}:\n{self._said(name)}" for name in self.running)
                raise supervisor.StartError(f"not within {PATIENCE} s: {what}\n{said}")
            time.sleep(0.05)

    def _nodes_are_ready(self) -> bool:
        found = self._get("/api/v1/nodes")
        items = json.loads(found)["items"] if found else []
        return bool(items) and all(nodes.is_ready(item) for item in items)

    def _get(self, path: str) -> bytes | None:
        try:
            return self._request(path, None)
        except (urllib.error.URLError, ConnectionError, TimeoutError):  # not yet
            return None

    def _post(self, path: str, body: nodes.Manifest) -> None:
        self._request(path, json.dumps(body).encode())

    def _request(self, path: str, body: bytes | None) -> bytes:
        headers = {
            "Authorization": f"Bearer {self._tokens.by_user[identity.ADMIN]}",
            "Content-Type": "application/json",
            "User-Agent": "kgen-test-controlplane",
        }
        request = urllib.request.Request(self.server + path, body, headers)
        # No proxy: the environment's would be asked for 127.0.0.1 as well.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._client)
        )
        with opener.open(request, timeout=10) as answer:
            content: bytes = answer.read()
        return content


@contextlib.contextmanager
def folder() -> Iterator[tuple[Path, processes.Watchdog]]:
    """A folder for a cluster, and who removes it if this process can't."""
    # A socket's path has to be short, which in a test's own temporary directory it may not be.
    parent = tempfile.gettempdir()
    made = Path(tempfile.mkdtemp(prefix="kgen-cluster-", dir=parent if len(parent) < _SHORT else "/tmp"))
    watchdog = processes.Watchdog(made)
    try:
        yield made, watchdog
    finally:
        shutil.rmtree(made)
        watchdog.dismiss()


@contextlib.contextmanager
def running(programs: Path) -> Iterator[ControlPlane]:
    """A control plane, ready, and gone without a trace at the end."""
    with folder() as (made, watchdog):
        plane = ControlPlane(programs, made, watchdog)
        try:
            plane.start()
            yield plane
        finally:
            plane.stop()


def main() -> None:
    """The command."""
    supervisor.serve(
        "tests.cluster.controlplane",
        __doc__ or "",
        lambda: running(build.ensure()),
        f"Kubernetes {build.KUBERNETES} with {NODES} fake nodes of 8 GPUs, Jobs run to Complete; Ctrl-C ends it",
    )


if __name__ == "__main__":
    main()
