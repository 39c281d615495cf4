"""What tests do with a real node."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.client import Cluster
from tests.node.node import import_image, redirect, tag_image

GROUP = 10001
"""The group that kgen's pods run as, unless their sweep says otherwise."""


@dataclass(frozen=True)
class RealNode:
    """A node whose pods are real, and the control plane that it belongs to, which has no other nodes."""

    cluster: Cluster
    name: str
    """The Node object's, and the value of its label `kubernetes.io/hostname`."""
    folder: Path
    mark: str
    gateway: str
    """Address where pods reach servers of this machine that listen there or on all addresses; see also `expose`."""
    init: int
    """The first process of its namespaces."""
    pids: dict[str, int]

    @classmethod
    def of(cls, told: dict[str, Any]) -> RealNode:
        """The one that `python -m tests.node --json` tells of."""
        cluster = dataclasses.replace(Cluster.of_controlplane(json.dumps(told)), has_fake_nodes=False)
        node = told["node"]
        return cls(
            cluster,
            node["name"],
            Path(node["folder"]),
            node["mark"],
            node["gateway"],
            node["init"],
            told["pids"] | node["pids"],
        )

    def inside(self, *command: object) -> str:
        """What a command prints that runs on the node: with its mounts and its processes."""
        enter = ["nsenter", f"--target={self.init}", "--mount", "--pid", "--"]
        done = subprocess.run([*enter, *map(str, command)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def seen(self, path: Path) -> Path:
        """A path of the node, mounts included, as this process can open it."""
        return Path(f"/proc/{self.init}/root") / path.relative_to("/")

    def load(self, archive: Path) -> None:
        """Bring an image, an OCI archive, onto the node, where it is not there already."""
        stat = archive.stat()
        key = hashlib.sha256(f"{archive} {stat.st_mtime_ns} {stat.st_size}".encode()).hexdigest()[:16]
        done = self.folder / f"loaded-{key}"
        with (self.folder / "load.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                import_image(self.folder / "containerd.sock", archive)
                done.touch()

    def claim(
        self, namespace: str, name: str = "results", *, size: str = "1Gi", full: bool = False, read_only: bool = False
    ) -> Path:
        """Make a bound PersistentVolumeClaim on this node's disk; gives its folder as this process sees it.

        Pods may write there as Kubernetes arranges it with `fsGroup`. A full one has a few kilobytes, all used.
        """
        folder = self.folder / "claims" / f"{namespace}-{name}"
        folder.mkdir(parents=True)
        if full:
            self.inside("mount", "-t", "tmpfs", "-o", "size=64k", "full", folder)
            self.inside("sh", "-c", f"cat /dev/zero > {folder}/used 2>/dev/null || true")
        # As `fsGroup` leaves it: a file system that can't be written would otherwise not be mounted at all.
        self.inside("chown", f":{GROUP}", folder)
        self.inside("chmod", "2775", folder)
        if read_only:
            self.inside("mount", "--bind", folder, folder)
            self.inside("mount", "-o", "remount,bind,ro", folder)
        self.cluster.apply(
            *_volume(f"{namespace}-{name}", namespace, name, folder, self.name, size), namespace=namespace
        )
        phase = "--for=jsonpath={.status.phase}=Bound"
        self.cluster.kubectl("wait", f"pvc/{name}", f"--namespace={namespace}", phase, "--timeout=60s")
        return self.seen(folder)

    def volume(self, claim: str, namespace: str, *, size: str) -> Path:
        """Make a volume on this node's disk for a claim that somebody else makes; gives its folder as claim() does."""
        folder = self.folder / "claims" / f"{namespace}-{claim}"
        folder.mkdir(parents=True)
        folder.chmod(0o2775)
        os.chown(folder, -1, GROUP)
        self.cluster.apply(_volume(f"{namespace}-{claim}", namespace, claim, folder, self.name, size)[0])
        return self.seen(folder)

    def tag(self, image: str, name: str) -> None:
        """Give an image that is on the node one more name."""
        tag_image(self.folder / "containerd.sock", image, name)

    def expose(self, port: int) -> str:
        """Let pods reach a server that listens on this machine's loopback; gives the address to use, `HOST:PORT`."""
        redirect(self.mark, self.gateway, port, port)
        return f"{self.gateway}:{port}"


def _volume(volume: str, namespace: str, claim: str, folder: Path, node: str, size: str) -> list[dict[str, Any]]:
    # `local`, not `hostPath`: of the latter Kubernetes leaves owner and group alone.
    modes = ["ReadWriteMany", "ReadWriteOnce"]
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume},
            "spec": {
                "capacity": {"storage": size},
                "accessModes": modes,
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "claimRef": {"namespace": namespace, "name": claim},
                "local": {"path": str(folder)},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [here]}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": namespace},
            "spec": {
                "accessModes": modes,
                "storageClassName": "",
                "volumeName": volume,
                "resources": {"requests": {"storage": size}},
            },
        },
    ]
