from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pytest

from kgen.analysis import Analysis, analyse
from kgen.spec import At, Budget, Goal, Objective
from tests.unit.analysis.synthetic import NO_CURVES, STEPS, diverged, finished, table

ACCURACY = Objective("acc", Goal.MAXIMIZE, At.BEST)
BUDGET = Budget(steps=1000, evaluate_every_steps=100)

Runs = Mapping[str, Sequence[Sequence[float]]]


def analysis_of(
    runs: Runs, objective: Objective = ACCURACY, dead: Sequence[tuple[str, int]] = (), **row: Any
) -> Analysis:
    """Of groups by name: the metric of each seed, evaluated every 100 steps and 10 seconds."""
    trials: list[tuple[dict[str, Any], dict[str, Any]]] = []
    curves: list[dict[str, Any]] = []
    seeds: list[int] = []
    for name, repeats in runs.items():
        for seed, values in enumerate(repeats):
            trial = f"trial{len(trials):05d}"
            outcome = diverged(100 * len(values)) if (name, seed) in dead else finished()
            extremes = {"final.acc": values[-1], "min.acc": min(values), "max.acc": max(values)}
            trials.append(({"optimizer": name, "rate": {"a": 0.1, "b": 0.2, "c": 0.3}[name]}, outcome | extremes | row))
            seeds.append(seed)
            for place, value in enumerate(values, start=1):
                line = {"trial": trial, "step": 100 * place, "seconds": 10.0 * place, "metric": "acc", "value": value}
                curves.append(line)
    frame = pd.DataFrame(curves) if curves else NO_CURVES
    return analyse(table(trials, seeds), frame, name="s", objective=objective, budget=BUDGET)


def ranking_of(runs: Runs, objective: Objective = ACCURACY, dead: Sequence[tuple[str, int]] = (), **row: Any) -> Any:
    found = analysis_of(runs, objective, dead, **row).ranking
    assert found is not None
    return found.set_index("optimizer")


FAST = [0.91, 0.96, 0.94, 0.96, 0.94, 0.96]
HIGH = [0.5, 0.8, 0.92, 0.97, 0.98, 0.98]
SLOW = [0.3, 0.5, 0.7, 0.8, 0.85, 0.92]


def test_three_groups_by_hand() -> None:
    ranks = ranking_of({"a": [FAST], "b": [HIGH], "c": [SLOW]})

    assert ranks.loc[["a", "b", "c"], "steps_to_0.9"].tolist() == [100, 300, 600]
    assert ranks.loc[["a", "b"], "steps_to_0.95"].tolist() == [200, 400]
    assert pd.isna(ranks.loc["c", "steps_to_0.95"])
    assert ranks.loc[["a", "b", "c"], "share_to_0.95"].tolist() == [1, 1, 0]
    assert ranks.loc[["a", "b", "c"], "highest"].tolist() == [0.96, 0.98, 0.92]
    assert ranks.loc[["a", "b", "c"], "final"].tolist() == [0.96, 0.98, 0.92]
    # Changes of the second half: a -0.02, 0.02; with the one before it 0.02, -0.02, 0.02: quartiles 0 and 0.02.
    assert ranks.loc["a", "dispersion_across_time"] == pytest.approx(0.02)
    # 0.05, 0.01, 0: quartiles 0.005 and 0.03.
    assert ranks.loc["b", "dispersion_across_time"] == pytest.approx(0.025)
    assert ranks.loc[["a", "b", "c"], "drawdown"].tolist() == pytest.approx([0.02, 0, 0])
    assert ranks.loc[["a", "b", "c"], "rank_fast"].tolist() == [1, 2, 3]
    assert ranks.loc[["a", "b", "c"], "rank_high"].tolist() == [2, 1, 3]
    assert ranks.index[-1] == "c"


def test_repeats_give_medians_intervals_and_the_spread_between_runs() -> None:
    runs = [[0.5, 0.91, 0.96], [0.5, 0.8, 0.91], [0.91, 0.96, 0.97]]
    (row,) = ranking_of({"a": runs, "b": [[0.1, 0.2]]}).loc[["a"]].to_dict("records")
    assert (row["runs"], row["steps_to_0.9"], row["share_to_0.9"]) == (3, 200, 1)
    assert row["steps_to_0.95"] == 300
    assert row["share_to_0.95"] == pytest.approx(2 / 3)
    assert row["steps_to_0.9_low"] == 100
    assert row["highest"] == 0.96
    # Finals 0.91, 0.96, 0.97: quartiles 0.935 and 0.965.
    assert row["dispersion_across_runs"] == pytest.approx(0.03)


