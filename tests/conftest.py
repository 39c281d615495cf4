"""What every test shares: the meaning of the marker ``alone`` when several processes run tests."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator

import pytest
from hypothesis import settings

# Random examples take as long as they take: the machine may be busy.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# Sweeps of tests name buckets, and nobody's credentials may reach a cloud for them.
for _name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_")) or name == "STORAGE_EMULATOR_HOST"]:
    del os.environ[_name]
os.environ |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent"}
os.environ |= {"AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "GCE_METADATA_HOST": "127.0.0.1:1"}

_ALONE = "alone"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with tests that need the machine for themselves come last, when little else is left to wait for."""
    waiting = {item.path for item in items if item.get_closest_marker(_ALONE)}
    items.sort(key=lambda item: item.path in waiting)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Hold the machine while a test runs, fixtures included: shared, or alone where it is marked so."""
    if not hasattr(item.config, "workerinput"):  # one process: every test is alone
        return (yield)
    folder = item.config.rootpath / ".pytest_cache"
    folder.mkdir(exist_ok=True)
    with (folder / "machine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if item.get_closest_marker(_ALONE) else fcntl.LOCK_SH)
        return (yield)
