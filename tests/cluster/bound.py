"""`bound.py PID PROGRAM …`: become a program that the kernel kills when the parent, process PID, dies (Linux only)."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # outlives the exec below
    if os.getppid() != int(parent):  # it died before that line
        sys.exit(1)
    os.execv(command[0], command)
