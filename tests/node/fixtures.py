"""The fixtures for tests that need a real node. A folder of tests has them when its `conftest.py` imports them.

`KGEN_TEST_NODE` says whether they run: `1` starts a node for the test run; the path of a `cluster.json` uses one that
`python -m tests.node` keeps running. Without it they are skipped.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.fixtures import give_up
from tests.cluster.shell import Shell, typing_in
from tests.image import build
from tests.node import shared
from tests.node.client import RealNode
from tests.node.node import missing

WANTED = "KGEN_TEST_NODE"
NOT_WANTED = f"a real node is not asked for: make test-node, or {WANTED}=1"

_started = contextlib.ExitStack()
_node: list[RealNode] = []


class _End:
    """Leaves the node when a process has run its last test."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Before pytest removes the folder in which the node's processes meet."""
        _started.close()


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RealNode:
    """A real node, and its control plane; in CI a test that needs it fails where there is none."""
    if not _node:
        # Not at the end of the last test that uses it: that test holds the machine (tests/conftest.py) while whoever
        # started the node waits for its other users, of which one may be waiting for the machine.
        request.config.pluginmanager.register(_End())
        _node.append(RealNode.of(_told(request, tmp_path_factory)))
    return _node[0]


def _told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    wanted = os.environ.get(WANTED)
    if not wanted:
        pytest.skip(NOT_WANTED)  # in CI too: these have a target of their own
    if wanted != "1":
        told: dict[str, Any] = json.loads(Path(wanted).read_text())
        return told
    if lacking := missing():
        give_up(f"no real node: {lacking}")
    own = tmp_path_factory.getbasetemp()
    common = own.parent if hasattr(request.config, "workerinput") else own
    # The first start builds programs, for minutes: no test hangs.
    return _started.enter_context(shared.started(common, faulthandler.cancel_dump_traceback_later))


@pytest.fixture(scope="session")
def image(node: RealNode) -> str:
    """Name of the trainer's image, which is on the node.

    With a node that runs already, `KGEN_TEST_IMAGE` may name one that is there, instead of that of this checkout.
    """
    if named := os.environ.get("KGEN_TEST_IMAGE"):
        return named
    faulthandler.cancel_dump_traceback_later()  # it may have to be built
    try:
        made = build.ensure()
    except build.UnavailableError as error:
        give_up(f"no image: {error}")
    node.load(made.archive)
    return made.reference


@pytest.fixture
def node_namespace(node: RealNode) -> Iterator[str]:
    """A new namespace beside the real node, deleted afterwards without waiting for its end."""
    name = node.cluster.new_namespace()
    yield name
    node.cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def node_shell(
    node: RealNode,
    node_namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shell:
    """Somebody who types commands in an empty folder, with a namespace beside the real node."""
    return typing_in(node.cluster, node_namespace, tmp_path, monkeypatch, capsys)
