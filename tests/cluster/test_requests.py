"""How often kgen asks the API server, from its audit log: a request per trial where something is created, else none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.cluster.shell import Shell, numbers, sweep_text

pytestmark = pytest.mark.alone  # counts what is asked of a server, which asks differ when it is slow

TRIALS = 60
RESUMED = 4
"""Watches that may be begun anew: a busy server ends one that is not read fast enough."""


@dataclass
class Asked:
    """The requests of some commands."""

    requests: Counter[str] = field(default_factory=Counter)
    """Verb and resource → how many."""

    @property
    def reads(self) -> int:
        """All but those that change something."""
        return sum(n for what, n in self.requests.items() if what.split()[0] in ("get", "list", "watch"))

    def __getitem__(self, what: str) -> int:
        return self.requests[what]


@contextmanager
def asked(shell: Shell) -> Iterator[Asked]:
    """What kgen asks meanwhile."""
    found = Asked()
    start = shell.cluster.audit_position()
    yield found
    for event in shell.cluster.audit(agent="kgen/", after=start):
        if event["verb"] == "watch" and event["stage"] != "ResponseStarted":
            continue  # its end, which may be that of an earlier command's
        about = event.get("objectRef", {})
        dry = " (dry run)" if "dryRun" in event["requestURI"] else ""
        found.requests[f"{event['verb']} {about.get('resource', event['requestURI'])}{dry}"] += 1


def test_submit_asks_once_per_trial_and_little_else(shell: Shell) -> None:
    with asked(shell) as first:
        shell.submit(sweep_text(parameters=numbers(TRIALS), fate="run"))
    assert first["create jobs"] == TRIALS
    assert first["create configmaps"] == 1
    assert first["create jobs (dry run)"] == 1
    assert first["list jobs"] == 2  # this sweep's, and those of nobody
    assert first["list configmaps"] == 1
    assert first["list pods"] == 1  # of all, for the room on the nodes

    assert first.requests.total() - TRIALS <= 14, first.requests
    # 288 trials then make 302 requests: 1.05 for each.

    shell.until_all("Running")
    with asked(shell) as again:
        shell.kgen("submit", "sweep.yaml").ok()
    assert again["create jobs"] == again["create configmaps"] == 0

    assert again.requests.total() <= 13, again.requests


def test_watching_and_waiting_ask_the_same_for_any_number(shell: Shell) -> None:
    shell.submit(sweep_text(parameters=numbers(TRIALS), seconds="1"))
    with asked(shell) as waiting:
        shell.kgen("wait", "first").ok()
    assert waiting["list configmaps"] == 1
    assert waiting["list jobs"] == waiting["list pods"] == 1
    # With events, which it reads where something waits for long: 0.05 for each of 288 are 14.
    assert waiting.requests.total() <= 9 + RESUMED, waiting.requests
    with asked(shell) as looking:
        shell.kgen("get", "trials", "first").ok()
    assert looking.requests == {"list configmaps": 1, "list jobs": 1, "list pods": 1}


def test_submitting_and_waiting_in_one_asks_no_more(shell: Shell) -> None:
    with asked(shell) as both:
        shell.submit(sweep_text(parameters=numbers(TRIALS)), "--wait")
    assert both["create jobs"] == TRIALS
    assert both["list jobs"] == 3
    assert both["list pods"] == 2
    assert both.requests.total() - TRIALS <= 14 + 9 + RESUMED, both.requests


def test_cancel_and_retry_ask_once_or_twice_per_job(shell: Shell) -> None:
    shell.submit(sweep_text(parameters=numbers(20), fate="exit-1"))
    shell.until_all("Failed:Crash")
    with asked(shell) as retrying:
        shell.kgen("retry", "first", "--failed").ok()
    assert retrying["delete jobs"] == retrying["create jobs"] == 20
    assert retrying.reads <= 7 + RESUMED, retrying.requests
    shell.submit(sweep_text("second", numbers(20), fate="run"))
    shell.until_all("Running", "second")
    with asked(shell) as cancelling:
        shell.kgen("cancel", "second").ok()
    assert cancelling["delete jobs"] == 20
    assert cancelling.reads == 4, cancelling.requests  # whether a Job submits it, its file, Jobs, pods
    with asked(shell) as deleting:
        shell.kgen("delete", "first").ok()
    # Before that, whether a Job submits it, and whether a pod fetches its results.
    assert deleting.requests == {
        "get jobs": 1, "list pods": 1, "deletecollection jobs": 1, "deletecollection configmaps": 1,
    }  # fmt: skip
