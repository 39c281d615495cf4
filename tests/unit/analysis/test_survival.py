from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgen.analysis.survival import Estimate, estimate


def of(times: Sequence[float], events: Sequence[bool], horizon: float | None = None) -> Estimate:
    return estimate(np.array(times, dtype=float), np.array(events, dtype=bool), horizon)


def test_the_6_mp_arm_of_freireich_et_al_1963_has_its_published_median_and_interval() -> None:
    """Remission times in weeks; R's survfit(conf.type = "log-log") gives median 23, interval 13 to NA."""
    events = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    censored = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    found = of([*events, *censored], [True] * len(events) + [False] * len(censored))

    assert (found.trials, found.events) == (21, 9)
    assert (found.median, found.low, found.high) == (23, 13, None)


def test_the_placebo_arm_of_freireich_et_al_1963_has_its_published_median_and_interval() -> None:
    """Every time is an event; R gives median 8, interval 4 to 11."""
    weeks = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
    found = of(weeks, [True] * len(weeks))

    assert (found.median, found.low, found.high) == (8, 4, 11)


def test_a_single_trial_that_got_there_is_its_own_estimate() -> None:
    assert of([450.0], [True], 2000.0) == Estimate(1, 1, 450.0, None, None, 450.0)


def test_a_single_capped_trial_has_no_median_and_is_not_counted_as_the_cap() -> None:
    assert of([2000.0], [False], 2000.0) == Estimate(1, 0, None, None, None, 2000.0)


def test_a_diverged_trial_never_gets_there() -> None:
    assert of([math.inf], [False], 2000.0) == Estimate(1, 0, None, None, None, 2000.0)
    assert of([math.inf], [False]).median is None


def test_two_of_three_repeats_make_a_median_and_the_third_is_censored() -> None:
    found = of([100.0, 300.0, 2000.0], [True, True, False], 2000.0)

    assert found.median == 300.0
    # By hand: 1 up to 100, 2/3 up to 300, 1/3 up to 2000.
    assert found.restricted_mean == pytest.approx(100 + 2 / 3 * 200 + 1 / 3 * 1700)


def test_one_of_three_repeats_makes_no_median() -> None:
    assert of([100.0, 2000.0, math.inf], [True, False, False], 2000.0).median is None


def test_half_is_enough_and_the_lower_of_two_middle_times_is_the_median() -> None:
    assert of([100.0, 2000.0], [True, False], 2000.0).median == 100.0
    assert of([100.0, 200.0, 300.0, 400.0], [True] * 4).median == 200.0


def test_half_is_found_in_spite_of_rounding() -> None:
    assert of([1, 2, 3, 4, 5, 6], [True] * 6).median == 3


def test_an_early_stop_leaves_the_rest_to_those_still_going() -> None:
    """By hand: of three, one is censored at 50; then half of the remaining two get there at 100: S = 1/2."""
    found = of([50.0, 100.0, 400.0], [False, True, True])

    assert found.median == 100.0


def test_the_restricted_mean_is_unknown_beyond_the_last_look() -> None:
    assert of([100.0, 500.0], [True, False], 2000.0).restricted_mean is None
    assert of([100.0, 500.0], [True, True], 2000.0).restricted_mean == pytest.approx(300.0)


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=30), st.data())
def test_the_median_is_a_measured_time_by_which_half_got_there(times: list[float], data: st.DataObject) -> None:
    events = data.draw(st.lists(st.booleans(), min_size=len(times), max_size=len(times)))
    found = of(times, events)

    if found.median is not None:
        assert found.median in [time for time, event in zip(times, events, strict=True) if event]
        assert found.low is None or found.low <= found.median
        assert found.high is None or found.high >= found.median
    if all(events):
        assert found.median == sorted(times)[(len(times) - 1) // 2]
    if not any(events):
        assert found.median is None


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=20))
def test_without_censoring_the_restricted_mean_is_the_mean(times: list[float]) -> None:
    assert of(times, [True] * len(times), 1000.0).restricted_mean == pytest.approx(math.fsum(times) / len(times))
