"""Whatever a sweep looks like and whatever became of it, there is an analysis and its numbers agree."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgen.analysis import COMPLETE, Analysis, analyse
from kgen.spec import SECONDS_TO_TARGET, At, Budget, Goal, Objective
from tests.unit.analysis.synthetic import (
    BUDGET,
    NO_CURVES,
    article,
    capped,
    diverged,
    failed,
    finished,
    missing,
    reached,
    table,
)

OUTCOMES = st.one_of(
    st.integers(1, 2000).map(reached),
    st.integers(1, 2000).map(capped),
    st.just(diverged()),
    st.just(failed()),
    st.just(missing()),
    st.just({"status": "interrupted"}),
    st.one_of(st.floats(-1e300, 1e300), st.sampled_from([math.nan, math.inf])).map(lambda value: finished(acc=value)),
)
VALUES = {
    "number": st.floats(-1e6, 1e6),
    "positive": st.floats(1e-9, 1e9),
    "integer": st.integers(-5, 2**40),
    "text": st.text(max_size=5),
    "flag": st.booleans(),
}
OBJECTIVES = [
    Objective(),
    Objective(SECONDS_TO_TARGET),
    Objective("acc", Goal.MAXIMIZE),
    Objective("acc", Goal.MINIMIZE, At.BEST),
    Objective("unheard"),
]


@st.composite
def sweeps(draw: st.DrawFn) -> pd.DataFrame:
    """A few trials of any parameters, some of which some trials do not have."""
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=4))
    parameters = st.fixed_dictionaries({}, optional={name: VALUES[name] for name in names})
    trials: list[tuple[dict[str, Any], dict[str, Any]]] = draw(
        st.lists(st.tuples(parameters, OUTCOMES), min_size=1, max_size=25)
    )
    seeds = draw(st.lists(st.integers(0, 2), min_size=len(trials), max_size=len(trials)))
    return table(trials, seeds)


@settings(deadline=None, max_examples=60)
@given(sweeps(), st.sampled_from(OBJECTIVES), st.sampled_from([BUDGET, Budget(), Budget(seconds=5.0)]))
def test_any_sweep_has_an_analysis_that_counts_every_trial_once(
    trials: pd.DataFrame, objective: Objective, budget: Budget
) -> None:
    found = analyse(trials, NO_CURVES, name="s", objective=objective, budget=budget)

    assert found.summary["trials"].sum() == len(trials)
    assert found.points["trials"].sum() == len(trials)
    statuses = ["reached", "capped", "diverged", "finished", "failed", "interrupted", "missing"]
    assert found.summary[statuses].to_numpy().sum() == len(trials)
    marks = ["measured", "capped", "diverged", "failed", "absent", "no_value"]
    assert found.points[marks].to_numpy().sum() == len(trials)
    assert found.answer.headline
    for figure in found.figures:
        assert figure.x.low < figure.x.high
        assert figure.y.low < figure.y.high
        for dot in (dot for series in figure.series for dot in series.dots):
            assert figure.x.low <= dot.x <= figure.x.high
            assert dot.y is None or figure.y.low <= dot.y <= figure.y.high


def numbers(found: Analysis) -> str:
    return found.summary.to_csv() + found.points.to_csv() + repr(found.figures) + repr(found.answer)


def test_the_same_trials_give_the_same_analysis() -> None:
    trials, curves = article(repeats=2)
    once, again = (analyse(trials, curves, name="s", objective=Objective(), budget=BUDGET) for _ in range(2))
    assert numbers(once) == numbers(again)


def test_the_trials_are_left_as_they_were() -> None:
    trials, curves = article()
    before = trials.copy(deep=True), curves.copy(deep=True)
    analyse(trials, curves, name="s", objective=Objective(), budget=BUDGET)
    pd.testing.assert_frame_equal(trials, before[0])
    pd.testing.assert_frame_equal(curves, before[1])


def test_the_index_of_the_trials_does_not_matter() -> None:
    trials, curves = article()
    plain = analyse(trials, curves, name="s", objective=Objective(), budget=BUDGET)
    named = analyse(trials.set_index("trial", drop=False), curves, name="s", objective=Objective(), budget=BUDGET)
    assert numbers(plain) == numbers(named)


def test_an_analysis_is_frozen() -> None:
    found = analyse(table([({}, reached(1))]), NO_CURVES, name="s", objective=Objective(), budget=BUDGET)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.name = "t"  # type: ignore[misc]


def test_complete_statuses_leave_a_result() -> None:
    assert [str(status) for status in COMPLETE] == ["reached", "capped", "diverged", "finished"]
