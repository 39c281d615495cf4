"""What `make` sets up: the locks name no place and fit pyproject.toml, and what is missing is said in one line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())

# What each lock is compiled from: extras and dependency groups, beside the project's own dependencies.
LOCKS: dict[str, tuple[list[str], list[str]]] = {
    "plain.txt": ([], []),
    "run.txt": (["tensorflow", "report"], ["build"]),
    "cuda.txt": (["cuda", "report"], ["build"]),
    "dev.txt": (["tensorflow", "report"], ["dev"]),
}
TOOLS = ("setup.txt", "go.txt")  # what make needs beside the project: uv, and Go where there is none
HEAVY = {"keras", "matplotlib", "scikit-learn", "tensorflow", "tensorflow-cpu"}
REGISTRIES = re.compile(r"\b(pypi|pythonhosted|npmjs|crates|proxy\.golang|repo\.maven\.apache)\.(org|com|io)\b")


# -- locks ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pin:
    """One requirement of a lock."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        (only,) = self.requirement.specifier
        assert only.operator == "=="
        return only.version


def read_lock(name: str) -> list[Pin]:
    """The pins of a lock; fails on any line that is neither comment nor hashed pin (an option, a URL, a path)."""
    text = (ROOT / "requirements" / name).read_text().replace("\\\n", " ")
    pins = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        pin, *hashes = line.split(" --hash=sha256:")
        assert hashes, f"{name}: no hash in {line!r}"
        assert all(re.fullmatch(r"[0-9a-f]{64}", item.strip()) for item in hashes), f"{name}: {pin}"
        pins.append(Pin(Requirement(pin), tuple(item.strip() for item in hashes)))
    return pins


def group(name: str) -> Iterator[str]:
    for item in PROJECT["dependency-groups"][name]:
        if isinstance(item, str):
            yield item
        else:
            yield from group(item["include-group"])


def test_every_lock_is_made_by_make_lock() -> None:
    files = {path.name for path in (ROOT / "requirements").glob("*.txt")}
    assert files == {*LOCKS, *TOOLS}


@pytest.mark.parametrize("name", [*LOCKS, *TOOLS])
def test_lock_holds_hashed_pins_and_no_place(name: str) -> None:
    pins = read_lock(name)
    assert pins
    assert "://" not in (ROOT / "requirements" / name).read_text()
    assert all(pin.requirement.url is None and pin.version for pin in pins)


@pytest.mark.parametrize("name", LOCKS)
def test_lock_satisfies_what_pyproject_declares(name: str) -> None:
    extras, groups = LOCKS[name]
    declared = [*PROJECT["project"]["dependencies"]]
    declared += [item for extra in extras for item in PROJECT["project"]["optional-dependencies"][extra]]
    declared += [item for each in groups for item in group(each)]
    pins = read_lock(name)
    for requirement in map(Requirement, declared):
        versions = [pin.version for pin in pins if pin.name == canonicalize_name(requirement.name)]
        assert versions, f"{name} lacks {requirement}: run `make lock`"
        assert all(version in requirement.specifier for version in versions), f"{name}: {requirement}, has {versions}"


@pytest.mark.parametrize("name", ["plain.txt", "run.txt", "cuda.txt", "setup.txt"])
def test_pins_are_those_of_the_developers(name: str) -> None:
    developers = {pin.name: set[str]() for pin in read_lock("dev.txt")}
    for pin in read_lock("dev.txt"):
        developers[pin.name].add(pin.version)
    for pin in read_lock(name):
        assert pin.version in developers.get(pin.name, {pin.version}), f"{name}: {pin.requirement}"


def test_the_developers_lock_holds_all_of_quickstarts() -> None:
    assert {pin.name for pin in read_lock("run.txt")} <= {pin.name for pin in read_lock("dev.txt")}


def test_a_plain_install_has_no_framework_and_draws_nothing() -> None:
    assert not HEAVY & {pin.name for pin in read_lock("plain.txt")}


