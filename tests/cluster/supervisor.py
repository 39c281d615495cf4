"""Keeps a cluster for as long as somebody wants it: the command that starts one, prints how to reach it, and waits."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import shlex
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tests.cluster import golang


class StartError(Exception):
    """A program of a cluster ended, or was not ready in time."""


class Served(Protocol):
    """A cluster that runs."""

    def told(self) -> dict[str, Any]:
        """What whoever uses it has to know: `kubeconfig`, `folder`, `programs` and more."""

    def dead(self) -> str | None:
        """Why it no longer works; `None` while it does."""


def serve(
    module: str,
    description: str,
    start: Callable[..., contextlib.AbstractContextManager[Served]],
    greeting: str,
    *files: str,
) -> None:
    """Start a cluster, print how to reach it, and keep it until a signal comes or standard input's other end goes.

    `start` is called with the paths that the command got for `files`.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--json", action="store_true", help="print one line of JSON when ready, nothing else")
    for name in files:
        parser.add_argument(name, type=Path, metavar=name.upper())
    given = parser.parse_args()
    as_json: bool = given.json
    lifeline = is_lifeline(0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        with start(*(getattr(given, name) for name in files)) as cluster:
            ended = _listen()
            told = cluster.told()
            text = json.dumps(told)
            (Path(told["folder"]) / "cluster.json").write_text(text)
            print(text if as_json else _for_people(told, greeting), flush=True)
            dead = wait(cluster, ended, lifeline)
    except (golang.NoGoError, StartError) as error:
        sys.exit(f"kgen: no cluster: {error}")
    if dead:
        sys.exit(f"kgen: the cluster has broken down: {dead}")


def wait(cluster: Served, ended: int, lifeline: bool) -> str | None:
    """Wait for a signal, or for standard input's other end to go; returns what is wrong if a program ends before."""
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    if lifeline:
        poll.register(0, 0)  # its hanging up is always told; what is in it is somebody else's
    while not (dead := cluster.dead()):
        for descriptor, _ in poll.poll():
            if descriptor == 0 or set(os.read(ended, 64)) - {signal.SIGCHLD}:
                return None
    return dead


def is_lifeline(descriptor: int) -> bool:
    """Whether it is a pipe with somebody at its other end: one that is closed from the start means nothing."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    return not poll.poll(0)


def _leave(number: int, _frame: object) -> None:
    """Until all is ready a signal unwinds whatever is under way."""
    sys.exit(128 + number)


def _listen() -> int:
    """From now on a signal becomes a byte to read."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return reading


def _for_people(told: dict[str, Any], greeting: str) -> str:
    print(
        f"kgen: {greeting}\nkgen: its kubectl is {Path(told['programs']) / 'kubectl'}",
        file=sys.stderr,
        flush=True,
    )
    return f"export KUBECONFIG={shlex.quote(str(told['kubeconfig']))}"
