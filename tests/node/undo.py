"""`undo.py NAME`: remove what a node leaves outside its folder: its bridge, the rules that name it, its cgroups.

A program on its own, which the watchdog of a killed test run can start. It may be run twice.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_PATIENCE = 10


def undo(name: str) -> None:
    """Remove all that carries the node's name."""
    for rule in _run("iptables", "--wait", "--table=nat", "--list-rules", "PREROUTING").splitlines():
        words = shlex.split(rule)
        if words[:2] == ["-A", "PREROUTING"] and name in words:
            _run("iptables", "--wait", "--table=nat", "-D", *words[1:])
    _run("ip", "link", "delete", name)
    deadline = time.monotonic() + _PATIENCE
    while (left := cgroups(name)) and time.monotonic() < deadline:
        for folder in left:
            with contextlib.suppress(OSError):  # until the last of the killed has left it
                folder.rmdir()
        time.sleep(0.05)


def cgroups(name: str) -> list[Path]:
    """The node's cgroups, innermost first, whichever version of cgroups there is."""
    tops = [folder for pattern in (name, f"*/{name}") for folder in _CGROUPS.glob(pattern)]
    return [Path(folder) for top in tops for folder, _, _ in os.walk(top, topdown=False)]


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode else done.stdout


if __name__ == "__main__":
    undo(sys.argv[1])
