"""24 real trials on a real node, from `kgen submit` to the report, and the same file by `kgen run` beside it.

    python tests/benchmarks/bench_node.py [CLUSTER IMAGE]      # as root; about five minutes, after building the image

`CLUSTER` is the `cluster.json` of a `python -m tests.node` that runs, `IMAGE` one that is there. Two trials run at a
time, since the node is this machine. What a trial costs outside its training is its pod's life, from when it got the
node to its end, less its counted seconds. kgen's share of that is what a trial with an empty trainer takes longer than
`python -c pass`, in a pod: start, checks of the store, the row.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from kgen import names
from kgen.results.rows import TrialRow
from tests.image import build
from tests.node import shared
from tests.node.client import GROUP, RealNode
from tests.node.digits import NAME, Both, run_here, sweep_text, table
from tests.node.terminal import Rows, Terminal, finish

OPTIMIZERS = ("sgd", "momentum", "adam", "adagrad", "adadelta", "rmsprop")
RATES = ("1e-4", "0.01", "0.1", "1")
STEPS = 600
EMPTY = """
import json, subprocess, sys, time
trial = {"budget": {"check_every_steps": 1, "steps": 1}, "config": {}, "seed": 0, "stage": "main", "sweep": "empty",
         "objective": {"at": "final", "goal": "minimize", "metric": "steps_to_target"}, "parameters": {}}
train = "from kgen.trial import main; main(lambda trial: trial.report(step=1, loss=0.5))"
def took(program, **environment):
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], env={"PATH": "/bin"} | environment, check=True, stdout=-3)
    return time.perf_counter() - begun
print(json.dumps([
    [took("pass"), took(train, KGEN_RESULTS="/results/empty", KGEN_TRIAL=json.dumps(trial | {"id": "a" * 9 + letter}))]
    for letter in "abcdefg"
]))
"""


def main() -> None:
    """Measure and print."""
    with contextlib.ExitStack() as stack:
        node, image = stack.enter_context(_node())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kgen-bench-"))
        terminal = stack.enter_context(contextlib.closing(Terminal.open(node, Path(folder))))
        claim = node.claim(terminal.namespace)
        text = sweep_text(image, OPTIMIZERS, RATES, STEPS)
        terminal.write("sweep.yaml", text)
        begun = time.monotonic()
        finish(terminal.start("submit", "sweep.yaml", "--wait"), timeout=1800).ok()
        waited = time.monotonic() - begun
        reported = terminal.kgen("report", "sweep.yaml")
        assert reported.code == 0, reported
        whole = time.monotonic() - begun
        pods = _pods(terminal)
        costs = _costs(terminal, pods, Rows(claim / "sweeps" / NAME))
        share = _share(terminal, image)
        begun = time.monotonic()
        both = Both(table(Path(folder, "results", NAME)), run_here(terminal, text))
        beside = time.monotonic() - begun
        print(f"{whole:8.1f} s  {len(pods)} trials, kgen submit to report ({waited:.1f} s until all had ended)")
        print(f"{beside:8.1f} s  the same file by kgen run, report included")
        for what, seconds in (costs | {"of that kgen's": [share]}).items():
            low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
            print(f"{middle:8.2f} s  {what}" + (f" ({low:.2f} – {high:.2f})" if low < high else ""))
        print(f"ids, outcomes, steps to the target within a check: {'; '.join(both.differences()) or 'all the same'}")
        print(f"{both.equal_steps()} of {len(both.pods)} ended at the very same step")


@contextlib.contextmanager
def _node() -> Iterator[tuple[RealNode, str]]:
    if sys.argv[1:]:
        yield RealNode.of(json.loads(Path(sys.argv[1]).read_text())), sys.argv[2]
        return
    made = build.ensure()
    with (
        tempfile.TemporaryDirectory(prefix="kgen-bench-") as folder,
        shared.started(Path(folder), lambda: None) as told,
    ):
        node = RealNode.of(told)
        node.load(made.archive)
        yield node, made.reference


def _pods(terminal: Terminal) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = terminal.get("pods", f"--selector={names.LABEL_TRIAL}")["items"]
    return found


def _costs(terminal: Terminal, pods: list[dict[str, Any]], rows: Rows) -> dict[str, list[float]]:
    """Seconds of each trial, by what they were spent on."""
    costs: dict[str, list[float]] = {
        "pod scheduled to container started": [],
        "container started to first counted step": [],
        "counted training": [],
        "a trial costs outside its training": [],
    }
    for pod in pods:
        [row] = rows.of(pod["metadata"]["labels"][names.LABEL_TRIAL])
        ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
        conditions = {each["type"]: each["lastTransitionTime"] for each in pod["status"]["conditions"]}
        scheduled, started, finished = (
            datetime.fromisoformat(at).timestamp()
            for at in (conditions["PodScheduled"], ended["startedAt"], ended["finishedAt"])
        )
        first = _first_step(terminal.kubectl("logs", pod["metadata"]["name"], "--timestamps"), row)
        for seconds, value in zip(
            costs.values(),
            (started - scheduled, first - started, row.seconds, finished - scheduled - row.seconds),
            strict=True,
        ):
            seconds.append(value)
    return costs


def _first_step(log: str, row: TrialRow) -> float:
    """When the first report was printed, less the training that was counted for it."""
    lines = (line.partition(" ") for line in log.splitlines())
    at = next(at for at, _, said in lines if said.startswith("{"))
    return datetime.fromisoformat(at[:26] + "+00:00").timestamp() - row.curve[0].seconds


def _share(terminal: Terminal, image: str) -> float:
    """Seconds that kgen adds to a program in a pod."""
    claim = {"name": "results", "persistentVolumeClaim": {"claimName": "results"}}
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", EMPTY],
        "volumeMounts": [{"name": "results", "mountPath": "/results"}],
    }
    group = {"runAsUser": GROUP, "runAsGroup": GROUP, "fsGroup": GROUP}
    spec = {"restartPolicy": "Never", "securityContext": group, "containers": [container], "volumes": [claim]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "empty"}, "spec": spec}
    terminal.node.cluster.apply(pod, namespace=terminal.namespace)
    terminal.kubectl("wait", "pod/empty", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s")
    measured: list[tuple[float, float]] = json.loads(terminal.kubectl("logs", "empty"))
    return statistics.median(trial - bare for bare, trial in measured)


if __name__ == "__main__":
    main()