def committed() -> Iterator[Path]:
    """Files of the checkout, less what is made there (also where there is no git, as in an unpacked archive)."""
    for folder, folders, files in os.walk(ROOT):
        made = {"__pycache__"}
        if Path(folder) in {ROOT, ROOT / "examples"}:
            made |= {"build", "dist", "results"}
        folders[:] = [name for name in folders if name not in made and (name == ".ci" or not name.startswith("."))]
        yield from (Path(folder, name) for name in files)


def test_no_committed_file_names_a_registry() -> None:
    named = [path for path in committed() if REGISTRIES.search(path.read_text(errors="replace"))]
    assert not named
    # It stores the place of every file, that of whoever made it last.
    assert not (ROOT / "uv.lock").exists()


# -- make -------------------------------------------------------------------------------------------------------


def bare(**variables: str) -> dict[str, str]:
    """An environment without what the make that runs these tests puts into it."""
    return {"PATH": os.environ["PATH"], **variables}


@dataclass(frozen=True)
class Checkout:
    """A folder with what `make` reads, and programs that write down how they are called."""

    root: Path

    def program(self, name: str, script: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{path.name} $*" >>"{self.root}/calls"\n{script}\n')
        path.chmod(0o755)
        return path

    def python(self, version: str, script: str = "") -> Path:
        """An interpreter that says it is of that version, and can make a venv whose pip installs a fake uv."""
        return self.program(
            f"python{version}",
            f'case "$*" in *"%d.%d"*) echo {version} ;; *sys.executable*) echo "$0" ;; {script} '
            '*"-m venv"*) mkdir -p .bootstrap/bin; cp fakes/* .bootstrap/bin ;; esac',
        )

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        home = self.root / "home"
        home.mkdir(exist_ok=True)
        process = subprocess.run(
            ["make", "--silent", *arguments],
            cwd=self.root,
            env=bare(HOME=str(home)),
            text=True,
            capture_output=True,
            check=False,
        )
        assert not list(home.iterdir())
        return process

    def calls(self) -> list[str]:
        """Calls of pip and uv since the last look."""
        path = self.root / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in lines if line.startswith(("pip ", "uv "))]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path)
    made.program("fakes/pip", "")
    made.program("fakes/uv", 'if [ "$1" = venv ]; then rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python; fi')
    return made


def only_line(process: subprocess.CompletedProcess[str]) -> str:
    """What was said, beside make's own last line; one line, and a failure."""
    assert process.returncode != 0
    (line,) = [line for line in process.stderr.splitlines() if not line.startswith("make: ***")]
    return line


