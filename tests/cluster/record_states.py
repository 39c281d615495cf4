"""Records what a cluster says of a trial in each state, for the unit tests.

`python -m tests.cluster.record_states [CASE ...]` starts a cluster of its own, makes the cases of `states` there (all
of them, one after another: four minutes) and writes what the API server then says, a Job, its pods and their events, to
`tests/unit/status/recorded/CASE.json`. Recordings are made again when the server's version or a case changes; the words
that commands show for each are in `tests/unit/status/test_recorded.py`. Names that differ from run to run (namespaces,
nodes) get fixed ones, and fields that nobody reads are left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cluster import choose
from tests.cluster.client import Cluster
from tests.cluster.scene import Recording
from tests.cluster.states import CASES

RECORDED = Path(__file__).parents[1] / "unit" / "status" / "recorded"


def record(cluster: Cluster, name: str) -> Recording:
    """What the server says of a case, with the names that differ from run to run made the same."""
    with CASES[name].made(cluster) as scene:
        return scene.record().with_fixed_names(scene)


_NOISE = frozenset(
    [
        "managedFields",
        "ownerReferences",
        "generateName",
        "resourceVersion",
        "containerID",
        "imageID",
        "hostIP",
        "hostIPs",
        "podIP",
        "podIPs",
        "source",
        "reportingInstance",
        "reportingComponent",
        "securityContext",
        "schedulerName",
        "dnsPolicy",
        "terminationMessagePath",
        "lastProbeTime",
        "observedGeneration",
        "preemptionPolicy",
        "qosClass",
        "uid",
        "apiVersion",
        "tolerations",
        "terminationGracePeriodSeconds",
        "enableServiceLinks",
        "automountServiceAccountToken",
        "selector",
        "manualSelector",
        "action",
        "ready",
        "restartCount",
        "started",
    ]
)


def trimmed(thing: Any) -> Any:
    """Without what no code reads."""
    if isinstance(thing, list):
        return [trimmed(each) for each in thing]
    if isinstance(thing, dict):
        return {key: trimmed(value) for key, value in thing.items() if key not in _NOISE}
    return thing


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.record_states", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="instead of all")
    wanted = parser.parse_args(arguments).cases or list(CASES)
    RECORDED.mkdir(parents=True, exist_ok=True)
    with choose.controlplane() as cluster:
        for name in wanted:
            text = json.dumps(trimmed(record(cluster, name).__dict__), indent=1, sort_keys=True)
            (RECORDED / f"{name}.json").write_text(f"{text}\n")
            print(name, flush=True)


if __name__ == "__main__":
    main()
