"""One cluster's API as plain JSON, over the connections of the Kubernetes client."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode

import kgen
from kgen.backends.kubernetes.config import Login, log_in
from kgen.backends.kubernetes.failure import ApiError, UnreachableError, may_pass, refused, unreachable
from kgen.errors import ClusterError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["ATTEMPTS", "Api", "ApiError", "Stream", "backoff", "connect"]

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 70.0
"""For an answer: the server itself gives up after 60 s, a webhook after 30 at most."""
READ_ATTEMPTS: Final = 5
"""How often something is read before an error stands."""
ATTEMPTS: Final = 8
"""The same for what changes something, tried by whoever asks for it: with half a minute of pauses."""
BUSY_SECONDS: Final = 300.0
"""How long a server that says it is busy (429, 503) is asked again."""


def backoff(attempt: int, longest: float = 10.0) -> float:
    """Seconds before the next attempt, doubling from a quarter; a third of it is chance, so that many do not meet."""
    return min(longest, 0.25 * 2.0**attempt) * random.uniform(0.67, 1.0)


class Stream:
    """An answer that comes line by line; a context manager. Ends at its end, or when somebody closes it."""

    def __init__(self, answer: BaseHTTPResponse, server: str) -> None:
        self._answer = answer
        self._server = server
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        """Lines without their ends. Raises UnreachableError where the connection breaks."""
        import urllib3

        left = b""
        try:
            for chunk in self._answer.stream():
                *lines, left = (left + chunk).split(b"\n")
                yield from lines
            if left:
                yield left
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            if self._closed:  # whoever closed it pulled the socket away under the read
                return
            if not isinstance(error, urllib3.exceptions.HTTPError | OSError):
                raise
            wrapped = error if isinstance(error, urllib3.exceptions.HTTPError) else None
            raise unreachable(wrapped or urllib3.exceptions.ProtocolError(str(error), error), self._server) from error

    def close(self) -> None:
        """End it, also from another thread that waits for nothing more."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(OSError, RuntimeError, ValueError):  # where it has ended already
                self._answer.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closed = True
        self._answer.close()  # not back to the pool: there may be more to come on this connection


