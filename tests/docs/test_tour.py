"""The README's tour of a cluster, typed as it stands, from an empty directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.client import Cluster

README = Path(__file__).parents[2] / "README.md"
SECTION = "## On a cluster\n"


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """What is typed in the section's console blocks, each with the lines that are shown after it."""
    section = text.split(SECTION, 1)[1].split("\n## ", 1)[0]
    for block in re.findall(r"^```console\n(.*?)^```", section, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            typed, shown = part.split("\n", 1)
            if here := re.search(r"<<'(\w+)'$", typed):
                body, shown = shown.split(f"\n{here[1]}\n", 1)
                typed = f"{typed}\n{body}\n{here[1]}"
            yield typed, shown.splitlines()


def pattern(shown: list[str]) -> re.Pattern[str]:
    """``…`` on a line of its own stands for any lines, elsewhere for any text."""
    parts = [
        r"(?:.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"[^\S\n]*\n" for line in shown
    ]
    return re.compile("".join(parts))


@pytest.mark.alone
def test_the_tour_of_a_cluster_does_what_it_shows(fake_cluster: Cluster, tmp_path: Path) -> None:
    where = [Path(sys.executable).parent, Path(fake_cluster.program).parent, "/usr/bin", "/bin"]
    environment = {
        "PATH": os.pathsep.join(map(str, where)),
        "HOME": str(tmp_path / "home"),
        "KUBECONFIG": str(fake_cluster.kubeconfig),
        "LC_ALL": "C.UTF-8",
    }
    folder = tmp_path / "empty"
    folder.mkdir()
    typed = list(commands(README.read_text(encoding="utf-8")))
    assert len(typed) >= 9
    for command, shown in typed:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        assert pattern(shown).fullmatch(done.stdout), f"$ {command}\n{done.stdout}\nis not as shown:\n" + "\n".join(
            shown
        )
