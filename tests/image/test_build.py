"""How the image is built: what is reused, what is asked for, and that nothing of it stays. On a lock of a few packages,
which makes a build of seconds."""

from __future__ import annotations

import base64
import functools
import http.server
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.image import build
from tests.image.container import Unpacked

_IMAGE = "localhost/kgen-small"
_LOCKED = ("hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers", "typing-extensions")
_PASSWORD = "canary-of-the-index"


@dataclass
class Index:
    """A package index on this machine, which wants a password."""

    port: int
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and user of each request."""

    @property
    def url(self) -> str:
        return f"http://kgen:{_PASSWORD}@127.0.0.1:{self.port}/simple"


def packages(lock: str) -> list[str]:
    """A lock's text, cut into what it says of each package."""
    return re.split(r"^(?=\S)", lock, flags=re.MULTILINE)


def small_lock() -> str:
    """The part of run.txt that is about a few packages."""
    text = (build.ROOT / "requirements" / "run.txt").read_text()
    return "".join(block for block in packages(text) if block.partition("==")[0] in _LOCKED)


@pytest.fixture(scope="module")
def source(can_build: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose lock is small."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in build.CONTEXT:
        path = build.ROOT / name
        (folder / name).parent.mkdir(exist_ok=True)
        (shutil.copytree if path.is_dir() else shutil.copy)(path, folder / name)
    (folder / "requirements" / "run.txt").write_text(small_lock())
    return folder


@pytest.fixture(scope="module")
def index(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """An index that has just what the small lock and the first step need."""
    folder = tmp_path_factory.mktemp("index")
    for lock in ("setup.txt", "run.txt"):
        pip: list[str | Path] = [build.ROOT / ".bootstrap/bin/pip"]
        download = [*pip, "download", "--quiet", "--no-deps", "--require-hashes"]
        download += ["--dest", folder / "files", "--requirement", source / "requirements" / lock]
        subprocess.run(download, check=True)
    for wheel in (folder / "files").iterdir():
        name = wheel.name.partition("-")[0].lower().replace("_", "-")
        (folder / "simple" / name).mkdir(parents=True)
        wheel.rename(folder / "simple" / name / wheel.name)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            user = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
            found.asked.append((self.path, user))
            if user != f"kgen:{_PASSWORD}":
                self.send_response(401)
                self.send_header("WWW-Authenticate", "Basic")
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        found = Index(server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


class Small:
    """Builds the small checkout again and again."""

    def __init__(self, builder: build.Builder, base: str, source: Path, environment: dict[str, str]) -> None:
        self.source = source
        self._builder, self._base, self._environment = builder, base, environment

    def build(self, folder: Path, **environment: str) -> Unpacked:
        """Build it, and look what it is made of."""
        self.told = self._builder.build(self._base, _IMAGE, self.source, **{**self._environment, **environment})
        folder.mkdir()
        self._builder.push(_IMAGE, folder / "image.tar", "small:1")
        return Unpacked(folder / "image.tar", folder)


@pytest.fixture(scope="module")
def small(source: Path, index: Index, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    """The small checkout, with everything secret that a build can be given."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "bundle.pem").write_text("# canary-of-the-bundle\n" + _bundle())
    (folder / "netrc").write_text("machine example.invalid login kgen password canary-of-the-netrc\n")
    environment = {
        "PIP_INDEX_URL": index.url,
        "SSL_CERT_FILE": str(folder / "bundle.pem"),
        "NETRC": str(folder / "netrc"),
    }
    storage = tmp_path_factory.mktemp("storage")
    builder = build.Builder(storage)
    yield Small(builder, builder.add_base(build.ensure_base()), source, environment)
    shutil.rmtree(storage)


def _bundle() -> str:
    bundle = ssl.get_default_verify_paths().cafile
    return Path(bundle).read_text() if bundle else ""


def test_it_installs_from_the_index_it_is_told_and_keeps_nothing_of_that(
    small: Small, index: Index, tmp_path: Path
) -> None:
    image = small.build(tmp_path / "image")
    assert {"/simple/uv/", "/simple/hatchling/"} <= {path for path, user in index.asked if user}
    canaries = (b"canary-of-the", f"127.0.0.1:{index.port}".encode(), b"example.invalid")
    found = [path for path in image.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(found) > 1000
    for content in [*(text.encode() for text in image.texts()), *(path.read_bytes() for path in found)]:
        assert not [canary for canary in canaries if canary in content]
    assert not any("PIP_INDEX_URL" in text for text in image.texts())


def test_an_edit_of_the_code_reuses_the_layer_of_the_dependencies(small: Small, index: Index, tmp_path: Path) -> None:
    before = small.build(tmp_path / "before")
    asked = len(index.asked)
    edited = small.source / "kgen" / "__init__.py"
    edited.write_text(edited.read_text() + "\n# an edit\n")
    after = small.build(tmp_path / "after", REVISION="another")
    assert after.layers[:-1] == before.layers[:-1]
    assert after.layers[-1] != before.layers[-1]
    assert len(index.asked) == asked
    (module,) = (after.root / "opt/kgen/lib").glob("*/site-packages/kgen/__init__.py")
    assert module.read_text().endswith("# an edit\n")


def test_an_edit_of_the_lock_installs_anew(small: Small, index: Index, tmp_path: Path) -> None:
    before = small.build(tmp_path / "before")
    lock = small.source / "requirements" / "run.txt"
    text = lock.read_text()
    try:
        lock.write_text("".join(block for block in packages(text) if not block.startswith("typing-extensions")))
        after = small.build(tmp_path / "after")
    finally:
        lock.write_text(text)
    assert after.layers[1] != before.layers[1]
    assert not list((after.root / "opt/kgen/lib").glob("*/site-packages/typing_extensions.py"))


def test_what_comes_from_the_index_must_have_the_locks_hash(small: Small, tmp_path: Path) -> None:
    lock = small.source / "requirements" / "run.txt"
    text = lock.read_text()
    try:
        lock.write_text(re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", text))
        with pytest.raises(RuntimeError, match="Hash mismatch"):
            small.build(tmp_path / "image")
    finally:
        lock.write_text(text)


def test_an_extra_that_there_is_not_is_refused(small: Small, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="EXTRA is 'jax', allowed tensorflow, cuda"):
        small.build(tmp_path / "image", EXTRA="jax")


def test_it_says_how_to_push_it_and_how_to_load_it_into_kind(small: Small, tmp_path: Path) -> None:
    small.build(tmp_path / "image")
    said = small.told.splitlines()[-4:]
    assert said[0] == f"built:      {_IMAGE} (extra tensorflow, by buildah)"
    assert "buildah push REGISTRY/kgen-trainer" in said[1]
    assert said[2].endswith("kind load image-archive image.tar")
