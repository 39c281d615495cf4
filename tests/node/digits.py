"""The same real sweep as Jobs on the node and by `kgen run` beside it, to compare."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tests.node.terminal import Terminal

CHECK_EVERY = 50
NAME = "digits"


def sweep_text(image: str, optimizers: Sequence[str], rates: Sequence[str], steps: int) -> str:
    """A sweep of the built-in trainer, whose trials need a processor and no GPU."""
    return f"""\
version: 1
name: {NAME}
seed: 3141592
parameters:
  optimizer: [{", ".join(optimizers)}]
  learning_rate: [{", ".join(rates)}]
budget: {{target: {{train_accuracy: 0.9}}, steps: {steps}, check_every_steps: {CHECK_EVERY}}}
trainer:
  image: {image}
  config: {{dataset: digits, model: cnn-small, batch_size: 100}}
results: pvc://results/sweeps
kubernetes:
  resources: {{nvidia.com/gpu: 0, cpu: 900m, memory: 1500Mi, ephemeral-storage: 100Mi}}
  image_pull_policy: IfNotPresent
  deadline: 30m
"""


@dataclass(frozen=True)
class Both:
    """Tables of trials, by trial."""

    pods: pd.DataFrame
    here: pd.DataFrame

    def differences(self) -> list[str]:
        """Where they differ in more than the steps to the target by one check, in words."""
        if set(self.pods.index) != set(self.here.index):
            return [f"ids: {sorted(self.pods.index)} and {sorted(self.here.index)}"]
        found = []
        pods, heres = self.pods.to_dict("index"), self.here.to_dict("index")
        for trial, pod in pods.items():
            here = heres[trial]
            what = f"{pod['param.optimizer']} at {pod['param.learning_rate']}"
            if pod["status"] != here["status"]:
                found.append(f"{what}: {pod['status']} in a pod, {here['status']} here")
            elif abs(pod["steps_to_target"] - here["steps_to_target"]) > CHECK_EVERY:
                found.append(f"{what}: {pod['steps_to_target']} steps in a pod, {here['steps_to_target']} here")
        return found

    def equal_steps(self) -> int:
        """Trials that ended at the very same step."""
        return int((self.pods["steps"] == self.here["steps"].reindex(self.pods.index)).sum())


def table(folder: Path) -> pd.DataFrame:
    """The trials that were collected in the results of a sweep."""
    return pd.read_parquet(folder / "collected" / "trials.parquet").set_index("trial")


def run_here(terminal: Terminal, text: str) -> pd.DataFrame:
    """Run the same file by `kgen run`, in a folder beside the terminal's; only its results lie elsewhere."""
    folder = terminal.folder / "here"
    folder.mkdir()
    shutil.copy(terminal.folder / "kubeconfig", folder)
    (folder / "sweep.yaml").write_text(text.replace("pvc://results/sweeps", "results/"))
    Terminal(terminal.node, terminal.namespace, folder).kgen("run", "sweep.yaml").ok()
    return table(folder / "results" / NAME)
