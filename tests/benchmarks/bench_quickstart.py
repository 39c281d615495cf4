"""The digits sweep by `kgen run` against one fresh process per trial with plain `model.fit`, the same work.

    python tests/benchmarks/bench_quickstart.py            # a sample, both sides in turn, about six minutes
    python tests/benchmarks/bench_quickstart.py --whole    # also the whole 288-trial sweep by kgen alone

Same machine, same trials, same number of steps in each (kgen's own, early stops included), two at a time, one pinned
thread each. In the rival's favour: it makes no checks, writes no rows and no report. kgen's time is everything from the
command to the finished page, start-up and compilation included.
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

from kgen.spec import text_of
from kgen.sweep import load

ROOT = Path(__file__).parents[2]
RATES_KGEN = 8  # of 48 per optimizer and round
TRIALS_RIVAL = 6  # of kgen's, per round: one per optimizer
ROUNDS = 2

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


def sweep(folder: Path, name: str, rates: list[str]) -> Path:
    """A part of examples/quickstart.yaml; trials keep the identity that they have in the whole."""
    text = (ROOT / "examples/quickstart.yaml").read_text()
    line = next(line for line in text.splitlines() if "learning_rate:" in line)
    file = folder / f"{name}.yaml"
    file.write_text(
        text.replace(line, f"  learning_rate: [{', '.join(rates)}]").replace("name: quickstart", f"name: {name}")
    )
    return file


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
    parser.add_argument("--whole", action="store_true", help="also time the whole quickstart")
    arguments = parser.parse_args()
    rates = [text_of(value) for value in load(ROOT / "examples/quickstart.yaml").alternatives[0]["learning_rate"]]
    print(
        f"{'part':<6} {'kgen trials':>11} {'s':>8} {'ms/step':>8}   {'rival trials':>12} {'s':>8} {'ms/step':>8}  ratio"
    )
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            chosen = rates[number * 3 :: len(rates) // RATES_KGEN][:RATES_KGEN]
            seconds, trials = kgen_run(sweep(Path(folder), f"part-{number}", chosen))
            steps = sum(trial["steps"] for trial in trials)
            ours = 1000 * seconds / steps
            sample = [trials[i] for i in range(RATES_KGEN // 2, len(trials), len(trials) // TRIALS_RIVAL)]
            rival = rival_run(sample)
            theirs = 1000 * rival / sum(trial["steps"] for trial in sample)
            print(f"{number:<6} {len(trials):>11} {seconds:>8.1f} {ours:>8.3f}   {len(sample):>12} {rival:>8.1f} "
                  f"{theirs:>8.3f}   {theirs / ours:.1f} x", flush=True)  # fmt: skip
        if arguments.whole:
            file = Path(folder) / "quickstart.yaml"
            file.write_text((ROOT / "examples/quickstart.yaml").read_text())
            seconds, trials = kgen_run(file)
            print(f"whole quickstart: {len(trials)} trials in {seconds:.0f} s")


if __name__ == "__main__":
    main()
