from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgen.analysis.smooth import Floats, SmoothedValley, separate, smooth

INF = math.inf
DECADES = np.arange(-4.0, 0.0, 1 / 6)

# Steps to 97 % of Adam in the quickstart's digits, a single seed, at rates 10^(k/6) for k = -17 … -8: the fastest run
# of all stands beside a rate at which nothing works.
ADAM = [INF, 1650.0, 1200.0, 950.0, 650.0, 550.0, 400.0, 650.0, 250.0, INF]
RATES = np.arange(-17, -7) / 6


def of(positions: Floats, values: list[float] | Floats, cap: float | None = 2000.0) -> SmoothedValley:
    return smooth(positions, np.array(values, dtype=float), cap=cap)


def test_a_straight_line_in_logarithms_is_its_own_smooth() -> None:
    """It has no curvature, so nothing is taken from it, whatever λ is."""
    times = 10.0 ** (2 - DECADES)
    assert of(DECADES, times, cap=None).fitted == pytest.approx(times, rel=1e-6)


def test_the_bottom_of_a_noisy_valley_is_found() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, len(DECADES))
    found = of(DECADES, 10 ** (2.5 + 0.5 * (DECADES + 2) ** 2 + noise), cap=None)
    assert found.best is not None
    assert found.positions[found.best] == pytest.approx(-2, abs=0.2)
    assert float(found.fitted[found.best]) == pytest.approx(10**2.5, rel=0.1)


def test_a_lucky_run_beside_failure_is_not_the_best() -> None:
    """Learning rate 0.0147, not the 0.0316 that was fastest once."""
    found = of(RATES, ADAM)
    assert found.best is not None
    assert ADAM[found.best] == 400
    assert found.band == (5, 7)


def test_leaving_failures_out_would_trust_the_lucky_run() -> None:
    """What the imputation of censored runs is for: without the two that failed the edge is as good as any."""
    with_failures, without = of(RATES, ADAM), of(RATES[1:-1], ADAM[1:-1])
    assert with_failures.fitted[8] > 1.3 * without.fitted[7]


def test_where_fewer_than_half_of_the_runs_got_there_nothing_is_fitted() -> None:
    positions = np.repeat([-3.0, -2.0, -1.0], 4)
    found = of(positions, [INF, INF, INF, 100, INF, INF, 200, 300, 200, 300, 400, 500])
    assert found.share.tolist() == [0.25, 0.5, 1.0]
    assert np.isnan(found.fitted).tolist() == [True, False, False]
    assert found.best == 2


def test_runs_that_say_nothing_are_left_out() -> None:
    nan = math.nan
    positions = np.repeat([-3.0, -2.0], 2)
    found = of(positions, [100, nan, nan, nan])
    assert (found.positions.tolist(), found.runs.tolist(), found.best) == ([-3.0], [1], 0)


def test_nothing_works() -> None:
    for values in ([INF, INF], [math.nan, math.nan], []):
        found = of(np.array([-2.0, -1.0])[: len(values)], values)
        assert (found.best, found.band, found.limit) == (None, None, None)
        assert np.isnan(found.line(np.array([-1.5]))).all()


def test_one_position_and_two() -> None:
    one = of(np.array([-2.0, -2.0]), [100.0, 400.0], cap=None)
    assert one.fitted == pytest.approx([200.0])
    two = of(np.array([-2.0, -1.0]), [100.0, 400.0], cap=None)
    assert two.fitted == pytest.approx([100.0, 400.0])
    assert (two.best, two.band) == (0, (0, 0))


def test_the_safe_band_ends_where_it_is_a_quarter_worse_and_at_a_hole() -> None:
    positions = np.array([-3.0, -2.5, -2.0, -1.5, -1.0])
    flat = of(positions, [100.0, 100.0, 100.0, INF, 100.0])
    assert flat.best is not None
    assert flat.band is not None
    assert flat.band[1] < 3 or flat.band[0] > 3
    steep = of(positions, [1600.0, 400.0, 100.0, 400.0, 1600.0])
    assert steep.band == (2, 2)


