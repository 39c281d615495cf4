"""kwok plays the kubelets of the fake nodes: keeps them alive, and does with their pods what `stages.yaml` says."""

from __future__ import annotations

import json
from pathlib import Path

# Annotations of a pod, which stages.yaml explains.
FATE = "kwok.kgen.dev/fate"
SECONDS = "kwok.kgen.dev/seconds"

_STAGES = Path(__file__).with_name("stages.yaml")

# The defaults, 4 at a time, make a sweep of thousands of pods wait for them.
_OPTIONS = {
    "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
    "kind": "KwokConfiguration",
    "options": {"podPlayStageParallelism": 32, "nodePlayStageParallelism": 8, "nodeLeaseParallelism": 8},
}


def arguments(programs: Path, kubeconfig: Path, folder: Path) -> list[str]:
    """What to start kwok with, which was built into the folder `programs`; its configuration goes into `folder`."""
    stages = [*sorted(programs.glob("*.yaml")), _STAGES]  # the module's own are for nodes
    config = folder / "kwok.yaml"
    config.write_text("\n---\n".join([json.dumps(_OPTIONS), *(file.read_text() for file in stages)]))
    return [
        f"--config={config}",
        f"--kubeconfig={kubeconfig}",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--node-lease-duration-seconds=40",
        "--node-ip=127.0.0.1",  # `kubectl logs` is refused at once, instead of asking an address that may exist
    ]
