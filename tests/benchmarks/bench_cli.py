"""The command line as whole processes: help, and the plan of 288 and of 100,000 trials.

Each beside the least that could do the job, measured in turns: help beside an import of the library that parses the
command line; a plan beside a script that reads the same file, multiplies the lists and fills one Jinja template per
trial, as people write it before they have kgen. That script checks nothing, knows no identity and no results, and
lists every value, because it knows no ranges either.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 5
BARS = {"help": 0.3, "plan 288": 0.6, "plan 100,000": 8.0}
NAIVE = """\
import itertools, sys
from jinja2 import Template
from ruamel.yaml import YAML
parameters = YAML(typ="safe", pure=True).load(open(sys.argv[1]))["parameters"]
template = Template("name: sweep-{{ i }}\\nargs: [{% for k, v in p.items() %}'--{{ k }}={{ v }}', {% endfor %}]\\n")
for i, values in enumerate(itertools.product(*parameters.values())):
    print(template.render(i=i, p=dict(zip(parameters, values))))
"""
OPTIMIZERS = ["sgd", "momentum", "adam", "adagrad", "adadelta", "rmsprop"]
RATES = [10 ** (k / 6) for k in range(-36, 13) if k]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="kgen-bench-") as name:
        folder = Path(name)
        article = "{optimizer: [%s], learning_rate: {log: {start: 1e-6, stop: 100, per_decade: 6}, except: [1]}}"
        small = sweep(folder / "288.yaml", article % ", ".join(OPTIMIZERS))
        large = sweep(folder / "100000.yaml", "{a: {int: {start: 1, stop: 1000}}, b: {int: {start: 1, stop: 100}}}")
        small_lists = sweep(
            folder / "288-lists.yaml", f"{{optimizer: [{', '.join(OPTIMIZERS)}], learning_rate: {RATES}}}"
        )
        large_lists = sweep(folder / "lists.yaml", f"{{a: {[*range(1, 1001)]}, b: {[*range(1, 101)]}}}")
        kgen = [sys.executable, "-m", "kgen"]
        naive = [sys.executable, "-c", NAIVE]
        pairs = {
            "help": ([*kgen, "--help"], [sys.executable, "-c", "import typer"]),
            "plan 288": ([*kgen, "plan", small], [*naive, small_lists]),
            "plan 100,000": ([*kgen, "plan", large], [*naive, large_lists]),
        }
        print(f"{'':<14}{'kgen':>8}{'bar':>8}{'baseline':>10}{'ratio':>8}   seconds, median of {RUNS} whole processes")
        for what, (command, baseline) in pairs.items():
            ours, theirs = in_turns(command, baseline)
            print(f"{what:<14}{ours:8.3f}{BARS[what]:8.1f}{theirs:10.3f}{ours / theirs:8.2f}")
        print(f"{'python alone':<14}{in_turns([sys.executable, '-c', ''])[0]:8.3f}")


def sweep(file: Path, parameters: str) -> str:
    """Write a sweep file with these parameters; returns its path."""
    file.write_text(
        f"version: 1\nname: bench\nparameters: {parameters}\nbudget: {{steps: 10, target: {{train_accuracy: 0.9}}}}\n",
        encoding="utf-8",
    )
    return str(file)


def in_turns(*commands: list[str]) -> list[float]:
    """Median wall seconds of each, run one after the other so that a busy machine is busy for all."""
    seconds: list[list[float]] = [[] for _ in commands]
    for run in range(RUNS + 1):
        for taken, command in zip(seconds, commands, strict=True):
            start = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, env=environment(), check=True)
            if run:  # the first one fills the caches
                taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


def environment() -> dict[str, str]:
    """As users have it: compiled files kept, output buffered."""
    unusual = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    return {name: value for name, value in os.environ.items() if name not in unusual}


if __name__ == "__main__":
    main()
