"""Predicted seconds to the target, for trials that had company: how they come about, and how far off they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from kgen.analysis.text import listing, number, plural
from kgen.results.alone import (
    ALONE_DEVICE,
    ALONE_SECONDS,
    ALONE_STEPS,
    PREDICTED_SECONDS_TO_TARGET,
    seconds_per_step,
    text_parameters,
)
from kgen.results.rows import PARAMETER_PREFIX
from kgen.spec import Timing

PREDICTED_SECONDS: Final = "predicted_seconds"
"""Column of this package alone: what all steps of a trial would take, so that one that was capped is censored there."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What predicted seconds rest on, and their error on the very trials that were trained alone."""

    trials: int
    """Trials that were trained alone as well."""
    device: str
    """Which they had to themselves."""
    by: tuple[str, ...]
    """Text parameters for whose values seconds per step are taken apart."""
    median_error: float | None
    """Of what is predicted for each of them from the others, against its own counted seconds, as a share of these;
    ``None`` with a single one, which has no others."""
    worst_error: float | None
    other_steps: int
    """How many of them took other steps alone than in company; that is in the errors."""

    @property
    def rule(self) -> str:
        """How a predicted time comes about, as a clause."""
        alone = f"{plural(self.trials, 'trial')} trained alone{f' on {self.device}' if self.device else ''}"
        return f"steps × the median of seconds per step of {alone}{f', per {listing(self.by)}' if self.by else ''}"

    @property
    def error(self) -> str:
        """How far off it is, as a sentence."""
        if self.median_error is None or self.worst_error is None:
            return "How far off they are can't be told from a single trial."
        steps = f", of which {self.other_steps:,} took other steps alone" if self.other_steps else ""
        return (
            "Predicting each trial that was trained alone from the others is off by "
            f"{_share(self.median_error)} in the median and {_share(self.worst_error)} at worst "
            f"({plural(self.trials, 'trial')}{steps})."
        )

    @property
    def said(self) -> str:
        """Both, for whoever reads the answer."""
        return f"Predicted seconds are {self.rule}. {self.error}"


def predict(trials: pd.DataFrame) -> Prediction | None:
    """What predicted seconds rest on; ``None`` where the collection found nothing to predict from."""
    if PREDICTED_SECONDS_TO_TARGET not in trials:
        return None
    timed = trials[trials[ALONE_SECONDS].notna()]
    if timed.empty or not (trials["timing"] != str(Timing.EXCLUSIVE)).fillna(True).any():  # those were of other stages
        return None
    error = _errors(trials).loc[timed.index].dropna()
    devices = timed[ALONE_DEVICE].dropna()
    return Prediction(
        trials=len(timed),
        device="" if devices.empty else str(devices.iloc[0]),
        by=tuple(name.removeprefix(PARAMETER_PREFIX) for name in text_parameters(trials) if trials[name].nunique() > 1),
        median_error=None if error.empty else float(error.median()),
        worst_error=None if error.empty else float(error.max()),
        other_steps=int((timed["steps"] != timed[ALONE_STEPS]).fillna(False).sum()),
    )


def with_predicted_seconds(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials with :data:`PREDICTED_SECONDS`."""
    return trials.assign(**{PREDICTED_SECONDS: _steps(trials) * seconds_per_step(trials)})


def _errors(trials: pd.DataFrame) -> pd.Series[float]:
    """Of each trial that was trained alone, leave one out: |predicted - counted| / counted, over its whole training."""
    counted = trials[ALONE_SECONDS].astype(float)
    return (_steps(trials) * seconds_per_step(trials, without_itself=True) - counted).abs() / counted


def _steps(trials: pd.DataFrame) -> pd.Series[float]:
    return trials["steps"].astype("Float64").astype(float).replace(np.inf, np.nan)


def _share(error: float) -> str:
    return f"{number(100 * error, 2)} %"
