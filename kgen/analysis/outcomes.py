"""What each trial contributes to a measure: a value, a censored time, or nothing."""

from __future__ import annotations

import enum
from typing import Any, Final

import numpy as np
import pandas as pd

from kgen.analysis.measure import Measure, comparable_seconds
from kgen.spec import SECONDS_TO_TARGET


class Status(enum.StrEnum):
    """What became of a trial that the sweep expects: the column ``status`` of the trials' table."""

    REACHED = "reached"
    CAPPED = "capped"
    DIVERGED = "diverged"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    MISSING = "missing"


COMPLETE: Final = (Status.REACHED, Status.CAPPED, Status.DIVERGED, Status.FINISHED)
"""Statuses of trials that left a result."""


class Mark(enum.StrEnum):
    """What a trial is to one measure, and so how a figure shows it."""

    MEASURED = "measured"
    """It has a value."""
    CAPPED = "capped"
    """Its budget ended before the target: right-censored where it stopped."""
    DIVERGED = "diverged"
    """Not a number, infinite or provably dead: it is known never to get there, or counts as worse than any value."""
    FAILED = "failed"
    """It crashed: says nothing about its parameters' time, and is left out of every statistic."""
    ABSENT = "absent"
    """Missing or interrupted: no result yet; left out likewise."""
    NO_VALUE = "no value"
    """Complete, but without a comparable value of this measure; left out likewise."""


COUNTED: Final = (Mark.MEASURED, Mark.CAPPED, Mark.DIVERGED)
"""Marks of trials that enter the statistics."""

_OF_TIME: Final = {
    Status.REACHED: Mark.MEASURED,
    Status.CAPPED: Mark.CAPPED,
    Status.DIVERGED: Mark.DIVERGED,
    Status.FINISHED: Mark.NO_VALUE,
    Status.FAILED: Mark.FAILED,
    Status.INTERRUPTED: Mark.ABSENT,
    Status.MISSING: Mark.ABSENT,
}
_OF_METRIC: Final = {**_OF_TIME, Status.CAPPED: Mark.MEASURED, Status.FINISHED: Mark.MEASURED}


def observe(trials: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """One line per trial, in the trials' order, with its ``mark`` and two numbers.

    ``value`` is the measure where it is measured, else NaN. ``stopped`` is what a survival estimate takes, smaller
    being better: the value, the time at which a capped trial was stopped, or infinity for one that diverged.
    """
    marks = trials["status"].map(lambda status: (_OF_TIME if measure.is_time else _OF_METRIC)[Status(status)])
    value = _floats(trials, measure.column)
    stopped = _floats(trials, measure.spent) if measure.spent else value
    if measure.column == SECONDS_TO_TARGET:
        timed = comparable_seconds(trials)
        value, stopped = value.where(timed), stopped.where(timed)
    lost = (marks.eq(Mark.MEASURED) & ~np.isfinite(value)) | (marks.eq(Mark.CAPPED) & ~np.isfinite(stopped))
    marks = marks.mask(lost, Mark.NO_VALUE)
    measured = marks.eq(Mark.MEASURED)
    stopped = stopped.mask(measured, measure.sign * value).mask(marks.eq(Mark.DIVERGED), np.inf)
    return pd.DataFrame({"mark": marks, "value": value.where(measured), "stopped": stopped})


def _floats(trials: pd.DataFrame, column: str) -> pd.Series[Any]:
    if column not in trials:
        return pd.Series(np.nan, index=trials.index, dtype=float)
    return trials[column].astype("Float64").astype(float)
