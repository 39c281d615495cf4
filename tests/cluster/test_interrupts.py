"""Ctrl-C at moments in which it could get lost."""

from __future__ import annotations

import pytest

from tests.cluster.shell import Shell, finish, numbers, sweep_text

# Python swallows what is raised in a destructor; that of this object runs while a command waits for changes.
WHILE_IT_WAITS = """\
from kgen.workflow.follow import Following

class Dying:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

wait, there = Following.wait, [Dying()]

def waiting(self, timeout):
    there.clear()
    return wait(self, timeout)

Following.wait = waiting
"""
# When the API server has the sweep's ConfigMap, and kgen not yet its answer.
WHILE_IT_HANDS_OVER = """\
from kgen.backends.kubernetes.api import Api

post = Api.post

def interrupted(self, path, body, *, stop=None, **params):
    answer = post(self, path, body, stop=stop, **params)
    if path.endswith("/configmaps") and "dryRun" not in params:
        signal.pthread_kill(__import__("threading").main_thread().ident, signal.SIGINT)
        stop.wait(60)
    return answer

Api.post = interrupted
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["submit", "sweep.yaml", "--wait", "--yes"], "no longer watching; the Jobs in namespace"),
        (["wait", "first"], "no longer waiting; the Jobs go on"),
        (["get", "trials", "first", "--watch"], ""),
    ],
)
def test_whoever_stays_hears_what_python_swallows(shell: Shell, arguments: list[str], said: str) -> None:
    shell.submit(sweep_text(fate="run", parameters=numbers(2)))
    done = finish(shell.start(*arguments, before=WHILE_IT_WAITS))
    assert done.code == 130, done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert "ignored" not in done.err
    assert len(shell.jobs()) == 2


@pytest.mark.parametrize("more", [[], ["--wait", "--yes"]])
def test_nothing_more_is_created_when_it_comes_with_the_sweeps_own_objects(shell: Shell, more: list[str]) -> None:
    shell.write(sweep_text(fate="run", parameters=numbers(4)))
    done = finish(shell.start("submit", "sweep.yaml", *more, before=WHILE_IT_HANDS_OVER))
    assert done.code == 130, done.err
    assert "kgen submit sweep.yaml" in done.err
    assert "Traceback" not in done.err
    assert shell.config_maps() == ["kgen-sweep-first"]
    assert not shell.jobs()
    shell.kgen("submit", "sweep.yaml").ok()
    assert len(shell.jobs()) == 4
