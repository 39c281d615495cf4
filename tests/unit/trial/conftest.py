"""No process outlives its test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.trial import trainers


@pytest.fixture(autouse=True)
def end_processes() -> Iterator[None]:
    """End what the test has left running."""
    yield
    trainers.end_all()
