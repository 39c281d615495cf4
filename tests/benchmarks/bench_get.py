"""`kgen get trials` of 2,000 Jobs as a whole process, beside `kubectl get jobs` of the same 2,000, measured in turns.

Once with Jobs that a queue holds back, once with Jobs that have run to their end, so that each has a pod, too.
kubectl gets a table that the server makes; kgen reads the Jobs and pods themselves, and says why each trial stands
where it does.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.cluster import choose
from tests.cluster.client import Cluster
from tests.cluster.planned import kueue_kinds, local_queue
from tests.cluster.shell import sweep_text

RUNS = 7
TRIALS = 2_000
BAR = 1.0
PARAMETERS = "{optimizer: [sgd, momentum, adam, rmsprop], learning_rate: {log: {start: 1e-6, stop: 100, num: 500}}}"


def main() -> None:
    """Measure and print."""
    with choose.controlplane() as cluster, tempfile.TemporaryDirectory(prefix="kgen-bench-") as folder:
        os.environ["KUBECONFIG"] = str(cluster.kubeconfig)
        print(f"{'':<14}{'kgen':>8}{'bar':>8}{'kubectl':>10}{'ratio':>8}   seconds, median of {RUNS} whole processes")
        file = Path(folder, "sweep.yaml")
        with kueue_kinds(cluster):
            cluster.apply(local_queue(), namespace="default")
            file.write_text(sweep_text("queued", PARAMETERS, queue="vision"), encoding="utf-8")
            kgen("submit", str(file))
            report(cluster, "queued")
        cluster.add_nodes(TRIALS // 250 + 1)
        file.write_text(sweep_text("ended", PARAMETERS), encoding="utf-8")
        kgen("submit", str(file), "--wait")
        report(cluster, "ended")


def report(cluster: Cluster, sweep: str) -> None:
    """One line of the table."""
    ours = [sys.executable, "-m", "kgen", "get", "trials", sweep]
    theirs = [cluster.program, "get", "jobs", f"--selector=kgen.dev/sweep={sweep}"]
    assert len(kgen("get", "trials", sweep).splitlines()) == TRIALS + 1
    a, b = in_turns(ours, theirs)
    print(f"{sweep:<14}{a:8.3f}{BAR:8.1f}{b:10.3f}{a / b:8.2f}", flush=True)


def kgen(*arguments: str) -> str:
    """What a command prints; it must go well."""
    command = [sys.executable, "-m", "kgen", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout


def in_turns(*commands: list[str]) -> list[float]:
    """Median wall seconds of each, run one after the other so that a busy machine is busy for all."""
    seconds: list[list[float]] = [[] for _ in commands]
    for run in range(RUNS + 1):
        for taken, command in zip(seconds, commands, strict=True):
            start = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            if run:  # the first one fills the caches
                taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


if __name__ == "__main__":
    main()
