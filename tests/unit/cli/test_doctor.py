"""How `kgen doctor` shows what it found; what it finds needs a cluster (`tests/cluster/test_doctor.py`)."""

from __future__ import annotations

import importlib.util
import io
import sys
from typing import Any

import pytest
import typer

from kgen.cli import doctor
from kgen.workflow.doctor import Check, State
from kgen.workflow.doctor.client import client

CHECKS = [
    Check("client", State.OK, "kgen 0.1.0", "never shown"),
    Check("gpus", State.WARNING, "none", "a device plugin"),
    Check("namespace", State.MISSING, "a is not there\n  at all", "kubectl create namespace a"),
    Check("rights", State.SKIPPED, "the namespace is not there"),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, out: io.StringIO) -> list[str]:
    monkeypatch.setattr(sys, "stdout", out)
    with pytest.raises(typer.Exit) as ended:
        doctor._show(CHECKS, None)
    assert ended.value.exit_code == 1
    return out.getvalue().splitlines()


def test_a_line_each_aligned_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, io.StringIO()) == [
        "ok       client        kgen 0.1.0",
        "warning  gpus          none; fix: a device plugin",
        "missing  namespace     a is not there at all; fix: kubectl create namespace a",
        "skipped  rights        the namespace is not there",
        "",
        "1 thing missing, 1 warning",
    ]


def test_colours_are_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert shown(monkeypatch, Terminal())[2].startswith("\x1b[31mmissing\x1b[0m  namespace ")
    monkeypatch.setenv("NO_COLOR", "1")
    assert shown(monkeypatch, Terminal()) == shown(monkeypatch, io.StringIO())


@pytest.mark.parametrize(
    ("absent", "state", "words"),
    [
        ((), State.OK, ", with the extras report and tensorflow"),
        (("tensorflow",), State.OK, ", with the extra report; without tensorflow: kgen run needs it for the built-in"),
        (("matplotlib",), State.WARNING, ", with the extra tensorflow; without report: kgen report and the figures"),
    ],
)
def test_extras(monkeypatch: pytest.MonkeyPatch, absent: tuple[str, ...], state: State, words: str) -> None:
    def find(name: str) -> Any:
        return None if name in absent else object()

    monkeypatch.setattr(importlib.util, "find_spec", find)
    found = client()
    assert (found.state, words in found.found) == (state, True)
    if absent:
        assert found.fix.startswith("pip install 'kgen-sweep[")
