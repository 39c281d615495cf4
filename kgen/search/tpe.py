"""Tree-structured Parzen estimator, by Optuna: its study is made anew from the trials at every call, in memory.

J. Bergstra, R. Bardenet, Y. Bengio, B. Kégl (2011), "Algorithms for hyper-parameter optimization", NeurIPS 24.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kgen.analysis.evidence import Evidence
from kgen.analysis.tried import Tried
from kgen.errors import MissingExtraError
from kgen.search.space import Axis, Group, Point, key_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial

_ALTERNATIVE = "alternative"
_STARTUP = 4
"""Trials of a group before the estimator says anything: Optuna's own 10 would be nearly all of a small search."""
_TRIES = 20


def tpe_points(
    group: Group, known: Sequence[Evidence], pending: Sequence[Tried], wanted: int, seed: int
) -> list[Point]:
    """So many points that are neither known nor pending; fewer where Optuna finds no more.

    Pending trials count as bad ones (constant liar), so that points asked for together lie apart. Raises
    MissingExtraError without Optuna.
    """
    try:
        import optuna
        from optuna.trial import TrialState
    except ImportError:
        raise MissingExtraError("the search method tpe", "search") from None
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            several = len(group.spaces) > 1
            sampler = optuna.samplers.TPESampler(
                n_startup_trials=_STARTUP, multivariate=True, group=several, constant_liar=True, seed=seed
            )
            study = optuna.create_study(sampler=sampler)
            for one in known:
                for trial in _frozen(group, one.tried.parameters, TrialState.COMPLETE, one.at):
                    study.add_trial(trial)
            for waiting in pending:
                for trial in _frozen(group, waiting.parameters, TrialState.RUNNING, None):
                    study.add_trial(trial)
            seen = {key_of(one.tried.parameters) for one in known} | {key_of(one.parameters) for one in pending}
            out: list[Point] = []
            for _ in range(_TRIES * wanted):
                point = _asked(study.ask(), group)
                if key_of(point) not in seen:
                    seen.add(key_of(point))
                    out.append(point)
                if len(out) == wanted:
                    break
            return out
    finally:
        optuna.logging.set_verbosity(verbosity)


def _asked(trial: Trial, group: Group) -> Point:
    number = 0
    if len(group.spaces) > 1:
        number = int(trial.suggest_categorical(_ALTERNATIVE, list(range(len(group.spaces)))))
    space = group.spaces[number]
    point: dict[str, Any] = dict(space.fixed)
    for axis in space.axes:
        name = _name(number, axis)
        if axis.spacing is None:
            point[axis.name] = axis.values[int(trial.suggest_categorical(name, list(range(len(axis.values)))))]
        else:
            point[axis.name] = axis.at(trial.suggest_float(name, 0.0, 1.0))
    return point


def _frozen(group: Group, point: Point, state: Any, value: float | None) -> list[FrozenTrial]:
    """The trial as Optuna's, in the alternative that it is of; none where the file no longer has one for it."""
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import create_trial

    for number, space in enumerate(group.spaces):
        places = space.positions(point)
        if places is None or (places < 0).any() or (places > 1).any():
            continue
        values: dict[str, Any] = {}
        kinds: dict[str, BaseDistribution] = {}
        if len(group.spaces) > 1:
            values[_ALTERNATIVE] = number
            kinds[_ALTERNATIVE] = CategoricalDistribution(list(range(len(group.spaces))))
        for axis, place in zip(space.axes, places.tolist(), strict=True):
            values[_name(number, axis)], kinds[_name(number, axis)] = _parameter(axis, point, place)
        return [create_trial(state=state, value=value, params=values, distributions=kinds)]
    return []


def _parameter(axis: Axis, point: Point, place: float) -> tuple[int | float, BaseDistribution]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if axis.spacing is None:
        number = axis.number(point[axis.name])
        assert number is not None, "a point of this space"
        return number, CategoricalDistribution(list(range(len(axis.values))))
    return place, FloatDistribution(0.0, 1.0)


def _name(number: int, axis: Axis) -> str:
    return f"{number}.{axis.name}"
