"""The command line, run in this process: what it prints and how it exits."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kgen.cli.app import main
from tests.unit.cli.ran import Kgen, Ran
from tests.unit.sweep.sweeps import text


@pytest.fixture
def kgen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kgen:
    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["kgen", *map(str, arguments)])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # typer puts its own there
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return Ran(stopped.value.code, printed.out, printed.err)

    return run


@pytest.fixture
def sweep_file(tmp_path: Path) -> Path:
    """A valid file of 8 trials."""
    file = tmp_path / "sweep.yaml"
    file.write_text(
        text(
            parameters="{optimizer: [sgd, adam], rate: [1e-3, 1e-2, .1, 1]}",
            budget="{steps: 100, target: {accuracy: 0.9}}",
            trainer="{command: [train]}",
            local="{processes: 1}",
        )
    )
    return file