def test_seconds_stand_beside_steps_where_each_trial_was_alone_on_its_device() -> None:
    runs = {"a": [FAST], "b": [HIGH]}
    assert ranking_of(runs).loc["a", "seconds_to_0.95"] == 20
    assert "seconds_to_0.95" not in ranking_of(runs, timing="shared").columns
    assert [f.name for f in analysis_of(runs).figures if f.name.startswith("curves")] == ["curves", "curves_seconds"]
    assert [f.name for f in analysis_of(runs, timing="shared").figures][-1] == "curves"


def test_a_run_that_diverged_is_worse_than_any() -> None:
    """Of three runs one died: the medians are over all three, and the spread of the finals is not known."""
    ranks = ranking_of({"a": [HIGH, HIGH, [0.5, 0.6]], "b": [SLOW] * 3}, dead=[("a", 2)])
    assert ranks.loc["a", "final"] == 0.98
    assert ranks.loc["a", "share_to_0.9"] == pytest.approx(2 / 3)
    assert pd.isna(ranks.loc["a", "dispersion_across_runs"])


def test_a_metric_that_is_no_share_has_levels_on_its_way_from_where_trainings_begin_to_the_best() -> None:
    loss = Objective("acc", Goal.MINIMIZE, At.BEST)
    ranks = ranking_of({"a": [[10.0, 4.0, 0.5, 0.0]], "b": [[10.0, 9.0, 3.0, 2.0]]}, loss)
    assert [name for name in ranks.columns if name.startswith("share_to")] == ["share_to_1", "share_to_0.5"]
    assert ranks.loc["a", "steps_to_1"] == 300
    assert pd.isna(ranks.loc["b", "steps_to_1"])
    assert ranks.loc[["a", "b"], "lowest"].tolist() == [0, 2]


def test_sentences_say_who_is_first_highest_and_steadiest() -> None:
    said = [s for s in analysis_of({"a": [FAST], "b": [HIGH], "c": [SLOW]}).answer.sentences if "steadiest" in s]
    assert said == [
        "Highest acc: b (0.98); fewest steps to 0.9: a (100); fewest steps to 0.95: a (200); steadiest: a (changes "
        "between evaluations spread by 0.02). By all of these together: a."
    ]


def test_no_ranking_without_curves_and_where_the_objective_is_a_time() -> None:
    trials = table([({"optimizer": name}, finished(acc=0.5)) for name in "ab"])
    assert analyse(trials, NO_CURVES, name="s", objective=ACCURACY, budget=BUDGET).ranking is None
    assert analysis_of({"a": [FAST]}, STEPS).ranking is None


def test_groups_by_a_number_that_some_trials_lack() -> None:
    """A report of them crashed: in a table of 16, 32 and nothing the last one is not a number."""
    for numbers in ((16, 32, None), (0.5, 2.5, None)):
        rows: list[tuple[dict[str, Any], dict[str, Any]]] = []
        curves: list[dict[str, Any]] = []
        for high, number in enumerate(numbers):
            for rate in (1e-3, 1e-2, 1e-1, 1.0):
                parameters: dict[str, Any] = {"rate": rate} | ({} if number is None else {"batch": number})
                own = [0.5 + (0.1 + high / 100) * min(step, 4) for step in range(1, 7)]
                curves += [{"trial": f"trial{len(rows):05d}", "step": 100 * step, "seconds": 1.0 * step,
                            "metric": "acc", "value": value} for step, value in enumerate(own, 1)]  # fmt: skip
                rows.append((parameters, finished(acc=own[-1])))
        trials = table(rows)
        if numbers[0] == 16:  # as collected
            trials["param.batch"] = trials["param.batch"].astype("Int64")
        found = analyse(trials, pd.DataFrame(curves), name="s", objective=ACCURACY, budget=BUDGET)
        assert found.ranking is not None
        assert "batch = not set (0.98)" in " ".join(found.answer.sentences)
        kept = [None if pd.isna(value) else value for value in found.ranking["batch"].tolist()]
        assert set(kept) == set(numbers)
        assert {type(value) for value in kept} == {type(numbers[0]), type(None)}


CALM = [0.5, 0.91, 0.96, 0.955, 0.96, 0.955]
WILD = [0.5, 0.91, 0.95, 0.96, 0.94, 0.96]


