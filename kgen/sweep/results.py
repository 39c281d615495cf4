"""The field ``results`` of the file: where a sweep's results lie, as text or with the place of a bucket's service."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from kgen.sweep.fields import Closed, show, wrong

_WORDS: Final = "a folder, pvc://claim/path, s3://bucket/prefix or gs://bucket/prefix"
_PLACE: Final = re.compile(r"(pvc|s3|gs)://([^/]*)(?:/(.*))?", re.DOTALL)
_ANY_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_USER: Final = re.compile(r"[^/]*://[^/]*@")
_CLAIM: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_BUCKET: Final = {
    "s3": re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
    "gs": re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]"),
}
_BUCKET_WORDS: Final = {
    "s3": "a bucket of 3 to 63 lower-case letters, digits, '-' and '.'",
    "gs": "a bucket of 3 to 63 lower-case letters, digits, '-', '_' and '.'",
}
_PREFIX: Final = re.compile(r"[A-Za-z0-9_.=+@/-]{0,512}")
_ENDPOINT: Final = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?/?")
_REGION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")


def split_results(value: str) -> tuple[str, str, str] | None:
    """Scheme, claim or bucket, and path of results that lie in no folder of this machine.

    >>> split_results("pvc://results/team/"), split_results("results/")
    (('pvc', 'results', 'team'), None)
    """
    match = _PLACE.fullmatch(value)
    return (match[1], match[2], (match[3] or "").strip("/")) if match else None


def _check_url(value: str) -> str:
    if not value.strip() or not value.isprintable() or value.startswith("~"):
        raise wrong(show(value), f"{_WORDS} (~ has no meaning here)")
    if _USER.match(value):  # what may be a password is not repeated
        raise wrong("a URL with a user in it", f"{_WORDS}; credentials come from the environment")
    found = split_results(value)
    if found is None:
        if _ANY_SCHEME.match(value):
            raise wrong(show(value), _WORDS)
        return value
    scheme, root, path = found
    if path and any(part in ("", ".", "..") for part in path.split("/")):
        raise wrong(show(value), f"{_WORDS}, without empty parts, '.' and '..'")
    if scheme == "pvc":
        if not _CLAIM.fullmatch(root):
            raise wrong(f"the claim {root!r}", "the name of a claim: lower-case letters, digits, '-' and '.'")
        return value
    if not _BUCKET[scheme].fullmatch(root) or ".." in root or _is_address(root):
        raise wrong(f"the bucket {root!r}", _BUCKET_WORDS[scheme])
    if not _PREFIX.fullmatch(path):
        raise wrong(f"the prefix {path[:60]!r}", "at most 512 letters, digits and _ . = + @ - / in a bucket")
    return value


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def _check_endpoint(value: str) -> str:
    if "@" in value:  # what may be a password is not repeated
        raise wrong("a URL with a user in it", "https://host:port; credentials come from the environment")
    if not _ENDPOINT.fullmatch(value):
        raise wrong(show(value), "a URL such as https://s3.example.com or http://minio.ml.svc:9000")
    return value.rstrip("/")


def _check_region(value: str) -> str:
    if not _REGION.fullmatch(value):
        raise wrong(show(value), "a region such as eu-central-1")
    return value


Url = Annotated[str, AfterValidator(_check_url)]
URL_PATTERN: Final = r"^(?!~)((pvc|s3|gs)://|(?![a-zA-Z][a-zA-Z0-9+.-]*://)).*\S"


class ResultsModel(Closed):
    """Results whose place needs more than a URL."""

    url: Url = Field(
        description="Folder, pvc://claim/path, s3://bucket/prefix or gs://bucket/prefix",
        json_schema_extra={"pattern": URL_PATTERN},
    )
    endpoint: Annotated[str, AfterValidator(_check_endpoint)] | None = Field(
        None,
        description="URL of the bucket's service, where it is not the cloud's own; AWS_ENDPOINT_URL or "
        "STORAGE_EMULATOR_HOST in the environment count before it",
        json_schema_extra={"pattern": "^https?://[^@]*$"},
    )
    region: Annotated[str, AfterValidator(_check_region)] | None = Field(
        None, description="Region of an S3 bucket; AWS_REGION in the environment counts before it"
    )

    @model_validator(mode="after")
    def _of_a_bucket(self) -> Self:
        found = split_results(self.url)
        scheme = found[0] if found else "folder"
        words = {"folder": "a folder", "pvc": "a claim", "gs": "a bucket of Google's"}
        if self.endpoint is not None and scheme not in ("s3", "gs"):
            raise wrong(f"an endpoint with {words[scheme]}", "an endpoint for s3:// and gs:// only", "endpoint")
        if self.region is not None and scheme != "s3":
            raise wrong(f"a region with {words[scheme]}", "a region for s3:// only", "region")
        return self


def _form(value: Any) -> str:
    return "place" if isinstance(value, dict) else "url"


_SchemaUrl = Annotated[Url, Field(json_schema_extra={"pattern": URL_PATTERN})]
Results = Annotated[Annotated[_SchemaUrl, Tag("url")] | Annotated[ResultsModel, Tag("place")], Discriminator(_form)]


def url_of(results: Any) -> str:
    """The URL or folder, whichever form it was written in."""
    return results.url if isinstance(results, ResultsModel) else str(results)
