"""Rendering 288, 10,000 and 100,000 trials: template, check, identity, hash and JSON, on one core.

Beside it what people write before they have kgen, in turns with it: the same template through Jinja for each trial,
PyYAML's C loader, the identity put in, the client's models as a check, a hash, JSON. That script finds no mistake's
line and trusts every value; it does a part of the trials where it would take too long for all.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import yaml  # type: ignore[import-untyped]
from jinja2 import Environment
from kubernetes.client import V1Job

from kgen.names import job_name
from kgen.packs import Pack
from kgen.render import render
from kgen.render.settings import Settings
from kgen.render.template import built_in_text
from kgen.render.tree import Origins
from kgen.spec import TrialSpec, dump_json
from kgen.sweep import SweepSpec, expand, loads

RUNS = 5
BAR = 3_000
"""Trials a second."""
NAIVE_TRIALS = 288


def main() -> None:
    """Measure and print."""
    print(f"{'trials':>8}{'kgen/s':>10}{'bar':>8}{'naive/s':>10}{'ratio':>8}   median of {RUNS}, one core")
    seconds = {}
    for size in (288, 10_000, 100_000):
        spec = sweep(size)
        trials = expand(spec)[:size]
        ours, theirs = in_turns((kgen, spec, trials), (naive, spec, trials[:NAIVE_TRIALS]))
        seconds[size] = ours
        rate, rival = size / ours, NAIVE_TRIALS / theirs
        print(f"{size:8,}{rate:10,.0f}{BAR:8,}{rival:10,.0f}{rate / rival:8.1f}")
    print(f"100,000 take {seconds[100_000] / seconds[10_000]:.1f} times as long as 10,000")


def sweep(size: int) -> SweepSpec:
    """The article's trainer with this many trials."""
    rates, repeats = 48, -(-size // 288)
    parameters = (
        f"{{optimizer: [sgd, momentum, adam, adagrad, adadelta, rmsprop], "
        f"learning_rate: {{linear: {{start: 0.001, stop: 1, num: {rates}}}}}}}"
    )
    return loads(
        f"version: 1\nname: bench\nparameters: {parameters}\nrepeats: {repeats}\n"
        "budget: {target: {train_accuracy: 0.97}, steps: 2000}\nresults: pvc://results\n"
        "trainer:\n  image: registry.example/kgen-trainer:0.1.0\n"
        "  config: {dataset: digits, model: cnn-small, batch_size: 100}\n"
    )


def kgen(spec: SweepSpec, trials: Sequence[TrialSpec]) -> Iterator[str]:
    """Every Job's JSON."""
    for manifest in render(spec, trials).jobs:
        yield manifest.text


def naive(spec: SweepSpec, trials: Sequence[TrialSpec]) -> Iterator[str]:
    """The same, the obvious way."""
    environment = Environment(finalize=json.dumps, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(built_in_text())
    settings = Settings(spec, Origins())
    for trial in trials:
        job = yaml.load(template.render(settings.of(Pack.single(trial))), yaml.CSafeLoader)
        labels = {"app.kubernetes.io/managed-by": "kgen", "kgen.dev/sweep": trial.sweep, "kgen.dev/trial": trial.id}
        annotations = {"kgen.dev/parameters": dump_json(dict(trial.parameters), written=True)}
        job["metadata"] = {"name": job_name(trial.sweep, trial.id), "labels": labels, "annotations": annotations}
        job["spec"]["template"]["metadata"]["labels"] = labels
        job["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "KGEN_TRIAL", "value": trial.to_json()})
        V1Job.model_validate(job)
        labels["kgen.dev/spec"] = hashlib.sha256(json.dumps(job).encode()).hexdigest()[:16]
        yield json.dumps(job, indent=2)


def in_turns(*works: tuple[Callable[..., Iterator[str]], SweepSpec, Sequence[TrialSpec]]) -> list[float]:
    """Median seconds of each, one after the other so that a busy machine is busy for all."""
    seconds: list[list[float]] = [[] for _ in works]
    for run in range(RUNS + 1):
        for taken, (work, spec, trials) in zip(seconds, works, strict=True):
            start = time.perf_counter()
            total = sum(map(len, work(spec, trials)))
            assert total > 3_000 * len(trials)
            if run:  # the first one imports
                taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


if __name__ == "__main__":
    main()
