"""What went wrong with a bucket, in words: obstore tells it only by a long text, of which a user needs little and
which must not be shown as it is, since it repeats requests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from kgen.results.bucket_access import Access, NoCredentialsError

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([A-Za-z]\w{0,60})</Code>")
_BUSY: Final = frozenset((408, 409, 425, 429))
"""Answers of the 400s that another try may change."""
_NOT_IMPLEMENTED: Final = 501
"""A service that does not know conditions of writing will not learn them."""
_WRONG_REGION: Final = frozenset(
    ("AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException")
)
_DENIED: Final = frozenset(("AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "XAdminUserNotFound"))
"""Whatever status they come with; the last is of Versity's gateway."""
_OF_CREDENTIALS: Final = re.compile(
    r"/latest/(api/token|meta-data)|computeMetadata|token request|WebIdentity|//sts[.-][a-z0-9.-]*amazonaws"
)
_KINDS: Final = (
    ("ConnectionRefused|Connection refused", "connection refused"),
    ("dns error|failed to lookup", "its name is not known"),
    ("[Cc]ertificate|UnknownIssuer", "its certificate is not trusted (SSL_CERT_FILE names a file of those that are)"),
    ("TimedOut|timed out|Timeout", "timed out"),
    ("ConnectionReset|connection closed|IncompleteMessage|UnexpectedEof|BrokenPipe|body", "the connection was cut"),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Of one request."""

    words: str
    lasting: bool
    """Whether the same request will fail again until somebody has changed something."""
    no_object: bool = False
    """Whether all that is wrong is that there is no object of that name."""


def failure_of(error: Exception, access: Access, *, reading: bool = False) -> Failure:
    """What an exception of obstore's says; only one who is reading an object can find that there is none."""
    if isinstance(error, NoCredentialsError):
        return Failure(str(error), lasting=True)
    text = str(error)
    status, code = _STATUS.search(text), _CODE.search(text)
    number = int(status[1]) if status else 0
    answer = " ".join(part for part in (str(number), code[1] if code else "") if part)
    if _OF_CREDENTIALS.search(text):
        return _no_credentials(access, answer if status else "", number)
    if (code and code[1] in _WRONG_REGION) or "redirect without LOCATION" in text:
        used = f" {access.region!r}" if access.region else " us-east-1, which is used where none is named"
        return Failure(f"the bucket is not in the region{used}: set AWS_REGION or results.region", lasting=True)
    if number in (401, 403) or (code and code[1] in _DENIED):
        return Failure(
            f"access denied ({answer}) with the credentials in use, {access.credentials}; they need {access.rights}",
            lasting=True,
        )
    if (isinstance(error, FileNotFoundError) or number == 404) and (not code or code[1].startswith("NoSuch")):
        if reading and not (code and code[1] == "NoSuchBucket"):
            return Failure("there is no such object", lasting=True, no_object=True)
        return Failure(f"there is no bucket {access.bucket!r} at {access.service}", lasting=True)
    if number:
        lasting = (400 <= number < 500 and number not in _BUSY) or number == _NOT_IMPLEMENTED
        return Failure(f"{access.service} answers {answer}", lasting=lasting)
    return Failure(f"no answer from {access.service}: {_kind(text)}", lasting=False)


def _no_credentials(access: Access, answer: str, number: int) -> Failure:
    """The service that gives credentials gave none; a server's own trouble may pass."""
    why = f" ({answer})" if answer else ""
    refused = 400 <= number < 500
    if access.credentials.startswith("those of the instance"):
        # In the first seconds of a pod a cloud may not have its identity ready; a laptop has no such service at all.
        return Failure(f"no credentials: {access.how_to_get_credentials}", lasting=refused or not access.in_pod)
    return Failure(f"{access.credentials.removeprefix('those of ')} gives no credentials{why}", lasting=refused)


def _kind(text: str) -> str:
    return next((words for pattern, words in _KINDS if re.search(pattern, text)), "the request failed")
