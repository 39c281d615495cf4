"""What can go wrong between kgen and an API server, in kgen's words."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from kgen.errors import ClusterError

if TYPE_CHECKING:
    from urllib3.exceptions import HTTPError

_FORBIDDEN: Final = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)"'
    r' in API group "(?P<group>[^"]*)"(?: in the namespace "(?P<namespace>[^"]*)")?'
)
_NO_NAMESPACE: Final = re.compile(r'namespaces "([^"]+)" not found')
_SHOWN: Final = 500
"""Characters of an answer that is no object of the API."""


class ApiError(ClusterError):
    """The API server answered that it does not do what was asked."""

    def __init__(self, words: str, *, status: int, reason: str, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(words)
        self.status = status
        """Of HTTP."""
        self.reason = reason
        """The API's, such as AlreadyExists; empty where something else than the API answered."""
        self.message = message
        """The API's own words."""
        self.details = details
        """The API's, such as ``causes``."""
        self.retry_after: float | None = None
        """Seconds after which the server wants to be asked again."""


class UnreachableError(ClusterError):
    """No whole answer came. What was asked for may have happened all the same, unless ``sent`` is False."""

    def __init__(self, server: str, why: str, *, sent: bool) -> None:
        super().__init__(f"the cluster at {server} can't be reached: {why}")
        self.why = why
        self.sent = sent
        """Whether the request may have arrived."""


def may_pass(error: ClusterError) -> bool:
    """Whether the same request may succeed later: no answer came, or the server fails or is busy."""
    if isinstance(error, ApiError):
        return error.status >= 500 or error.status in (408, 429)
    return isinstance(error, UnreachableError)


def is_unclear(error: ClusterError) -> bool:
    """Whether the request may have been carried out all the same."""
    if isinstance(error, ApiError):
        return error.status >= 500
    return not isinstance(error, UnreachableError) or error.sent


def lacks_right(error: ClusterError) -> bool:
    """Whether the user may not do that at all; not the same as a quota or a policy that is in the way."""
    return isinstance(error, ApiError) and error.status == 403 and _FORBIDDEN.search(error.message) is not None


def refused(status: int, headers: Mapping[str, str], body: bytes, *, server: str, context: str) -> ApiError:
    """The error that an answer with this status means."""
    read = _status_object(body)
    message = str(read.get("message") or body.decode(errors="replace").strip()[:_SHOWN] or "no reason given")
    reason = str(read.get("reason") or "")
    details = read.get("details")
    words = _words(status, reason, message, server=server, context=context)
    error = ApiError(
        words, status=status, reason=reason, message=message, details=details if isinstance(details, dict) else {}
    )
    error.retry_after = _seconds(headers.get("Retry-After"))
    return error


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        read = json.loads(body)
    except ValueError:
        return {}
    return read if isinstance(read, dict) and read.get("kind") == "Status" else {}


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None


def _words(status: int, reason: str, message: str, *, server: str, context: str) -> str:
    if status == 401:
        return f"the cluster at {server} does not accept the credentials of context {context}: log in to it again"
    if status == 403 and (found := _FORBIDDEN.search(message)):
        resource = f"{found['resource']}.{found['group']}" if found["group"] else found["resource"]
        where = f" in namespace {found['namespace']}" if found["namespace"] else ""
        return f"{found['user']} may not {found['verb']} {resource}{where} of the cluster at {server}"
    if status == 404 and (found := _NO_NAMESPACE.search(message)):
        return f"there is no namespace {found[1]} in the cluster at {server}"
    kind = f"{status} {reason}".strip()
    return f"the cluster at {server} answered {kind}: {message}"


def unreachable(error: HTTPError, server: str) -> UnreachableError:
    """The error that a failure of the connection means."""
    import urllib3.exceptions as lib

    if isinstance(error, lib.SSLError):
        return UnreachableError(server, _of_tls(error), sent=False)
    if isinstance(error, lib.ProxyError):
        return UnreachableError(server, f"its proxy does not answer: {_cause(error)}", sent=False)
    if isinstance(error, lib.NameResolutionError):
        return UnreachableError(server, "there is no address for that name", sent=False)
    if isinstance(error, lib.ConnectTimeoutError) and not isinstance(error, lib.NewConnectionError):
        return UnreachableError(server, "it does not answer", sent=False)
    if isinstance(error, lib.NewConnectionError):
        return UnreachableError(server, _cause(error), sent=False)
    if isinstance(error, lib.ReadTimeoutError):
        return UnreachableError(server, "it took too long to answer", sent=True)
    return UnreachableError(server, f"the connection was lost: {_cause(error)}", sent=True)


def _of_tls(error: HTTPError) -> str:
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
    return f"TLS fails: {_cause(error)}"


def _cause(error: BaseException) -> str:
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, socket.gaierror):
            return cause.strerror[:1].lower() + cause.strerror[1:]
    return str(error)


def _chain(error: BaseException) -> list[BaseException]:
    """The error and those inside it: urllib3 keeps causes now as arguments, now as ``__cause__``."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop(0)
        if one is None or any(one is known for known in found):
            continue
        found.append(one)
        left += [one.__cause__, one.__context__, *(part for part in one.args if isinstance(part, BaseException))]
    return found
