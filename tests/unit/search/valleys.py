"""Searches over made-up valleys: a trainer as a formula, and whoever trains what is asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kgen.analysis import Status
from kgen.analysis.smooth import smooth
from kgen.analysis.told import believed
from kgen.search import Ask, Tried, ask
from kgen.search.halving import latest
from kgen.search.space import groups_of
from kgen.spec import Goal, Value
from kgen.sweep import loads
from kgen.sweep.sweepspec import Stage

ONE = "{learning_rate: {log: {start: 1e-6, stop: 100}}}"
TWO = "[{optimizer: [sgd], learning_rate: {log: {start: 1e-4, stop: 100}}}, \
{optimizer: [adam], learning_rate: {log: {start: 1e-6, stop: 0.1}}}]"
CAP = 2000

Train = Callable[[Mapping[str, Value], int, int], Tried]
"""Point, seed, steps of the budget → its trial."""


def search_stage(
    search: str, parameters: str = ONE, *, more: str = "", budget: str = f"{{target: {{accuracy: 0.9}}, steps: {CAP}}}"
) -> Stage:
    """The stage of a file with that search; of halving, which trains whole rungs, without ``parallel``."""
    if "halving" in search:
        search = re.sub(r", parallel: \d+", "", search)
    text = f"version: 1\nname: valley\nseed: 7\n{more}parameters: {parameters}\nsearch: {search}\nbudget: {budget}\n"
    (stage,) = loads(text).stages
    return stage


@dataclass(frozen=True)
class Valley:
    """Learning curves of networks that learn in proportion to their rate, are best at one and diverge far above it."""

    best: Mapping[str, float]
    """The best rate by optimizer; that of ``""`` where there is none."""
    fastest: int = 500
    """Steps to the target at the best rate."""

    def needed(self, point: Mapping[str, Value]) -> float:
        """Steps to the target; infinite where training diverges."""
        above = math.log10(float(point["learning_rate"]) / self.best[str(point.get("optimizer", ""))])
        if above > 0.6:
            return math.inf
        return float(self.fastest * 10 ** (above**2 if above > 0 else 0.9 * above**2 / (0.4 - above)))

    def __call__(self, point: Mapping[str, Value], seed: int, steps: int) -> Tried:
        needed = self.needed(point)
        if math.isinf(needed):
            curve = {"accuracy": [(50, 0.1), (100, 0.1)]}
            return Tried(point, seed, steps, Status.DIVERGED, None, 100, 1.0, 0.1, curve=curve)
        spent = min(math.ceil(needed / 50) * 50, steps)
        curve = {
            "accuracy": [(step, 0.1 + 0.8 * (1 - math.exp(-9 * step / needed))) for step in range(50, spent + 1, 50)]
        }
        reached = needed <= steps
        status, value = (Status.REACHED, float(spent)) if reached else (Status.CAPPED, None)
        return Tried(point, seed, steps, status, value, spent, spent / 100, curve["accuracy"][-1][1], curve=curve)


def searched(stage: Stage, train: Train, tried: list[Tried] | None = None) -> list[Tried]:
    """All trials of a search, from those that are there to its end."""
    done = [] if tried is None else list(tried)
    while isinstance(answer := ask(stage, done), Ask):
        assert answer.points, "nothing is pending, so there is nothing to wait for"
        for point in answer.points:
            done += [train(point, seed, answer.steps or CAP) for seed in stage.base.seeds]
        assert len(done) < 500, "it never ends"
    return done


def rates(tried: Sequence[Tried]) -> list[float]:
    """In their order."""
    return [float(one.parameters["learning_rate"]) for one in tried]


def recommended(stage: Stage, tried: Sequence[Tried]) -> list[Mapping[str, Value]]:
    """The best point of each group by what ``kgen recommend`` says of a search by bisection; without groups in which
    nothing works."""
    assert stage.search is not None
    found = []
    for group in groups_of(stage.search):
        mine = [one for one in latest(tried) if group.has(one.parameters) and one.complete]
        places = [math.log10(rate) for rate in rates(mine)]
        base = stage.base
        sign = -1.0 if base.objective.goal is Goal.MAXIMIZE else 1.0
        values = [math.inf if one.value is None else sign * one.value for one in mine]
        is_time = base.objective.is_time
        lean = believed(mine, places, base.budget, base.objective).expected if is_time and mine else None
        valley = smooth(np.array(places), np.array(values), cap=CAP, lean=lean, log=is_time)
        if valley.best is not None:
            found.append(mine[places.index(float(valley.positions[valley.best]))].parameters)
    return found
