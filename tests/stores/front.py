"""A proxy before a bucket's server that makes the faults which the server can't be made to have.

Before fake-gcs-server it also translates: that server knows uploads and deletions of Google's JSON protocol only, and
clients such as obstore use the XML one. Conditions are still checked by the server itself.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tests.stores.servers import Server

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


class Front:
    """Listens at a port of its own for as long as the server in front of which it stands."""

    def __init__(self, server: Server, *, translates: bool) -> None:
        self.server = server
        self.translates = translates
        self.seen: list[str] = []
        """Method and path of each request, in order."""
        self.changed = threading.Condition()
        self._faults: list[Fault] = []
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._listener.front = self
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.port = int(self._listener.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Nobody listens any more."""
        with self.changed:
            self._faults.clear()
            self.changed.notify_all()
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()

    def forget(self) -> None:
        """As new: without faults, and without a memory."""
        with self.changed:
            self._faults.clear()
            self.seen.clear()
            self.changed.notify_all()

    def on(self, method: str, part: str, act: Act, times: int = 1) -> Fault:
        """Let something happen to the next requests of this method with this in their path or query."""
        fault = Fault(method, part, act, times)
        with self.changed:
            self._faults.append(fault)
        return fault

    def wait_for(self, fault: Fault, times: int = 1) -> None:
        """Until a fault has met so many requests."""
        with self.changed:
            assert self.changed.wait_for(lambda: fault.met >= times, 60), f"{fault} did not happen"

    def count(self, method: str, part: str = "") -> int:
        """How many such requests came."""
        return sum(line.startswith(f"{method} ") and part in line for line in list(self.seen))

    def act_for(self, method: str, path: str) -> Act:
        """What shall happen to a request."""
        with self.changed:
            self.seen.append(f"{method} {path}")
            for fault in self._faults:
                if fault.method == method and fault.part in path and fault.met < fault.times:
                    fault.met += 1
                    self.changed.notify_all()
                    return fault.act
        return Exchange.pass_on


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    front: Front

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that somebody broke is what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def _meet(self) -> None:
        path = unquote(self.path)
        self.server.front.act_for(self.command, path)(Exchange(self, self.server.front))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _meet  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Not on standard error."""


class Exchange:
    """One request, and what can be done with it."""

    def __init__(self, handler: _Handler, front: Front) -> None:
        self._handler = handler
        self.front = front
        self.headers = handler.headers
        self.length = int(handler.headers.get("Content-Length") or 0)

    @contextlib.contextmanager
    def ask(self, *, cut: bool = False) -> Iterator[http.client.HTTPResponse]:
        """The server's answer, not yet read; when cut it gets only half of the body."""
        method, path, headers = self._request()
        connection = http.client.HTTPConnection("127.0.0.1", self.front.server.port, timeout=120)
        body = self._handler.rfile.read(self.length // 2 if cut else self.length)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            if body:
                connection.send(body)
            if cut:
                connection.close()
                raise ConnectionResetError
            with connection.getresponse() as answer:
                yield answer

    def _request(self) -> tuple[str, str, dict[str, str]]:
        handler = self._handler
        headers = {name.lower(): value for name, value in handler.headers.items() if name.lower() != "connection"}
        method = str(handler.command)
        if not self.front.translates or method not in ("PUT", "DELETE"):
            if self.front.translates:
                headers["host"] = f"127.0.0.1:{self.front.server.port}"
            return method, handler.path, headers
        bucket, _, name = unquote(urlsplit(handler.path).path).lstrip("/").partition("/")
        if method == "DELETE":
            return method, f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}", headers
        condition = headers.get("x-goog-if-generation-match")
        query = f"uploadType=media&name={quote(name, safe='')}"
        query += f"&ifGenerationMatch={condition}" if condition is not None else ""
        return "POST", f"/upload/storage/v1/b/{bucket}/o?{query}", headers

    def pass_on(self, *, cut: bool = False, piece: int = 0) -> None:
        """Ask and answer: half of it and then nothing, or in pieces."""
        with self.ask() as answer:
            data = answer.read()
            headers = dict(answer.getheaders())
            if self.front.translates and answer.status == 500 and "list-type" in self._handler.path:
                says(404, "NoSuchBucket")(self)  # what Google answers, where the server has an error of its own
                return
            if self.front.translates and self._handler.command in ("PUT", "DELETE") and answer.status < 300:
                headers = {"ETag": '"translated"', "x-goog-generation": "1", "x-goog-metageneration": "1"}
                data = b""
            self.answer(answer.status, data, headers, cut=cut, piece=piece)

    def answer(
        self,
        status: int,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        cut: bool = False,
        piece: int = 0,
    ) -> None:
        """Answer without, or instead of, the server."""
        self._handler.send_response_only(status)
        passed = {k: v for k, v in (headers or {}).items() if k.lower() not in _NOT_PASSED}
        length = str(len(body))
        if self._handler.command == "HEAD":
            length = next((v for k, v in (headers or {}).items() if k.lower() == "content-length"), length)
        for name, value in {**passed, "Content-Length": length}.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()
        if cut:
            self._handler.wfile.write(body[: len(body) // 2])
            self.reset()
        elif piece:
            for i in range(0, len(body), piece):
                self._handler.wfile.write(body[i : i + piece])
                time.sleep(0.01)  # that is what slow means
        else:
            self._handler.wfile.write(body)

    def reset(self) -> None:
        """Break the connection, so that the other side sees a reset."""
        connection = self._handler.connection
        self._handler.close_connection = True
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()


_NOT_PASSED = frozenset(("connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"))


# -- acts


def says(status: int, code: str = "") -> Act:
    """It answers with an error, and does nothing."""
    body = f"<Error><Code>{code}</Code><Message>so it is</Message></Error>" if code else ""

    def act(exchange: Exchange) -> None:
        exchange._handler.rfile.read(exchange.length)
        exchange.answer(status, body.encode(), {"Content-Type": "application/xml"})

    return act


def refuses_conditions(exchange: Exchange) -> None:
    """Nothing can be written there on the condition that its name is free."""
    conditional = {"if-none-match", "x-goog-if-generation-match"} & {name.lower() for name in exchange.headers}
    (says(501, "NotImplemented") if conditional else Exchange.pass_on)(exchange)


def lists_backwards(exchange: Exchange) -> None:
    """A listing in an order of its own, as directory buckets have."""
    with exchange.ask() as answer:
        body, headers = answer.read(), dict(answer.getheaders())
    found = re.findall(rb"<Contents>.*?</Contents>", body, re.DOTALL)
    body = body.replace(b"".join(found), b"".join(reversed(found)))
    exchange.answer(200, body, headers)


def breaks_before(exchange: Exchange) -> None:
    """The request never arrives."""
    exchange.reset()


def breaks_within(exchange: Exchange) -> None:
    """Half of the request arrives at the server."""
    with contextlib.suppress(OSError), exchange.ask(cut=True):
        pass
    exchange.reset()


def breaks_after(exchange: Exchange) -> None:
    """It is carried out, but its answer never comes."""
    with exchange.ask() as answer:
        answer.read()
    exchange.reset()


def answers_half(exchange: Exchange) -> None:
    """The connection breaks in the middle of the answer."""
    exchange.pass_on(cut=True)


def slow(piece: int) -> Act:
    """The answer trickles, so many bytes at a time."""
    return lambda exchange: exchange.pass_on(piece=piece)


def hangs(until: threading.Event) -> Act:
    """Nothing comes until something is over."""

    def act(exchange: Exchange) -> None:
        until.wait(60)
        exchange.reset()

    return act
