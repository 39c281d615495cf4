from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from kgen.analysis import Answer, analyse
from kgen.spec import SECONDS_TO_TARGET, Budget, Goal, Objective
from tests.unit.analysis.synthetic import (
    BUDGET,
    NO_CURVES,
    STEPS,
    article,
    capped,
    diverged,
    failed,
    finished,
    missing,
    reached,
    table,
)


def answer_of(trials: pd.DataFrame, objective: Objective = STEPS, budget: Budget = BUDGET) -> Answer:
    return analyse(trials, NO_CURVES, name="s", objective=objective, budget=budget).answer


def said(answer: Answer, word: str) -> str:
    found = [sentence for sentence in answer.sentences if word in sentence]
    assert len(found) == 1, answer.sentences
    return found[0]


def test_the_article_s_answer() -> None:
    answer = answer_of(article()[0])

    assert answer.headline.startswith("Fastest: adam at learning_rate ")
    assert "with train_accuracy >= 0.97 after " in answer.headline
    assert (answer.rows[0].group, answer.rows[-1].group) == ("adam", "rmsprop")
    assert answer.rows[-1].band == "0.000316 to 0.00147 (0.67 decades wide, 1 hole)"
    assert (answer.rows[0].working, answer.rows[0].tried) == (15, 48)
    assert "35 of the 48 values of learning_rate work for at least one optimizer (4.64e-5 to 46.4)" in said(
        answer, "at least one"
    )
    assert said(answer, "at least one").endswith("none works for all 6, of 46 with a result of all 6.")
    assert said(answer, "Results of").startswith("Results of 286 of 288 trials: 51 reached the target (18 %), ")
    assert said(answer, "no statistic") == "In no statistic: 1 failed and 1 missing."


def test_single_runs_are_said_to_be_noisy_with_the_widest_gap_between_neighbours() -> None:
    """The published Adam: 8, 43, 8, 68, 8 s. The widest step is from 68 to 8."""
    seconds = [8, 43, 8, 68, 8]
    trials = table([({"rate": 10.0**n}, reached(50, seconds=s)) for n, s in enumerate(seconds)])
    noise = said(answer_of(trials, Objective(SECONDS_TO_TARGET)), "luck")
    assert noise == (
        "Every point is one single run: single runs are noisy, and a best value is partly luck. "
        "Inside a band, neighbours differ by up to 8.5 times (8 s at 100 and 68 s at 1,000)."
    )


def test_a_gap_across_a_hole_is_not_one_between_neighbours() -> None:
    trials = table(
        [({"rate": 10.0**n}, o) for n, o in enumerate([reached(100), capped(), reached(1000), reached(1500)])]
    )
    assert "up to 1.5 times" in said(answer_of(trials), "luck")


def test_where_seeds_are_resampled_these_say_which_is_first_and_no_overlap_of_intervals_says_otherwise() -> None:
    """a is 5 % faster in each of five seeds, which differ by more than that."""
    rows = [({"o": o, "rate": rate}, reached(by * (100 + 50 * seed)), seed)
            for o, by in (("a", 20), ("b", 21)) for rate in (1.0, 2.0) for seed in range(5)]  # fmt: skip
    answer = answer_of(table([row[:2] for row in rows], seeds=[seed for *_, seed in rows]), budget=Budget(steps=99999))
    assert "is a in 100 % of the resamples of the seeds" in said(answer, "resamples of the seeds;")
    assert not [sentence for sentence in answer.sentences if "overlap" in sentence]


def test_values_that_not_all_groups_have_a_result_of_say_nothing_of_all() -> None:
    def of(a: Sequence[int | None], b: Sequence[int | None], shift: float = 1) -> str:
        rows = [({"o": o, "rate": by * 10.0**n}, missing() if steps is None else reached(steps) if steps else capped())
                for o, by, row in (("a", 1, a), ("b", shift, b)) for n, steps in enumerate(row)]  # fmt: skip
        return said(answer_of(table(rows)), "at least one")

    assert of([1, 2, 3], [1, 2, None]) == (
        "3 of the 3 values of rate work for at least one o (1 to 100); 2 for both (1 and 10), of 2 with a result of "
        "both."
    )
    assert of([1, 2, 0], [0, 0, None]).endswith("none works for both, of 2 with a result of both.")
    assert of([1, 2], [3, 4], shift=3).endswith("; none has a result of both.")
    assert of([1, 2, None], [1, 2, None]).startswith("2 of the 2 values of rate that have a result work for")


