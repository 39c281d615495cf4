"""``python -m kgen.trial.check``: whether a trial could train and leave its row here; a line of JSON for each finding.

What ``kgen doctor`` starts in a pod that is like a trial's. Each line has ``check``, ``state`` (``ok``, ``warning`` or
``missing``), ``found`` and ``fix``.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import kgen
from kgen import names
from kgen.errors import StoreError
from kgen.results.store import is_bucket, open_store

OK: Final = "ok"
WARNING: Final = "warning"
MISSING: Final = "missing"
LITTLE_BYTES: Final = 1 << 30
"""Room on a volume below which a sweep may soon find it full."""
_DEVICES: Final = ("nvidia[0-9]*", "kfd", "dri/renderD*", "accel*", "accel/accel*", "vfio/[0-9]*")
_PATIENCE: Final = 10.0
"""Seconds that a bucket may fail to answer."""
_FIXES: Final = {
    errno.EACCES: "a volume that its user may write to: kubernetes.run_as_user is that of user, group and fsGroup; a "
    "volume that knows no fsGroup (NFS) has to belong to them",
    errno.EROFS: "a claim that is not mounted or bound read-only",
    errno.ENOSPC: "a larger volume, or fewer files on it",
    errno.EDQUOT: "a larger quota on the volume, or fewer files on it",
    errno.ENOENT: "the claim or volume mounted there",
}

Finding = dict[str, str]


def finding(check: str, state: str, found: str, fix: str = "") -> Finding:
    """One line."""
    return {"check": check, "state": state, "found": found, "fix": fix}


def versions() -> Finding:
    """What runs here, and as whom."""
    found = f"kgen {kgen.__version__} on Python {platform.python_version()}, user {os.getuid()}:{os.getgid()}"
    return finding("image", OK, found)


def results(location: str) -> Finding:
    """Whether rows can be written at a place; nothing of the attempt stays."""
    began = time.monotonic()
    try:
        with _as_it_was(location):
            open_store(location, patience=_PATIENCE).check()
    except StoreError as error:
        return finding("results", MISSING, f"{error} (user {os.getuid()}:{os.getgid()})", _fix(location, error))
    if is_bucket(location):
        return finding("results", OK, f"{location} can be written ({time.monotonic() - began:.1f} s)")
    free = shutil.disk_usage(_nearest(Path(location))).free
    found = f"{location} can be written, {free / 2**30:,.1f} GiB are free there"
    if free < LITTLE_BYTES:
        return finding("results", WARNING, found, _FIXES[errno.ENOSPC])
    return finding("results", OK, found)


@contextlib.contextmanager
def _as_it_was(location: str) -> Iterator[None]:
    """Folders that are made inside go again."""
    folders = [] if is_bucket(location) else [Path(location, names.ROWS_DIR), *Path(location, names.ROWS_DIR).parents]
    new = [folder for folder in folders if not _is_there(folder)]
    try:
        yield
    finally:
        for folder in new:
            with contextlib.suppress(OSError):  # a trial may have begun to use it
                folder.rmdir()


def _nearest(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if _is_there(folder))


def _is_there(folder: Path) -> bool:
    """False too where this user may not look, for which Path.exists raises an error."""
    try:
        folder.stat()
    except OSError:
        return False
    return True


def _fix(location: str, error: StoreError) -> str:
    if is_bucket(location):
        return "credentials with the right to list, read and write there: kubernetes.secret_env, or a service_account"
    cause = error.__cause__
    number = cause.errno if isinstance(cause, OSError) else None
    return _FIXES.get(number or 0, "a place that can be written")


def devices(wanted: int) -> Finding:
    """Whether the container was given an accelerator."""
    seen = sorted({str(path) for pattern in _DEVICES for path in Path("/dev").glob(pattern)})
    if len(seen) >= wanted:
        return finding("gpu", OK, f"the container sees {', '.join(seen)}" if seen else "none was asked for")
    found = f"{wanted} asked for, the container sees {', '.join(seen) or 'no device'}"
    return finding("gpu", MISSING, found, "a device plugin and container runtime that hand the device to the container")


def check(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Everything that these variables of a trial's environment ask for."""
    yield versions()
    if location := environ.get(names.ENV_RESULTS):
        yield results(location)
    if wanted := int(environ.get(names.ENV_GPUS) or 0):
        yield devices(wanted)


def main() -> None:
    """Print what is found."""
    for found in check(os.environ):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
    sys.exit(0)
