"""A bucket that tests have for themselves, behind a front that makes faults."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kgen.results.bucket import BucketStore
from tests.stores import servers
from tests.stores.front import Front

BUCKET = "results-1"


@dataclass
class Place:
    """Results in a bucket, with a prefix of its own."""

    scheme: str
    front: Front
    prefix: str = field(default_factory=lambda: f"team/{uuid.uuid4().hex[:8]}")

    @property
    def results(self) -> str:
        """As a sweep file names it."""
        return f"{self.scheme}://{BUCKET}/{self.prefix}"

    @property
    def location(self) -> str:
        """Of the sweep called sweep."""
        return f"{self.results}/sweep"

    @property
    def objects(self) -> Path:
        """The folder in which the server keeps what is below the prefix."""
        return self.front.server.folder / "data" / BUCKET / self.prefix

    @property
    def variables(self) -> Mapping[str, str]:
        """What a user exports to reach it."""
        if self.scheme == "gs":
            return {"STORAGE_EMULATOR_HOST": self.front.url}
        return {
            "AWS_ACCESS_KEY_ID": servers.KEY,
            "AWS_SECRET_ACCESS_KEY": servers.SECRET,
            "AWS_REGION": servers.REGION,
            "AWS_ENDPOINT_URL": self.front.url,
        }

    def environment(self, **more: str) -> dict[str, str]:
        """Of a process that may use it."""
        return {**os.environ, **self.variables, **more}

    def store(self, patience: float = 30.0) -> BucketStore:
        """The results of the sweep called sweep; this process must have the variables."""
        return BucketStore(self.location, patience=patience)
