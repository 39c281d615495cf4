from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from kgen.analysis.fit import fit
from kgen.analysis.measure import choose_measures
from kgen.analysis.roles import assign_roles
from kgen.analysis.scaling import Scaling, by_size, scaling, size_of
from kgen.choice import Choice, Chosen
from kgen.spec import Goal, Objective, Value
from tests.unit.analysis.synthetic import BUDGET, STEPS, capped, finished, reached, table

Outcome = Mapping[str, Any]


def grown(
    steps: Callable[[float, float], int | None],
    rates: Sequence[float] = (1e-3, 2e-3, 4e-3),
    scales: Sequence[float] = (1, 2, 3, 4, 5, 6, 7, 8),
    repeats: int = 1,
    objective: Objective = STEPS,
    **more: Any,
) -> Scaling:
    """What is found in trials of these rates and scales; ``None`` steps are a trial that was capped."""
    rows, seeds = [], []
    for rate in rates:
        for scale in scales:
            for seed in range(repeats):
                took = steps(rate, scale)
                outcome = capped() if took is None else reached(took)
                rows.append(({"optimizer": "adam", "learning_rate": rate, "scale": scale}, {**outcome, **more}))
                seeds.append(seed)
    return found(rows, seeds, objective)


def found(rows: Any, seeds: Sequence[int] = (), objective: Objective = STEPS) -> Scaling:
    frame = table(rows, seeds).assign(timing="shared")
    result = scaling(frame, assign_roles(frame), choose_measures(frame, objective, BUDGET).measures)
    assert result is not None
    return result


def said(result: Scaling) -> str:
    return " ".join([result.headline, *result.sentences])


def test_a_straight_line_through_the_origin_is_found_and_called_linear() -> None:
    wobble = random.Random(1)
    result = grown(lambda rate, scale: round(100 * scale * wobble.uniform(0.97, 1.03)))
    fits = result.fits.set_index("learning_rate")
    assert fits["slope"].between(95, 105).all()
    assert (fits["intercept_low"] < 0).all()
    assert (fits["intercept_high"] > 0).all()
    assert fits["r2"].min() > 0.98
    assert ((fits["exponent_low"] < 1) & (fits["exponent_high"] > 1)).all()
    assert "in proportion to scale as far as can be told" in said(result)


@pytest.mark.parametrize(
    ("power", "verdict"),
    [(0.5, "less than in proportion"), (2, "more than in proportion"), (-0.5, "falls as scale grows")],
)
def test_the_exponent_s_interval_says_whether_it_is_linear(power: float, verdict: str) -> None:
    wobble = random.Random(2)
    result = grown(lambda rate, scale: round(400 * scale**power * wobble.uniform(0.98, 1.02)))
    assert result.fits["exponent"].sub(power).abs().max() < 0.05
    assert verdict in said(result)


def test_noise_that_hides_the_exponent_is_said_to() -> None:
    wobble = random.Random(3)
    result = grown(lambda rate, scale: round(400 * wobble.uniform(0.3, 1.7)), scales=(1, 2, 3))
    assert "too wide an interval to tell" in said(result) or "no growth that can be told" in said(result)


def test_intervals_hold_the_true_slope_as_often_as_they_claim() -> None:
    """The simplest check of a 95 % interval: of many sweeps with a known slope."""
    noise = random.Random(4)
    inside = 0
    for _ in range(400):
        sizes = [1 + n / 2 for n in range(10)]
        line = fit(sizes, [50 + 20 * size + noise.gauss(0, 10) for size in sizes])
        assert line is not None
        inside += line.slope.holds(20)
    assert 0.92 < inside / 400 < 0.98


def test_sizes_that_were_not_reached_are_in_no_line_but_counted_and_in_the_lanes() -> None:
    result = grown(lambda rate, scale: None if rate == 4e-3 and scale > 5 else round(100 * scale))
    fits = result.fits.set_index("learning_rate")
    assert fits["not_reached"].tolist() == [0, 0, 3]
    assert fits["slope"].tolist() == pytest.approx([100, 100, 100])
    assert "Not reached, and so in no line: 3 of 8 sizes with learning_rate 0.004." in said(result)
    (figure,) = result.figures
    assert figure.name == "scaling-steps_to_target"
    lost = [dot for series in figure.series for dot in series.dots if dot.y is None]
    assert sorted(dot.x for dot in lost) == [6, 7, 8]
    ends = {series.label: series.segments[0][-1] for series in figure.series}
    assert ends["learning_rate = 0.004"] == pytest.approx((5, 500))


