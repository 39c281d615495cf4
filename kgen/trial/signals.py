"""Hears signals that should end a trial."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def hearing_signals(on_signal: Callable[[signal.Signals], None]) -> Iterator[None]:
    """SIGTERM and SIGINT are told on a thread of their own, also while the main thread is deep inside a C library.

    A Python handler runs only between two bytecodes of the main thread; the wake-up file descriptor is written
    at once by the C-level handler, so a thread that reads it hears the signal in time. What no thread can help
    against is a single C call that holds the interpreter's lock throughout (a sort of millions, a regular
    expression that backtracks): the signal is heard when it is over, or whoever sent it kills the process, and
    then the local pool writes the row, or Kubernetes starts the trial again.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    handled = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: None) for number in handled}
    old = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def hear() -> None:
        while data := reader.recv(1):
            if data[0] in handled:
                on_signal(signal.Signals(data[0]))

    threading.Thread(target=hear, daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        writer.close()
