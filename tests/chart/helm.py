"""Helm, as somebody types it who installs the chart."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "kgen"
MANIFESTS = ROOT / "manifests"
CASES = sorted((CHART / "ci").glob("*-values.yaml"))
"""Files of values that are meant to work, each for another kind of user."""

Object = dict[str, Any]


class HelmError(Exception):
    """Helm did not succeed; says what it said."""


@dataclass(frozen=True)
class Helm:
    """Helm with files of its own, and with a cluster if `kubeconfig` is one's."""

    program: Path
    folder: Path
    kubeconfig: Path

    def attempt(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Its exit status and both outputs."""
        homes = {f"HELM_{each}_HOME": str(self.folder / each.lower()) for each in ("CACHE", "CONFIG", "DATA")}
        return subprocess.run(
            [self.program, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | homes | {"KUBECONFIG": str(self.kubeconfig)},
        )

    def __call__(self, *arguments: object) -> str:
        """What it prints; raises `HelmError` where it fails."""
        done = self.attempt(*arguments)
        if done.returncode:
            raise HelmError(f"helm {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def rendered(self, *arguments: object, release: str = "kgen", namespace: str = "kgen") -> list[Object]:
        """What would be installed, and the test's pod."""
        return documents(self("template", release, CHART, f"--namespace={namespace}", *arguments))

    def refusal(self, *arguments: object) -> str:
        """Why values are refused."""
        done = self.attempt("template", "kgen", CHART, *arguments)
        assert done.returncode, "they are not refused"
        return done.stderr


def documents(text: str) -> list[Object]:
    """The objects in a stream of YAML."""
    return [each for each in YAML(typ="safe").load_all(text) if each]


def of_kind(kind: str, objects: Sequence[Object]) -> dict[str, Object]:
    """Those of a kind, by name."""
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def pod_specs(objects: Sequence[Object]) -> Iterator[Object]:
    """Of the pods, and of what makes pods."""
    for each in objects:
        match each["kind"]:
            case "Pod":
                yield each["spec"]
            case "CronJob":
                yield each["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def with_version(version: str, folder: Path) -> Path:
    """A copy of the chart that says it has that version."""
    copy = folder / f"kgen-{version}"
    shutil.copytree(CHART, copy)
    file = copy / "Chart.yaml"
    file.write_text(re.sub(r"(?m)^version: .*", f"version: {version}", file.read_text()))
    return copy
