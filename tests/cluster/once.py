"""Folders that are made once, by whichever process comes first, and are never seen half made."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

Builder = Callable[[Path, Path], None]
"""Fills the first, empty folder with what belongs into it; may use the second, which is removed afterwards."""


def whole(folder: Path, builder: Builder) -> Path:
    """A folder that is there once it is whole, made where it is missing.

    Whoever comes while another process makes it waits for that one. What a killed one left is removed by the next.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():  # another process has made it meanwhile
            return folder
        for left in folder.parent.glob(f"{folder.name}.part-*"):  # its maker is dead: this process has the lock
            shutil.rmtree(left, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.part-", dir=folder.parent))
        try:
            target, scratch = part / "whole", part / "scratch"
            target.mkdir()
            scratch.mkdir()
            builder(target, scratch)
            target.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder
