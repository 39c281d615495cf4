"""Which parameter of a sweep lies on x, which one makes the lines, and which are spread within a point.

Found from the sweep's own parameters, so that a sweep of anything gets a sensible report.
"""

from __future__ import annotations

import decimal
import enum
import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from kgen.analysis.text import distinct
from kgen.results.rows import PARAMETER_PREFIX
from kgen.spec import Value, text_of
from kgen.sweep.space import LOG_SPAN

MOST_LINES: Final = 12
"""More lines than this can't be told apart in one figure."""
_PAIR: Final = 2
NOT_SET: Final = "not set"
"""Label of trials that do not have the parameter, where a sweep lists alternatives."""


class Kind(enum.StrEnum):
    """What a parameter's values are."""

    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"


class Scale(enum.StrEnum):
    """How an axis is divided."""

    LINEAR = "linear"
    LOG = "log"
    CATEGORY = "category"


NO_SCALES: Final[Mapping[str, Scale]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the sweep, with the values that its trials have.

    A value's place in ``values`` is its code. ``optional`` means that some trials do not have the parameter; these
    have the code ``len(values)`` and the value ``None``.
    """

    name: str
    kind: Kind
    values: tuple[Value | None, ...]
    """Numbers ascending, anything else in the order of the sweep file; ``None`` last."""
    labels: tuple[str, ...]
    scale: Scale
    positions: tuple[float, ...]
    """Where each value lies on an axis: the number itself, or its place in the list; NaN where it has none."""

    @property
    def column(self) -> str:
        """Its column in the trials' table."""
        return PARAMETER_PREFIX + self.name

    def described(self, code: int) -> str:
        """A value that can stand alone: text as it is, anything else with the parameter's name."""
        text = self.labels[code]
        return text if self.kind is Kind.TEXT and self.values[code] is not None else f"{self.name} = {text}"

    def codes(self, trials: pd.DataFrame) -> npt.NDArray[np.int64]:
        """The code of every trial's value."""
        code = {value: index for index, value in enumerate(self.values)}
        return np.array([code[value] for value in plain(trials[self.column])], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Roles:
    """What each parameter does in tables and figures."""

    x: Parameter | None
    """On the horizontal axis; ``None`` when nothing varies."""
    group: Parameter | None
    """One line, and one line of the summary, for each of its values; ``None`` for a single line."""
    spread: tuple[Parameter, ...]
    """Varying, but neither of the two: its trials share a point."""
    fixed: tuple[Parameter, ...]
    """With a single value."""
    seeds: int
    """How many different seeds there are: 1 means no repeats."""


def assign_roles(trials: pd.DataFrame, scales: Mapping[str, Scale] = NO_SCALES) -> Roles:
    """Roles from the trials' own parameters, in the sweep's order; ``scales``: of those whose axis the file says.

    x: the number with most values (else the category with most). Lines: the category with most values among those
    with at most :data:`MOST_LINES`, else the smallest category, else a second number with at most as many values.
    """
    columns = [str(name) for name in trials.columns if str(name).startswith(PARAMETER_PREFIX)]
    parameters = [parameter_of(name.removeprefix(PARAMETER_PREFIX), trials[name], scales) for name in columns]
    varying = [parameter for parameter in parameters if len(parameter.values) > 1]
    numeric = [parameter for parameter in varying if parameter.kind is Kind.NUMBER]
    x = max(numeric or varying, key=_size, default=None)
    rest = [parameter for parameter in varying if parameter is not x]
    group = _group(rest)
    return Roles(
        x=x,
        group=group,
        spread=tuple(parameter for parameter in rest if parameter is not group),
        fixed=tuple(parameter for parameter in parameters if len(parameter.values) == 1),
        seeds=int(trials["seed"].nunique()),
    )


def _size(parameter: Parameter) -> int:
    return len(parameter.values)


def _group(candidates: list[Parameter]) -> Parameter | None:
    categories = [parameter for parameter in candidates if parameter.kind is not Kind.NUMBER]
    few = [parameter for parameter in categories if _size(parameter) <= MOST_LINES]
    if few:
        return max(few, key=_size)
    if categories:
        return min(categories, key=_size)
    return max((p for p in candidates if _size(p) <= MOST_LINES), key=_size, default=None)


def plain(column: pd.Series[Any]) -> list[Any]:
    """Python values; every kind of null becomes ``None``, and a decimal (an integer beyond 64 bits) an int."""
    values = [None if null else value for value, null in zip(column.tolist(), column.isna().tolist(), strict=True)]
    return [int(value) if isinstance(value, decimal.Decimal) else value for value in values]


def parameter_of(name: str, column: pd.Series[Any], scales: Mapping[str, Scale] = NO_SCALES) -> Parameter:
    """One parameter from its column in the trials' table; ``scales`` as of :func:`assign_roles`."""
    everything = dict.fromkeys(plain(column))
    values = [value for value in everything if value is not None]
    kind = _kind(values)
    if kind is Kind.NUMBER:
        values.sort()
    labels = list(distinct(values)) if kind is Kind.NUMBER else [text_of(value) for value in values]
    scale = _scale(kind, values, scales.get(name))
    if None in everything:
        values.append(None)
        labels.append(NOT_SET)
    positions = tuple(_position(scale, index, value) for index, value in enumerate(values))
    return Parameter(name, kind, tuple(values), tuple(labels), scale, positions)


def _position(scale: Scale, index: int, value: Any) -> float:
    if scale is Scale.CATEGORY:
        return float(index)
    return float(value) if value is not None and math.isfinite(value) else math.nan


def _kind(values: list[Any]) -> Kind:
    if values and all(isinstance(value, bool) for value in values):
        return Kind.BOOLEAN
    if values and all(isinstance(value, numbers.Number) for value in values):
        return Kind.NUMBER
    return Kind.TEXT


def _scale(kind: Kind, values: list[Any], said: Scale | None) -> Scale:
    if kind is not Kind.NUMBER:
        return Scale.CATEGORY
    finite = [value for value in values if math.isfinite(value)]
    if not finite or finite[0] <= 0:
        return Scale.LINEAR
    if said is not None:
        return said
    far = finite[-1] / finite[0] >= LOG_SPAN
    return Scale.LOG if far or (len(finite) > _PAIR and _by_factors(finite)) else Scale.LINEAR


def _by_factors(ascending: list[Any]) -> bool:
    """Whether the steps between three or more positive values are more alike as factors than as differences."""
    factors = np.array([math.log(b / a) for a, b in pairwise(ascending)])
    steps = np.diff(np.array(ascending, float))
    return bool(factors.std() / factors.mean() < steps.std() / steps.mean())
