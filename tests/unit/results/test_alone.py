"""Seconds per step of trials that had company, from those that were trained alone."""

from __future__ import annotations

import math

import pandas as pd
import pyarrow as pa
import pytest

from kgen.results.alone import ALONE_DEVICE, ALONE_SECONDS, seconds_per_step, with_predictions


def timed(*trials: tuple[str, float | None], steps: int = 100) -> pd.DataFrame:
    """Trials of an optimizer each, with seconds per step alone where they are known."""
    return pd.DataFrame(
        {
            "param.optimizer": [optimizer for optimizer, _ in trials],
            "param.learning_rate": [float(i) for i in range(len(trials))],
            "alone_steps": pd.array([None if pace is None else steps for _, pace in trials], "Int64"),
            "alone_seconds": [math.nan if pace is None else pace * steps for _, pace in trials],
        }
    )


def test_a_trial_takes_the_median_of_those_that_differ_by_the_rate_alone() -> None:
    trials = timed(("a", 1.0), ("a", 2.0), ("a", 9.0), ("b", 5.0), ("a", None), ("b", None))
    assert seconds_per_step(trials).tolist() == [2.0, 2.0, 2.0, 5.0, 2.0, 5.0]


def test_all_but_the_learning_rate_can_make_a_step_dearer() -> None:
    trials = timed(("a", 1.0), ("a", 2.0), ("a", 20.0), ("a", None), ("a", None), ("a", None))
    trials["param.scale"] = [1, 1, 5, 1, 5, 3]
    assert seconds_per_step(trials).tolist() == [1.5, 1.5, 20.0, 1.5, 20.0, 2.0]
    assert seconds_per_step(trials, without_itself=True).tolist() == [2.0, 1.0, 1.5, 1.5, 20.0, 2.0]


def test_where_none_has_its_text_parameters_all_of_them_count() -> None:
    assert seconds_per_step(timed(("a", 1.0), ("b", 2.0), ("b", 6.0), ("c", None))).tolist()[-1] == 2.0


def test_a_trial_that_is_left_out_says_nothing_of_itself() -> None:
    trials = timed(("a", 1.0), ("a", 3.0), ("b", 10.0), ("a", None))
    # The only one of b falls back on all others: the median of 1 and 3.
    assert seconds_per_step(trials, without_itself=True).tolist() == [3.0, 1.0, 2.0, 2.0]


def test_a_single_timing_can_not_be_left_out() -> None:
    found = seconds_per_step(timed(("a", 1.0), ("a", None)), without_itself=True).tolist()
    assert math.isnan(found[0])
    assert found[1] == 1.0


def test_numbers_and_no_parameters_make_no_kinds() -> None:
    trials = timed(("a", 1.0), ("b", 3.0), ("c", None)).drop(columns="param.optimizer")
    assert seconds_per_step(trials).tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("last", ["slow", "fast"])
def test_of_different_devices_the_commonest_alone_counts(last: str) -> None:
    rows = pa.table({"steps": [10, 10, 10], "seconds": [1.0, 7.0, 3.0], "device": ["fast", "slow", last]})
    trials = pa.table({"param.o": ["a"] * 3, "steps_to_target": [10] * 3, "seconds_to_target": pa.nulls(3)})
    found = with_predictions(trials, rows, [0, 1, 2]).to_pandas()
    assert set(found[ALONE_DEVICE].dropna()) == {last}
    assert found[ALONE_SECONDS].notna().sum() == 2
    assert found["predicted_seconds_to_target"].tolist() == pytest.approx([5.0 if last == "slow" else 2.0] * 3)