def test_a_run_that_diverged_is_not_steady_however_smooth_it_was() -> None:
    """Of a calm run, a wild one and a calm one that broke down the middle one is the wild one."""
    ranks = ranking_of({"a": [WILD] * 3, "b": [CALM, WILD, CALM]}, dead=[("b", 2)])
    assert ranks.loc["b", "dispersion_across_time"] == ranks.loc["a", "dispersion_across_time"]
    assert ranks.loc["b", "drawdown"] == ranks.loc["a", "drawdown"]
    alive = ranking_of({"a": [WILD] * 3, "b": [CALM, WILD, CALM]})
    assert alive.loc["b", "dispersion_across_time"] < alive.loc["a", "dispersion_across_time"]
    assert alive.loc["b", "drawdown"] < alive.loc["a", "drawdown"]


def test_a_network_that_does_not_learn_is_not_called_steady() -> None:
    found = analysis_of({"a": [[0.1] * 6], "b": [WILD]})
    assert found.ranking is not None
    ranks: Any = found.ranking.set_index("optimizer")
    assert ranks.loc["a", "dispersion_across_time"] == 0
    assert pd.isna(ranks.loc["a", "rank_stable"])
    assert ranks["rank"].to_dict() == {"b": 1, "a": 2}
    assert "steadiest of those that get to 0.9: b" in " ".join(found.answer.sentences)


def test_where_no_run_of_a_share_gets_to_90_per_cent_levels_are_on_the_way_to_the_best() -> None:
    ranks = ranking_of({"a": [[0.1, 0.2, 0.3, 0.5]], "b": [[0.1, 0.1, 0.1, 0.1]]})
    assert [name for name in ranks.columns if name.startswith("share_to")] == ["share_to_0.46", "share_to_0.48"]
    assert ranks.loc["a", "steps_to_0.46"] == 400


# -- the curves themselves --------------------------------------------------------------------------------------


def test_a_line_is_the_median_over_repeats_with_their_range_and_the_single_runs() -> None:
    runs = [[0.1, 0.5, 0.9], [0.2, 0.6, 0.7], [0.3, 0.4, 0.8]]
    figure = next(f for f in analysis_of({"a": runs, "b": runs}).figures if f.name == "curves")
    line = figure.series[0]
    assert line.segments == (((100.0, 0.2), (200.0, 0.5), (300.0, 0.8)),)
    assert line.ribbons == (((100.0, 0.1, 0.3), (200.0, 0.4, 0.6), (300.0, 0.7, 0.9)),)
    assert [len(single) for single in line.singles] == [3, 3, 3]
    assert figure.ribbon_label == "from the lowest to the highest run"
    assert line.label == "a (rate 0.1)"


@pytest.mark.parametrize("sign", [1, -1])
def test_the_axis_is_that_of_the_lines_after_the_first_tenth(sign: int) -> None:
    """The first of twelve values are near chance, and would take nine tenths of the height. A single run leaves it."""
    late = [0.9, 0.92, 0.93, 0.94, 0.95, 0.95, 0.96, 0.96, 0.96, 0.96, 0.96]
    runs = [[sign * value for value in (early, *late[:5], low, *late[6:])]
            for early, low in ((0.1, 0.95), (0.2, 0.96), (0.3, 0.5))]  # fmt: skip
    goal = Objective("acc", Goal.MAXIMIZE if sign > 0 else Goal.MINIMIZE, At.BEST)
    figure = next(f for f in analysis_of({"a": runs, "b": runs}, goal).figures if f.name == "curves")
    ends = sorted(sign * end for end in (figure.y.low, figure.y.high))
    assert 0.89 < ends[0] < 0.9
    assert 0.96 < ends[1] < 0.97
    assert figure.series[0].segments[0][0] == (100.0, sign * 0.2)
    assert "cut off" in figure.caption
    near = next(f for f in analysis_of({"a": [late], "b": [late]}).figures if f.name == "curves")
    assert "cut off" not in near.caption


def test_a_median_ends_where_the_first_run_ends_but_for_those_that_diverged() -> None:
    runs = [[0.1, 0.5, 0.9], [0.2, 0.6, 0.7], [0.3, 0.4]]
    lines = [
        next(f for f in analysis_of({"a": runs, "b": runs}, dead=dead).figures if f.name == "curves").series[0].segments
        for dead in ((), [("a", 2)])
    ]
    # A run that died is worse than any: the median of 0.7, 0.9 and that one.
    assert [line[-1] for (line,) in lines] == [(200.0, 0.5), (300.0, 0.7)]


def test_seconds_of_a_median_are_those_of_its_runs() -> None:
    figure = next(f for f in analysis_of({"a": [FAST, HIGH], "b": [SLOW]}).figures if f.name == "curves_seconds")
    second, value = figure.series[0].segments[0][0]
    # Of two middle values the better one.
    assert (second, value) == (10.0, 0.91)
    assert figure.x.label == "counted seconds"
