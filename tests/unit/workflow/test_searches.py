"""A search goes on from its rows, whatever was killed or failed: nothing twice, nothing lost, and it ends."""

from __future__ import annotations

import functools
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from kgen.cli.check import check
from kgen.errors import MissingExtraError
from kgen.results.folder import FolderStore
from kgen.results.rows import CurvePoint, Outcome, State, TrialRow, bytes_to_rows
from kgen.spec import TrialSpec
from kgen.sweep import SweepSpec, expand
from kgen.workflow.collect import collect_sweep
from kgen.workflow.extras import lacking_extra
from kgen.workflow.stages import Course, resolved, unfinished
from tests.unit.plan.rows import leave as leave_row
from tests.unit.workflow.staged import BEST, HEAD, decades, fail, file, train

SEARCH = """\
  - name: grid
    repeats: {repeats}
    parameters:
      - {{optimizer: [a], rate: {{log: {{start: 1e-4, stop: 1}}}}}}
      - {{optimizer: [b], rate: {{log: {{start: 1e-3, stop: 10}}}}}}
    search: {{method: {method}, per: optimizer, trials: 6{more}}}
    budget: {{steps: 400, target: {{accuracy: 0.9}}, check_every_steps: 10}}
"""
METHODS = {
    "random": "parallel: 2",
    "sobol": "parallel: 2",
    "tpe": "parallel: 2",
    "bisection": "parallel: 2",
    "halving": "reduction: 2, min_steps: 100",
    "range-test": "min_steps: 100",
}


def searching(folder: Path, method: str = "random", repeats: int = 1, more: str = "") -> SweepSpec:
    search = SEARCH.format(method=method, repeats=repeats, more=f", {METHODS[method]}")
    return file(folder, f"{HEAD}stages:\n{search}{more}")


def store(spec: SweepSpec) -> FolderStore:
    return FolderStore(spec.results)


def lacking(spec: SweepSpec, part: SweepSpec) -> list[TrialSpec]:
    """What a back end would train of that part."""
    done = {row.trial for row in rows(spec) if row.state is State.COMPLETE}
    return [trial for trial in expand(part) if trial.id not in done]


def rows(spec: SweepSpec) -> list[TrialRow]:
    found = store(spec)
    return [row for file in found.row_files() for row in bytes_to_rows(found.read_row_file(file.name))]


def go(spec: SweepSpec, work: Callable[[int, list[TrialSpec]], None], *, killed: bool) -> int:
    """Part after part, by a course each where it is killed after every one; returns how many parts there were."""
    course = Course(spec, store(spec))
    for number in range(200):
        if killed:
            course = Course(spec, store(spec))
        part = course.next()
        if part is None:
            return number
        trials = lacking(spec, part)
        assert trials, "a part has work"
        work(number, trials)
    raise AssertionError("it does not end")


def known(spec: SweepSpec) -> tuple[TrialSpec, ...]:
    return expand(resolved(spec, store(spec)))


def leave(spec: SweepSpec, number: int, trials: list[TrialSpec]) -> None:
    train(spec, trials, attempt=f"n{number}")


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("method", ["random", "sobol", "tpe", "bisection", "halving"])
def test_a_search_trains_nothing_twice_and_ends(method: str, killed: bool, tmp_path: Path) -> None:
    spec = searching(tmp_path, method)
    assert known(spec) == ()
    assert unfinished(spec, store(spec)) == {"grid": "its search has not begun"}
    go(spec, lambda number, trials: leave(spec, number, trials), killed=killed)
    results = Counter(row.trial for row in rows(spec))
    assert set(results.values()) == {1}
    assert results.keys() == {trial.id for trial in known(spec)}
    per_group = Counter(trial.parameters["optimizer"] for trial in known(spec))
    assert per_group == {"a": 6, "b": 6} or (method == "halving" and max(per_group.values()) <= 6)
    assert unfinished(spec, store(spec)) == {}
    assert collect_sweep(spec).results.certificate.complete


