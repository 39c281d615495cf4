"""Servers of S3's and of Google Cloud Storage's protocol on loopback, each with a folder of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster import build, processes

KEY = "AKIACANARYKEY"
SECRET = "canary-s3cr3t-0123456789"
REGION = "eu-test-1"
_SECONDS = 60
"""For a server to answer; it takes a tenth of one where nothing else runs."""


@dataclass
class Server:
    """A server that can be stopped and started again at the same address with the same content."""

    command: list[str]
    port: int
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = processes.start(self.command, log.fileno(), os.environ | self.environment, self.folder)
        deadline = time.monotonic() + _SECONDS
        while not self._answers():
            log_text = (self.folder / "server.log").read_text()
            assert self._process.poll() is None, f"{self.command[0]} ended: {log_text}"
            assert time.monotonic() < deadline, f"{self.command[0]} does not answer: {log_text}"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def s3(folder: Path, *buckets: str) -> Iterator[Server]:
    """versitygw: a real S3 server on a folder, whose folders are its buckets."""
    programs = build.ensure(build.BUCKETS)
    for part in ("data", "sidecar", *(f"data/{bucket}" for bucket in buckets)):
        (folder / part).mkdir(parents=True)
    port = free_port()
    # Through the environment: what stands in a command line, everybody on the machine can read.
    server = Server(
        [str(programs / "versitygw"), "--port", f"127.0.0.1:{port}", "--region", REGION, "--quiet", "posix",
         "--sidecar", str(folder / "sidecar"), str(folder / "data")],
        port, folder, {"ROOT_ACCESS_KEY_ID": KEY, "ROOT_SECRET_ACCESS_KEY": SECRET},
    )  # fmt: skip
    with contextlib.closing(_Stopped(server)):
        server.start()
        yield server


@contextlib.contextmanager
def gcs(folder: Path, *buckets: str) -> Iterator[Server]:
    """fake-gcs-server. It speaks Google's JSON protocol; see `front` for the XML one."""
    programs = build.ensure(build.BUCKETS)
    (folder / "data").mkdir(parents=True)
    port = free_port()
    server = Server(
        [str(programs / "fake-gcs-server"), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host",
         f"127.0.0.1:{port}", "-backend", "filesystem", "-filesystem-root", str(folder / "data"), "-log-level", "warn"],
        port, folder,
    )  # fmt: skip
    with contextlib.closing(_Stopped(server)):
        server.start()
        for bucket in buckets:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
            with contextlib.closing(connection):
                body, headers = json.dumps({"name": bucket}), {"Content-Type": "application/json"}
                connection.request("POST", "/storage/v1/b?project=kgen", body, headers)
                assert connection.getresponse().status == 200
        yield server


class _Stopped:
    def __init__(self, server: Server) -> None:
        self._server = server

    def close(self) -> None:
        """Whatever happened."""
        self._server.stop()


def free_port() -> int:
    """A port on which nobody listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
