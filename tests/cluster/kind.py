"""A kind cluster for a test run, where Docker or Podman answers: real nodes, and the fake ones beside them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import build, kwok, processes
from tests.cluster.client import Cluster

CONFIG = Path(__file__).parents[2] / "manifests" / "kind.yaml"
_NAME = "kgen-test-{pid}"


def answers() -> bool:
    """Whether kind, kubectl, and a container engine that works are here."""
    if not (shutil.which("kind") and shutil.which("kubectl")):
        return False
    return any(_works(engine) for engine in ("docker", "podman") if shutil.which(engine))


@contextlib.contextmanager
def started() -> Iterator[Cluster]:
    """A cluster of this process's own."""
    remove_abandoned()
    name = _NAME.format(pid=os.getpid())
    folder = Path(tempfile.mkdtemp(prefix="kgen-kind-"))
    kubeconfig = folder / "kubeconfig"
    named = [f"--name={name}", f"--kubeconfig={kubeconfig}"]
    try:
        _kind("create", "cluster", *named, f"--config={CONFIG}", "--wait=120s")
        programs = build.ensure(build.KWOK)
        command = [programs / "kwok", *kwok.arguments(programs, kubeconfig, folder)]
        with (folder / "kwok.log").open("wb") as log:
            fakes = processes.start(command, log.fileno())
        try:
            kubectl = shutil.which("kubectl") or "kubectl"
            server = subprocess.run(
                [kubectl, f"--kubeconfig={kubeconfig}", "config", "view", "-o=jsonpath={.clusters[0].cluster.server}"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            cluster = Cluster(kubeconfig, server, folder, kubectl, has_fake_nodes=True, audit_log=None)
            cluster.add_nodes(2)
            yield cluster
        finally:
            fakes.kill()
            fakes.wait()
    finally:
        _kind("delete", "cluster", *named)
        shutil.rmtree(folder)


def remove_abandoned() -> None:
    """Delete the clusters of test runs that were killed: containers know nothing of their maker's end."""
    for name in _kind("get", "clusters").split():
        found = re.fullmatch(_NAME.format(pid=r"(\d+)"), name)
        if found and not processes.alive(int(found[1])):
            _kind("delete", "cluster", f"--name={name}")


def _works(engine: str) -> bool:
    try:
        return subprocess.run([engine, "info"], capture_output=True, check=False, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _kind(*arguments: str) -> str:
    done = subprocess.run(["kind", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"kind {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
