"""Sweeps whose trials meet every fate that a pod can meet, all submitted at once."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.cluster.shell import TOLERATED, sweep_text
from tests.node import pause, second
from tests.node.client import RealNode
from tests.node.terminal import Rows, Terminal

ROOT = Path(__file__).parents[2]
TRAINERS = Path(__file__).parent / "trainers"
NOWHERE = "127.0.0.1:1/trainer:1"
"""An image in a registry that nobody runs."""
RESOURCES = "{nvidia.com/gpu: 0, cpu: 50m, memory: 256Mi, ephemeral-storage: 100Mi}"


def sweep(name: str, image: str, *fates: str, results: str = "results", **settings: str) -> str:
    """A sweep of scripts that know nothing of kgen, whose only parameter is what becomes of them."""
    trainer = ', command: [python, fates.py, "{fate}"], metrics: stdout, files: [fates.py]'
    given = {"resources": RESOURCES, "image_pull_policy": "IfNotPresent", "tolerations": "[]"} | settings
    return sweep_text(
        name,
        f"{{fate: [{', '.join(fates)}]}}",
        results=f"pvc://{results}/sweeps",
        image=image,
        trainer=given.pop("trainer", trainer),
        **given,
    )


class Field:
    """Everything submitted, and what there is to see of it."""

    def __init__(self, terminal: Terminal, image: str, claims: dict[str, Path]) -> None:
        self.terminal = terminal
        self.image = image
        self.claims = claims
        self.seconds: dict[str, float] = {}

    def rows(self, name: str, claim: str = "results") -> Rows:
        """The rows of a sweep."""
        return Rows(self.claims[claim] / "sweeps" / name)

    def ended(self, name: str, fate: str, state: str) -> dict[str, Any]:
        """A trial's verdict, which must be this one; keeps how long it took."""
        trial = self.terminal.until(name, "Succeeded", "Failed", fate=fate)
        assert f"{trial['state']}:{trial['reason']}" == state, trial
        job = self.terminal.get("job", trial["job"])
        done = next(each for each in job["status"]["conditions"] if each["type"] in ("Complete", "Failed"))
        took = datetime.fromisoformat(done["lastTransitionTime"]) - datetime.fromisoformat(trial["created"])
        self.seconds[f"{name} {fate}: {state} after {trial['attempts']} attempts"] = took.total_seconds()
        return trial

    def pod(self, trial: dict[str, Any]) -> Any:
        """The newest pod of a trial."""
        return self.terminal.get("pod", trial["pod"])


@contextlib.contextmanager
def submitted(node: RealNode, image: str, folder: Path) -> Iterator[Field]:
    """Every sweep, submitted out of a folder; one of them has lost its node already."""
    terminal = Terminal.open(node, folder)
    try:
        claims = {
            "results": node.claim(terminal.namespace),
            "full": node.claim(terminal.namespace, "full", full=True),
            "frozen": node.claim(terminal.namespace, "frozen", read_only=True),
        }
        for file in TRAINERS.iterdir():
            shutil.copy(file, folder)
        terminal.submit(*(terminal.write(f"{name}.yaml", text) for name, text in _sweeps(image).items()))
        _lose_a_node(terminal)
        yield Field(terminal, image, claims)
    finally:
        terminal.close()


def _sweeps(image: str) -> dict[str, str]:
    own = {"trainer": ", command: [python, hoard.py], files: [hoard.py]"}
    slow = {"trainer": ", command: [python, slow.py], files: [slow.py]"}
    with_gpu = RESOURCES.replace("gpu: 0", "gpu: 1").replace("256Mi", "2Gi")
    return {
        "gpu": sweep("gpu", image, "none", resources=with_gpu, trainer=""),
        "ends": sweep("ends", image, "success", "refused", "crash", "hoard", backoff_limit="1"),
        "cancelled": sweep("cancelled", image, "waits", "stubborn"),
        "patient": sweep("patient", image, "again", "moved", "twin", backoff_limit="2"),
        "hoard": sweep("hoard", image, "own", **own),
        "slow": sweep("slow", image, "imports", **slow),
        "deadline": sweep("deadline", image, "waits", deadline="40s"),
        "litter": sweep("litter", image, "litter", scratch="16Mi"),
        "full": sweep("full", image, "success", results="full", backoff_limit="2"),
        "frozen": sweep("frozen", image, "success", results="frozen", backoff_limit="2"),
        "nowhere": sweep("nowhere", NOWHERE, "success"),
        "foreign": sweep("foreign", pause.IMAGE, "success"),
    }


def _lose_a_node(terminal: Terminal) -> None:
    """A trial's node loses its power, and is taken off the list of nodes."""
    node = terminal.node
    command = [sys.executable, "-m", "tests.node.second", "--json", str(node.folder.parent / "cluster.json")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            lost = RealNode.of(json.loads(process.stdout.readline()))
            lost.claim(terminal.namespace, "elsewhere")
            text = sweep(
                "lost",
                pause.IMAGE,
                "waits",
                results="elsewhere",
                trainer=", command: [sleep, '3600']",
                tolerations=TOLERATED,
                node_selector=f"{{kubernetes.io/hostname: {lost.name}}}",
            )
            terminal.submit(terminal.write("lost.yaml", text))
            assert terminal.until("lost", "Running")["node"] == lost.name
        finally:
            process.kill()
            node.cluster.kubectl("delete", "node", second.NAME, "--ignore-not-found")