def test_help_lists_every_target_and_is_the_default() -> None:
    process = subprocess.run(["make", "--silent"], cwd=ROOT, env=bare(), text=True, capture_output=True, check=True)
    listed = re.findall(r"^make ([\w-]+) +\S", process.stdout, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert listed == phony[1].split()


def test_setup_installs_the_lock_once(checkout: Checkout) -> None:
    python = f"PYTHON={checkout.python('3.12')}"
    assert checkout.make("setup", python).returncode == 0
    pip, venv, lock, project = checkout.calls()
    assert "--require-hashes -r requirements/setup.txt" in pip
    assert venv.endswith(f"--python {checkout.root}/python3.12 .venv")
    assert "--require-hashes -r requirements/dev.txt" in lock
    assert "--offline" in project
    assert "--editable ." in project

    assert checkout.make("setup", python).returncode == 0
    assert checkout.calls() == []


@pytest.mark.parametrize("changed", ["requirements/dev.txt", "requirements/setup.txt", "pyproject.toml"])
def test_setup_follows_what_it_is_made_from(checkout: Checkout, changed: str) -> None:
    python = f"PYTHON={checkout.python('3.12')}"
    checkout.make("setup", python)
    checkout.calls()
    later = (checkout.root / ".venv/.dev.stamp").stat().st_mtime + 1
    os.utime(checkout.root / changed, (later, later))
    checkout.make("setup", python)
    assert any("requirements/dev.txt" in call for call in checkout.calls())


def test_quickstart_after_test_removes_nothing(checkout: Checkout) -> None:
    python = f"PYTHON={checkout.python('3.12')}"
    checkout.make("setup", python)
    checkout.calls()
    checkout.make(".venv/.run.stamp", python)
    assert [call.split()[:3] for call in checkout.calls()] == [["uv", "pip", "install"]] * 2


def test_a_venv_whose_python_is_gone_is_made_anew(checkout: Checkout) -> None:
    python = f"PYTHON={checkout.python('3.12')}"
    checkout.make("setup", python)
    checkout.calls()
    venv = checkout.root / ".venv/bin/python"
    venv.unlink()
    venv.symlink_to("/nowhere/python3.12")
    assert checkout.make("setup", python).returncode == 0
    assert any(call.startswith("uv venv") for call in checkout.calls())


def test_a_python_without_wheels_of_tensorflow_gets_an_older_one(checkout: Checkout) -> None:
    assert checkout.make("setup", f"PYTHON={checkout.python('3.14')}").returncode == 0
    assert any(call.endswith("--python 3.13 .venv") for call in checkout.calls())


def test_the_newest_python_is_the_one_that_pyproject_says() -> None:
    newest = re.search(r"^newest=3\.(\d+)", (ROOT / "requirements/venv.sh").read_text(), re.MULTILINE)
    assert newest is not None
    for extra in ("tensorflow", "cuda"):
        for requirement in map(Requirement, PROJECT["project"]["optional-dependencies"][extra]):
            if requirement.name.startswith("tensorflow"):
                assert f'python_version < "3.{int(newest[1]) + 1}"' in str(requirement.marker)


def test_no_older_python_to_be_had_is_said_in_one_line(checkout: Checkout) -> None:
    checkout.program("fakes/uv", 'echo "error: no network" >&2; echo "more of it" >&2; exit 2')
    process = checkout.make("setup", f"PYTHON={checkout.python('3.14')}")
    assert "newer than TensorFlow's wheels" in process.stdout
    assert "no Python 3.13" in only_line(process)
    assert "PYTHON=python3.13 (error: no network)" in only_line(process)


def test_no_python_is_said_in_one_line(checkout: Checkout) -> None:
    line = only_line(checkout.make("test", "PYTHON=python3-of-nobody"))
    assert "no 'python3-of-nobody'" in line
    assert "apt-get install python3-venv" in line


def test_a_python_that_does_not_run_is_said_in_one_line(checkout: Checkout) -> None:
    assert "does not run" in only_line(checkout.make("test", f"PYTHON={checkout.program('broken', 'exit 127')}"))


@pytest.mark.parametrize("version", ["2.7", "3.8", "3.10"])
def test_a_python_too_old_is_said_in_one_line(checkout: Checkout, version: str) -> None:
    line = only_line(checkout.make("quickstart", f"PYTHON={checkout.python(version)}"))
    assert f"is Python {version}, kgen needs 3.11 or newer" in line


def test_a_python_without_venv_is_said_in_one_line(checkout: Checkout) -> None:
    python = checkout.python("3.12", "*ensurepip*) echo Traceback >&2; exit 1 ;;")
    assert "apt-get install python3.12-venv" in only_line(checkout.make("setup", f"PYTHON={python}"))


def test_no_index_is_said_at_last(checkout: Checkout) -> None:
    checkout.program("fakes/pip", "exit 1")
    assert "is a package index reachable?" in only_line(checkout.make("setup", f"PYTHON={checkout.python('3.12')}"))
    # Half a bootstrap is not taken for a whole one.
    checkout.program("fakes/pip", "")
    assert checkout.make("setup", f"PYTHON={checkout.root}/python3.12").returncode == 0
