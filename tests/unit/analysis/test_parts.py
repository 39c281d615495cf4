from __future__ import annotations

from dataclasses import replace

import pandas as pd

from kgen.analysis import analyse_stages
from kgen.analysis.parts import merged
from kgen.spec import Goal, Objective, Value
from kgen.sweep import expand
from kgen.sweep.sweepspec import SweepSpec
from tests.unit.analysis.synthetic import NO_CURVES, capped, finished, missing, reached, table
from tests.unit.sweep.staged import GRID, loaded, rung_of, search_stage

HALVING = "{method: halving, per: optimizer, trials: 12, min_steps: 100}"
POINTS: list[dict[str, Value]] = [{"optimizer": "sgd", "learning_rate": rate} for rate in (0.1, 0.01)]


def rungs() -> tuple[SweepSpec, SweepSpec]:
    """Two points for 100 steps, and the first of them for 300."""
    stage = search_stage(HALVING)
    return rung_of(stage, POINTS, 100), rung_of(stage, POINTS[:1], 300)


def trials_of(parts: tuple[SweepSpec, ...], later: dict[str, object]) -> pd.DataFrame:
    trials = [trial for part in parts for trial in expand(part)]
    outcomes = [capped(100) if trial.budget.steps == 100 else later for trial in trials]
    frame = table([(t.parameters, o) for t, o in zip(trials, outcomes, strict=True)], [t.seed for t in trials])
    return frame.assign(trial=[t.id for t in trials], stage=[t.stage for t in trials])


def test_of_the_rungs_of_a_point_the_longest_counts() -> None:
    parts = rungs()
    found = merged(parts, trials_of(parts, reached(250)))
    assert found["status"].tolist() == ["capped", "capped", "reached", "reached"]
    assert found["param.learning_rate"].tolist() == [0.01, 0.01, 0.1, 0.1]


def test_a_longer_rung_without_a_result_does_not_hide_the_shorter_one() -> None:
    parts = rungs()
    found = merged(parts, trials_of(parts, missing()))
    assert found["status"].tolist() == ["capped"] * 4


def test_a_metric_after_fewer_steps_is_not_compared_with_one_after_more() -> None:
    objective = Objective("val_accuracy", Goal.MAXIMIZE)
    parts = tuple(replace(part, objective=objective) for part in rungs())
    found = merged(parts, trials_of(parts, finished(val_accuracy=0.9)))
    assert found["param.learning_rate"].tolist() == [0.1, 0.1]
    running = merged(parts, trials_of(parts, missing()))
    assert len(running) == 4


def test_parts_that_do_not_go_on_from_each_other_are_all_counted() -> None:
    parts = tuple(replace(part, method=None) for part in rungs())
    assert len(merged(parts, trials_of(parts, reached(250)))) == 6


def test_a_stage_each_with_its_own_objective_and_a_search_is_one() -> None:
    grid = loaded(GRID).parts[0]
    parts = (grid, *rungs())
    found = analyse_stages(parts, trials_of(parts, reached(250)), NO_CURVES)
    assert [analysis.stage for analysis in found] == ["grid", "search"]
    assert [int(analysis.summary["trials"].sum()) for analysis in found] == [12, 4]
    assert found[1].budget.steps == 300
    assert found[0].name == "staged"


def test_trials_of_other_stages_and_none_at_all() -> None:
    grid = loaded(GRID).parts[0]
    (empty,) = analyse_stages([grid], trials_of((grid,), {}).iloc[:0], NO_CURVES)
    assert empty.answer.headline == "The sweep has no trials."
