"""A way to the API server on which long answers break off."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Cutter:
    """Passes bytes on between its port and a server, TLS and all, and resets connections that bring much."""

    server: str
    after: int
    """Bytes of answers that a connection may bring."""
    times: int
    """How many connections are cut."""
    cuts: int = 0
    port: int = 0
    ends: list[socket.socket] = field(default_factory=list)
    """Of all connections."""


@contextlib.contextmanager
def cutting(server: str, *, after: int, times: int) -> Iterator[Cutter]:
    """Inside, `https://127.0.0.1:PORT` leads to the server in this way."""
    cutter = Cutter(server, after, times)
    listening = socket.create_server(("127.0.0.1", 0))
    cutter.port = listening.getsockname()[1]
    accepting = threading.Thread(target=_accept, args=(cutter, listening))
    accepting.start()
    try:
        yield cutter
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        for end in cutter.ends:
            _shut(end)
        accepting.join()
        listening.close()


def _accept(cutter: Cutter, listening: socket.socket) -> None:
    to = urlsplit(cutter.server)
    assert to.hostname
    assert to.port
    threads = []
    with contextlib.suppress(OSError):  # shut down: the end
        while True:
            here, _ = listening.accept()
            there = socket.create_connection((to.hostname, to.port))
            cutter.ends += [here, there]
            for source, target, counts in ((here, there, False), (there, here, True)):
                threads.append(threading.Thread(target=_pass, args=(cutter, source, target, counts)))
                threads[-1].start()
    for thread in threads:
        thread.join()
    for end in cutter.ends:
        end.close()


def _pass(cutter: Cutter, source: socket.socket, target: socket.socket, counts: bool) -> None:
    passed = 0
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            passed += len(data)
            if counts and passed > cutter.after and cutter.cuts < cutter.times:
                cutter.cuts += 1
                break
            target.sendall(data)
    _shut(source)
    _shut(target)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # where the other side was faster
        end.shutdown(socket.SHUT_RDWR)
