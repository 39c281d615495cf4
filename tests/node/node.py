"""A real node: containerd and a kubelet on this machine, in process and mount namespaces of their own.

The namespaces are what makes it end: with their first process the kernel kills every container, and undoes every mount.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster import processes
from tests.cluster.controlplane import kubeconfig
from tests.cluster.nodes import RESOURCE
from tests.cluster.supervisor import StartError
from tests.node import pause
from tests.node.settings import CNI_PROGRAMS, GPUS, Place

PATIENCE = 120
"""Seconds for a program to be ready."""

_UNDO = Path(__file__).with_name("undo.py")
_INSIDE = Path(__file__).with_name("inside.sh")
_PROGRAMS = ("containerd", "runc", "iptables", "conntrack", "busybox", "openssl", "ip", "nsenter", "unshare")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PYTHON = ["python3", "-I", "-S"]


def missing() -> str | None:
    """What this machine lacks for a node, in one line with what to do."""
    lacking = [program for program in _PROGRAMS if not shutil.which(program, path=_PATH)]
    if not (CNI_PROGRAMS / "bridge").is_file():
        lacking.append(str(CNI_PROGRAMS / "bridge"))
    if lacking:
        packages = "containerd runc containernetworking-plugins iptables conntrack busybox-static openssl iproute2"
        return f"it needs {', '.join(lacking)}: apt-get install {packages}"
    if os.geteuid():
        return "it needs root"
    return None


class Node:
    """The running programs."""

    def __init__(self, name: str, folder: Path, authority: Path, watchdog: processes.Watchdog, taint: str = "") -> None:
        mark = f"kgen-{secrets.token_hex(4)}"
        self.place = Place(name, mark, folder, _subnet(), authority, taint)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.init = 0
        self._watchdog = watchdog

    def start(self, programs: Path, plane: Path, server: str) -> None:
        """Start it beside the control plane whose folder that is, and return when it is ready for pods."""
        self._begin()
        self._connect(server)
        self._run("containerd", *self.place.containerd())
        self._until("containerd answers", lambda: _ctr(self.place.socket, "version").returncode == 0)
        archive = self.place.folder / "pause.tar"
        pause.write(archive)
        self.load(archive)
        own = kubeconfig(plane, f"system:node:{self.place.name}")
        self._run("kubelet", *self.place.kubelet(programs / "kubelet", own))
        self._register([str(programs / "kubectl"), f"--kubeconfig={kubeconfig(plane)}"])

    def load(self, archive: Path) -> None:
        """Bring an image, an OCI archive, onto the node."""
        import_image(self.place.socket, archive)

    def stop(self) -> None:
        """Kill everything: nothing in it is worth an orderly end."""
        if namespaces := self.running.pop("unshare", None):
            namespaces.kill()
            namespaces.wait()
        for process in self.running.values():
            process.wait()
        subprocess.run([*_PYTHON, _UNDO, self.place.mark], check=False)

    def dead(self) -> str | None:
        """Why it no longer works, with the last it said; `None` while it does."""
        for name, process in self.running.items():
            if process.poll() is not None:
                return f"{name} ended with {process.returncode}:\n{self._said(name)}"
        return None

    def told(self) -> dict[str, Any]:
        """What whoever uses it has to know."""
        place = self.place
        return {
            "name": place.name,
            "mark": place.mark,
            "folder": str(place.folder),
            "gateway": place.gateway,
            "init": self.init,
            "pids": {name: process.pid for name, process in self.running.items()},
        }

    def _begin(self) -> None:
        """Make the namespaces."""
        self._watchdog.add_command(*_PYTHON, _UNDO, self.place.mark)
        self.place.write()
        for name in ("logs", "tmp"):
            (self.place.folder / name).mkdir()
        own = ["--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._start("unshare", "unshare", *own, "sh", _INSIDE, self.place.folder, self.place.mark)
        self._until("the node has its namespaces", self.place.inside.exists)
        parent = self.running["unshare"].pid
        self.init = int(Path(f"/proc/{parent}/task/{parent}/children").read_text())
        self._watchdog.add(self.init)

    def _connect(self, server: str) -> None:
        """Make the pods' bridge, over which they reach the API server where they look for it."""
        mark, port = self.place.mark, server.rpartition(":")[2]
        _do("ip", "link", "add", mark, "type", "bridge")
        _do("ip", "address", "add", f"{self.place.gateway}/24", "dev", mark)
        _do("ip", "link", "set", mark, "up")
        Path(f"/proc/sys/net/ipv4/conf/{mark}/route_localnet").write_text("1")
        redirect(mark, "10.0.0.1", 443, int(port))

    def _register(self, kubectl: list[str]) -> None:
        """Wait until it is ready, and give it its GPUs."""
        name = f"node/{self.place.name}"
        gpus = {RESOURCE: str(GPUS)}  # as a device plugin would
        patch = json.dumps({"status": {"capacity": gpus, "allocatable": gpus}})
        for command in (
            ["wait", name, "--for=create", "--timeout=60s"],
            ["patch", name, "--subresource=status", "--type=merge", f"--patch={patch}"],
            ["wait", name, "--for=condition=Ready", f"--timeout={PATIENCE}s"],
        ):
            done = subprocess.run([*kubectl, *command], capture_output=True, text=True, check=False)
            if done.returncode:
                raise StartError(f"{name}: {done.stderr.strip()}\n{self.dead() or self._said('kubelet')}")

    def _run(self, program: str, *command: object) -> None:
        self._start(program, "nsenter", f"--target={self.init}", "--mount", "--pid", "--", *command)

    def _start(self, name: str, program: str, *arguments: object) -> None:
        environment = {"PATH": _PATH, "HOME": str(self.place.folder), "TMPDIR": str(self.place.folder / "tmp")}
        with self._log(name).open("ab") as log:
            command = [shutil.which(program, path=_PATH), *arguments]
            self.running[name] = processes.start(command, log.fileno(), environment, self.place.folder)
        self._watchdog.add(self.running[name].pid)

    def _log(self, name: str) -> Path:
        return self.place.folder / f"{name}.log"

    def _said(self, name: str) -> str:
        return "\n".join(self._log(name).read_text(errors="replace").splitlines()[-20:])

    def _until(self, what: str, done: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            if dead := self.dead():
                raise StartError(dead)
            if time.monotonic() > deadline:
                said = "\n".join(f"--- {name}:\n{self._said(name)}" for name in self.running)
                raise StartError(f"not within {PATIENCE} s: {what}\n{said}")
            time.sleep(0.05)


def import_image(socket: Path, archive: Path) -> None:
    """Bring an image, an OCI archive, to the containerd that listens there."""
    done = _ctr(socket, "images", "import", archive)
    if done.returncode:
        raise StartError(f"{archive} can't be imported: {done.stderr}")


def tag_image(socket: Path, image: str, name: str) -> None:
    """Give an image of the containerd that listens there one more name."""
    done = _ctr(socket, "images", "tag", "--force", image, name)
    if done.returncode:
        raise StartError(f"{image} can't be called {name}: {done.stderr}")


def _ctr(socket: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["ctr", f"--address={socket}", "--namespace=k8s.io", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def redirect(mark: str, address: str, port: int, to: int) -> None:
    """Send what pods on a bridge send to an address and port to a port of this machine's loopback instead."""
    _do(
        *("iptables", "--wait", "--table=nat", "-A", "PREROUTING", "-i", mark, "-p", "tcp"),
        *("-d", address, "--dport", str(port), "-j", "DNAT", "--to-destination", f"127.0.0.1:{to}"),
    )


def identify(certificate: Path, key: Path) -> None:
    """Make the certificate with which an API server comes to kubelets; it vouches for itself."""
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subject = ["-subj", "/O=system:masters/CN=kgen-test-apiserver", "-addext", "extendedKeyUsage=clientAuth"]
    _do("openssl", "req", "-x509", *kind, "-keyout", str(key), "-out", str(certificate), "-days", "2", *subject)


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PATH": _PATH})
    if done.returncode:
        raise StartError(f"{' '.join(command)}: {done.stderr.strip()}")


def _subnet() -> str:
    """A network that is not in use here, out of the range that is kept for benchmarks, so that nobody else's is hit."""
    used = subprocess.run(["ip", "-json", "address"], capture_output=True, text=True, check=True, env={"PATH": _PATH})
    taken = {each["local"].rpartition(".")[0] for link in json.loads(used.stdout) for each in link.get("addr_info", [])}
    with contextlib.suppress(StopIteration):
        return next(
            subnet
            for subnet in (f"198.{18 + secrets.randbelow(2)}.{secrets.randbelow(256)}" for _ in range(1000))
            if subnet not in taken
        )
    raise StartError("no network is left in 198.18.0.0/15")