def test_two_sizes_make_no_line() -> None:
    result = grown(lambda rate, scale: 100, scales=(1, 2))
    assert result.fits["slope"].isna().all()
    assert "How steps to train_accuracy >= 0.97 grows with scale can't be told" in said(result)


def test_the_regret_is_what_the_first_size_s_choice_costs_at_each_other() -> None:
    """The choice at 1 is 0.004; from scale 5 on 0.002 is better, by half at 8."""

    def steps(rate: float, scale: float) -> int:
        return {1e-3: 900, 2e-3: 300, 4e-3: 200 if scale < 5 else 330 if scale < 8 else 450}[rate]

    result = grown(steps)
    sizes = result.sizes.set_index("scale")
    assert sizes["regret"].tolist() == pytest.approx([0, 0, 0, 0, 0.1, 0.1, 0.1, 0.5])
    assert sizes["best_learning_rate"].tolist() == [4e-3] * 4 + [2e-3] * 4
    assert set(sizes["kept_learning_rate"]) == {4e-3}
    kept = result.growths[0].kept
    assert kept is not None
    assert kept.mean == pytest.approx(0.8 / 7)
    assert (kept.low, kept.high) == (None, None)
    assert result.headline == (
        "The best at scale 1, learning_rate 0.004, survives scaling up to 7, not everywhere beyond: it is within 25 % "
        "of the best at 6 of 7 larger sizes and costs 11 % on average, 50 % at worst (at 8)."
    )
    assert "Best learning_rate: 0.004 at 4 sizes and 0.002 at 4 sizes." in said(result)
    assert "moves down as scale grows" in said(result)


def test_a_choice_that_stays_the_best_survives() -> None:
    result = grown(lambda rate, scale: round(rate * 1e5 * scale))
    assert "survives scaling: it is within 25 % of the best at 7 of 7 larger sizes and costs 0 %" in result.headline


def test_a_choice_that_does_not_get_there_is_lost_and_not_dear() -> None:
    result = grown(lambda rate, scale: None if rate == 1e-3 and scale > 6 else round(rate * 1e5 * scale))
    assert "at 2 sizes it does not get there and another one does" in result.headline
    assert result.sizes["regret"].isna().tolist() == [False] * 6 + [True] * 2


def test_few_sizes_decide_nothing() -> None:
    result = grown(lambda rate, scale: round(rate * 1e5 * scale), scales=(1, 2, 3))
    assert "stays good can't be told from 2 larger sizes" in result.headline


def test_repeats_give_the_regret_an_interval_that_holds_it() -> None:
    wobble = random.Random(5)

    def steps(rate: float, scale: float) -> int:
        best = 1e-3 if scale > 1 else 4e-3
        return round(300 * scale * (1 if rate == best else 1.3) * wobble.uniform(0.95, 1.05))

    kept = grown(steps, repeats=5).growths[0].kept
    assert kept is not None
    assert kept.low is not None
    assert kept.high is not None
    assert kept.low < 0.3 < kept.high
    assert kept.high - kept.low < 0.2
    again = grown(lambda rate, scale: round(rate * 1e6 * scale), repeats=5).growths[0].kept
    assert again is not None
    assert (again.low, again.high) == (0, 0)


def test_a_tie_at_the_first_size_takes_the_middle_and_elsewhere_the_choice() -> None:
    kept = grown(lambda rate, scale: 400).growths[0].kept
    assert kept is not None
    assert kept.choice == 1
    assert dict(kept.best_at) == {1: 8}
    assert kept.drift is None


def test_weights_and_pace_are_those_that_the_rows_have() -> None:
    rows = [
        ({"learning_rate": rate, "scale": scale}, {**reached(100, 0.2 * scale), "final.weights": 671 * scale})
        for rate in (0.1, 0.2)
        for scale in (1, 2, 3)
    ]
    frame = table(rows)
    alone = scaling(frame, assign_roles(frame), choose_measures(frame, STEPS, BUDGET).measures)
    assert alone is not None
    assert alone.sizes["weights"].tolist() == [671, 1342, 2013]
    assert alone.sizes["seconds_per_step"].tolist() == pytest.approx([0.002, 0.004, 0.006])
    assert {growth.measure.column for growth in alone.growths} == {"steps_to_target", "seconds_to_target"}
    company = found(rows)
    assert "seconds_per_step" not in company.sizes


