"""Build the image for tests from image/Dockerfile, once per content, on a machine where no base image can be pulled.

A Debian made by debootstrap stands in for `python:3.12-slim`; buildah builds, without a daemon and in storage of its
own. Everything lies in `${XDG_CACHE_HOME:-~/.cache}/kgen/testimage/`: the base, what the last build left, so that the
next one reuses the dependencies' layer, and per content a folder with the image as an archive. It needs root, and the
Debian packages buildah and debootstrap. `python -m tests.image.build` fills the cache ahead of a test run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import once, processes

ROOT = Path(__file__).parents[2]
REVISION = "0123456789abcdef"
"""Baked into the image: what a row of it is to name."""
BUILT = "localhost/kgen-trainer:latest"
"""Its name in the builder's own storage."""
_BASE = ("debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", "bookworm")
CONTEXT = (
    ".dockerignore",
    "LICENSE",
    "README.md",
    "image",
    "kgen",
    "pyproject.toml",
    "requirements/cuda.txt",
    "requirements/run.txt",
    "requirements/setup.txt",
)
_KEPT = 2
"""Archives in the cache: another test run may still use the one before."""


class UnavailableError(Exception):
    """No image can be built here; the message says what is missing."""


@dataclass(frozen=True)
class Image:
    """The image as a node takes it."""

    reference: str
    """Its name after `ctr -n k8s.io images import`."""
    archive: Path
    """As `docker save` writes it; layers are not compressed."""


def cache() -> Path:
    """Where everything lies."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kgen" / "testimage"


def missing() -> str:
    """What keeps this machine from building an image, in one line; empty if nothing does."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "building the image for tests needs root on Linux"
    programs = [name for name in ("buildah", "debootstrap") if shutil.which(name) is None]
    return f"no {' and no '.join(programs)}: apt-get install {' '.join(programs)}" if programs else ""


def version(source: Path = ROOT) -> str:
    """The name of what would be built now: a hash of everything that goes into the image."""
    digest = hashlib.sha256(repr(_BASE).encode())
    for path in _files(source):
        digest.update(f"{path.relative_to(source)}\0{path.stat().st_mode & 0o111}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _files(source: Path) -> Iterator[Path]:
    for name in CONTEXT:
        path = source / name
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in found if file.is_file() and "__pycache__" not in file.parts)


def built() -> bool:
    """Whether the image is there already."""
    return (cache() / version()).is_dir()


def ensure() -> Image:
    """The image of the checkout as it is now, built where it is missing; raises UnavailableError."""
    name = version()
    if not built():
        if why := missing():
            raise UnavailableError(why)
        _forget_old()
    folder = once.whole(cache() / name, lambda target, scratch: _make(name, target, scratch))
    os.utime(folder)
    return Image(_reference(name), folder / "image.tar")


def _reference(name: str) -> str:
    return f"localhost/kgen-trainer:{name}"


def _make(name: str, target: Path, scratch: Path) -> None:
    started = time.monotonic()
    print(f"kgen: building the image {_reference(name)}: minutes the first time", file=sys.stderr, flush=True)
    base = ensure_base()
    with storage() as builder:
        on = builder.add_base(base)
        # A name of its own keeps the first stage for the next build: no image is made of it.
        builder.build(on, "localhost/kgen-dependencies", OPTIONS="--target=dependencies")
        builder.build(on, BUILT)
        builder.push(BUILT, target / "image.tar", _reference(name))
        builder.prune()
    print(f"kgen: built in {time.monotonic() - started:.0f} s: {target}", file=sys.stderr, flush=True)


def ensure_base() -> Path:
    """A context from which buildah makes the base image."""
    return once.whole(cache() / f"base-{hashlib.sha256(repr(_BASE).encode()).hexdigest()[:12]}", _make_base)


def _make_base(target: Path, scratch: Path) -> None:
    """Fill it: a Debian with Python, as one tar."""
    suite, options = _BASE[-1], _BASE[:-1]
    system = scratch / "system"
    _run([*options, suite, system], scratch)
    for left in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
        for path in (system / left).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    _run(["tar", "--create", "--file", target / "base.tar", "--directory", system, "."], scratch)
    (target / "Dockerfile").write_text(
        "FROM scratch\nADD base.tar /\nENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    )


class Builder:
    """buildah with storage of its own, for whatever runs in its environment."""

    def __init__(self, folder: Path) -> None:
        self._scratch = folder / "scratch"
        self._scratch.mkdir(exist_ok=True)
        settings = folder / "storage.conf"
        settings.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n')
        self.environment = {
            **os.environ,
            "BUILDAH_ISOLATION": "chroot",  # needs the least of the machine
            "CONTAINERS_STORAGE_CONF": str(settings),
            "ENGINE": "buildah",
            "REVISION": REVISION,
            "TMPDIR": str(self._scratch),  # where layers lie on their way, instead of in /var/tmp
        }

    def run(self, *command: object, **environment: str) -> str:
        """What a command prints; raises RuntimeError with it when it fails."""
        return _run(command, self._scratch, {**self.environment, **environment})

    def add_base(self, context: Path) -> str:
        """Name of the base image, which is made of a context."""
        name = f"localhost/kgen-base:{context.name}"
        self.run("buildah", "build", "--layers", "--tag", name, context)
        return name

    def build(self, base: str, image: str, source: Path = ROOT, **environment: str) -> str:
        """What `make image` prints while it builds the image of a checkout on a base."""
        return self.run("sh", source / "image/build.sh", BASE_IMAGE=base, IMAGE=image, **environment)

    def push(self, image: str, archive: Path, reference: str) -> None:
        """Write an image as an archive that calls it by another name."""
        # Docker's format, for in OCI's buildah compresses every layer, for a minute, and nobody sends this anywhere.
        self.run("buildah", "push", image, f"docker-archive:{archive}:{reference}")

    def prune(self) -> None:
        """Remove everything that no image with a name is made of, and what failed builds have left."""
        self.run("buildah", "rm", "--all")
        self.run("buildah", "rmi", "--prune")


@contextmanager
def storage() -> Iterator[Builder]:
    """The one storage of all builds, for one process at a time."""
    folder = cache() / "storage"
    folder.mkdir(parents=True, exist_ok=True)
    with (cache() / "storage.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Builder(folder)


def _run(command: Sequence[object], scratch: Path, environment: Mapping[str, str] | None = None) -> str:
    # Whatever is mounted on the way is gone with the program, however that ends.
    words = [shutil.which("unshare") or "unshare", "--mount", "--propagation=private", *command]
    with (scratch / "output.log").open("wb") as log:
        process = processes.start(words, log.fileno(), environment)
    try:
        code = process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    said = (scratch / "output.log").read_text(errors="replace")
    if code:
        raise RuntimeError("\n".join([f"{words[3]} ended with {code}:", *said.splitlines()[-30:]]))
    return said


def _forget_old() -> None:
    kept = (folder for folder in cache().glob("?" * 12) if folder.is_dir())
    for folder in sorted(kept, key=lambda folder: folder.stat().st_mtime, reverse=True)[_KEPT - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Fill the cache; print the image's name and its archive."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as Ctrl-C: nothing stays half done
    try:
        image = ensure()
    except (UnavailableError, subprocess.CalledProcessError) as error:
        sys.exit(f"kgen: {error}")
    print(image.reference, image.archive, sep="\n")


if __name__ == "__main__":
    main()
