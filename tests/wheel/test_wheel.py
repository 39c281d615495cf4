"""The wheel by itself: built, installed into an empty venv, run from an empty folder, with no checkout in sight."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Sequence
from email import message_from_string
from email.message import Message
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import uv
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SOURCES = {"kgen": ROOT / "kgen", "kgen_trainer": ROOT / "image" / "kgen_trainer"}
HEAVY = {"keras", "matplotlib", "scikit-learn", "tensorflow", "tensorflow-cpu"}
SWEEP = """\
version: 1
name: tiny
parameters: {optimizer: [sgd, adam], learning_rate: [0.01, 0.1]}
budget: {target: {train_accuracy: 0.5}, steps: 100}
"""


def run(command: Sequence[str | Path], cwd: Path, environment: dict[str, str] | None = None) -> str:
    """Output of a program that ends well; what it said, if it does not."""
    process = subprocess.run(
        command, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert process.returncode == 0, f"{command}: exit code {process.returncode}\n{process.stdout}"
    return process.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder], cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_string(archive.read(name).decode())


class Installed:
    """An empty venv with the wheel, and an empty folder to work in."""

    def __init__(self, folder: Path, wheel: Path, extras: str, lock: str) -> None:
        self.venv = folder / "venv"
        self.home = folder / "home"
        self.cwd = folder / "work"
        self.home.mkdir()
        self.cwd.mkdir()
        program = uv.find_uv_bin()
        run([program, "venv", "--quiet", "--python", sys.executable, self.venv], cwd=folder)
        install = [program, "pip", "install", "--quiet", "--python", str(self.venv / "bin/python")]
        install += ["--constraints", str(ROOT / "requirements" / lock), f"{wheel}{extras}"]
        # The cache has every file since .venv was made from the same pins; an emptied cache needs the network.
        offline = subprocess.run([*install, "--offline"], cwd=folder, capture_output=True, check=False)
        if offline.returncode != 0:
            run(install, cwd=folder)

    def run(self, program: str, *arguments: str) -> str:
        """Output of one of the venv's programs, which knows of nothing outside venv, home and work."""
        environment = {"PATH": f"{self.venv / 'bin'}:/usr/bin:/bin", "HOME": str(self.home)}
        return run([self.venv / "bin" / program, *arguments], self.cwd, environment)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installed:
    return Installed(tmp_path_factory.mktemp("plain"), wheel, "", "plain.txt")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installed:
    return Installed(tmp_path_factory.mktemp("full"), wheel, "[tensorflow,report]", "run.txt")


def test_wheel_holds_the_sources_and_nothing_else(wheel: Path) -> None:
    """Templates and py.typed too; a name in .gitignore that hides a package would show here."""
    expected = {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for package, folder in SOURCES.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"kgen/py.typed", "kgen_trainer/py.typed"} <= expected
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_wheel_needs_no_framework_unless_asked(metadata: Message) -> None:
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    always = {
        canonicalize_name(requirement.name)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    assert "pyarrow" in always
    assert not HEAVY & always
    assert metadata.get_all("Provides-Extra") == ["cuda", "report", "search", "tensorflow"]
    assert metadata["Name"] == "kgen-sweep"
    assert metadata["License-Expression"] == "Apache-2.0"


def test_plain_install_checks_a_sweep(plain: Installed) -> None:
    (plain.cwd / "sweep.yaml").write_text(SWEEP)
    assert "check" in plain.run("kgen", "--help")
    plain.run("kgen", "check", "sweep.yaml")
    script = "import importlib.util as u, sys; sys.exit(u.find_spec('tensorflow') is not None)"
    plain.run("python", "-c", script)


def test_plain_install_renders_jobs_from_its_own_template(plain: Installed) -> None:
    (plain.cwd / "cluster.yaml").write_text(f"{SWEEP}trainer: {{image: r.example/t:1}}\nresults: pvc://claim\n")
    plain.run("kgen", "render", "cluster.yaml", "-o", "jobs")
    assert len(list((plain.cwd / "jobs").glob("job-tiny-*.json"))) == 4
    plain.run("kgen", "init", "--template")
    assert (plain.cwd / "job.yaml.j2").is_file()
    assert "kubectl kgen" in plain.run("kubectl-kgen", "--help")


def test_installed_wheel_runs_a_sweep(full: Installed) -> None:
    for place in full.run("python", "-c", "import kgen, kgen_trainer as t; print(kgen.__file__, t.__file__)").split():
        assert Path(place).is_relative_to(full.venv)
    (full.cwd / "sweep.yaml").write_text(SWEEP)
    output = full.run("kgen", "run", "sweep.yaml")

    results = full.cwd / "results" / "tiny"
    page = (results / "report" / "index.html").read_text()
    assert "index.html" in output
    assert "tiny" in page
    trials = pq.read_table(results / "collected" / "trials.parquet")
    assert trials.num_rows == 4
    assert sorted(path.name for path in full.cwd.iterdir()) == ["results", "sweep.yaml"]
