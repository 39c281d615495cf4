"""Which trial goes to which of several workers that train many at a time."""

from __future__ import annotations

from collections import Counter

from kgen.backends.local.deal import Deal, in_order_of_programs
from kgen.spec import TrialSpec
from tests.unit.sweep.sweeps import trials


def grid(more: str = "", **blocks: str) -> tuple[TrialSpec, ...]:
    """Rates inside, so that in the file's order every second trial has the same optimizer."""
    parameters = f"{{learning_rate: [1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5], optimizer: [sgd, adam]{more}}}"
    return trials(parameters=parameters, **blocks)


def values(dealt: list[TrialSpec], name: str) -> list[object]:
    return [trial.parameters[name] for trial in dealt]


def test_each_place_gets_a_fair_sample_of_optimizers_and_rates() -> None:
    deal = Deal(in_order_of_programs(grid()), 2)
    for place in (0, 1):
        mine = deal.take(place, 6)
        assert Counter(values(mine, "optimizer")) == {"sgd": 3, "adam": 3}
        rates = values(mine, "learning_rate")
        assert len({rate for rate in rates if isinstance(rate, float | int) and rate >= 1e-2}) in (1, 2)
    assert not deal


def test_trials_of_one_seed_and_one_shape_come_together() -> None:
    ordered = in_order_of_programs(grid(", width: [8, 16]", repeats="2"))
    assert [(trial.seed, trial.parameters["width"]) for trial in ordered] == [
        *[(0, 8)] * 12, *[(0, 16)] * 12, *[(1, 8)] * 12, *[(1, 16)] * 12,
    ]  # fmt: skip


def test_values_of_any_kind_can_be_sorted() -> None:
    found = in_order_of_programs(trials(parameters="{a: [b, 2, 1.5, true, 10, a]}"))
    assert values(found, "a") == [True, 1.5, 2, 10, "a", "b"]


def test_who_has_nothing_left_takes_from_the_others_and_nothing_comes_twice() -> None:
    everything = grid()
    deal = Deal(everything, 3)
    first = deal.take(0, 100)
    assert {trial.id for trial in first} == {trial.id for trial in everything}
    assert len(first) == len(everything)
    assert first[:4] == list(everything[::3])
    assert (deal.take(1, 5), len(deal)) == ([], 0)


def test_one_place_keeps_the_order() -> None:
    everything = grid()
    deal = Deal(everything)
    assert deal.first == everything[0]
    assert [deal.take(0, 1)[0] for _ in everything] == list(everything)


def test_what_comes_back_is_next() -> None:
    everything = grid()
    deal = Deal(everything, 2)
    gone = deal.take(1, 3)
    deal.put_back(gone)
    assert deal.take(0, 3) == gone


def test_suspects_come_in_groups_of_half_as_many_and_never_among_others() -> None:
    everything = grid()
    deal = Deal(everything[5:])
    deal.suspect(everything[:5])
    assert (len(deal), deal.unsuspected) == (12, 7)
    assert deal.take(0, 100) == list(everything[5:])
    assert deal.first == everything[0]
    assert [deal.take_suspects(9) for _ in range(4)] == [
        list(everything[:2]), list(everything[2:4]), list(everything[4:5]), [],
    ]  # fmt: skip


def test_a_group_that_a_worker_can_not_take_whole_is_not_lost() -> None:
    everything = grid()
    deal = Deal(())
    deal.suspect(everything)
    assert deal.take_suspects(4) == list(everything[:4])
    assert deal.take_suspects(4) == list(everything[4:6])
    assert deal.take_suspects(10) == list(everything[6:])
    assert not deal
