"""Trials that end when their gate is open: a file on the claim. One after another, or all at the same time."""

import os
import time
from pathlib import Path

from kgen.trial import Trial, Trials, main

LAST = 10
"""Steps of a trial's budget."""
CLAIM = Path("/results")


def step(trial: Trial) -> int:
    """The last one once the gate is open."""
    return LAST if (CLAIM / f"open-{trial.parameters['x']}").exists() else 1


def train(trial: Trial) -> None:
    """One for which `crash` is written there takes the process with it."""
    if (CLAIM / f"crash-{trial.parameters['x']}").exists():
        os._exit(137)
    while not trial.report(step=step(trial), loss=0.5).stop:
        time.sleep(0.05)


def train_many(trials: Trials) -> None:
    """Takes all that there are."""
    while running := [*trials.running, *trials.take(16)]:
        for trial in running:
            if trial.report(step=step(trial), loss=0.5).stop:
                trials.end(trial)
        time.sleep(0.05)


main(train, train_many)
