"""A control plane with one real node, in a temporary directory, for as long as this process lives.

`python -m tests.node` builds what is missing, starts the control plane of `tests.cluster`, without fake nodes, then
containerd and a kubelet, prints how to reach them, and waits. It needs root. It ends as `tests.cluster.controlplane`
does, and leaves no process, mount, network, rule, cgroup or file behind, also when it is killed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cluster import build, identity, supervisor
from tests.cluster.controlplane import ControlPlane, Kubelets, folder
from tests.node.node import Node, identify, missing

NAME = identity.REAL_NODES[0]


class Whole:
    """The control plane and its node."""

    def __init__(self, plane: ControlPlane, node: Node) -> None:
        self.plane = plane
        self.node = node

    def told(self) -> dict[str, Any]:
        """What whoever uses it has to know."""
        return self.plane.told() | {"node": self.node.told()}

    def dead(self) -> str | None:
        """Why it no longer works; `None` while it does."""
        return self.plane.dead() or self.node.dead()


@contextlib.contextmanager
def running(programs: Path) -> Iterator[Whole]:
    """Both, ready, and gone without a trace at the end."""
    if lacking := missing():
        raise supervisor.StartError(lacking)
    with folder() as (made, watchdog):
        kubelets = Kubelets(made / "kubelets.crt", made / "kubelets.key")
        identify(kubelets.certificate, kubelets.key)
        plane = ControlPlane(programs, made, watchdog, kubelets)
        node = Node(NAME, made / NAME, kubelets.certificate, watchdog)
        try:
            plane.start()
            node.start(programs, plane.folder, plane.server)
            yield Whole(plane, node)
        finally:
            node.stop()
            plane.stop()


def main() -> None:
    """The command."""
    supervisor.serve(
        "tests.node",
        __doc__ or "",
        lambda: running(build.ensure()),
        f"Kubernetes {build.KUBERNETES} with the real node {NAME}; Ctrl-C ends it",
    )


if __name__ == "__main__":
    main()
