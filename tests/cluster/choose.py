"""Which cluster a test run uses, the first of these that there is.

1. The one that `KGEN_TEST_KUBECONFIG` names; nothing is added to it but namespaces, so it has no fake nodes.
2. One of kind, where kind, kubectl, and Docker or Podman are.
3. The control plane that is built from Go modules.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.cluster import build, golang, kind
from tests.cluster.client import Cluster

NAMED = "KGEN_TEST_KUBECONFIG"
ROOT = Path(__file__).parents[2]


class UnavailableError(Exception):
    """There is no cluster; says in one line what to install."""


@contextlib.contextmanager
def started(before_building: Callable[[], None] = lambda: None) -> Iterator[Cluster]:
    """The cluster, from here to the end of the block; calls a function first where that will take minutes."""
    if os.environ.get(NAMED):
        chosen = named(Path(os.environ[NAMED]))
    elif kind.answers():
        chosen = kind.started()
    else:
        if not build.built():
            before_building()
        chosen = controlplane()
    with chosen as cluster:
        yield cluster


@contextlib.contextmanager
def named(kubeconfig: Path) -> Iterator[Cluster]:
    """A cluster that is there already."""
    kubectl = shutil.which("kubectl")
    if not kubectl:
        raise UnavailableError(f"{NAMED} is set, but there is no kubectl: install it")
    # Absolute: whoever uses it may be in another folder.
    kubeconfig = kubeconfig.expanduser().resolve()
    with tempfile.TemporaryDirectory(prefix="kgen-named-") as folder:
        done = subprocess.run(
            [kubectl, "config", "view", "--minify", "-o=jsonpath={.clusters[0].cluster.server}"],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"KUBECONFIG": str(kubeconfig)},
        )
        if done.returncode or not done.stdout:
            raise UnavailableError(f"{NAMED}={kubeconfig} names no cluster: {done.stderr.strip()}")
        yield Cluster(kubeconfig, done.stdout, Path(folder), kubectl, has_fake_nodes=False, audit_log=None)


@contextlib.contextmanager
def controlplane() -> Iterator[Cluster]:
    """A control plane of this process's own, in a second process that ends with this one."""
    try:
        build.ensure()
    except golang.NoGoError as error:
        raise UnavailableError(f"{error}; or Docker or Podman with kind and kubectl; or set {NAMED}") from error
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.controlplane", "--json"],
            cwd=ROOT,
            stdin=subprocess.PIPE,  # it ends when this closes
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        assert process.stdin
        assert process.stdout
        try:
            line = process.stdout.readline()
            if not line:
                process.wait()
                errors.seek(0)
                raise RuntimeError(errors.read().decode(errors="replace"))
            yield Cluster.of_controlplane(line.decode())
        finally:
            process.stdin.close()
            process.wait()
            process.stdout.close()
