"""What a sweep's trials are compared by: a time to the target, or a metric."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from kgen.analysis.predicted import PREDICTED_SECONDS, Prediction
from kgen.analysis.text import listing, number, plural
from kgen.results.alone import PREDICTED_SECONDS_TO_TARGET
from kgen.spec import SECONDS_TO_TARGET, STEPS_TO_TARGET, At, Budget, Goal, Objective, Timing


@dataclass(frozen=True, slots=True)
class Measure:
    """One number per trial, and the words for it."""

    column: str
    """Its column in the trials' table, and its name in the summary."""
    label: str
    """With its unit, as an axis says it."""
    event: str
    """Of a time: what ends it. Of a metric: its name."""
    unit: str
    """Behind a number in a sentence; empty for a metric."""
    spent: str | None
    """Of a time: the column that says how far a trial went, in the same unit. ``None`` for a metric."""
    goal: Goal
    cap: float | None
    """Of a time: the budget in that unit, where one is set."""
    source: str = ""
    """Of a time: where its numbers come from, in a sentence."""

    @property
    def is_time(self) -> bool:
        """A time to an event, which can be censored; else a metric."""
        return self.spent is not None

    @property
    def first(self) -> str:
        """The word for the one that does best."""
        return "fastest" if self.is_time else "best"

    @property
    def last(self) -> str:
        """The word for the one that does worst."""
        return "slowest" if self.is_time else "worst"

    @property
    def sign(self) -> float:
        """Factor that makes smaller better."""
        return -1.0 if self.goal is Goal.MAXIMIZE and not self.is_time else 1.0

    def said(self, value: float) -> str:
        """A value of it in a sentence."""
        return f"{number(value)} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Choice:
    """The measures that a report shows, the one that decides first, and why another is not among them."""

    measures: tuple[Measure, ...]
    remarks: tuple[str, ...]


def choose_measures(
    trials: pd.DataFrame, objective: Objective, budget: Budget, prediction: Prediction | None = None
) -> Choice:
    """The objective's own measure, and beside a time to the target the other clock where it is valid.

    Steps are the same on every machine. Seconds are compared only between trials that had their device to
    themselves, ran in one go, and ran on the same kind of device; where some had not, predicted ones take their place
    if there is a prediction.
    """
    if not objective.is_time:
        return Choice((_metric(objective),), ())
    steps, seconds = _time(STEPS_TO_TARGET, budget), _time(SECONDS_TO_TARGET, budget)
    counted = trials[trials["status"].isin(["reached", "capped", "diverged"])]
    doubts = _doubts(counted)
    if objective.needs_exclusive:
        if not counted.empty and not comparable_seconds(counted).any():
            return Choice((steps,), (f"No seconds can be compared ({listing(doubts)}): steps are compared instead.",))
        care = "trials that shared a program or a device or went on from a checkpoint are in no statistic of seconds"
        remarks = (f"Seconds are to be read with care: {listing(doubts)}; {care}.",) if doubts else ()
        return Choice((seconds, steps), remarks)
    if doubts:
        said = f"Seconds are not compared: {listing(doubts)}. Steps are the same on every machine."
        if prediction is None:
            return Choice((steps,), (said,))
        return Choice((steps, _predicted(prediction, budget)), (said, prediction.said))
    return Choice((steps,) if counted.empty else (steps, seconds), ())


def comparable_seconds(trials: pd.DataFrame) -> pd.Series[bool]:
    """Which trials had their device to themselves and ran in one go."""
    exclusive = trials["timing"].eq(str(Timing.EXCLUSIVE)).fillna(False).astype(bool)
    return exclusive & trials["resumed_from_step"].isna()


def _doubts(counted: pd.DataFrame) -> list[str]:
    doubts = []
    shared = int((counted["timing"] != str(Timing.EXCLUSIVE)).fillna(True).sum())
    resumed = int(counted["resumed_from_step"].notna().sum())
    devices = sorted(counted["device"].dropna().unique())
    if shared:
        doubts.append(f"{shared:,} of {plural(len(counted), 'trial')} shared a program or a device with others")
    if resumed:
        doubts.append(f"{resumed:,} went on from a checkpoint")
    if len(devices) > 1:
        doubts.append(f"trials ran on {len(devices)} kinds of device ({listing(devices)})")
    return doubts


def _time(column: str, budget: Budget) -> Measure:
    event = "the target" if budget.target is None else str(budget.target)
    if column == STEPS_TO_TARGET:
        steps = "Steps are counted, and the same on every machine."
        return Measure(column, f"steps to {event}", event, "steps", "steps", Goal.MINIMIZE, budget.steps, steps)
    label, source = f"counted seconds to {event}", "Seconds are measured, each trial alone on its device."
    return Measure(column, label, event, "s", "seconds", Goal.MINIMIZE, budget.seconds, source)


def _predicted(prediction: Prediction, budget: Budget) -> Measure:
    event = "the target" if budget.target is None else str(budget.target)
    source = f"Seconds are predicted, not measured: {prediction.rule}."
    label, spent = f"predicted seconds to {event}", PREDICTED_SECONDS
    return Measure(PREDICTED_SECONDS_TO_TARGET, label, event, "s", spent, Goal.MINIMIZE, None, source)


def column_of(objective: Objective) -> str:
    """Column of the trials' table with the objective's values."""
    if objective.is_time:
        return objective.metric
    if objective.at is At.FINAL:
        return f"final.{objective.metric}"
    return f"{'max' if objective.goal is Goal.MAXIMIZE else 'min'}.{objective.metric}"


def _metric(objective: Objective) -> Measure:
    name, which = objective.metric, "final" if objective.at is At.FINAL else "best"
    return Measure(column_of(objective), f"{which} {name}", name, "", None, objective.goal, None)
