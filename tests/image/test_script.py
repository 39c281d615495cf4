"""Which program builds the image, and what it is told. Stand-ins take the place of docker and podman, whose daemon or
user namespaces a test can't count on; tests/image/test_build.py builds with a real buildah."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.image import build

NEEDED = ("cat", "dirname", "git", "grep", "sed", "sh")


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Path]:
    """A PATH with what the script itself needs, and engines of which some answer."""

    def make(**answers: bool) -> Path:
        for name in NEEDED:
            program = shutil.which(name)
            assert program
            (tmp_path / name).symlink_to(program)
        for name, works in answers.items():
            engine = tmp_path / name
            engine.write_text(f'#!/bin/sh\n[ "$1" != info ] || exit {0 if works else 1}\necho "{name} $*"\n')
            engine.chmod(0o755)
        return tmp_path

    return make


def make_image(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG")}
    return subprocess.run(
        ["/bin/sh", build.ROOT / "image/build.sh"],
        env={**kept, "PATH": str(path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_where_nothing_can_build_it_one_line_says_what_to_install(machine: Callable[..., Path]) -> None:
    done = make_image(machine())
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("kgen: no docker, podman or buildah that works here: install one")


def test_a_client_without_its_daemon_is_passed_over(machine: Callable[..., Path]) -> None:
    done = make_image(machine(docker=False, podman=True))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("podman build ")
    assert "podman save --output image.tar localhost/kgen-trainer:" in done.stdout


def test_docker_comes_first_and_loads_into_kind_by_itself(machine: Callable[..., Path]) -> None:
    done = make_image(machine(docker=True, podman=True), IMAGE="registry.example/team/kgen:1")
    assert "--tag registry.example/team/kgen:1 ." in done.stdout
    assert "push it:    docker push registry.example/team/kgen:1\n" in done.stdout
    assert "or to kind: kind load docker-image registry.example/team/kgen:1\n" in done.stdout


def test_a_named_one_is_used_or_missed(machine: Callable[..., Path]) -> None:
    path = machine(docker=True, podman=False)
    assert "no podman that works here" in make_image(path, ENGINE="podman").stderr
    assert make_image(path, ENGINE="docker").stdout.startswith("docker build ")


def test_choices_and_places_reach_the_build_but_no_password(machine: Callable[..., Path], tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    done = make_image(
        machine(docker=True),
        EXTRA="cuda",
        BASE_IMAGE="registry.example/python:3.12",
        PIP_INDEX_URL="https://kgen:secret@registry.example/simple",
        PIP_CERT=str(bundle),
        REVISION="abc",
    )
    command = done.stdout.splitlines()[0]
    for part in ("EXTRA=cuda", "BASE_IMAGE=registry.example/python:3.12", "REVISION=abc", "PIP_INDEX_URL"):
        assert f"--build-arg {part} " in command
    assert f"--secret id=ca,src={bundle} " in command
    assert "secret@" not in done.stdout + done.stderr
