"""What is recommended, by rows that a test writes itself: which trials count, once each, and what they come to."""

from __future__ import annotations

from pathlib import Path

import pytest

import kgen
from kgen.analysis.confidence import Resampled
from kgen.errors import InputError
from kgen.results.rows import MetricSummary, Outcome
from kgen.sweep import SweepSpec, expand, loads
from kgen.workflow.recommend import recommend
from kgen.workflow.stages import Course, resolved
from kgen.workflow.store import store_of
from tests.unit.plan.rows import leave
from tests.unit.workflow import staged
from tests.unit.workflow.staged import BEST, GRID, HEAD, file, pick, train

CONFIRM = """\
  - name: confirm
    parameters: {from: {stage: grid, per: optimizer, neighbours: 1}}
    repeats: 3
    budget: {steps: 2000, target: {accuracy: 0.9}}
"""


def go_on(spec: SweepSpec) -> SweepSpec:
    """Train the next part."""
    part = Course(spec, store_of(spec)).next()
    assert part is not None
    done = {name.name.split(".")[0] for name in store_of(spec).row_files()}
    train(part, [trial for trial in expand(part) if trial.id not in done])
    return part


def test_a_grid_says_what_to_use_for_each_group(tmp_path: Path) -> None:
    spec = file(tmp_path, HEAD + GRID.replace("  - name: grid\n", "").replace("    ", ""))
    train(spec, expand(spec))
    (question,) = recommend(spec).questions
    assert (question.stages, question.x, question.per) == (("main",), "rate", ("optimizer",))
    assert {group.label: group.parameters for group in question.groups} == {
        "a": {"optimizer": "a", "rate": 1e-2},
        "b": {"optimizer": "b", "rate": 1e-1},
    }
    assert [group.parameters["rate"].text for group in question.groups] in (["1e-2", "1e-1"], ["1e-1", "1e-2"]), (  # type: ignore[union-attr]
        "in the words of the file"
    )
    assert question.by is Resampled.RESIDUALS, "there is one seed"


def test_trials_of_all_stages_that_train_the_same_thing_count_each_once(tmp_path: Path) -> None:
    spec = file(tmp_path, f"{HEAD}stages:\n{GRID}{CONFIRM}")
    go_on(spec)
    (grid,) = recommend(spec).questions
    assert (grid.stages, grid.results, grid.trials) == (("grid",), 8, 8)
    go_on(spec)
    (both,) = recommend(spec).questions
    assert both.stages == ("grid", "confirm")
    assert (both.results, both.trials) == (8 + 6 * 2, 8 + 6 * 2), "seed 1 was trained in both stages"
    assert {group.label: (group.at_seeds, group.values) for group in both.groups} == {"a": (3, 4), "b": (3, 4)}
    assert both.by is Resampled.SEEDS


def test_where_the_best_and_its_neighbours_were_confirmed_seeds_decide(tmp_path: Path) -> None:
    """However many other values ran with one seed only."""
    many = GRID.replace("[1e-3, 1e-2, 1e-1, 1]", "{log: {start: 1e-5, stop: 10, per_decade: 2}}")
    spec = file(tmp_path, f"{HEAD}stages:\n{many}{CONFIRM}")
    go_on(spec)
    (grid,) = recommend(spec).questions
    assert grid.by is Resampled.RESIDUALS
    go_on(spec)
    (both,) = recommend(spec).questions
    assert (both.by, [group.at_seeds for group in both.groups]) == (Resampled.SEEDS, [3, 3])


def test_a_stage_that_trains_something_else_is_a_question_of_its_own(tmp_path: Path) -> None:
    spec = file(tmp_path, f"{HEAD}stages:\n{GRID}{BEST}")
    go_on(spec)
    go_on(spec)
    questions = recommend(spec).questions
    assert [one.stages for one in questions] == [("grid",), ("best",)]
    assert [one.measure.label for one in questions] == ["steps to accuracy >= 0.9", "final accuracy"]
    (best,) = recommend(spec, stage="best").questions
    assert best.stages == ("best",)
    with pytest.raises(InputError, match="--stage: found bests, allowed a stage of the sweep: grid, best"):
        recommend(spec, stage="bests")


@pytest.mark.parametrize(
    "change",
    ["config: {scale: 2}", "other: target"],
)
def test_another_config_or_target_is_another_thing(tmp_path: Path, change: str) -> None:
    if change.startswith("config"):
        other = CONFIRM + "    trainer: {config: {scale: 2}}\n"
    else:
        other = CONFIRM.replace("0.9", "0.8")
    spec = file(tmp_path, f"{HEAD}stages:\n{GRID}{other}")
    go_on(spec)
    go_on(spec)
    assert [one.stages for one in recommend(spec).questions] == [("grid",), ("confirm",)]


