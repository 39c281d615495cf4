"""The session that a local worker leads: all that it has started, so that nothing of it outlives the worker."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path


def kill_session(leader: int) -> None:
    """SIGKILL what is left of the session that a worker leads, or led, such as the program that it wrapped. This
    process itself is spared; where no list of processes is to be had, only the worker's group is killed, after its end.
    """
    if sys.platform != "linux":
        if leader != os.getpid():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(leader, signal.SIGKILL)
        return
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            # After the command's name, which may hold anything: state, parent, group, session.
            session = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()[3]
            if int(session) == leader:
                os.kill(int(entry.name), signal.SIGKILL)
