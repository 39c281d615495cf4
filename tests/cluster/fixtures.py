"""The fixtures for tests that need a cluster. A folder of tests has them when its `conftest.py` imports them:

`from tests.cluster.fixtures import cluster, fake_cluster, namespace`, with `__all__` to say that they are meant.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from tests.cluster import build, choose, golang, kind
from tests.cluster.client import Cluster

# One per process, also where several conftest.py have imported the fixture, which makes it several to pytest.
_started = contextlib.ExitStack()
_cluster: list[Cluster | choose.UnavailableError] = []


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """A Kubernetes that answers; see `choose`. In CI a test that needs it fails where there is none."""
    if not _cluster:
        request.config.add_cleanup(_started.close)
        try:
            _cluster.append(_started.enter_context(choose.started(lambda: _prepare(request.config))))
        except choose.UnavailableError as error:
            _cluster.append(error)
    if isinstance(_cluster[0], choose.UnavailableError):
        give_up(f"no cluster for tests: {_cluster[0]}")
    return _cluster[0]


@pytest.fixture(scope="session")
def fake_cluster(cluster: Cluster) -> Cluster:
    """The same for tests that need fake nodes with GPUs."""
    if not cluster.has_fake_nodes:
        give_up(f"the cluster has no fake nodes: unset {choose.NAMED}")
    return cluster


@pytest.fixture(scope="session")
def programs(request: pytest.FixtureRequest) -> Path:
    """The folder of what a control plane is made of; a test of that is skipped where another cluster is used."""
    if os.environ.get(choose.NAMED) or kind.answers():
        pytest.skip("another cluster is used: no control plane is built")
    return built(request.config, build.EVERYTHING)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A new namespace, deleted afterwards without waiting for its end."""
    name = cluster.new_namespace()
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def built(config: pytest.Config, modules: Sequence[build.Module]) -> Path:
    """The folder of what is built from Go modules, once; a test that needs it is skipped where that can't be done."""
    if not build.built(modules):
        _prepare(config)
    try:
        return build.ensure(modules)
    except golang.NoGoError as error:
        give_up(str(error))


def give_up(reason: str) -> NoReturn:
    """Skip a test, which in CI is a failure: there everything must have been installed."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (in CI nothing is skipped)", pytrace=False)
    pytest.skip(reason)


def _prepare(config: pytest.Config) -> None:
    """Before minutes of building: call off the watch for tests that hang, and say what is going on."""
    faulthandler.cancel_dump_traceback_later()
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        sys.stderr.write("\nkgen: building what tests need of Kubernetes, once, which takes minutes\n")
        sys.stderr.flush()