def test_of_an_objective_by_a_metric_only_the_same_steps_are_the_same_thing(tmp_path: Path) -> None:
    """A model is better after more of them."""
    objective = "    objective: {metric: accuracy, goal: maximize}\n"
    spec = file(tmp_path, f"{HEAD}stages:\n{GRID}{objective}{CONFIRM}{objective}")
    go_on(spec)
    go_on(spec)
    assert [one.stages for one in recommend(spec).questions] == [("grid",), ("confirm",)]
    same = CONFIRM.replace("2000", "1000")
    spec = file(tmp_path / "same", f"{HEAD}stages:\n{GRID}{objective}{same}{objective}")
    go_on(spec)
    go_on(spec)
    (question,) = recommend(spec).questions
    assert {group.label: group.parameters["rate"] for group in question.groups} == {"a": 1e-2, "b": 1e-1}
    assert question.measure.label == "final accuracy"


def test_what_a_search_has_tried_counts(tmp_path: Path) -> None:
    search = """\
  - name: search
    parameters: {optimizer: [a, b], rate: {log: {start: 1e-4, stop: 10}}}
    search: {method: random, per: optimizer, trials: 4}
    budget: {steps: 1000, target: {accuracy: 0.9}}
"""
    spec = file(tmp_path, f"{HEAD}stages:\n{GRID}{search}")
    go_on(spec)
    from tests.unit.sweep.staged import rung_of

    stage = spec.stages[1]
    rung = rung_of(stage, [{"optimizer": "a", "rate": 0.02}, {"optimizer": "b", "rate": 0.2}], None)
    train(rung, expand(rung))
    (question,) = recommend(spec).questions
    assert (question.stages, question.results) == (("grid", "search"), 10)
    assert {group.label: group.values for group in question.groups} == {"a": 5, "b": 5}


def test_a_group_in_which_nothing_works_comes_last_and_has_no_value(tmp_path: Path) -> None:
    spec = file(tmp_path, f"{HEAD}stages:\n{GRID}")
    known = resolved(spec, store_of(spec))
    train(known, pick(known, lambda trial: trial.parameters["optimizer"] == "b"))
    for trial in pick(known, lambda trial: trial.parameters["optimizer"] == "a"):
        leave(known, trial, steps=1000, outcome=Outcome.CAPPED, metrics=(MetricSummary("accuracy", 0.5, 0.5, 0.5),))
    (question,) = recommend(spec).questions
    assert [(group.label, group.one.works, group.trials) for group in question.groups] == [
        ("b", True, 4),
        ("a", False, 4),
    ]
    assert question.best is question.groups[0]
    assert question.groups[1].parameters == {}


def test_without_a_row_nothing_is_recommended_and_nothing_is_written(tmp_path: Path) -> None:
    spec = file(tmp_path, f"{HEAD}stages:\n{GRID}{CONFIRM}")
    advice = recommend(spec)
    (question,) = advice.questions
    assert (question.best, question.results, question.trials) == (None, 0, 8)
    assert advice.unfinished == {"confirm": "its trials are chosen when stage grid is complete"}
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.yaml"]


def test_looking_changes_nothing(tmp_path: Path) -> None:
    spec = file(tmp_path, f"{HEAD}stages:\n{GRID}")
    go_on(spec)
    before = sorted(path for path in tmp_path.rglob("*"))
    recommend(spec)
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_a_sweep_that_varies_only_words_has_a_best_of_them(tmp_path: Path) -> None:
    grid = "parameters: {optimizer: [a, b]}\nbudget: {steps: 1000, target: {accuracy: 0.9}}\n"
    spec = file(tmp_path, HEAD + grid)
    for trial, steps in zip(expand(spec), (300, 200), strict=True):
        leave(spec, trial, steps=steps, steps_to_target=steps, outcome=Outcome.REACHED)
    (question,) = recommend(spec).questions
    assert question.best
    assert (question.best.parameters, question.best.one.sure) == ({"optimizer": "b"}, None)


def test_it_is_public() -> None:
    assert kgen.recommend is recommend


def test_the_rows_are_those_of_the_file(tmp_path: Path) -> None:
    """A row of what the file no longer asks for is none."""
    spec = file(tmp_path, staged.STAGES)
    go_on(spec)
    fewer = loads(spec.text.replace("1e-3, 1e-2", "1e-2"), file=str(spec.file))
    (question, *_) = recommend(fewer).questions
    assert question.trials == 6
