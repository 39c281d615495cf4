"""The image: what it takes on a disk, and what a container of it costs before its first training step.

`KGEN_TEST_NODE=1 make bench` or this file alone, as root, where buildah, debootstrap and runc are.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kgen import names
from kgen.spec import Budget, TrialSpec
from tests.image import build
from tests.image.container import Machine, Unpacked, writable

RUNS = 5
_MARKS = ("kgen_trainer: kgen", "step")
"""What a trial prints when everything is imported, and after its first chunk of steps, here of one."""


def main() -> None:
    """Print the figures."""
    if why := build.missing():
        print(f"nothing to measure: {why}")
        return
    started = time.perf_counter()
    image = build.ensure()
    print(f"building it, or finding it built:  {time.perf_counter() - started:6.1f} s")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpacked = Unpacked(image.archive, folder)
        base, dependencies, project = (size / 1e6 for size in unpacked.sizes)
        print(f"base {base:.0f} MB, dependencies {dependencies:.0f} MB, project {project:.1f} MB")
        results = writable(folder / "results", 10001)
        machine = Machine(unpacked, folder)
        for what, cold in (("cold", True), ("warm", False)):
            measured = [_start(machine, results, cold) for _ in range(RUNS)]
            for index, until in enumerate(("versions are printed", "the first step is done")):
                times = [times[index] for times in measured]
                spread = f"{min(times):.1f} to {max(times):.1f}"
                print(f"{what} start until {until:22}  {statistics.median(times):6.1f} s ({spread}, {RUNS} runs)")


def _start(machine: Machine, results: Path, cold: bool) -> list[float]:
    if cold:
        _forget(machine.image.root)
    spec = TrialSpec("aaaaaaaaaa", "sweep", "main", {"optimizer": "adam"}, 1, Budget(steps=2, check_every_steps=1))
    environment = {names.ENV_TRIAL: spec.to_json(), names.ENV_RESULTS: f"/results/{time.monotonic_ns()}"}
    started = time.perf_counter()
    command = ("python", "-m", "kgen_trainer")
    with machine.start(*command, environment=environment, mounts={"/results": results}) as running:
        return list(_seen(running.outputs(), started))


def _seen(outputs: Iterator[str], started: float) -> Iterator[float]:
    marks = list(_MARKS)
    for output in outputs:
        while marks and marks[0] in output:
            output = output.partition(marks.pop(0))[2]
            yield time.perf_counter() - started
        if not marks:
            return
    sys.exit("the trial ended before its first step")


def _forget(root: Path) -> None:
    """Drop the files from the kernel's cache: what a node that has just unpacked the image on a slow disk sees."""
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            file = os.open(path, os.O_RDONLY)
            os.fdatasync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


if __name__ == "__main__":
    main()
