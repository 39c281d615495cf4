"""The 288 trainings of examples/quickstart.yaml: fused, one after another, and by plain Keras, the same work.

    python tests/benchmarks/bench_fused.py                       # digits: about five minutes on two cores
    python tests/benchmarks/bench_fused.py --data mnist10k.npz   # the same sweep on images of a Keras data set file

Rivals, one after the other in one run, on the same two cores:

fused       `kgen run` with `packing: fused`
sequential  `kgen run` with `packing: sequential`: two pinned resident workers with the compiled loop
resident    plain `model.fit` in two pinned resident processes, on a sample of the trials
processes   plain `model.fit` in a fresh pinned process per trial, two at a time, on a sample of the trials

Plain Keras trains each trial for as many steps as kgen's fused run did, early stops included; in its favour it makes no
checks, and writes no rows and no report, but builds and traces its model for each trial. `command` is the wall time of
everything, start-up, compilation and report included; `training` is from the first trial's start to the last one's end
(of plain Keras: without imports and data); `counted` adds what rows count, training alone. Ratios are per trial-step,
since samples and early stops differ.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from tests.benchmarks.memory import Peak

ROOT = Path(__file__).parents[2]
KERAS = Path(__file__).with_name("plain_keras.py")
OPTIMIZERS = 6
TWO = 2

Trial = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """One way to train, in seconds."""

    way: str
    trials: list[Trial]
    command: float
    training: float
    counted: float | None
    gigabytes: float

    @property
    def steps(self) -> int:
        """Trial-steps."""
        return sum(trial["steps"] for trial in self.trials)


def sweep_text(*, packing: str, trials: int, steps: int, data: Path | None) -> str:
    """The example's sweep file with another packing, and fewer rates or steps or other data where that is asked for."""
    yaml = YAML(typ="safe")
    sweep = yaml.load(ROOT / "examples/quickstart.yaml")
    rates = [10 ** (k / 6) for k in range(-36, 13) if k != 0]
    wanted = max(1, trials // OPTIMIZERS)
    if wanted < len(rates):
        sweep["parameters"]["learning_rate"] = [rates[(2 * i + 1) * len(rates) // (2 * wanted)] for i in range(wanted)]
    sweep["budget"]["steps"] = steps
    if data is not None:
        sweep["trainer"]["config"] |= {"dataset": "npz", "data": str(data.resolve())}
    sweep["execution"] = {"packing": packing}
    return json.dumps(sweep)  # JSON is YAML


def kgen_run(packing: str, **sweep: Any) -> Measured:
    """The whole command, from a folder that has nothing yet."""
    with tempfile.TemporaryDirectory(prefix="kgen-bench-") as folder:
        file = Path(folder) / "quickstart.yaml"
        file.write_text(sweep_text(packing=packing, **sweep))
        began = time.perf_counter()
        command = [sys.executable, "-m", "kgen", "run", "--quiet", str(file)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process, Peak(process.pid) as peak:
            if process.wait():
                raise SystemExit(f"kgen run with packing {packing} failed")
        seconds = time.perf_counter() - began
        rows = pd.read_parquet(file.parent / "results/quickstart/collected/trials.parquet")
    columns = [rows[name] for name in ("param.optimizer", "param.learning_rate", "steps")]
    trials = [
        {"optimizer": str(o), "learning_rate": float(r), "steps": int(s)} for o, r, s in zip(*columns, strict=True)
    ]
    training = (rows["ended"].max() - rows["started"].min()).total_seconds()
    return Measured(packing, trials, seconds, training, float(rows["seconds"].sum()), peak.gigabytes)


def plain_keras(trials: list[Trial], data: Path | None, *, resident: bool) -> Measured:
    """Two processes at a time, each pinned to a core with one thread; the longest trials are taken first."""
    waiting: queue.SimpleQueue[Trial] = queue.SimpleQueue()
    for trial in sorted(trials, key=lambda trial: -int(trial["steps"])):
        waiting.put(trial)
    ready = threading.Barrier(TWO)
    marks: list[float] = []
    failures: list[BaseException] = []

    def work(cpu: int) -> None:
        try:
            with _Keras(cpu, data) as process:
                ready.wait()
                marks.append(time.perf_counter())
                while (trial := _next(waiting)) is not None:
                    process.train(trial)
                marks.append(time.perf_counter())
        except BaseException as error:  # noqa: BLE001  shown below, where it ends the benchmark
            failures.append(error)
            ready.abort()

    def work_afresh(cpu: int) -> None:
        try:
            while (trial := _next(waiting)) is not None:
                with _Keras(cpu, data) as process:
                    process.train(trial)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    cpus = sorted(os.sched_getaffinity(0))
    threads = [
        threading.Thread(target=work if resident else work_afresh, args=(cpus[i % len(cpus)],)) for i in range(TWO)
    ]
    began = time.perf_counter()
    with Peak(os.getpid()) as peak:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    seconds = time.perf_counter() - began
    if failures:
        raise failures[0]
    training = max(marks) - min(marks) if resident else seconds
    return Measured("resident" if resident else "processes", trials, seconds, training, None, peak.gigabytes)


def _next(waiting: queue.SimpleQueue[Trial]) -> Trial | None:
    try:
        return waiting.get_nowait()
    except queue.Empty:
        return None


class _Keras:
    """A process of plain_keras.py, pinned, that has said that it is ready."""

    def __init__(self, cpu: int, data: Path | None) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
        self._process = subprocess.Popen(
            ["taskset", "-c", str(cpu), sys.executable, str(KERAS), "digits" if data is None else str(data)],
            env={**os.environ, **threads, "TF_CPP_MIN_LOG_LEVEL": "2"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> _Keras:
        self._hear("ready")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def train(self, trial: Trial) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(trial) + "\n")
        self._process.stdin.flush()
        self._hear("done")

    def _hear(self, word: str) -> None:
        assert self._process.stdout is not None
        heard = self._process.stdout.readline().strip()
        if heard != word:
            raise RuntimeError(f"plain Keras said {heard!r} instead of {word!r}")


def sampled(trials: list[Trial], count: int, turn: int) -> list[Trial]:
    """Some trials, evenly over the sweep's order, others in each round."""
    stride = max(1, len(trials) // count)
    return trials[(turn * 7 + stride // 2) % stride :: stride][:count]


def show(measured: list[Measured]) -> None:
    """A table with every way, and how many times as long as the fused one it takes for a trial-step."""
    first = measured[0]
    print(f"{'':<10} {'trials':>6} {'trial-steps':>11} {'command':>8} {'training':>8} {'counted':>8} "
          f"{'ms/step':>8} {'training ×':>10} {'counted ×':>9} {'command ×':>9} {'peak GB':>7}")  # fmt: skip
    for way in measured:
        per_step = 1000 * way.training / way.steps
        times = per_step / (1000 * first.training / first.steps)
        # Of a sample start-up would weigh more than in the whole sweep.
        whole = f"{way.command / way.steps * first.steps / first.command:9.1f}" if way.counted is not None else ""
        counted = alone = ""
        if way.counted is not None and first.counted is not None:
            counted, alone = f"{way.counted:.1f}", f"{way.counted / way.steps * first.steps / first.counted:.1f}"
        print(f"{way.way:<10} {len(way.trials):>6} {way.steps:>11,} {way.command:>8.1f} {way.training:>8.1f} "
              f"{counted:>8} {per_step:>8.4f} {times:>10.1f} {alone:>9} {whole:>9} "
              f"{way.gigabytes:>7.2f}", flush=True)  # fmt: skip


def main() -> None:
    """Every way once per round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="Keras data set file (.npz) of 28×28 images; without it the digits")
    parser.add_argument("--steps", type=int, help="cap of each trial (2,000; with --data 200)")
    parser.add_argument("--trials", type=int, default=288, help="fewer learning rates: about so many trials")
    parser.add_argument("--sample", type=int, default=12, help="trials of plain Keras")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    sweep = {"trials": given.trials, "steps": given.steps or (200 if given.data else 2000), "data": given.data}
    for turn in range(given.rounds):
        fused = kgen_run("fused", **sweep)
        sample = sampled(fused.trials, given.sample, turn)
        print(f"round {turn}: {given.data or 'digits'}, cap {sweep['steps']:,}", flush=True)
        show([
            fused,
            kgen_run("sequential", **sweep),
            plain_keras(sample, given.data, resident=True),
            plain_keras(sample, given.data, resident=False),
        ])  # fmt: skip


if __name__ == "__main__":
    main()
