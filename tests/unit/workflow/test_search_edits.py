"""An edit of a search trains only what it changes: no row answers another question, and none counts twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from kgen.spec import TrialSpec, text_of
from kgen.sweep import SweepSpec
from kgen.workflow.collect import collect_sweep
from tests.unit.plan.rows import leave as leave_row
from tests.unit.workflow.staged import fail, file, train
from tests.unit.workflow.test_searches import METHODS, go, known, searching

RANGE_TEST = """\
version: 1
name: toy
parameters:
  - {optimizer: [sgd], learning_rate: {log: {start: 1e-4, stop: 1}}}
  - {optimizer: [adam], learning_rate: {log: {start: 1e-3, stop: 10}}}
search: {method: range-test, per: optimizer, min_steps: 100}
budget: {steps: 400, target: {train_accuracy: 0.9}}
"""


def run(spec: SweepSpec, attempt: str) -> set[str]:
    """Train what the file asks for now; returns which trials that were."""
    trained: list[str] = []

    def work(number: int, trials: list[TrialSpec]) -> None:
        trained.extend(trial.id for trial in trials)
        train(spec, trials, attempt=f"{attempt}{number}")

    go(spec, work, killed=True)
    assert len(set(trained)) == len(trained)
    return set(trained)


def edited(spec: SweepSpec, old: str, new: str) -> SweepSpec:
    assert old in spec.text
    return file(spec.folder, spec.text.replace(old, new))


def known_once(spec: SweepSpec) -> set[str]:
    """The trials of the sweep as its file is; none of them trains what another one does."""
    trials = known(spec)
    same = Counter((str(dict(trial.parameters)), trial.seed, trial.budget.steps) for trial in trials)
    assert set(same.values()) == {1}
    assert collect_sweep(spec).results.certificate.complete
    return {trial.id for trial in trials}


@pytest.mark.parametrize("method", ["sobol", "bisection"])
def test_another_budget_is_another_question(method: str, tmp_path: Path) -> None:
    spec = searching(tmp_path, method)
    first = run(spec, "a")
    longer = edited(spec, "steps: 400", "steps: 4000")
    assert known(longer) == ()
    second = run(longer, "b")
    assert known_once(longer) == second
    assert {trial.budget.steps for trial in known(longer)} == {4000}
    assert {item.trial for item in collect_sweep(longer).results.certificate.foreign} == first
    back = edited(longer, "steps: 4000", "steps: 400")
    assert run(back, "c") == set()
    assert known_once(back) == first


def test_rungs_of_halving_that_stay_are_not_trained_again(tmp_path: Path) -> None:
    """With a first rung of its own a longer budget adds rungs behind those that are there."""
    spec = searching(tmp_path, "halving")
    first = run(spec, "a")
    longer = edited(spec, "steps: 400", "steps: 800")
    second = run(longer, "b")
    assert known_once(longer) == first | second
    assert {trial.budget.steps for trial in known(longer)} <= {100, 200, 400, 800}
    other = edited(longer, "min_steps: 100", "min_steps: 90")
    assert {trial.budget.steps for trial in known(other)} <= {800}, "no rung has the others' steps any more"


@pytest.mark.parametrize(
    ("before", "after"), [("halving", "sobol"), ("sobol", "halving"), ("sobol", "bisection"), ("bisection", "tpe")]
)
def test_another_method_takes_what_answers_its_question(before: str, after: str, tmp_path: Path) -> None:
    spec = searching(tmp_path, before)
    first = run(spec, "a")
    whole = {trial.id for trial in known(spec) if trial.budget.steps == 400}
    asked = "method: {}, per: optimizer, trials: 6, {}"
    other = edited(spec, asked.format(before, METHODS[before]), asked.format(after, METHODS[after]))
    kept = {trial.id for trial in known(other)}
    assert kept == whole
    second = run(other, "b")
    assert not second & first
    assert known_once(other) == kept | second
    per_group = Counter(trial.parameters["optimizer"] for trial in known(other))
    assert after == "halving" or per_group == {"a": 6, "b": 6}


@pytest.mark.parametrize("method", ["sobol", "tpe", "bisection"])
def test_more_trials_are_more_and_fewer_lose_none(method: str, tmp_path: Path) -> None:
    spec = searching(tmp_path, method)
    first = run(spec, "a")
    more = edited(spec, "trials: 6", "trials: 9")
    second = run(more, "b")
    assert not second & first
    assert len(second) == 6
    assert known_once(more) == first | second
    fewer = edited(more, "trials: 9", "trials: 4")
    assert run(fewer, "c") == set()
    assert known_once(fewer) == first | second


@pytest.mark.parametrize("method", ["sobol", "bisection"])
def test_a_wider_range_takes_what_is_there(method: str, tmp_path: Path) -> None:
    spec = searching(tmp_path, method)
    first = run(spec, "a")
    wider = edited(edited(spec, "start: 1e-4, stop: 1}", "start: 1e-5, stop: 1}"), "trials: 6", "trials: 8")
    second = run(wider, "b")
    assert len(second) == 4
    assert known_once(wider) == first | second


@pytest.mark.parametrize("method", ["sobol", "bisection", "halving"])
def test_more_repeats_are_the_further_seeds_of_each_point(method: str, tmp_path: Path) -> None:
    spec = searching(tmp_path, method)
    first = run(spec, "a")
    points = {(text_of(trial.parameters["rate"]), trial.budget.steps) for trial in known(spec)}
    twice = edited(spec, "repeats: 1", "repeats: 2")
    second = run(twice, "b")
    assert {trial.seed for trial in known(twice) if trial.id in second and point(trial) in points} == {2}
    assert first <= known_once(twice)
    once = edited(twice, "repeats: 2", "repeats: 1")
    assert first <= known_once(once)
    assert {trial.seed for trial in known(once)} == {1}


def point(trial: TrialSpec) -> tuple[str, int | None]:
    return text_of(trial.parameters["rate"]), trial.budget.steps


def test_a_range_test_of_another_length_is_another_one(tmp_path: Path) -> None:
    spec = file(tmp_path, RANGE_TEST)

    def work(number: int, trials: list[TrialSpec]) -> None:
        for trial in trials:
            leave_row(spec, trial, attempt=f"n{number}")

    go(spec, work, killed=True)
    first = {trial.id for trial in known(spec)}
    spec = edited(spec, "min_steps: 100", "min_steps: 200")
    assert known(spec) == ()
    go(spec, work, killed=True)
    assert {trial.budget.steps for trial in known(spec)} == {200}
    assert len(known(spec)) == 2
    assert not first & {trial.id for trial in known(spec)}


@pytest.mark.parametrize("pods", [1, 2, 3])
def test_a_job_that_failed_is_one_attempt_however_many_pods_it_had(pods: int, tmp_path: Path) -> None:
    spec = searching(tmp_path, "sobol")
    handed: Counter[str] = Counter()

    def work(number: int, trials: list[TrialSpec]) -> None:
        handed.update(trial.id for trial in trials)
        bad = next(iter(handed))
        train(spec, (trial for trial in trials if trial.id != bad), attempt=f"n{number}")
        for pod in range(pods):
            fail(spec, (trial for trial in trials if trial.id == bad), attempt=f"n{number}-{pod}")

    go(spec, work, killed=False)
    assert sorted(handed.values()) == [1] * 11 + [2]