def test_a_metric_is_left_behind_by_and_not_divided() -> None:
    goal = Objective("acc", Goal.MAXIMIZE)
    rows = [({"learning_rate": r, "scale": s}, finished(acc=0.9 if r == 0.1 or s == 1 else 0.95)) for r in (0.1, 0.2)
            for s in (1, 2, 3, 4)]  # fmt: skip
    result = found(rows, objective=goal)
    assert result.sizes["regret"].tolist() == pytest.approx([0, 0.05, 0.05, 0.05])
    assert "stays behind the best of the larger sizes by 0.05 on average" in result.headline


def test_each_optimizer_has_a_choice_of_its_own() -> None:
    rows = [
        ({"optimizer": o, "learning_rate": r, "scale": s}, reached(round(abs(math.log(r / best)) * 100 + 100 * s)))
        for o, best in (("sgd", 0.1), ("adam", 0.01))
        for r in (0.01, 0.1)
        for s in (1, 2, 3, 4)
    ]
    result = found(rows)
    assert [dict(growth.family) for growth in result.growths] == [{"optimizer": "sgd"}, {"optimizer": "adam"}]
    assert [growth.kept.choice for growth in result.growths if growth.kept is not None] == [1, 0]
    assert [figure.name for figure in result.figures] == ["scaling-sgd-steps_to_target", "scaling-adam-steps_to_target"]
    assert result.fits["optimizer"].tolist() == ["sgd", "sgd", "adam", "adam"]


def test_a_size_is_called_scale_or_is_the_linear_one_of_two_numbers() -> None:
    def name(**parameters: Sequence[Any]) -> str | None:
        keys = list(parameters)
        rows = [({keys[0]: a, keys[1]: b}, reached(100)) for a in parameters[keys[0]] for b in parameters[keys[1]]]
        roles = assign_roles(table(rows))
        size = size_of(roles)
        return None if size is None else size[0].name

    assert name(scale=[1, 2], rate=[0.001, 0.01, 0.1, 1]) == "scale"
    assert name(scale=[1, 10, 100, 1000], rate=[1, 2]) == "scale"
    assert name(width=[1, 2, 3], rate=[0.001, 0.01, 0.1, 1]) == "width"
    assert name(width=[1, 2, 3], depth=[1, 2]) is None
    assert name(decay=[1e-6, 1e-3], rate=[0.001, 0.01, 0.1, 1]) is None
    assert name(optimizer=["a", "b"], rate=[0.001, 1]) is None
    assert name(optimizer=["a", "b"], scale=[1, 2]) == "scale"


def test_tables_have_a_line_for_each_size() -> None:
    rows = [({"learning_rate": r, "scale": s}, reached(100)) for r in (0.1, 0.2) for s in (1, 2, 3)]
    roles = by_size(assign_roles(table(rows)))
    assert roles.group is not None
    assert roles.x is not None
    assert (roles.group.name, roles.x.name) == ("scale", "learning_rate")
    alone = assign_roles(table([({"scale": s}, reached(100)) for s in (1, 2)]))
    assert by_size(alone) is alone


def test_what_was_chosen_in_the_stage_before_is_what_is_kept() -> None:
    """The best at scale 1 is 0.004; the stage was made for 0.002, so that this is what has to survive."""
    rows = [({"optimizer": "adam", "learning_rate": r, "scale": s}, reached(round(1e3 * s * (2 if r == 2e-3 else 1))))
            for r in (1e-3, 2e-3, 4e-3) for s in (1, 2, 3, 4, 5)]  # fmt: skip
    frame = table(rows).assign(timing="shared")
    point: dict[str, Value] = {"optimizer": "adam", "learning_rate": 2e-3}
    chosen = Chosen({"optimizer": "adam"}, point, (point,), 100.0, None, None, ("trial00000",))
    choice = Choice("scale", "grid", {}, "the fastest", (chosen,), {}, ())
    measures = choose_measures(frame, STEPS, BUDGET).measures
    result = scaling(frame, assign_roles(frame), measures, choice)
    assert result is not None
    assert set(result.sizes["kept_learning_rate"]) == {2e-3}
    assert result.sizes["regret"].tolist() == pytest.approx([1] * 5)
    assert result.headline.startswith("The choice of stage grid, learning_rate 0.002, does not survive scaling")
    other = replace(choice, chosen=(replace(chosen, best={**point, "learning_rate": 0.5}),))
    without = scaling(frame, assign_roles(frame), measures, other)
    assert without is not None
    assert without.headline.startswith("The best at scale 1, ")
