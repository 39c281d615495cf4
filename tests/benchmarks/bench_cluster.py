"""A sweep of 288 trials on fake GPU nodes, from the command to the last Job's completion.

``kgen submit`` and ``kgen wait`` as whole processes, plan included, beside what does the same without kgen: ``kubectl
create -f`` of the same Jobs, rendered before, and ``kubectl wait``. In turns, each in a namespace of its own, on one
control plane with a GPU for each trial; deleted between rounds. kwok ends a pod at once, so what is measured is the
control plane and its client.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.cluster import choose
from tests.cluster.client import Cluster

ROUNDS = 3
TRIALS = 288
NODES = 34  # and the two that are there, of eight GPUs each
SWEEP = """\
version: 1
name: bench
parameters:
  optimizer: [sgd, momentum, adam, adagrad, adadelta, rmsprop]
  learning_rate: {log: {start: 1e-6, stop: 100, per_decade: 6}, except: [1]}
budget: {target: {train_accuracy: 0.97}, steps: 2000}
trainer: {image: registry.example/kgen-trainer:0.1.0}
results: s3://bucket/sweeps
kubernetes: {resources: {cpu: 1, memory: 1Gi}, deadline: 30m}
"""
KGEN = [sys.executable, "-m", "kgen"]


def main() -> None:
    """Measure and print."""
    with choose.started() as cluster, tempfile.TemporaryDirectory(prefix="kgen-bench-") as folder:
        file = Path(folder) / "sweep.yaml"
        file.write_text(SWEEP, encoding="utf-8")
        cluster.add_nodes(NODES)
        print(f"{TRIALS} Jobs from the command to the last completion, seconds (CPU seconds of the client)")
        ratios = []
        for number in range(ROUNDS):
            ours = timed(cluster, file, kgen)
            theirs = timed(cluster, file, kubectl)
            ratios.append(theirs[0] / ours[0])
            print(f"round {number}: kgen {ours[0]:.1f} ({ours[1]:.1f}), kubectl {theirs[0]:.1f} ({theirs[1]:.1f}), "
                  f"kubectl / kgen {ratios[-1]:.2f}", flush=True)  # fmt: skip
        print(f"worst ratio {min(ratios):.2f}")
        requests(cluster)


def timed(cluster: Cluster, file: Path, way: object) -> tuple[float, float]:
    """Wall seconds and CPU seconds of the client, in a namespace that is deleted afterwards."""
    assert callable(way)
    namespace = cluster.new_namespace()
    folder = file.parent / namespace
    subprocess.run([*KGEN, "render", file, "-n", namespace, "-o", folder], check=True, stdout=subprocess.DEVNULL)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    way(cluster, file, namespace, folder)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = cluster.get("jobs", f"--namespace={namespace}")["items"]
    assert len(done) == TRIALS
    assert all(job["status"].get("succeeded") for job in done)
    cluster.kubectl("delete", "namespace", namespace)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def kgen(cluster: Cluster, file: Path, namespace: str, folder: Path) -> None:
    """As users do it."""
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    for command in (["submit", file, "--yes", "-n", namespace], ["wait", "bench", "-q", "-n", namespace]):
        subprocess.run([*KGEN, *map(str, command)], check=True, env=environment, stdout=subprocess.DEVNULL)


def kubectl(cluster: Cluster, file: Path, namespace: str, folder: Path) -> None:
    """The same Jobs by hand."""
    cluster.kubectl("create", f"--namespace={namespace}", "-f", str(folder))
    cluster.kubectl("wait", f"--namespace={namespace}", "--for=condition=Complete", "jobs", "--all", "--timeout=300s")


def requests(cluster: Cluster) -> None:
    """How many requests kgen made per trial in the rounds above, from the server's audit log."""
    made = [event["verb"] for event in cluster.audit(agent="kgen/")]
    trials = ROUNDS * TRIALS
    print(f"requests of kgen per trial: {len(made) / trials:.3f}, of them creates {made.count('create') / trials:.3f}")


if __name__ == "__main__":
    main()
