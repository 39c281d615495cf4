"""Refuses what works here and can't work in a pod: a command or a path that exists on this machine only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

from kgen.errors import InputError, Problem
from kgen.render.environment import RESULTS_MOUNT
from kgen.render.merge import FILES_MOUNT
from kgen.sweep import SweepSpec
from kgen.sweep.document import Document, parse
from kgen.sweep.document import Path as FieldPath
from kgen.sweep.fields import show

_OF_IMAGES: Final = (
    "/bin", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/proc", "/sbin", "/sys", "/tmp", "/usr",
    FILES_MOUNT, RESULTS_MOUNT,
)  # fmt: skip
"""Folders that an image or a pod has of its own, whatever is in those of this machine."""


def local_paths(spec: SweepSpec) -> None:
    """Raises InputError with every word of the command, value of the environment and of the config that names a file
    of this machine which no pod will have. Looks at the file system, so it is right only where the sweep file lies.
    """
    document = parse(spec.text, str(spec.file))
    problems = list(_problems(spec, document))
    if problems:
        raise InputError(problems)


def _problems(spec: SweepSpec, document: Document) -> Iterator[Problem]:
    mounts = [PurePosixPath(path) for path in (*_OF_IMAGES, *(v.mount_path for v in spec.kubernetes.volumes))]
    sent = {PurePosixPath(path) for path in spec.trainer.files}
    for path, value in _texts(spec):
        for word in {value, value.partition("=")[2]} - {""}:
            if _is_only_here(word, spec.folder, sent, mounts):
                allowed = "a path of the image or of a volume"
                if not word.startswith("/"):
                    allowed = f"a file that travels with the sweep: list it in trainer.files; or {allowed}"
                yield document.problem(path, f"{show(word)}, which exists on this machine only", allowed)


def _texts(spec: SweepSpec) -> Iterator[tuple[FieldPath, str]]:
    """Everything that a trainer gets and may take for a path."""
    yield from _texts_in(("trainer", "command"), list(spec.trainer.command))
    yield from _texts_in(("trainer", "env"), dict(spec.trainer.env))
    yield from _texts_in(("trainer", "config"), dict(spec.trainer.config))


def _texts_in(path: FieldPath, value: Any) -> Iterator[tuple[FieldPath, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts_in((*path, key), item)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _texts_in((*path, i), item)
    elif isinstance(value, str):
        yield path, value


def _is_only_here(word: str, folder: Path, sent: set[PurePosixPath], mounts: list[PurePosixPath]) -> bool:
    if "\0" in word or "\n" in word or len(word) > 4096:
        return False
    pure = PurePosixPath(word)
    try:
        if pure.is_absolute():
            return not any(pure.is_relative_to(mount) for mount in mounts) and pure.parts[1:] != () and _exists(pure)
        return pure not in sent and Path(folder, word).is_file()
    except OSError:  # a name that no file system takes
        return False


def _exists(path: PurePosixPath) -> bool:
    return Path(path).exists()
