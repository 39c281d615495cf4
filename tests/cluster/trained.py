"""Trials on fake nodes that leave rows: a thread does what their programs would, and lets their pods end after that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kgen import names
from kgen.spec import TrialSpec
from kgen.status import read, trials_of
from kgen.sweep import SweepSpec
from kgen.workflow.known import mounted
from tests.cluster.kwok import FATE
from tests.cluster.shell import Shell
from tests.unit.workflow.staged import train

RUNNING = "--field-selector=status.phase=Running"
OF_TRIALS = f"--selector={names.LABEL_COMPONENT}={names.COMPONENT_TRIAL}"


@dataclass
class Trainers:
    """What the trials of a sweep with fate `run` do: each its row, then exit code 0; or another fate and no row."""

    shell: Shell
    results: SweepSpec
    """With the results that rows go to."""
    fate: Callable[[TrialSpec], str] = lambda _: "exit-0"
    """How its pod ends; only with `exit-0` it leaves a row."""
    hold: Callable[[TrialSpec], bool] = lambda _: False
    """Whether it goes on running for now."""
    trained: list[TrialSpec] = field(default_factory=list)
    """In the order in which they ended."""

    def work(self) -> int:
        """Let the pods that run now end; how many those were."""
        found = self.shell.cluster.get("pods", f"--namespace={self.shell.namespace}", RUNNING, OF_TRIALS)["items"]
        going = [pod for pod in found if pod["metadata"].get("annotations", {}).get(FATE) == "run"]
        maps: dict[str, Any] = {}
        if any(mounted_by(pod) for pod in going):
            listed = self.shell.cluster.get("configmaps", f"--namespace={self.shell.namespace}")["items"]
            maps = {each["metadata"]["name"]: each for each in listed}
        ended: dict[str, list[str]] = {}
        for pod in going:
            trials = list(given_to(pod, maps))
            if any(map(self.hold, trials)):
                continue
            fates = [self.fate(trial) for trial in trials]
            train(self.results, [t for t, fate in zip(trials, fates, strict=True) if fate == "exit-0"])
            self.trained += trials
            ended.setdefault(max(fates), []).append(pod["metadata"]["name"])
        for fate, pods in ended.items():
            self.shell.kubectl("annotate", "--overwrite", "pod", *pods, f"{FATE}={fate}")
        return sum(map(len, ended.values()))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """All the time, beside what a test does."""
        over = threading.Event()
        wrong: list[BaseException] = []

        def go_on() -> None:
            try:
                while not over.wait(0.1):
                    self.work()
            except BaseException as error:  # noqa: BLE001  raised below
                wrong.append(error)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if wrong:
            raise wrong[0]


def mounted_by(pod: Any) -> str:
    """The ConfigMap that a pod of several trials has."""
    return mounted({"spec": {"template": pod}})


def given_to(pod: Any, maps: dict[str, Any]) -> Iterator[TrialSpec]:
    """The trials of a pod, as its program is given them."""
    if name := mounted_by(pod):
        for line in maps[name]["data"][names.CONFIG_MAP_TRIALS_KEY].splitlines():
            yield TrialSpec.from_json(line)
        return
    (variable,) = [each for each in pod["spec"]["containers"][0]["env"] if each["name"] == names.ENV_TRIAL]
    trial = TrialSpec.from_json(read.text(variable, "value").replace("$$", "$"))
    assert trials_of(pod) == (trial.id,)
    yield trial
