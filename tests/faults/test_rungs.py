"""Successive halving with kgen's own trainer: rungs go on from checkpoints, also after a kill in the middle of one."""

from __future__ import annotations

import os
from pathlib import Path

from kgen.results.folder import FolderStore
from kgen.spec import Packing
from tests.faults.rungs import Halved, goes_through_kills, is_sound, rows_of


def halved(folder: Path) -> tuple[Halved, FolderStore]:
    results = folder / "results"
    sweep = Halved(folder, Packing.SEQUENTIAL, results=str(results), environment=os.environ)
    return sweep, FolderStore(Path(sweep.location))


def test_a_rung_goes_on_from_the_one_before_also_when_killed(tmp_path: Path) -> None:
    clean, clean_store = halved(tmp_path / "clean")
    clean.says("run", "-q")
    is_sound(rows_of(clean_store))
    sweep, store = halved(tmp_path / "killed")

    def files() -> list[str]:
        return [path.name for path in (store.root / "checkpoints").glob("*/*")]

    goes_through_kills(sweep, store, files, rows_of(clean_store))
    assert sweep.says("recommend") == clean.says("recommend")
    planned = sweep.says("plan")
    assert "8 done, 0 to run" in planned
