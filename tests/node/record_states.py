"""Records what a real node's pods look like to the API server, for the unit tests.

`python -m tests.node.record_states CLUSTER IMAGE [CASE ...]` makes the cases on a node that runs already (`CLUSTER` is
the `cluster.json` of `python -m tests.node`, `IMAGE` a trainer's image that is there) and writes them to
`tests/unit/status/recorded/real/CASE.json`, as `tests.cluster.record_states` does those that need no kubelet.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kgen import names
from tests.cluster.record_states import RECORDED, trimmed
from tests.cluster.scene import SWEEP, TRIAL
from tests.node.client import RealNode
from tests.node.fates import Field, submitted

CASES = {
    "succeeded": ("ends", "success", "Succeeded"),
    "bad_parameters": ("ends", "refused", "Failed"),
    "crash": ("ends", "crash", "Failed"),
    "out_of_memory": ("hoard", "own", "Failed"),
    "out_of_memory_of_a_child": ("ends", "hoard", "Failed"),
    "deadline": ("deadline", "waits", "Failed"),
    "disk_limit": ("litter", "litter", "Failed"),
    "no_data": ("full", "success", "Failed"),
    "no_device": ("gpu", "none", "Failed"),
    "no_program": ("foreign", "success", "Failed"),
    "image_pull": ("nowhere", "success", "Pending:ImagePull"),
    "node_lost": ("lost", "waits", "Pending:Unschedulable"),
}
"""Case → the sweep, the fate and the state of its trial."""


def record(field: Field, case: str) -> dict[str, Any]:
    """A trial's Job, pods and events, with the names that differ from run to run made the same."""
    sweep, fate, state = CASES[case]
    trial = field.terminal.until(sweep, state, fate=fate, timeout=300)
    of_it = f"--selector={names.LABEL_SWEEP}={sweep},{names.LABEL_TRIAL}={trial['trial']}"
    events = field.terminal.get("events")["items"]
    objects = {
        "job": field.terminal.get("job", trial["job"]),
        "pods": field.terminal.get("pods", of_it)["items"],
        "events": [each for each in events if each["involvedObject"]["name"].startswith(trial["job"])],
    }
    text = json.dumps(objects).replace(trial["job"], names.job_name(SWEEP, TRIAL)).replace(trial["trial"], TRIAL)
    for own, fixed in ((field.terminal.namespace, "research"), (field.image, "registry.example/trainer:0.1.0")):
        text = text.replace(own, fixed)
    made: dict[str, Any] = trimmed(json.loads(text))
    for each in [made["job"]["spec"]["template"], *made["pods"]]:
        for container in each["spec"]["containers"]:
            container.pop("env", None)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.node.record_states", description=__doc__)
    parser.add_argument("cluster", type=Path, metavar="CLUSTER")
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="instead of all")
    given = parser.parse_args(arguments)
    node = RealNode.of(json.loads(given.cluster.read_text()))
    folder = RECORDED / "real"
    folder.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="kgen-record-") as typed,
        submitted(node, given.image, Path(typed)) as field,
    ):
        for case in given.cases or CASES:
            (folder / f"{case}.json").write_text(f"{json.dumps(record(field, case), indent=1, sort_keys=True)}\n")
            print(case, flush=True)


if __name__ == "__main__":
    main()