def test_a_run_that_was_stopped_early_is_known_to_lie_beyond_that_only() -> None:
    """A rung of a search at 100 steps says less than one at 2,000."""
    positions = np.array([-3.0, -2.0, -1.0])
    early = smooth(positions, np.array([300.0, 200.0, INF]), cap=np.array([2000.0, 2000.0, 100.0]))
    late = smooth(positions, np.array([300.0, 200.0, INF]), cap=np.array([2000.0, 2000.0, 2000.0]))
    assert early.fitted[1] < late.fitted[1]


def test_values_that_are_no_logarithms_are_smoothed_as_they_are() -> None:
    values = np.array([-5.0, -9.0, -10.0, -9.0, 3.0])
    found = smooth(np.arange(5.0), values, log=False)
    assert found.best == 2
    assert found.limit is not None
    assert found.limit == pytest.approx(float(found.fitted[2] + 0.25 * (found.fitted.max() - found.fitted[2])))


def test_thousands_of_positions_are_smoothed_in_bins() -> None:
    positions = np.linspace(-4, 0, 3000)
    found = of(positions, 10 ** (2 + (positions + 1.5) ** 2), cap=None)
    assert found.best is not None
    assert found.positions[found.best] == pytest.approx(-1.5, abs=0.05)
    assert len(found.fitted) == 3000


def test_the_line_goes_through_the_fitted_values_and_ends_with_them() -> None:
    found = of(RATES, ADAM)
    works = found.works
    assert found.line(RATES[works]) == pytest.approx(found.fitted[works])
    assert np.isnan(found.line(RATES[~works])).all()


def test_categories_have_medians_and_no_band() -> None:
    found = separate(np.array([0.0, 0.0, 0.0, 1.0, 1.0, 2.0]), np.array([300.0, 100.0, INF, 500.0, INF, INF]))
    assert found.fitted.tolist()[:2] == [300.0, 500.0]
    assert (found.best, found.band) == (0, None)


runs = st.lists(
    st.tuples(st.integers(-18, 6), st.one_of(st.integers(1, 2000).map(float), st.just(INF))), min_size=1, max_size=40
)


@settings(deadline=None)
@given(runs)
def test_the_best_and_its_band_were_tried_and_work(tried: list[tuple[int, float]]) -> None:
    found = of(np.array([place / 6 for place, _ in tried]), [value for _, value in tried])
    if not found.works.any():
        assert found.best is None
        return
    assert found.best is not None
    assert found.band is not None
    assert found.limit is not None
    low, high = found.band
    assert low <= found.best <= high
    assert found.works[low : high + 1].all()
    assert (found.fitted[low : high + 1] <= found.limit).all()
    assert float(found.fitted[found.best]) == float(np.nanmin(found.fitted))


@settings(deadline=None)
@given(runs, st.randoms(use_true_random=False), st.floats(0.01, 100))
def test_neither_the_order_of_the_runs_nor_the_unit_of_time_matters(
    tried: list[tuple[int, float]], random: object, factor: float
) -> None:
    shuffled = list(tried)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one = of(np.array([place / 6 for place, _ in tried]), [value for _, value in tried])
    positions = np.array([place / 6 for place, _ in shuffled])
    other = smooth(positions, factor * np.array([value for _, value in shuffled]), cap=2000.0 * factor)
    assert other.fitted == pytest.approx(factor * one.fitted, rel=1e-2, nan_ok=True)


@settings(deadline=None)
@given(runs)
def test_a_weight_is_a_run_as_often(tried: list[tuple[int, float]]) -> None:
    positions, values = np.array([place / 6 for place, _ in tried]), np.array([value for _, value in tried])
    weights = np.arange(len(tried)) % 3
    weighted = smooth(positions, values, cap=2000.0, weights=weights.astype(float))
    repeated = smooth(np.repeat(positions, weights), np.repeat(values, weights), cap=2000.0)
    assert weighted.fitted == pytest.approx(repeated.fitted, rel=1e-3, nan_ok=True)
