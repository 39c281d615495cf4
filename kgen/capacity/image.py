"""What an image's reference says of whether nodes can have it, and whether it stays the same."""

from __future__ import annotations

from collections.abc import Iterator

from kgen.capacity.finding import Finding, note, warn

_FIELD = ("trainer", "image")


def findings(image: str) -> Iterator[Finding]:
    """What is doubtful about a reference."""
    name, _, digest = image.partition("@")
    first, slash, _ = name.partition("/")
    if not (slash and ("." in first or ":" in first or first == "localhost")):
        found = f"{image}, which names no registry"
        yield warn(_FIELD, found, "registry/name:tag: without it nodes look on the default public registry, "
                   "unless the image is on each of them already")  # fmt: skip
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest:
        return
    if tag in ("", "latest"):
        found = f"{image}, whose image changes with every push"
        yield warn(_FIELD, found, "a tag that stays, or best a digest: otherwise trials may differ in their program")
    else:
        yield note(f"{image}: a tag can be moved while trials wait", "a digest can't", _FIELD)
