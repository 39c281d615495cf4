"""A proxy between kgen and a real API server that makes the faults which the server can't be made to have."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.cluster.client import Cluster
from tests.cluster.identity import write_private

Act = Callable[["Exchange"], None]
"""What is done with one request instead of passing it on."""


@dataclass
class Fault:
    """Something that happens to the first so many requests of a kind."""

    method: str
    part: str
    """Of the path or query."""
    act: Act
    times: int
    met: int = 0
    """How many requests it has met."""


@dataclass
class Proxy:
    """A context manager; inside it `kubeconfig` leads through it."""

    cluster: Cluster
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    """Method and path of each request, in order."""

    def __enter__(self) -> Self:
        config = json.loads(self.cluster.kubectl("config", "view", "--raw", "--minify", "--output=json"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.context = ssl.create_default_context(cadata=authority)
        self.upstream = urlsplit(cluster["server"])
        self._lock = threading.Lock()
        self._upstream: set[socket.socket] = set()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        config["clusters"][0]["cluster"] = {"server": self.url}
        config["users"][0]["user"] = {"token": user["token"]}
        name = f"proxy-{self._server.server_address[1]}.kubeconfig"
        self.kubeconfig: Path = write_private(self.cluster.folder / name, json.dumps(config))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.down()
        self.kubeconfig.unlink()

    def on(self, method: str, part: str, act: Act, times: int = 1) -> Fault:
        """Let something happen to the next requests of this method with this in their path or query."""
        fault = Fault(method, part, act, times)
        with self._lock:
            self.faults.append(fault)
        return fault

    def down(self) -> None:
        """Nobody listens any more; open connections break."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._server.break_connections()
        for connection in list(self._upstream):
            with contextlib.suppress(OSError):  # where the other side was faster
                connection.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def breaking(self, connection: socket.socket) -> Iterator[None]:
        """Let `down` break this connection, too."""
        self._upstream.add(connection)
        try:
            yield
        finally:
            self._upstream.discard(connection)

    def act_for(self, method: str, path: str) -> Act | None:
        """What shall happen to a request."""
        with self._lock:
            self.seen.append(f"{method} {path}")
            for fault in self.faults:
                if fault.method == method and fault.part in path and fault.met < fault.times:
                    fault.met += 1
                    return fault.act
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    proxy: Proxy

    def __init__(self, *arguments: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def break_connections(self) -> None:
        for connection in self._open:
            _reset(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that somebody broke is what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _meet(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        exchange = Exchange(self, self.server.proxy, body)
        act = self.server.proxy.act_for(self.command, self.path)
        (act or Exchange.pass_on)(exchange)

    do_GET = do_POST = do_PUT = do_DELETE = _meet  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Not on standard error."""


class Exchange:
    """One request, and what can be done with it."""

    def __init__(self, handler: _Handler, proxy: Proxy, body: bytes) -> None:
        self._handler = handler
        self._proxy = proxy
        self._body = body

    @contextlib.contextmanager
    def ask(self) -> Iterator[http.client.HTTPResponse]:
        """The real server's answer, not yet read."""
        upstream = self._proxy.upstream
        assert upstream.hostname
        connection = http.client.HTTPSConnection(upstream.hostname, upstream.port, context=self._proxy.context)
        headers = {k: v for k, v in self._handler.headers.items() if k not in ("Host", "Accept-Encoding")}
        with contextlib.closing(connection):
            connection.request(self._handler.command, self._handler.path, self._body or None, headers)
            assert connection.sock
            with self._proxy.breaking(connection.sock), connection.getresponse() as answer:
                yield answer

    def carry_out(self) -> None:
        """Have the real server do it, and keep its answer."""
        with self.ask() as answer:
            answer.read()

    def pass_on(self, lines: int | None = None, more: bytes = b"") -> None:
        """Ask and answer; of a watch only so many lines, and then something else."""
        with self.ask() as answer:
            if "watch=true" not in self._handler.path:
                self.answer(answer.status, answer.read(), dict(answer.getheaders()))
                return
            self._handler.send_response(answer.status)
            self._handler.send_header("Content-Type", "application/json")
            self._handler.send_header("Transfer-Encoding", "chunked")
            self._handler.end_headers()
            passed = 0
            while (lines is None or passed < lines) and (line := answer.readline()):
                self._chunk(line)
                passed += 1
            if more:
                self._chunk(more)
            if lines is None or more:
                self._handler.wfile.write(b"0\r\n\r\n")
            else:
                self.reset()

    def _chunk(self, data: bytes) -> None:
        self._handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Answer without, or instead of, the real server."""
        self._handler.send_response_only(status)
        kept = {k: v for k, v in (headers or {}).items() if k.lower() in ("content-type", "date", "retry-after")}
        for name, value in {**kept, "Content-Length": str(len(body))}.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()
        self._handler.wfile.write(body)

    def reset(self) -> None:
        """Break the connection."""
        _reset(self._handler.connection)
        self._handler.close_connection = True


def _reset(connection: socket.socket) -> None:
    """So that the other side sees a reset, not an end."""
    with contextlib.suppress(OSError):  # where the other side was faster
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()


# -- acts


def says(status: int, reason: str = "", message: str = "so it is", **headers: str) -> Act:
    """The API answers with an error, and does nothing."""
    body = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": message}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda exchange: exchange.answer(status, json.dumps(body).encode(), sent)


def breaks_before(exchange: Exchange) -> None:
    """The request never arrives."""
    exchange.reset()


def breaks_after(exchange: Exchange) -> None:
    """It is carried out, but its answer never comes."""
    exchange.carry_out()
    exchange.reset()


def fails_after(exchange: Exchange) -> None:
    """It is carried out, but a gateway gives up on its answer."""
    exchange.carry_out()
    exchange.answer(504, b"<html>Gateway Timeout</html>")


def hangs_after(until: threading.Event) -> Act:
    """It is carried out, and its answer does not come until something is over."""

    def act(exchange: Exchange) -> None:
        exchange.carry_out()
        until.wait(60)
        exchange.reset()

    return act


def cuts_off(lines: int, more: bytes = b"") -> Act:
    """A watch ends after so many lines, with something else or with a broken connection."""
    return lambda exchange: exchange.pass_on(lines, more)


def event(type_: str, **item: Any) -> bytes:
    """One line of a watch."""
    return json.dumps({"type": type_, "object": item}).encode() + b"\n"
