"""A second real node beside one that runs, to be lost: `python -m tests.node.second CLUSTER`.

`CLUSTER` is the `cluster.json` of `python -m tests.node`. Killed outright, all of it is gone at once, as with a machine
that loses its power; the Node object stays.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cluster import identity, supervisor
from tests.cluster.controlplane import folder
from tests.node.node import Node

NAME = identity.REAL_NODES[1]
TAINT = "kgen.test/second"
"""Keeps away pods that do not ask for it: it has no image but the small one."""


class Second:
    """The node, with the control plane that is not its own."""

    def __init__(self, plane: dict[str, Any], made: Path, node: Node) -> None:
        self._plane = plane
        self._folder = made
        self._node = node

    def told(self) -> dict[str, Any]:
        """What whoever uses it has to know."""
        return self._plane | {"folder": str(self._folder), "node": self._node.told()}

    def dead(self) -> str | None:
        """Why it no longer works; `None` while it does."""
        return self._node.dead()


@contextlib.contextmanager
def running(cluster: Path) -> Iterator[Second]:
    """It, ready, and gone without a trace at the end."""
    plane = json.loads(cluster.read_text())
    with folder() as (made, watchdog):
        node = Node(NAME, made / NAME, Path(plane["folder"]) / "kubelets.crt", watchdog, TAINT)
        try:
            node.start(Path(plane["programs"]), Path(plane["folder"]), plane["server"])
            yield Second(plane, made, node)
        finally:
            node.stop()


def main() -> None:
    """The command."""
    supervisor.serve("tests.node.second", __doc__ or "", running, f"the real node {NAME}; Ctrl-C ends it", "cluster")


if __name__ == "__main__":
    main()
