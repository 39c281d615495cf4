"""`make quickstart` (installation apart) against one fresh process per trial with plain `model.fit`, the same work.

    python tests/benchmarks/bench_quickstart.py [--rounds 2]        # about four minutes a round

Each round runs the whole 288-trial sweep by `kgen run`, then a sample of its trials the other way: same machine, same
number of steps in each trial (kgen's own, early stops included), two at a time, one pinned thread each. In the rival's
favour: it makes no checks, writes no rows and no report. kgen's time is everything from the command to the finished
page, start-up and compilation included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SAMPLE = 12
"""Trials of the rival per round, spread evenly over the sweep's order."""

RIVAL = """
import json, sys
import numpy as np
import keras
from sklearn.datasets import load_digits

trial = json.loads(sys.argv[1])
keras.utils.set_random_seed(3141592)
x, y = load_digits(return_X_y=True)
train = np.arange(len(y)) % 5 != 4
x, y = (x[train] / 16).reshape(-1, 8, 8, 1).astype("float32"), y[train]
model = keras.Sequential([
    keras.Input((8, 8, 1)),
    keras.layers.Conv2D(2, 5, padding="same", activation="relu"), keras.layers.MaxPooling2D(),
    keras.layers.Conv2D(4, 5, padding="same", activation="relu"), keras.layers.MaxPooling2D(),
    keras.layers.Flatten(), keras.layers.Dense(15, activation="relu"), keras.layers.Dropout(0.4),
    keras.layers.Dense(10),
])
rate = trial["learning_rate"]
optimizer = {
    "sgd": lambda: keras.optimizers.SGD(rate), "momentum": lambda: keras.optimizers.SGD(rate, momentum=0.5),
    "adam": lambda: keras.optimizers.Adam(rate), "adagrad": lambda: keras.optimizers.Adagrad(rate),
    "adadelta": lambda: keras.optimizers.Adadelta(rate), "rmsprop": lambda: keras.optimizers.RMSprop(rate),
}[trial["optimizer"]]()
model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
per_epoch = -(-len(y) // 100)
epochs, rest = divmod(trial["steps"], per_epoch)
if epochs:
    model.fit(x, y, batch_size=100, epochs=epochs, verbose=0)
if rest:
    model.fit(x[: rest * 100], y[: rest * 100], batch_size=100, epochs=1, verbose=0)
"""


def kgen_run(file: Path) -> tuple[float, list[dict[str, Any]]]:
    """Wall seconds of the command, and its trials."""
    import pandas as pd

    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "kgen", "run", "--quiet", str(file)], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    trials = pd.read_parquet(file.parent / "results" / file.stem / "collected" / "trials.parquet")
    trials = trials.rename(columns=lambda name: name.removeprefix("param."))
    columns = [trials[name] for name in ("optimizer", "learning_rate", "steps")]
    return seconds, [
        {"optimizer": str(o), "learning_rate": float(r), "steps": int(s)} for o, r, s in zip(*columns, strict=True)
    ]


def rival_run(trials: list[dict[str, Any]]) -> float:
    """Wall seconds of one process per trial, two at a time on a core each."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")

    def one(item: tuple[int, dict[str, Any]]) -> None:
        number, trial = item
        command = ["taskset", "-c", str(cpus[number % len(cpus)]), sys.executable, "-c", RIVAL, json.dumps(trial)]
        environment = {**os.environ, **threads, "TF_CPP_MIN_LOG_LEVEL": "2"}
        subprocess.run(command, check=True, env=environment, stderr=subprocess.DEVNULL)

    began = time.perf_counter()
    with ThreadPoolExecutor(len(cpus)) as pool:
        list(pool.map(one, enumerate(trials)))
    return time.perf_counter() - began


def main() -> None:
    """Both sides in turn; per trial-step, so that early stops weigh the same on both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    print(f"{'round':<5} {'kgen trials':>11} {'s':>7} {'ms/step':>8}   {'rival':>12} {'s':>7} {'ms/step':>8}   ratio")
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "quickstart.yaml"
            file.write_bytes((ROOT / "examples/quickstart.yaml").read_bytes())
            seconds, trials = kgen_run(file)
        ours = 1000 * seconds / sum(trial["steps"] for trial in trials)
        stride = len(trials) // SAMPLE
        sample = trials[(number * 7 + stride // 2) % stride :: stride][:SAMPLE]
        rival = rival_run(sample)
        theirs = 1000 * rival / sum(trial["steps"] for trial in sample)
        print(f"{number:<5} {len(trials):>11} {seconds:>7.1f} {ours:>8.3f}   {len(sample):>12} {rival:>7.1f} "
              f"{theirs:>8.3f}   {theirs / ours:.1f} x", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
