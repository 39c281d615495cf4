"""Start processes that never outlive the one that started them, whatever ends it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_BOUND = Path(__file__).with_name("bound.py")


def start(
    command: Sequence[object],
    output: int,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program whose end, at the latest, is this process's.

    It is in a session of its own, so that Ctrl-C reaches only whoever has to stop it. Its output goes to a descriptor.
    """
    # Through a second program, not `preexec_fn`: that one may hang a process that has threads, as pytest's workers do.
    bound = [sys.executable, "-I", "-S", _BOUND, os.getpid()] if sys.platform == "linux" else []
    return subprocess.Popen(
        [str(part) for part in [*bound, *command]],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=folder,
        start_new_session=True,
    )


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended, but that nobody has waited for yet, does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] if sys.platform == "linux" else ""
    except (ProcessLookupError, FileNotFoundError):
        return False
    except PermissionError:  # somebody else's
        return True
    return state != "Z"


class Watchdog:
    """A second process that tidies up after this one if it is killed: ends what it had started, runs the commands that
    undo what it had done, removes its folder.

    It learns of this process's end from a pipe, which the kernel closes for the dead as well.
    """

    def __init__(self, folder: Path) -> None:
        reading, self._pipe = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _watch(reading, folder)
            finally:
                os._exit(0)
        os.close(reading)

    def add(self, pid: int) -> None:
        """Tell of one more process to end."""
        os.write(self._pipe, f"{pid}\n".encode())

    def add_command(self, *command: object) -> None:
        """Tell of a command to run when those processes are dead; of one that is run already, it does no harm."""
        os.write(self._pipe, (json.dumps([str(part) for part in command]) + "\n").encode())

    def dismiss(self) -> None:
        """End it: nothing is left for it to do."""
        os.write(self._pipe, b"dismissed\n")
        os.close(self._pipe)
        os.waitpid(self.pid, 0)


def _watch(pipe: int, folder: Path) -> None:
    os.setsid()  # a signal to the other's group, as Ctrl-C sends, must not end this one first
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # whoever reads the other's output waits for its end, not for this one's
        os.dup2(null, standard)
    os.closerange(3, pipe)
    os.closerange(pipe + 1, 256)
    with os.fdopen(pipe) as lines:
        told = lines.read().splitlines()
    if "dismissed" in told:
        return
    for line in told:
        if line.isdigit():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(line), signal.SIGKILL)
    for line in told:
        if not line.isdigit():
            subprocess.run(json.loads(line), check=False)
    for _ in range(200):  # the killed may write until the kernel gets to them
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.05)
