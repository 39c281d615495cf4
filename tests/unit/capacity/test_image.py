from __future__ import annotations

import pytest

from kgen.capacity.finding import Severity
from kgen.capacity.image import findings

DIGEST = "@sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "severities", "words"),
    [
        ("registry.example/a/b:1.2", ["note"], "can be moved"),
        ("registry.example/a/b:1.2" + DIGEST, [], ""),
        ("localhost/b" + DIGEST, [], ""),
        ("host:5000/b" + DIGEST, [], ""),
        ("host:5000/b", ["warn"], "changes with every push"),
        ("registry.example/a/b:latest", ["warn"], "changes with every push"),
        ("trainer:1", ["warn", "note"], "names no registry"),
        ("team/trainer" + DIGEST, ["warn"], "names no registry"),
        ("a.b:1", ["warn", "note"], "names no registry"),
    ],
)
def test_what_is_said_of_an_image(image: str, severities: list[str], words: str) -> None:
    found = list(findings(image))
    assert [str(each.severity) for each in found] == severities
    assert words in "".join(map(str, found))
    assert all(each.field == ("trainer", "image") and each.severity is not Severity.REFUSE for each in found)
