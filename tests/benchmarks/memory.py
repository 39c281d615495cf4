"""Peak memory of a command and everything that it starts."""

from __future__ import annotations

import threading
from collections import defaultdict
from pathlib import Path

EVERY_SECONDS = 0.5
PROC = Path("/proc")


class Peak:
    """While entered, looks every half second at a process and all below it; pages that several share count once."""

    def __init__(self, pid: int) -> None:
        self.gigabytes = 0.0
        """The most so far."""
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            now = sum(_kilobytes(pid) for pid in _family(self._pid)) / 1e6
            self.gigabytes = max(self.gigabytes, now)


def _family(pid: int) -> list[int]:
    children: dict[int, list[int]] = defaultdict(list)
    for stat in PROC.glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue  # it has ended meanwhile
        children[parent].append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found.extend(children[one])
    return found


def _kilobytes(pid: int) -> float:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((1.024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0.0)