@pytest.mark.parametrize("method", ["random", "sobol", "tpe", "bisection", "halving"])
def test_killed_in_the_middle_of_a_part_it_trains_the_rest_of_what_began(method: str, tmp_path: Path) -> None:
    spec = searching(tmp_path, method, repeats=2)
    chance = random.Random(5)

    def work(number: int, trials: list[TrialSpec]) -> None:
        some = chance.sample(trials, chance.randint(1, len(trials)))
        train(spec, some, attempt=f"n{number}")
        rest = [trial for trial in trials if trial not in some]
        fail(spec, rest[: len(rest) // 2], attempt=f"n{number}", state=State.INTERRUPTED)  # of the others no trace

    go(spec, work, killed=True)
    results = Counter(row.trial for row in rows(spec) if row.state is State.COMPLETE)
    assert set(results.values()) == {1}
    assert results.keys() == {trial.id for trial in known(spec)}
    per_point = Counter((trial.parameters["rate"], trial.budget.steps) for trial in known(spec))
    assert set(per_point.values()) == {2}, "every repeat of each point"
    assert max(Counter(trial.parameters["optimizer"] for trial in known(spec)).values()) <= 6 + 2


def test_a_failed_point_is_asked_for_once_more(tmp_path: Path) -> None:
    spec = searching(tmp_path)
    bad: list[str] = []

    def work(number: int, trials: list[TrialSpec], run: str = "first") -> None:
        if not bad:
            bad.append(trials[0].id)
        train(spec, (trial for trial in trials if trial.id not in bad), attempt=f"{run}{number}")
        fail(spec, (trial for trial in trials if trial.id in bad), attempt=f"{run}{number}")

    go(spec, work, killed=False)
    assert Counter(row.trial for row in rows(spec) if row.state is State.FAILED) == {bad[0]: 2}
    certificate = collect_sweep(spec).results.certificate
    assert [item.trial for item in certificate.failed] == bad
    assert not certificate.waiting
    again = functools.partial(work, run="again")
    assert go(spec, again, killed=False) >= 1, "a run that somebody starts again tries it anew"
    assert Counter(row.trial for row in rows(spec) if row.state is State.FAILED)[bad[0]] >= 3


def test_what_is_not_installed_is_said_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = searching(tmp_path, "tpe")
    assert lacking_extra(spec) == ""
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"tpe \(stage grid\) needs an extra .*'kgen-sweep\[search\]'"):
        Course(spec, store(spec))
    check(spec.file)
    assert capsys.readouterr().out.splitlines()[1].startswith("the search method tpe (stage grid) needs pip install ")
    assert Course(searching(tmp_path, "sobol"), store(spec)).next() is not None


def test_a_search_in_which_all_trials_fail_ends(tmp_path: Path) -> None:
    spec = searching(tmp_path)
    go(spec, lambda number, trials: fail(spec, trials, attempt=f"n{number}"), killed=False)
    assert max(Counter(row.trial for row in rows(spec)).values()) == 2


def test_the_next_stage_takes_the_best_that_was_found(tmp_path: Path) -> None:
    spec = searching(tmp_path, "sobol", more=BEST)
    go(spec, lambda number, trials: leave(spec, number, trials), killed=True)
    best = [trial for trial in known(spec) if trial.stage == "best"]
    assert Counter(trial.parameters["optimizer"] for trial in best) == {"a": 3, "b": 3}
    assert max(decades(trial) for trial in best) < 1


def test_what_an_edit_leaves_out_of_the_ranges_is_foreign(tmp_path: Path) -> None:
    spec = searching(tmp_path, "sobol")
    go(spec, lambda number, trials: leave(spec, number, trials), killed=False)
    before = {trial.id for trial in known(spec)}
    spec = file(tmp_path, spec.text.replace("start: 1e-3, stop: 10", "start: 1e-3, stop: 1"))
    after = {trial.id for trial in known(spec)}
    assert after < before
    assert {item.trial for item in collect_sweep(spec).results.certificate.foreign} == before - after
    go(spec, lambda number, trials: train(spec, trials, attempt=f"m{number}"), killed=False)
    assert Counter(trial.parameters["optimizer"] for trial in known(spec)) == {"a": 6, "b": 6}


def test_a_row_that_does_not_give_its_own_id_is_no_trial_of_the_search(tmp_path: Path) -> None:
    spec = searching(tmp_path)
    go(spec, lambda number, trials: leave(spec, number, trials), killed=False)
    other = file(tmp_path, spec.text.replace("command: [python, train.py]", "command: [python, other.py]"))
    assert known(other) == ()
    assert len(collect_sweep(other).results.certificate.foreign) == 12


def test_what_is_trained_elsewhere_is_waited_for(tmp_path: Path) -> None:
    spec = searching(tmp_path)
    there: list[TrialSpec] = []
    course = Course(spec, store(spec), pending=lambda: there)
    parts = [course.next()]
    while parts[-1] is not None and parts[-1].size:
        there += expand(parts[-1])
        parts.append(course.next())
    assert parts[-1] is not None, "an empty part: wait"
    assert len({trial.id for trial in there}) == len(there) == 4, "two of each group at a time"
    assert {trial.id for trial in expand(course.known)} == {trial.id for trial in there}
    assert {trial.id for trial in expand(resolved(spec, store(spec), there))} == {trial.id for trial in there}
    train(spec, [there.pop(0)])
    part = course.next()
    assert part is not None
    assert part.size == 0, "the next ones depend on all of these"
    train(spec, there)
    there.clear()
    go(spec, lambda number, trials: leave(spec, number, trials), killed=True)
    assert len(known(spec)) == 12
    assert course.next() is None
    assert any(note.startswith("stage grid: the search has ended: ") for note in course.notes)


def test_a_trial_that_is_gone_without_a_row_counts_as_a_failed_attempt(tmp_path: Path) -> None:
    spec = searching(tmp_path)
    handed: Counter[str] = Counter()
    go(spec, lambda _, trials: handed.update(trial.id for trial in trials), killed=False)
    assert set(handed.values()) == {2}


def test_a_range_test_is_found_again(tmp_path: Path) -> None:
    """In its rows it has no rate of its own."""
    text = SEARCH.format(method="range-test", repeats=1, more=", min_steps: 100").replace("rate:", "learning_rate:")
    text = text.replace("trials: 6, ", "")
    for foreign, own in (("[a]", "[sgd]"), ("[b]", "[adam]"), ("{accuracy", "{train_accuracy")):
        text = text.replace(foreign, own)
    spec = file(tmp_path, f"{HEAD}stages:\n{text}".replace("trainer: {command: [python, train.py]}\n", ""))
    tests: list[TrialSpec] = []

    def work(number: int, trials: list[TrialSpec]) -> None:
        tests.extend(trial for trial in trials if "range_test" in trial.config)
        for trial in trials:
            losses = [1.0] * 40 + [1.0 - step / 40 for step in range(30)] + [3.0] * 10
            curve = tuple(
                CurvePoint(1 + step, 1.0, name, value)
                for step, loss in enumerate(losses)
                for name, value in (("loss", loss), ("learning_rate", 10.0 ** (step / 20 - 4)))
            )
            leave_row(spec, trial, attempt=f"n{number}", outcome=Outcome.CAPPED, curve=curve)

    go(spec, work, killed=True)
    course = Course(spec, store(spec))
    assert course.next() is None
    (note,) = course.notes
    why = "the range test of each group; training goes well near learning_rate 0.05623 for sgd, 0.05623 for adam"
    assert note == f"stage grid: the search has ended: {why}"
    assert Counter(trial.parameters["optimizer"] for trial in tests) == {"sgd": 1, "adam": 1}
    assert {(trial.budget.target, trial.budget.steps) for trial in tests} == {(None, 100)}
    assert all("learning_rate" not in trial.parameters for trial in tests)
    results = Counter(row.trial for row in rows(spec))
    assert set(results.values()) == {1}
    assert results.keys() == {trial.id for trial in known(spec)}
    assert any(trial.id in results for trial in tests)
