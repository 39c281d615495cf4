"""Tests of the image that `make image` builds: where `KGEN_TEST_NODE` asks for what needs root and Debian packages."""

from __future__ import annotations

import faulthandler
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.fixtures import give_up
from tests.image import build
from tests.image.container import Machine, Unpacked

WANTED = "KGEN_TEST_NODE"
_NOT_WANTED = f"the image is not asked for: make test-node, or {WANTED}=1"


@pytest.fixture(scope="session")
def can_build() -> None:
    """Whether images can be built here; in CI a test that needs it fails where they can't."""
    if not os.environ.get(WANTED):
        give_up(_NOT_WANTED)
    if why := build.missing():
        give_up(why)


@pytest.fixture(scope="session")
def unpacked(can_build: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unpacked]:
    """The image of this checkout, its files in a folder."""
    faulthandler.cancel_dump_traceback_later()  # the first time it is built, for minutes: no test hangs
    image = build.ensure()
    folder = tmp_path_factory.mktemp("image")
    yield Unpacked(image.archive, folder)
    shutil.rmtree(folder)


@pytest.fixture
def machine(unpacked: Unpacked, tmp_path: Path) -> Machine:
    """Where containers of it run."""
    if shutil.which("runc") is None:
        give_up("no runc: apt-get install runc")
    return Machine(unpacked, tmp_path)
