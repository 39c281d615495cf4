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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where nobody wants them, one line stands for all that need the image; in CI each fails."""
    if os.environ.get(WANTED) or os.environ.get("CI"):
        return
    mine = [item for item in items if _needs_image(item)]
    if mine:
        mine[0].add_marker(pytest.mark.skip(reason=f"{len(mine)} tests: {_NOT_WANTED}"))
        items[:] = [item for item in items if item not in mine[1:]]
        config.hook.pytest_deselected(items=mine[1:])


def _needs_image(item: pytest.Item) -> bool:
    return Path(__file__).parent in item.path.parents and "can_build" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def can_build() -> None:
    """Whether images can be built here; in CI a test that needs it fails where they can't."""
    if not os.environ.get(WANTED):
        pytest.skip(_NOT_WANTED)  # in CI too: these have a target of their own
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
