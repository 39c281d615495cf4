"""What the image consists of."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import kgen
from kgen.sweep.cluster import KubernetesModel
from tests.image import build
from tests.image.container import Unpacked

LIMIT = 1.6e9
"""Bytes over the base image."""
LOCK = build.ROOT / "requirements" / "run.txt"


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def test_it_runs_as_the_user_of_kgens_pods(unpacked: Unpacked) -> None:
    user = KubernetesModel.model_fields["run_as_user"].default
    assert unpacked.config["config"]["User"] == f"{user}:{user}"


def test_its_entry_point_is_a_program_not_a_shell(unpacked: Unpacked) -> None:
    assert (unpacked.config["config"]["Entrypoint"], unpacked.config["config"]["Cmd"]) == (["kgen"], ["--help"])


def test_its_labels_say_what_it_is(unpacked: Unpacked) -> None:
    prefix = "org.opencontainers.image."
    labels = {key.removeprefix(prefix): value for key, value in unpacked.config["config"]["Labels"].items()}
    wanted = {"title": "kgen", "licenses": "Apache-2.0", "version": kgen.__version__, "revision": build.REVISION}
    assert wanted.items() <= labels.items()


def test_it_shows_no_gpu_to_pods_that_ask_for_none(unpacked: Unpacked) -> None:
    assert not any(item.startswith("NVIDIA_VISIBLE_DEVICES") for item in unpacked.config["config"]["Env"])


def test_it_is_a_base_a_layer_of_dependencies_and_one_of_the_project(unpacked: Unpacked) -> None:
    assert len(unpacked.layers) == 3
    assert sum(size for size in unpacked.sizes[1:]) <= LIMIT
    assert unpacked.sizes[2] < unpacked.sizes[1] / 100


def test_no_tests_headers_or_build_tools_are_left(unpacked: Unpacked) -> None:
    (site,) = (unpacked.root / "opt/kgen/lib").glob("python3.*/site-packages")
    left = {path.name for path in site.iterdir()}
    assert not left & {"clang", "hatchling", "pip", "setuptools", "wheel"}
    assert not (site / "tensorflow/include").exists()
    assert not list(site.glob("pandas/tests"))
    compiled = {path.parent.parent / path.name.partition(".")[0] for path in site.glob("kgen/**/*.pyc")}
    assert compiled == {path.with_suffix("") for path in site.glob("kgen/**/*.py")}


def test_nothing_of_where_it_was_built_stays(unpacked: Unpacked) -> None:
    """The host of this machine's package index, where it has one of its own; its CA bundle; the checkout's path."""
    index = urlsplit(os.environ.get("PIP_INDEX_URL") or os.environ.get("UV_DEFAULT_INDEX") or "")
    canaries = [text.encode() for text in (index.hostname, index.password, str(build.ROOT)) if text]
    for text in unpacked.texts():
        assert "PIP_INDEX_URL" not in text
        assert not [canary for canary in canaries if canary in text.encode()]
    for path in files(unpacked.root / "opt/kgen"):
        content = path.read_bytes()
        assert not [canary for canary in canaries if canary in content], path
    assert not (unpacked.root / "run/secrets").exists()
    assert not [path.name for path in (unpacked.root / "root").iterdir() if path.name not in (".bashrc", ".profile")]


def test_its_bill_of_materials_names_tensorflow_as_locked(unpacked: Unpacked, tmp_path: Path) -> None:
    bill = tmp_path / "image.cdx.json"
    with build.storage() as builder:
        builder.run("sh", build.ROOT / "image/sbom.sh", bill, sys.executable, IMAGE=build.BUILT)
    told = json.loads(bill.read_text())
    assert told["bomFormat"] == "CycloneDX"
    versions = {item["name"].replace("_", "-"): item["version"] for item in told["components"]}
    locked = dict(re.findall(r"^(\S+)==(\S+)", LOCK.read_text(), re.MULTILINE))
    tensorflow = "tensorflow-cpu" if "tensorflow-cpu" in versions else "tensorflow"
    assert versions[tensorflow] == locked[tensorflow]
    assert versions["kgen-sweep"] == kgen.__version__
    assert "setuptools" not in versions


def test_what_the_cuda_variant_installs_can_be_had(can_build: None, tmp_path: Path) -> None:
    """For the Python of the default base image."""
    asked = ["pip", "install", "--dry-run", "--require-hashes", "--python-version=3.12", "--python-platform=linux"]
    asked += ["--only-binary=:all:", f"--target={tmp_path}", f"--requirements={build.ROOT / 'requirements/cuda.txt'}"]
    done = subprocess.run([Path(sys.executable).with_name("uv"), *asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ \+ nvidia-cudnn-cu12==", done.stderr, re.MULTILINE)
    assert re.search(r"^ \+ tensorflow==", done.stderr, re.MULTILINE)
