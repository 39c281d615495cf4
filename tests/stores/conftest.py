"""Buckets of a real S3 server and of a server of Google Cloud Storage's protocol."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.cluster import golang
from tests.cluster.fixtures import cluster, fake_cluster, give_up, namespace
from tests.cluster.shell import shell
from tests.stores import servers
from tests.stores.front import Front
from tests.stores.place import BUCKET, Place

__all__ = ["cluster", "fake_cluster", "namespace", "shell"]


@pytest.fixture(scope="session")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Front]]:
    folder = tmp_path_factory.mktemp("buckets")
    with contextlib.ExitStack() as stack:
        try:
            s3 = stack.enter_context(servers.s3(folder / "s3", BUCKET))
            gcs = stack.enter_context(servers.gcs(folder / "gcs", BUCKET))
        except golang.NoGoError as error:
            give_up(str(error))
        yield {
            "s3": stack.enter_context(contextlib.closing(Front(s3, translates=False))),
            "gs": stack.enter_context(contextlib.closing(Front(gcs, translates=True))),
        }


@pytest.fixture(params=["s3", "gs"])
def place(request: pytest.FixtureRequest, fronts: dict[str, Front], monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Each of both, with what reaches it in this process's environment."""
    yield from _place(str(request.param), fronts, monkeypatch)


@pytest.fixture
def s3(fronts: dict[str, Front], monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The real S3 server alone, for what only it checks: keys and regions."""
    yield from _place("s3", fronts, monkeypatch)


def _place(scheme: str, fronts: dict[str, Front], monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    found = Place(scheme, fronts[scheme])
    found.front.forget()
    for name, value in found.variables.items():
        monkeypatch.setenv(name, value)
    yield found
    found.front.forget()
