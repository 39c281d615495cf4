"""What exists on this machine only is refused before anything is sent to a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgen.errors import InputError
from kgen.sweep import load
from kgen.workflow.reachable import local_paths
from tests.unit.sweep.sweeps import foreign as text


def said(folder: Path, **blocks: str) -> list[str]:
    file = folder / "sweep.yaml"
    file.write_text(text(**blocks))
    try:
        local_paths(load(file))
    except InputError as error:
        return [str(problem).removeprefix(f"{file}:") for problem in error.problems]
    return []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a program and data beside the sweep file. Not below /tmp, which a pod has too: named as if it were not."""
    (tmp_path / "train.py").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.csv").touch()
    monkeypatch.setattr("kgen.workflow.reachable._OF_IMAGES", ("/usr", "/bin"))
    return tmp_path


def test_files_beside_the_sweep_that_do_not_travel(folder: Path) -> None:
    found = said(
        folder,
        trainer="{command: [python, train.py, --data=data/x.csv, '{a}'], env: {CONFIG: ./train.py}, "
        "config: {dataset: digits, paths: [data/x.csv]}}",
    )
    allowed = (
        "allowed a file that travels with the sweep: list it in trainer.files; or a path of the image or of a volume"
    )
    assert found == [
        f"5:29: trainer.command[1]: found the text 'train.py', which exists on this machine only, {allowed}",
        f"5:39: trainer.command[2]: found the text 'data/x.csv', which exists on this machine only, {allowed}",
        f"5:80: trainer.env.CONFIG: found the text './train.py', which exists on this machine only, {allowed}",
        f"5:127: trainer.config.paths[0]: found the text 'data/x.csv', which exists on this machine only, {allowed}",
    ]


def test_files_that_travel_are_there(folder: Path) -> None:
    assert said(folder, trainer="{command: [python, ./train.py, data/x.csv], files: [train.py, data/x.csv]}") == []


def test_absolute_paths_of_this_machine(folder: Path) -> None:
    found = said(folder, trainer=f"{{command: [/usr/bin/env, '{folder}/train.py'], config: {{data: '{folder}/data'}}}}")
    assert [message.split(": ")[1] for message in found] == ["trainer.command[1]", "trainer.config.data"]
    assert found[0].endswith("which exists on this machine only, allowed a path of the image or of a volume")


def test_paths_that_a_pod_has(folder: Path) -> None:
    volume = f"{{name: data, mount_path: '{folder}', source: {{emptyDir: {{}}}}}}"
    found = said(
        folder,
        trainer=f"{{command: [/bin/sh, /opt/not-here/train, /], config: {{data: '{folder}/data'}}}}",
        kubernetes=f"{{volumes: [{volume}]}}",
    )
    assert found == []


def test_words_that_are_no_paths(folder: Path) -> None:
    words = ", ".join(f'"{word}"' for word in ("adam", "data", "--x=", "=", "1", "x" * 5000, "a\\nb"))
    assert said(folder, trainer=f"{{command: [{words}]}}") == []
