"""Nothing of a real node stays behind, however it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.client import until
from tests.cluster.processes import alive
from tests.node import undo
from tests.node.client import RealNode
from tests.node.test_node import pod

ROOT = Path(__file__).parents[2]
USES = (
    "import json, sys; from pathlib import Path; from tests.node import shared\n"
    "with shared.started(Path(sys.argv[1]), lambda: None) as told:\n"
    "    print(json.dumps(told), flush=True); sys.stdin.read()"
)


@contextmanager
def started(*command: object) -> Iterator[tuple[subprocess.Popen[str], RealNode]]:
    """A process that keeps a node, and that node."""
    words = [sys.executable, *map(str, command)]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process, RealNode.of(json.loads(process.stdout.readline()))
        finally:
            process.kill()


def run_a_pod(node: RealNode) -> int:
    """Gives the number of the process that its program is."""
    node.cluster.until(lambda: node.cluster.try_kubectl("get", "serviceaccount", "default").returncode == 0)
    node.cluster.apply(pod("endless", "sleep 4321"))
    node.cluster.kubectl("wait", "pod/endless", "--for=condition=Ready", "--timeout=60s")
    found = subprocess.run(["pgrep", "-f", "^sleep 4321"], capture_output=True, text=True, check=True)
    return int(found.stdout.split()[-1])


def gone(node: RealNode, *processes: int) -> None:
    """Wait until no process, file, network, rule and cgroup of it is left; its mounts go with its processes."""
    pids = [*node.pids.values(), node.init, *processes]
    until(lambda: not any(alive(pid) for pid in pids), what="every process is gone")
    until(lambda: not node.folder.parent.exists(), what="the folder is gone")
    until(lambda: not Path("/sys/class/net", node.mark).exists(), what="the bridge is gone")
    until(lambda: not undo.cgroups(node.mark), what="the cgroups are gone")
    rules = subprocess.run(["iptables", "--table=nat", "--list-rules"], capture_output=True, text=True, check=True)
    assert node.mark not in rules.stdout


def test_kill_9_leaves_nothing(node: RealNode) -> None:
    """Also not of the pods; another node on this machine goes on."""
    with started("-m", "tests.node", "--json") as (process, doomed):
        program = run_a_pod(doomed)
        assert undo.cgroups(doomed.mark)
        process.kill()
        gone(doomed, program)
    assert "Ready" in node.cluster.kubectl("get", "node", node.name)
    assert Path("/sys/class/net", node.mark).exists()


def test_the_last_of_those_that_share_a_node_ends_it(node: RealNode, tmp_path: Path) -> None:
    """Whoever started it may be killed."""
    with started("-c", USES, tmp_path) as (first, one), started("-c", USES, tmp_path) as (second, same):
        assert one == same
        first.kill()
        first.wait()
        assert one.cluster.kubectl("get", "--raw", "/readyz") == "ok"
        assert second.stdin
        second.stdin.close()
        assert second.wait(timeout=60) == 0
        gone(one)