def test_a_value_that_works_for_all_is_named() -> None:
    outcomes = {"a": [capped(), reached(100), reached(200)], "b": [reached(100), reached(100), capped()]}
    trials = table([({"o": o, "rate": 10.0**n}, each) for o, row in outcomes.items() for n, each in enumerate(row)])
    assert said(answer_of(trials), "at least one") == (
        "3 of the 3 values of rate work for at least one o (1 to 100); 1 for both (10)."
    )


def test_ties_are_admitted() -> None:
    trials = table([({"rate": 10.0**n}, reached(100)) for n in range(3)])
    answer = answer_of(trials)
    assert answer.rows[0].best == "10"
    assert answer.rows[0].at == 10.0
    assert "2 more" in said(answer, "equally well")


def test_a_best_at_the_edge_of_its_band_is_said_to_be_risky_and_one_at_the_end_of_the_range_unfinished() -> None:
    outcomes = {
        "edge": [capped(), reached(300), reached(100), capped()],
        "end": [capped(), reached(300), reached(200), reached(100)],
        "middle": [reached(300), reached(100), reached(300), reached(300)],
    }
    trials = table([({"o": o, "rate": 10.0**n}, each) for o, row in outcomes.items() for n, each in enumerate(row)])
    answer = answer_of(trials)
    assert said(answer, "one step from failure").endswith(": edge (100).")
    assert said(answer, "outermost").endswith(": end (1,000).")


def test_a_best_beside_values_without_a_result_is_unfinished_and_not_risky() -> None:
    for beyond in ([missing(), missing()], [failed(), missing()]):
        rows = [*[reached(400 - 80 * n) for n in range(4)], *beyond]
        answer = answer_of(table([({"rate": 10.0**n}, each) for n, each in enumerate(rows)]))
        assert said(answer, "outermost value with a result").endswith(": 1,000.")
        assert "4 of the 4 values of rate that have a result work (1 to 1,000)." in answer.sentences
        assert not [sentence for sentence in answer.sentences if "failure" in sentence]


def repeats(times: dict[str, Sequence[int]]) -> pd.DataFrame:
    rows = [({"o": name}, reached(steps)) for name, each in times.items() for steps in each]
    return table(rows, seeds=[seed for each in times.values() for seed in range(len(each))])


def test_repeats_give_an_interval_and_say_whether_the_order_is_settled() -> None:
    near = answer_of(repeats({"a": [100, 200, 300, 400, 500, 600], "b": [150, 250, 350, 450, 550, 650]}))
    # Only a category: it lies on x, and there is one line.
    assert near.headline == "Fastest: o a, with train_accuracy >= 0.97 after 300 steps (median of 6 runs)."
    assert near.repeated
    # By hand: the upper limit of S(500) = 1/6 is 0.517, so six runs set no upper bound.
    assert (near.rows[0].low, near.rows[0].high) == (100, None)

    def two(first: int, second: int, best: int, others: int) -> pd.DataFrame:
        """Of four rates the two beside the best, with so many seeds each."""
        rows = [
            ({"o": o, "rate": rate}, reached(start + 50 * seed + (1000 if rate > 1 else 0)), seed)
            for o, start in (("a", first), ("b", second))
            for rate, seeds in ((1.0, best), (10.0, others), (100.0, others), (1000.0, others))
            for seed in range(seeds)
        ]
        return table([row[:2] for row in rows], seeds=[seed for *_, seed in rows])

    # Only the best has repeats: seeds can't be resampled.
    assert "not settled" in said(answer_of(two(100, 150, 8, 1)), "intervals")
    assert "do not overlap" in said(answer_of(two(100, 1000, 8, 1)), "intervals")
    assert not [sentence for sentence in near.sentences if "luck" in sentence]


def test_the_single_best_trial_is_named_where_a_point_has_several() -> None:
    answer = answer_of(repeats({"a": [300, 200], "b": [400, 500]}))
    assert said(answer, "single fastest") == "The single fastest trial is trial00001 (o a): 200 steps."


