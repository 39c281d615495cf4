from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from kgen.analysis import Answer, analyse
from kgen.analysis.advice import share
from tests.unit.analysis.synthetic import BUDGET, NO_CURVES, STEPS, capped, failed, reached, table

Groups = Mapping[str, Mapping[float, Sequence[int | str | None]]]


def answer_of(groups: Groups) -> Answer:
    """Groups by name: rate → steps of each seed, ``None`` for one that was capped, a text for one that failed."""
    rows = [
        (
            {"o": name, "rate": rate},
            capped() if each is None else failed(each) if isinstance(each, str) else reached(each),
            seed,
        )
        for name, rates in groups.items()
        for rate, runs in rates.items()
        for seed, each in enumerate(runs)
    ]
    trials = table([(parameters, outcome) for parameters, outcome, _ in rows], [seed for _, _, seed in rows])
    return analyse(trials, NO_CURVES, name="s", objective=STEPS, budget=BUDGET).answer


def said(answer: Answer, word: str) -> str:
    (found,) = [sentence for sentence in answer.sentences if word in sentence]
    return found


def valley(bottom: int, *seeds: int | str) -> dict[float, Sequence[int | str | None]]:
    """Seven rates, the best of which is 10^(bottom / 2 - 4), with so many steps there for each seed."""
    return {
        10 ** (n / 2 - 4): [s if isinstance(s, str) else int(s * 2 ** abs(n - bottom)) for s in seeds] for n in range(7)
    }


def test_repeats_that_agree_settle_which_is_first() -> None:
    answer = answer_of({"a": valley(3, 100, 120, 110), "b": valley(3, 200, 230, 190)})
    assert said(answer, "Recommended rate") == (
        "Recommended rate, the best on each smoothed line, with the safe band around it and the share of the resamples "
        "of seeds in which it stays safe: a 0.00316 (0.00316, 100 %); b 0.00316 (0.00316, 100 %)."
    )
    assert said(answer, "Each at its best") == (
        "Each at its best, the fastest o is a in 100 % of the resamples of the seeds; "
        "by each seed alone it is a in 3 of 3."
    )
    assert said(answer, "safe bands") == "In the safe bands of both: rate 0.00316."


def test_repeats_that_do_not_agree_settle_nothing() -> None:
    answer = answer_of({"a": valley(3, 100, 300, 110), "b": valley(3, 200, 100, 190)})
    assert ", so 3 seeds do not decide it; by each seed alone it is a in 2 of 3." in said(answer, "Each at its best")


def test_seeds_that_crashed_count_neither_for_nor_against_a_group() -> None:
    """b is faster in both of the seeds that it has; a third one is planned, and nobody has it."""
    lost = ["MemoryError"] * 3
    answer = answer_of({"a": valley(3, 130, 131, 132, 133, *lost), "b": valley(3, 100, 101, *lost, *lost[:2])})
    assert said(answer, "Each at its best") == (
        "Each at its best, the fastest o is b in 100 % of the resamples of the seeds; "
        "by each seed alone it is b in 2 of the 2 that all have a result of."
    )
    apart = answer_of({"a": valley(3, 130, 140, *lost[:2]), "b": valley(3, *lost[:2], 100, 135)})
    assert said(apart, "Each at its best").endswith("so 4 seeds do not decide it.")


def test_one_seed_decides_nothing_and_its_resamples_are_named() -> None:
    answer = answer_of({"a": valley(3, 100), "b": valley(5, 400)})
    assert said(answer, "One seed").startswith(
        "One seed can't decide which o is fastest: by resampled residuals it is a in"
    )
    assert said(answer, "Recommended rate").endswith(
        "These are resamples of what single runs differ from the smoothed line by, for most values ran with one seed "
        "only; what another seed would change in all runs is not in them."
    )
    assert said(answer, "safe bands") == "No rate is in the safe bands of both."


def test_nothing_serves_all_where_a_group_does_not_work() -> None:
    answer = answer_of({"a": valley(3, 100, 120), "b": {rate: [None, None] for rate in valley(3, 1)}})
    assert said(answer, "serves") == "No rate serves both: nothing works for b."


def test_a_stage_in_which_each_group_has_its_own_value_recommends_none() -> None:
    answer = answer_of({"a": {0.1: [100, 110, 90]}, "b": {0.3: [200, 220, 210]}})
    assert not [sentence for sentence in answer.sentences if "Recommended" in sentence or "safe bands" in sentence]
    assert said(answer, "Each at its best").startswith("Each at its best, the fastest o is a in 100 %")
    assert answer.headline.startswith("Fastest: a at rate 0.1")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 %"), (1, "100 %"), (0.9999, "99.9 %"), (0.00001, "0.1 %"), (0.72, "72 %")]
)
def test_no_share_is_rounded_to_none_or_all(value: float, text: str) -> None:
    assert share(value) == text