class Api:
    """One cluster as one user; its methods may be called from many threads.

    What is read is tried again a few times where the server fails or the connection breaks. What changes something is
    not, because it may have happened: whoever asks for it decides. In both cases a server that is busy (429, or 503
    with ``Retry-After``) is given its time, and a token that is no longer accepted is fetched anew, once.
    """

    def __init__(self, login: Login, namespace: str, kubeconfig: Path | None, context: str | None) -> None:
        self.namespace = namespace
        self._login = login
        self._asked = (kubeconfig, context)
        self._renewing = threading.Lock()
        self._reached = False

    @property
    def server(self) -> str:
        """Address of the API server."""
        return self._login.server

    @property
    def context(self) -> str:
        """Name of the kubeconfig's context."""
        return self._login.context

    @property
    def context_namespace(self) -> str:
        """The namespace that is meant when nobody names one."""
        return self._login.namespace or "default"

    def get(self, path: str, **params: str | int) -> dict[str, Any]:
        """One object or list. Raises ApiError, UnreachableError."""
        body: dict[str, Any] = self._decoded(self._read(path, params))
        return body

    def headers(self, path: str) -> Mapping[str, str]:
        """Of the answer to a GET. Raises ApiError, UnreachableError."""
        return self._patiently("GET", path, {}).headers

    def stream(
        self, path: str, *, idle: float | None = None, stop: threading.Event | None = None, **params: str | int
    ) -> Stream:
        """What comes line by line: a watch, a log that is followed.

        ``idle`` is how many seconds may pass without anything. Raises ApiError, UnreachableError.
        """
        headers = {"Accept": "*/*"}
        answer = self._patiently("GET", path, params, headers=headers, idle=idle, stream=True, stop=stop)
        return Stream(answer, self.server)

    def upgrade(self, path: str, headers: Mapping[str, str], *, idle: float) -> BaseHTTPResponse:
        """Ask for another protocol on the connection that the answer is then the owner of; ``idle`` as for ``stream``.

        Raises ApiError, UnreachableError.
        """
        return self._patiently("GET", path, {}, headers={"Accept": "*/*", **headers}, idle=idle, stream=True)

    def post(
        self,
        path: str,
        body: bytes | str | Mapping[str, Any],
        *,
        stop: threading.Event | None = None,
        **params: str | int,
    ) -> dict[str, Any]:
        """Create. ``stop`` ends waiting for a busy server. Raises ApiError, UnreachableError."""
        return self._decoded(self._patiently("POST", path, params, body=_encoded(body), stop=stop).data)

    def put(
        self,
        path: str,
        body: bytes | str | Mapping[str, Any],
        *,
        stop: threading.Event | None = None,
        **params: str | int,
    ) -> dict[str, Any]:
        """Replace. Raises ApiError, UnreachableError."""
        return self._decoded(self._patiently("PUT", path, params, body=_encoded(body), stop=stop).data)

    def delete(
        self,
        path: str,
        body: bytes | str | Mapping[str, Any] | None = None,
        *,
        stop: threading.Event | None = None,
        **params: str | int,
    ) -> dict[str, Any]:
        """Delete; ``body`` has the options, such as ``preconditions``. Raises ApiError, UnreachableError."""
        encoded = None if body is None else _encoded(body)
        return self._decoded(self._patiently("DELETE", path, params, body=encoded, stop=stop).data)

    def _read(self, path: str, params: Mapping[str, str | int]) -> bytes:
        for attempt in range(READ_ATTEMPTS):
            last = attempt == READ_ATTEMPTS - 1
            try:
                return self._patiently("GET", path, params, headers={"Accept-Encoding": "gzip"}).data
            except (ApiError, UnreachableError) as error:
                # Before the first answer the address may be wrong, and somebody waits.
                if last or not may_pass(error) or (isinstance(error, UnreachableError) and not self._reached):
                    raise
            time.sleep(backoff(attempt))
        raise AssertionError("the last attempt returns or raises")

    def _patiently(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int],
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        idle: float | None = None,
        stop: threading.Event | None = None,
    ) -> BaseHTTPResponse:
        """Send, and again for as long as the server says that it has not looked at the request."""
        until = time.monotonic() + BUSY_SECONDS
        renewed = False
        url = f"{path}?{urlencode(params)}" if params else path
        while True:
            login = self._login
            try:
                return self._send(login, method, url, body, headers or {}, stream, idle)
            except ApiError as error:
                if error.status == 401 and not renewed:
                    renewed = True
                    self._renew(login)
                    continue
                wait = _busy(error)
                if wait is None or time.monotonic() + wait > until:
                    raise
                if (stop or threading.Event()).wait(wait * random.uniform(1.0, 1.2)):
                    raise

    def _send(
        self,
        login: Login,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        stream: bool,
        idle: float | None,
    ) -> BaseHTTPResponse:
        import urllib3

        try:
            # The whole answer is read here, or else its connection would not come back to the pool.
            answer = login.pool.urlopen(
                method,
                login.server + url,
                body=body,
                headers={**_HEADERS, **login.headers, **headers},
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=idle if stream else READ_SECONDS),
                preload_content=not stream,
                retries=False,
                redirect=False,
            )
            if answer.status < 300:
                self._reached = True
                return answer
            data = answer.data
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(error, login.server) from error
        except OSError as error:
            raise unreachable(urllib3.exceptions.ProtocolError(str(error), error), login.server) from error
        raise refused(answer.status, answer.headers, data, server=login.server, context=login.context)

    def _renew(self, used: Login) -> None:
        """Log in anew, unless another thread just did."""
        with self._renewing:
            if self._login is used:
                self._login = log_in(*self._asked)

    def _decoded(self, data: bytes) -> dict[str, Any]:
        try:
            decoded = json.loads(data)
        except ValueError:
            decoded = None
        if not isinstance(decoded, dict):
            raise ClusterError(f"{self.server} is not a Kubernetes API server: it answered {data[:80]!r}")
        return decoded


_HEADERS: Final = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": f"kgen/{kgen.__version__}",
}


def _encoded(body: bytes | str | Mapping[str, Any]) -> bytes:
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))).encode()


def _busy(error: ApiError) -> float | None:
    """Seconds after which a request that the server did not look at may come again."""
    if error.status == 429:
        return max(error.retry_after or 1.0, 0.1)
    if error.status == 503 and error.retry_after is not None:
        return max(error.retry_after, 0.1)
    return None


def connect(kubeconfig: Path | None, context: str | None, namespace: str | None, sweep_namespace: str = "") -> Api:
    """The cluster that the flags, else the environment, else the kubeconfig choose; nothing is asked of it yet.

    Its namespace is the flag's, else the sweep file's, else the context's, else ``default``. Raises ClusterError.
    """
    login = log_in(kubeconfig, context)
    return Api(login, namespace or sweep_namespace or login.namespace or "default", kubeconfig, context)
