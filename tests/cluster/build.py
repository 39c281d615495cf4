"""Build the control plane's programs from Go modules, once; package indexes carry none that are built.

What is built lies in `${XDG_CACHE_HOME:-~/.cache}/kgen/testcluster/<version>/`; the version's name carries a hash of
everything that decides what comes out, so an edited module or flag builds anew. `python -m tests.cluster.build` fills
the cache ahead of a test run.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import golang, once, processes

MODULES = Path(__file__).parent / "modules"


@dataclass(frozen=True)
class Module:
    """One of the Go modules in `modules/`, and what comes out of it."""

    name: str
    commands: dict[str, str]
    """Name of the program → its package, which the module's `tools.go` imports."""
    variables: dict[str, str]
    """What the linker sets."""
    kept: tuple[str, ...] = ()
    """Files wanted from the sources, as `MODULE/PATH` in the module cache without the version."""


def _kubernetes() -> str:
    found = re.search(r"k8s\.io/kubernetes v(\S+)", (MODULES / "kubernetes" / "go.mod").read_text())
    assert found
    return found[1]


KUBERNETES = _kubernetes()
"""Its version, without the v."""

_MAJOR, _MINOR, _ = KUBERNETES.split(".")

_KWOK = {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}
_STAGES = (
    "sigs.k8s.io/kwok/kustomize/stage/node/fast/node-initialize.yaml",
    "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
)
# Without these the server says v0.0.0, clients misbehave, and the audit log doesn't know them by name.
_VERSION = {
    f"{package}.{name}": value
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    for name, value in {
        "gitVersion": f"v{KUBERNETES}",
        "gitMajor": _MAJOR,
        "gitMinor": _MINOR,
        "gitTreeState": "clean",
    }.items()
}

KWOK = (Module("kubernetes", _KWOK, {}, _STAGES),)
"""What a cluster of somebody else's making lacks."""
EVERYTHING = (
    Module(
        "kubernetes",
        {
            name: f"k8s.io/kubernetes/cmd/{name}"
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet")
        }
        | _KWOK,
        _VERSION,
        _STAGES,
    ),
    Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}, {}),
)
HELM = (Module("helm", {"helm": "helm.sh/helm/v4/cmd/helm"}, {}),)
HELM_DOCS = (Module("helm-docs", {"helm-docs": "github.com/norwoodj/helm-docs/cmd/helm-docs"}, {}),)
"""Writes the chart's README from its values."""
KIND = (Module("kind", {"kind": "sigs.k8s.io/kind"}, {}),)
"""Reads the configuration of a cluster, also where there are no containers to make one of."""
BUCKETS = (
    Module("versitygw", {"versitygw": "github.com/versity/versitygw/cmd/versitygw"}, {}),
    Module("fake-gcs-server", {"fake-gcs-server": "github.com/fsouza/fake-gcs-server"}, {}),
)
"""Servers of S3's and of Google Cloud Storage's protocol, on a folder."""
ALL = (EVERYTHING, HELM, HELM_DOCS, KIND, BUCKETS)

# The last one spares what the linker would leave out: a seventh of all the work.
FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false")


def cache() -> Path:
    """Where every version lies."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kgen" / "testcluster"


def version(modules: Sequence[Module] = EVERYTHING, folder: Path = MODULES) -> str:
    """The name of what would be built now: Kubernetes' version, and a hash of all that decides the outcome."""
    digest = hashlib.sha256(repr((FLAGS, sys.platform, os.uname().machine, modules)).encode())
    for module in modules:
        for name in ("go.mod", "go.sum"):
            digest.update((folder / module.name / name).read_bytes())
    return f"{KUBERNETES}-{digest.hexdigest()[:12]}"


def built(modules: Sequence[Module] = EVERYTHING) -> bool:
    """Whether the programs are there already."""
    return (cache() / version(modules)).is_dir()


def ensure(modules: Sequence[Module] = EVERYTHING) -> Path:
    """The folder of the modules' programs, which are built where they are missing; raises `golang.NoGoError`."""
    return once.whole(cache() / version(modules), lambda target, scratch: build(modules, target, scratch))


def build(modules: Sequence[Module], target: Path, scratch: Path) -> None:
    """Build the modules' programs into a folder; downloads and intermediates go into another."""
    go = golang.find(golang.needed(MODULES), cache())
    environment = os.environ | {
        "GOPATH": str(scratch / "go"),
        "GOMODCACHE": str(scratch / "modules"),
        "GOCACHE": str(scratch / "objects"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        # Not empty, for then the user's own flags from `go env -w` would count; and what's read-only is hard to remove.
        "GOFLAGS": "-modcacherw",
        "CGO_ENABLED": "0",
    }
    names = ", ".join(name for module in modules for name in module.commands)
    _tell(f"building {names} from Go modules with {go}: minutes, but once")
    started = time.monotonic()
    # All at once: where one waits, for downloads or its linker, the others have work for the cores.
    running = {module.name: _start(go, module, target, scratch, environment) for module in modules}
    try:
        for name, process in running.items():
            if process.wait():
                said = (scratch / f"{name}.log").read_text(errors="replace").splitlines()
                told = [line for line in said if not line.startswith("go: downloading ")]
                raise RuntimeError("\n".join([f"go build failed in tests/cluster/modules/{name}:", *told[-30:]]))
    finally:
        for process in running.values():
            if process.poll() is None:  # interrupted: the compilers of that `go` too are to end
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    for path in (path for module in modules for path in module.kept):
        shutil.copy(_source(scratch / "modules", path), target)
    _tell(f"built in {time.monotonic() - started:.0f} s: {cache()}")


def _start(
    go: Path, module: Module, target: Path, scratch: Path, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    linked = " ".join(["-s -w", *(f"-X {name}={value}" for name, value in module.variables.items())])
    # One command is named, several go into a folder: etcd's package has no name of its own.
    output = target / next(iter(module.commands)) if len(module.commands) == 1 else target
    command = [go, "build", *FLAGS, "-ldflags", linked, "-o", output, *module.commands.values()]
    with (scratch / f"{module.name}.log").open("wb") as log:
        return processes.start(command, log.fileno(), environment, MODULES / module.name)


def _source(modules: Path, path: str) -> Path:
    """A file of a module in the module cache, where the module's folder carries its version."""
    host, name, rest = path.split("/", 2)
    return next(modules.glob(f"{host}/{name}@*")) / rest


def _tell(text: str) -> None:
    print(f"kgen: {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Fill the cache."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as Ctrl-C: nothing stays half done
    try:
        for modules in ALL:
            print(ensure(modules))
    except golang.NoGoError as error:
        sys.exit(f"kgen: {error}")


if __name__ == "__main__":
    main()
