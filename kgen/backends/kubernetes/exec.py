"""A program that is started in a running container, and talked to over one WebSocket.

The API server upgrades an ordinary request (RFC 6455), so the way there is that of all others: login, proxy, TLS and
errors are :class:`Api`'s. Each message is one byte that names a channel, and what goes through it
(``v5.channel.k8s.io``, ``v4.channel.k8s.io``).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import struct
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, cast
from urllib.parse import urlencode

from kgen.backends.kubernetes.failure import UnreachableError
from kgen.backends.kubernetes.objects import Kind, path_of
from kgen.errors import ClusterError
from kgen.status.read import line

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from kgen.backends.kubernetes.api import Api

IDLE_SECONDS: Final = 120.0
"""A program that is asked for something and says nothing for so long is taken for lost."""
_STDIN, _STDOUT, _STDERR, _STATUS = range(4)
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LONGEST: Final = 64 << 20
"""Bytes of one frame; servers send some ten thousand."""
_QUERY: Final = re.compile(r"\?[^\s\"]*")
"""Of an address: all of the command."""
_KEPT: Final = 2000
"""Bytes of standard error that are kept."""


class EndedError(ClusterError):
    """The program ended before it had said all that it was asked for; the message is why, as far as it told."""


def run(api: Api, pod: str, container: str, command: Sequence[str]) -> Exec:
    """Start a program in a container of a pod of the namespace.

    Raises ApiError where that is not allowed or not possible, UnreachableError.
    """
    key = base64.b64encode(os.urandom(16))
    words = [("container", container), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
    answer = api.upgrade(
        f"{path_of(api, Kind.POD, pod)}/exec?{urlencode([*words, *(('command', word) for word in command)])}",
        {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key.decode(),
            "Sec-WebSocket-Protocol": "v5.channel.k8s.io, v4.channel.k8s.io",
        },
        idle=IDLE_SECONDS,
    )
    proof = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode()
    if answer.status != 101 or answer.headers.get("Sec-WebSocket-Accept") != proof:
        answer.close()
        what = f"something between here and the cluster at {api.server} lets no WebSocket through"
        raise ClusterError(f"{what} (answer {answer.status}), which running a program in a pod needs")
    return Exec(answer, api.server, pod)


class Exec:
    """The running program; a context manager that ends the conversation, and with it the program's input.

    Its methods raise UnreachableError where the connection is lost, EndedError where the program has ended.
    """

    def __init__(self, answer: BaseHTTPResponse, server: str, pod: str) -> None:
        self._answer = cast(Any, answer)
        self._server = server
        self._pod = pod
        # What came right behind the headers lies in that file's buffer already, so the socket alone would miss it.
        self._incoming: Any = self._answer._fp.fp
        self._out = bytearray()
        self._errors = b""

    def send(self, data: bytes) -> None:
        """Put bytes into its standard input."""
        self._send_frame(_BINARY, bytes([_STDIN]) + data)

    def read(self, size: int) -> Iterator[bytes]:
        """So many bytes of its standard output, piece by piece as they come."""
        while size:
            if not self._out:
                self._out += self._next()
            piece = bytes(self._out[:size])
            del self._out[: len(piece)]
            size -= len(piece)
            yield piece

    def read_line(self) -> bytes:
        """One line of its standard output, without its end."""
        begin = 0
        while (end := self._out.find(b"\n", begin)) < 0:
            begin = len(self._out)
            self._out += self._next()
        found = bytes(self._out[:end])
        del self._out[: end + 1]
        return found

    def close(self) -> None:
        """End the conversation."""
        with contextlib.suppress(ClusterError):  # where it is lost already
            self._send_frame(_CLOSE, struct.pack("!H", 1000))
        self._answer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _next(self) -> bytes:
        """What comes next of standard output."""
        while True:
            message = self._message()
            channel, data = (message[0], message[1:]) if message else (None, b"")
            if channel == _STDOUT and data:
                return data
            if channel == _STDERR:
                self._errors = (self._errors + data)[-_KEPT:]
            elif channel == _STATUS and data:
                raise EndedError(f"the program in pod {self._pod} ended: {self._why(data)}")

    def _why(self, status: bytes) -> str:
        """Its last words, else what the node says of its end."""
        if said := self._errors.decode(errors="replace").strip():
            return line(said.splitlines()[-1])
        try:
            return line(_QUERY.sub("", str(json.loads(status).get("message") or "nobody says why")))
        except (ValueError, AttributeError):
            return "nobody says why"

    # -- frames

    def _message(self) -> bytes:
        whole = b""
        while True:
            first, second = self._exactly(2)
            size = second & 0x7F
            if size >= 126:
                size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
            if size > _LONGEST:
                self._lost(f"a frame of {size:,} bytes came")
            data, kind = self._exactly(size), first & 0x0F
            if kind == _CLOSE:
                self._lost("the other side closed it")
            elif kind == _PING:
                self._send_frame(_PONG, data)
            elif kind != _PONG:
                whole += data
                if first & 0x80:
                    return whole

    def _exactly(self, size: int) -> bytes:
        try:
            data: bytes = self._incoming.read(size)
        except (OSError, ValueError) as error:
            self._lost(getattr(error, "strerror", None) or str(error), error)
        if len(data) < size:
            self._lost("the other side is gone")
        return data

    def _send_frame(self, kind: int, data: bytes) -> None:
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", 0x80 | kind, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | kind, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | kind, 0x80 | 127, size)
        mask = os.urandom(4)
        long = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(long, "big")).to_bytes(size, "big")
        try:
            self._answer.connection.sock.sendall(head + mask + masked)
        except (OSError, AttributeError) as error:
            self._lost(getattr(error, "strerror", None) or str(error), error)

    def _lost(self, why: str, error: BaseException | None = None) -> NoReturn:
        raise UnreachableError(self._server, f"the connection was lost: {why}", sent=True) from error
