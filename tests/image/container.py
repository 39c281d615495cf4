"""Run the built image as a pod would: by runc, as its own user, with only /tmp and mounts to write to."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.cluster import processes

_NAMESPACES = ("pid", "mount", "ipc", "uts", "network")  # the last one without a device: nothing can be fetched
_SECONDS = 120
"""How long a container may take before the test has failed; usual are ten."""


class Unpacked:
    """An image's archive, read: its config, its layers, and its files in a folder."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self._archive = folder / "archive"
        self.root = folder / "root"
        with tarfile.open(archive) as tar:
            tar.extractall(self._archive, filter="data")
        (manifest,) = json.loads((self._archive / "manifest.json").read_text())
        self.config: dict[str, Any] = json.loads((self._archive / manifest["Config"]).read_text())
        self.layers: list[str] = self.config["rootfs"]["diff_ids"]
        self.sizes = [self._extract(self._archive / layer) for layer in manifest["Layers"]]
        """Of each layer: the bytes of its files, as they lie on a disk that wastes none."""

    def _extract(self, layer: Path) -> int:
        self.root.mkdir(exist_ok=True)
        command: list[str | Path] = [
            "tar",
            "--extract",
            "--verbose",
            "--verbose",
            "--file",
            layer,
            "--directory",
            self.root,
        ]
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        layer.unlink()
        return sum(int(line.split(maxsplit=3)[2]) for line in listed.splitlines() if line.startswith("-"))

    def texts(self) -> list[str]:
        """What the archive says beside its layers."""
        return [path.read_text() for path in self._archive.rglob("*") if path.is_file() and path.suffix != ".tar"]


@dataclass(frozen=True)
class Ended:
    """How a container ended."""

    code: int
    output: str


class Running:
    """A container while it runs."""

    def __init__(self, process: subprocess.Popen[bytes], runc: Sequence[str], name: str, log: Path) -> None:
        self._process, self._runc, self._name, self._log = process, runc, name, log

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")

    def outputs(self) -> Iterator[str]:
        """What it has printed, again and again until it ends."""
        while self._process.poll() is None:
            yield self.output
            time.sleep(0.1)
        yield self.output

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its first process, as a kubelet does."""
        subprocess.run([*self._runc, "kill", self._name, str(int(number))], check=True)

    def wait(self) -> Ended:
        """Its end."""
        code = self._process.wait(_SECONDS)
        return Ended(code, self.output)


@dataclass(frozen=True)
class Machine:
    """Where containers of one image run."""

    image: Unpacked
    folder: Path

    @cached_property
    def _runc(self) -> list[str]:
        return [shutil.which("runc") or "runc", f"--root={self.folder / 'runc'}"]

    def run(self, *command: str, **options: Any) -> Ended:
        """Run a command to its end; the options are those of `start`."""
        with self.start(*command, **options) as running:
            return running.wait()

    @contextlib.contextmanager
    def start(
        self,
        *command: str,
        arguments: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        mounts: Mapping[str, Path] | None = None,
        read_only: Sequence[str] = (),
    ) -> Iterator[Running]:
        """A container with a pod's `command` or `args`, environment, and folders of this machine mounted."""
        name = f"kgen-test-{uuid.uuid4().hex[:12]}"
        bundle = self.folder / name
        bundle.mkdir()
        config = self.image.config["config"]
        words = list(command) if command else [*config["Entrypoint"], *(arguments or config["Cmd"])]
        spec = self._spec(words, environment or {}, mounts or {}, read_only)
        (bundle / "config.json").write_text(json.dumps(spec))
        log = bundle / "output.log"
        with log.open("wb") as output:
            process = processes.start([*self._runc, "run", f"--bundle={bundle}", name], output.fileno())
        try:
            yield Running(process, self._runc, name, log)
        finally:
            subprocess.run([*self._runc, "delete", "--force", name], check=False, capture_output=True)
            if process.poll() is None:
                process.kill()
            process.wait()
            shutil.rmtree(bundle)

    def _spec(
        self, words: list[str], environment: Mapping[str, str], mounts: Mapping[str, Path], read_only: Sequence[str]
    ) -> dict[str, Any]:
        config = self.image.config["config"]
        user, group = (int(part) for part in config["User"].split(":"))
        file_systems = [
            ("/proc", "proc", "proc", []),
            ("/dev", "tmpfs", "tmpfs", ["nosuid", "mode=755"]),
            ("/dev/shm", "tmpfs", "tmpfs", ["nosuid", "nodev", "mode=1777"]),
            ("/tmp", "tmpfs", "tmpfs", ["nosuid", "nodev", "mode=1777"]),
            *((at, "none", str(path), ["bind", "ro" if at in read_only else "rw"]) for at, path in mounts.items()),
        ]
        return {
            "ociVersion": "1.0.2",
            "process": {
                "args": words,
                "cwd": config["WorkingDir"],
                "env": [*config["Env"], *(f"{key}={value}" for key, value in environment.items())],
                "user": {"uid": user, "gid": group},
                "capabilities": {},
                "noNewPrivileges": True,
            },
            "root": {"path": str(self.image.root), "readonly": True},
            "hostname": "pod",
            "mounts": [
                {"destination": at, "type": kind, "source": source, "options": options}
                for at, kind, source, options in file_systems
            ],
            "linux": {"namespaces": [{"type": kind} for kind in _NAMESPACES], "maskedPaths": ["/proc/kcore"]},
        }


def writable(folder: Path, owner: int) -> Path:
    """A folder that belongs to a container's user, as a volume with its fsGroup does."""
    folder.mkdir()
    os.chown(folder, owner, owner)
    return folder
