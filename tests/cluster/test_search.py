"""A search on a cluster: round after round, killed anywhere, with what is on its way known."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from kgen import names
from kgen.spec import TrialSpec
from kgen.sweep import load
from tests.cluster.pods import created_jobs
from tests.cluster.shell import Shell, finish, read_until
from tests.cluster.test_stages import finish_stage, share, shared
from tests.cluster.trained import Trainers

__all__ = ["share"]

SEARCH = """\
  - name: found
    parameters: {optimizer: [a], rate: {log: {start: 1e-4, stop: 10}}}
    search: {method: sobol, trials: 6, parallel: 2}
    budget: {steps: 1000, target: {accuracy: 0.9}}
"""
AFTER = """\
  - name: sure
    parameters: {from: {stage: found, per: optimizer}}
    repeats: 2
    budget: {steps: 500}
    objective: {metric: accuracy, goal: maximize}
"""


@pytest.fixture
def trainers(shell: Shell, share: Path) -> Trainers:
    """The trials of a search, whose file has been written."""
    shell.write(shared(share, SEARCH))
    return Trainers(shell, load("sweep.yaml").with_results(share))


def trial_jobs(shell: Shell) -> int:
    return len(shell.kubectl("get", "jobs", f"--selector={names.LABEL_STAGE}", "-o", "name").split())


def test_rounds_of_no_more_than_parallel(shell: Shell, trainers: Trainers) -> None:
    before = shell.kgen("plan", "sweep.yaml", "-n", shell.namespace).ok()
    assert any(line.startswith("stage found: search (sobol): up to 6 trials") for line in before.lines)
    first = shell.kgen("submit", "sweep.yaml").ok()
    assert "2 Jobs created" in first.lines
    assert "stage found: its search has not ended" in first.lines
    again = shell.kgen("submit", "sweep.yaml").ok()
    assert "keep: 2" in again.out
    assert trial_jobs(shell) == 2
    with trainers.at_work():
        done = shell.kgen("submit", "sweep.yaml", "--wait").ok()
    assert any("the search has ended: 6 trials" in line for line in done.lines)
    assert done.lines[-1] == "all 6 trials of sweep/first succeeded"
    assert shell.kgen("submit", "sweep.yaml").ok().lines[-1] == "nothing to do"
    assert "orphan" not in shell.kgen("plan", "sweep.yaml", "-n", shell.namespace).ok().out
    assert len(shell.kgen("get", "trials", "first", "--no-headers").ok().lines) == 6


def test_a_killed_search_goes_on_with_what_is_on_its_way(shell: Shell, trainers: Trainers) -> None:
    """The Jobs of a round that have no rows yet are pending: nothing more is asked for while they run."""
    shell.write(shared(Path(trainers.results.location.path).parent, SEARCH + AFTER))
    trainers.hold = lambda _: True
    after = shell.cluster.audit_position()
    process = shell.start("submit", "sweep.yaml", "--wait", "--yes")
    shell.cluster.until(lambda: trial_jobs(shell) == 2, timeout=150, what="a round")
    process.kill()
    finish(process)
    process = shell.start("submit", "sweep.yaml", "--wait", "--yes")
    read_until(process, lambda line: line == "0/2 succeeded, 2 running\n")
    assert trial_jobs(shell) == 2
    trainers.hold = lambda _: False
    with trainers.at_work():
        last = finish(process)
    assert last.code == 0, last
    assert last.lines[-1] == "all 8 trials of sweep/first succeeded"
    made = created_jobs(shell.cluster, shell.namespace, after)
    assert set(made.values()) == {1}
    assert len(made) == 8
    rates = [trial.parameters["rate"] for trial in trainers.trained]
    assert len(set(rates[:6])) == 6
    assert rates[6] == rates[7]


def test_no_more_than_parallel_are_on_their_way_after_a_kill(shell: Shell, share: Path) -> None:
    """One of two has ended, the other runs on: the next two depend on both."""
    shell.write(shared(share, SEARCH.replace("sobol", "random")))
    first: list[str] = []

    def hold(trial: TrialSpec) -> bool:
        if not first:
            first.append(trial.id)
        return trial.id != first[0]

    trainers = Trainers(shell, load("sweep.yaml").with_results(share), hold=hold)
    shell.kgen("submit", "sweep.yaml").ok()
    shell.cluster.until(trainers.work, what="one of them has ended")
    process = shell.start("submit", "sweep.yaml", "--wait", "--yes")
    try:
        said = read_until(process, lambda line: "running" in line)
        assert said.endswith("1 running\n"), said
        assert trial_jobs(shell) == 2
        trainers.hold = lambda _: False
        with trainers.at_work():
            last = finish(process)
    finally:
        process.kill()
        process.wait()
    assert last.code == 0, last
    assert last.lines[-1] == "all 6 trials of sweep/first succeeded"


def test_a_trial_that_fails_is_asked_for_once_more(shell: Shell, trainers: Trainers) -> None:
    tries: Counter[str] = Counter()

    def fate(trial: TrialSpec) -> str:
        tries[trial.id] += 1
        first = next(iter(tries))
        return "exit-1" if trial.id == first and tries[first] == 1 else "exit-0"

    trainers.fate = fate
    with trainers.at_work():
        done = shell.kgen("submit", "sweep.yaml", "--wait", "--yes")
    assert done.code == 0, done
    assert sorted(tries.values()) == [1, 1, 1, 1, 1, 2]
    notes = [job["metadata"]["annotations"].get(names.ANNOTATION_RETRY) for job in shell.jobs().values()]
    assert [json.loads(note)["count"] for note in notes if note] == [1]


def test_who_does_not_stay_goes_on_past_a_trial_that_failed_for_good(shell: Shell, trainers: Trainers) -> None:
    first: list[str] = []

    def fate(trial: TrialSpec) -> str:
        first.append(trial.id)
        return "exit-1" if trial.id == first[0] else "exit-0"

    trainers.fate = fate
    for _ in range(5):
        done = shell.kgen("submit", "sweep.yaml").ok()
        created = re.search(r"^(\d) Jobs? created$", done.out, re.MULTILINE)
        assert created, done.out
        finish_stage(trainers, int(created[1]))
    assert Counter(first)[first[0]] == 2
    assert len(set(first)) == 6


def test_several_to_a_pod(shell: Shell, share: Path) -> None:
    """The parameters of a pack's trials stand in its ConfigMap alone."""
    packed = shared(share, SEARCH, more="execution: {trials_per_pod: 2, packing: sequential}\n")
    shell.write(packed.replace("image:", "metrics: report, image:"))
    trainers = Trainers(shell, load("sweep.yaml").with_results(share), hold=lambda _: True)
    process = shell.start("submit", "sweep.yaml", "--wait", "--yes")
    shell.cluster.until(lambda: trial_jobs(shell) == 1, timeout=150, what="a round")
    process.kill()
    finish(process)
    seen = json.loads(shell.kgen("get", "trials", "first", "-o", "json").ok().out)["items"]
    assert [each["parameters"]["optimizer"] for each in seen] == ["a", "a"]
    trainers.hold = lambda _: False
    with trainers.at_work():
        done = shell.kgen("submit", "sweep.yaml", "--wait", "--yes")
    assert done.code == 0, done
    assert done.lines[-1] == "all 6 trials of sweep/first succeeded"
    assert trial_jobs(shell) == 3
