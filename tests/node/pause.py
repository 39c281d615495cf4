"""An image of one static program, busybox, written without a build tool.

It holds the namespaces of pods, and runs their shells where they need nothing else.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

IMAGE = "registry.example/busybox:test"
"""Its name on a node."""

_PROGRAMS = ("sh", "sleep", "cat", "ls", "env", "id", "wget")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def write(archive: Path) -> None:
    """Write it as an OCI archive, which `ctr images import` takes."""
    blobs: dict[str, bytes] = {}

    def add(kind: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    layer = add("layer.v1.tar", _layer())
    config = {
        "architecture": _MACHINES.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "config": {"Cmd": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "config": add("config.v1+json", json.dumps(config).encode()),
        "layers": [layer],
    }
    named = add("manifest.v1+json", json.dumps(manifest).encode())
    named["annotations"] = {"io.containerd.image.name": IMAGE}
    files = blobs | {
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [named]}).encode(),
        "oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode(),
    }
    with tarfile.open(archive, "w") as tar:
        for name, content in files.items():
            _add(tar, name, content)


def _layer() -> bytes:
    program = shutil.which("busybox")
    assert program
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        _add(tar, "bin/busybox", Path(program).read_bytes(), 0o755)
        for name in _PROGRAMS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return packed.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    file = tarfile.TarInfo(name)
    file.size, file.mode = len(content), mode
    tar.addfile(file, io.BytesIO(content))
