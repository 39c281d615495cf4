"""What a search by bisection believes counts wherever its trials are judged: page, ``kgen recommend``, later stages."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kgen.analysis import Status, analyse_stages
from kgen.analysis.choose import choose
from kgen.analysis.recommended import recommended
from kgen.analysis.smooth import smooth
from kgen.analysis.told import Told
from kgen.search import Tried
from kgen.spec import STEPS_TO_TARGET, At, Goal, Objective
from kgen.sweep import SweepSpec, expand, loads
from kgen.sweep.stages import rungs_of
from kgen.sweep.sweepspec import Stage
from tests.unit.analysis.synthetic import capped, diverged, reached, table
from tests.unit.search.valleys import CAP, Valley, searched

TEXT = f"""\
version: 1
name: told
seed: 7
stages:
- name: search
  budget: {{target: {{accuracy: 0.9}}, steps: {CAP}}}
  parameters: {{learning_rate: {{log: {{start: 1e-6, stop: 100}}}}}}
  search: {{trials: 8}}
- name: confirm
  budget: {{target: {{accuracy: 0.9}}, steps: {CAP}}}
  parameters: {{from: {{stage: search}}}}
"""


@pytest.fixture(scope="module")
def stages() -> tuple[Stage, Stage]:
    first, second = loads(TEXT).stages
    return first, second


@pytest.fixture(scope="module")
def trained(stages: tuple[Stage, Stage]) -> tuple[SweepSpec, pd.DataFrame, pd.DataFrame]:
    """The eight trials of a search, as a part with its tables."""
    stage = stages[0]
    tried = searched(stage, Valley({"": 0.0023}))
    (part,) = rungs_of(stage, [one.parameters for one in tried], None)
    rows = [(one.parameters, _outcome(one)) for one in tried]
    ids = {trial.parameters["learning_rate"]: trial.id for trial in expand(part)}
    trials = table(rows, [one.seed for one in tried])
    trials["trial"] = [ids[one.parameters["learning_rate"]] for one in tried]
    trials["stage"] = "search"
    checks = [
        {"trial": ids[one.parameters["learning_rate"]], "step": step, "seconds": step / 100, "metric": "accuracy",
         "value": value}
        for one in tried
        for step, value in one.curve["accuracy"]
    ]  # fmt: skip
    return part, trials, pd.DataFrame(checks)


def _outcome(one: Tried) -> dict[str, object]:
    if one.status is Status.REACHED:
        return reached(one.spent_steps) | {"final.accuracy": 0.9}
    return (diverged(100) if one.status is Status.DIVERGED else capped(CAP)) | {"final.accuracy": one.metric}


def test_page_recommendation_and_choice_say_the_same_of_a_search(
    stages: tuple[Stage, Stage], trained: tuple[SweepSpec, pd.DataFrame, pd.DataFrame]
) -> None:
    part, trials, curves = trained
    (page,) = analyse_stages([part], trials, curves)
    (advice,) = recommended([part], trials, curves)
    choice = choose(stages[1], part, trials, curves)
    one, other = page.recommendations[0], advice.groups[0].one
    assert (one.at, one.value, one.low, one.high) == (other.at, other.value, other.low, other.high)
    assert (one.band, one.sure, one.next) == (other.band, other.sure, other.next)
    assert (choice.chosen[0].best["learning_rate"], choice.chosen[0].value) == (one.at, one.value)
    assert "what the search believes" in choice.rule
    assert one.value is not None
    assert one.sure is not None


def test_what_is_believed_changes_what_is_said(trained: tuple[SweepSpec, pd.DataFrame, pd.DataFrame]) -> None:
    part, trials, curves = trained
    (told,) = recommended([part], trials, curves)
    (untold,) = recommended([replace(part, method=None)], trials, curves)
    assert told.groups[0].one.value != untold.groups[0].one.value


def test_only_a_search_by_bisection_for_a_time_is_told(
    trained: tuple[SweepSpec, pd.DataFrame, pd.DataFrame],
) -> None:
    part, trials, curves = trained
    told = Told.of([part], trials, curves)
    assert told is not None
    assert told.objective.metric == STEPS_TO_TARGET
    assert {one.parameters["learning_rate"] for one in told.tried.values()} == set(trials["param.learning_rate"])
    assert Told.of([replace(part, method=None)], trials, curves) is None
    accuracy = Objective("accuracy", Goal.MAXIMIZE, At.FINAL)
    assert Told.of([replace(part, objective=accuracy)], trials, curves) is None
    assert Told.of([], trials, curves) is None


def test_a_fit_leans_less_on_what_is_believed_the_more_runs_there_are() -> None:
    places = np.array([-3.0, -2.0, -1.0])
    times = np.array([300.0, 100.0, 300.0])

    def bottom(repeats: int) -> float:
        fit = smooth(np.tile(places, repeats), np.tile(times, repeats), lean=lambda at: np.full(len(at), 3.0))
        return float(np.nanmin(fit.fitted))

    alone = float(np.nanmin(smooth(places, times).fitted))
    assert math.isclose(bottom(1), alone ** (3 / 11) * 1000 ** (8 / 11), rel_tol=1e-6)
    assert bottom(1) > bottom(4) > bottom(40)
