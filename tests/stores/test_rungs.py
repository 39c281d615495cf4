"""Successive halving with results in a bucket: rungs go on from checkpoints there, also after a kill."""

from __future__ import annotations

import os
from pathlib import Path

from kgen.results.bucket import BucketStore
from kgen.results.folder import FolderStore
from kgen.spec import Packing
from tests.faults.rungs import Halved, goes_through_kills, is_sound, rows_of
from tests.stores.place import Place


def test_a_rung_in_a_bucket_goes_on_from_the_one_before_also_when_killed(s3: Place, tmp_path: Path) -> None:
    here = Halved(tmp_path / "here", Packing.FUSED, results=str(tmp_path / "results"), environment=os.environ)
    here.says("run", "-q")
    clean = rows_of(FolderStore(Path(here.location)))
    is_sound(clean)
    sweep = Halved(tmp_path / "killed", Packing.FUSED, results=s3.results, environment=s3.environment())
    folder = s3.objects / "halve" / "checkpoints"
    goes_through_kills(sweep, BucketStore(sweep.location), lambda: [path.name for path in folder.glob("*/*")], clean)
    recommended = sweep.says("recommend")
    assert recommended == here.says("recommend")
    assert recommended.startswith("Use ")