def test_nothing_reached() -> None:
    answer = answer_of(table([({"rate": 10.0**n}, capped()) for n in range(3)]))
    assert answer.headline == "No trial reached train_accuracy >= 0.97 within 2,000 steps."
    assert [(row.best, row.value, row.band) for row in answer.rows] == [("–", None, "–")]


def test_too_few_of_each_point_reached() -> None:
    answer = answer_of(table([({}, reached(100)), ({}, capped()), ({}, capped())], seeds=[1, 2, 3]))
    assert (
        answer.headline == "Only 1 trial, nowhere half of a point's, reached train_accuracy >= 0.97 within 2,000 steps."
    )


def test_all_failed_or_missing() -> None:
    answer = answer_of(table([({"rate": 1.0}, failed()), ({"rate": 2.0}, missing())]))
    assert answer.headline == "No trial has a value of steps to train_accuracy >= 0.97."
    assert answer.sentences == ("Results of 0 of 2 trials.", "In no statistic: 1 failed and 1 missing.")


def test_a_metric() -> None:
    outcomes = [finished(acc=0.5), finished(acc=0.75), diverged()]
    answer = answer_of(table([({"rate": 10.0**n}, o) for n, o in enumerate(outcomes)]), Objective("acc", Goal.MAXIMIZE))
    assert answer.headline == "Best: rate 10, with final acc 0.75."
    assert "neighbours differ by up to 0.25 (0.5 at 1 and 0.75 at 10)" in said(answer, "luck")
    assert answer.band == "band with a value"


def test_a_metric_where_everything_diverged() -> None:
    answer = answer_of(table([({"rate": 1.0}, diverged()), ({"rate": 2.0}, diverged())]), Objective("acc"))
    assert answer.headline == "Nothing worked: more than half of the runs diverged at every point."


def test_a_metric_that_nobody_reported_is_answered_with_those_that_were() -> None:
    answer = answer_of(table([({}, finished(loss=0.5))]), Objective("acc"))
    assert answer.headline == "No trial has a value of final acc."
    assert "Metrics that trials reported: loss." in answer.sentences


def test_a_time_without_a_target() -> None:
    answer = answer_of(table([({}, finished(loss=0.5))]), budget=Budget(steps=100))
    assert answer.headline == "No trial has a value of steps to the target."


def test_one_trial_and_none() -> None:
    assert answer_of(table([({}, reached(300))])).headline == ("Result: train_accuracy >= 0.97 after 300 steps.")
    empty = table([({}, reached(300))]).iloc[:0]
    assert answer_of(empty).headline == "The sweep has no trials."


def test_groups_that_are_equally_fast_are_both_named() -> None:
    trials = table([({"o": o, "rate": 1.0}, reached(20)) for o in ("a", "b")] + [({"o": "a", "rate": 2.0}, capped())])
    assert answer_of(trials).headline.startswith("Fastest: a at rate 1 and b at rate 1, each with ")


def test_of_two_middle_values_of_a_metric_the_better_one_is_the_median_as_of_times() -> None:
    trials = table([({"o": "a"}, finished(loss=value)) for value in (0.1, 0.3)], seeds=(1, 2))
    assert answer_of(trials, Objective("loss")).headline == "Result: final loss 0.1 (median of 2 runs)."
    assert answer_of(trials, Objective("loss", Goal.MAXIMIZE)).headline == "Result: final loss 0.3 (median of 2 runs)."


def test_where_half_of_the_runs_have_a_value_it_works_by_a_metric_as_by_a_time() -> None:
    for objective, value in ((Objective("loss"), 0.3), (Objective("loss", Goal.MAXIMIZE), 0.5)):
        rows = [({"rate": 10.0**n}, outcome) for n in range(3)
                for outcome in (finished(loss=0.3 + 0.1 * n), diverged())]  # fmt: skip
        answer = answer_of(table(rows, seeds=[1, 2] * 3), objective)
        assert (answer.rows[0].value, answer.rows[0].working) == (value, 3)
        assert answer.headline.endswith(f"with final loss {value} (median of 2 runs).")
