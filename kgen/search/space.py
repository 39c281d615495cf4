"""What a search may choose from: its groups, their alternatives, and the axes of these, each from 0 to 1."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kgen.spec import Value, text_of, written
from kgen.sweep.space import identity, is_logarithmic
from kgen.sweep.sweepspec import Dimension, Range, Search, Spacing

_FINE: Final = 240
"""Places in a continuous range among which a method picks."""

Point = Mapping[str, Value]
Key = frozenset[tuple[str, tuple[bool, Value]]]
"""A point as something that sets can hold."""


def key_of(point: Point) -> Key:
    """Two points with one key are the same trial."""
    return frozenset((name, identity(value)) for name, value in point.items())


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter to choose, measured from 0 to 1."""

    name: str
    values: tuple[Value, ...]
    """The only ones allowed; empty in a continuous range."""
    spacing: Spacing | None
    """``None``: categories, between which there is nothing."""
    low: float
    high: float
    """Ends, as logarithms to base 10 where the spacing is logarithmic."""

    @property
    def span(self) -> float:
        """In decades on a logarithmic axis; 0 for categories."""
        return self.high - self.low if self.spacing is Spacing.LOG else 0.0

    def position(self, value: Value) -> float:
        """Of a value: 0 at one end, 1 at the other, beyond them for one that is outside; NaN for a foreign one."""
        if self.spacing is None:
            place = self.number(value)
            return math.nan if place is None else (place + 0.5) / len(self.values)
        if isinstance(value, str | bool) or (self.spacing is Spacing.LOG and value <= 0):
            return math.nan
        number = math.log10(value) if self.spacing is Spacing.LOG else float(value)
        return (number - self.low) / (self.high - self.low) if self.high > self.low else 0.5

    def number(self, value: Value) -> int | None:
        """Which of the values that is; ``None`` for a foreign one."""
        same = (i for i, known in enumerate(self.values) if identity(known) == identity(value))
        return next(same, None)

    def at(self, position: float) -> Value:
        """The value there, or the nearest that is allowed; a made-up float has four significant digits."""
        if self.spacing is None:
            return self.values[min(int(position * len(self.values)), len(self.values) - 1)]
        if self.values:
            return min(self.values, key=lambda value: abs(self.position(value) - position))
        number = self.low + position * (self.high - self.low)
        if self.spacing is Spacing.INT:
            return round(number)
        return written(10**number if self.spacing is Spacing.LOG else number)

    @property
    def choices(self) -> tuple[Value, ...]:
        """All values, or so many of a continuous range that none is missed."""
        if self.values:
            return self.values
        if self.spacing is Spacing.INT and self.high - self.low < _FINE:
            return tuple(range(int(self.low), int(self.high) + 1))
        return tuple(dict.fromkeys(self.at(place) for place in np.linspace(0, 1, _FINE + 1).tolist()))


@dataclass(frozen=True, slots=True)
class Space:
    """One alternative: what is fixed in it, and what there is to choose."""

    fixed: Point
    axes: tuple[Axis, ...]

    @property
    def size(self) -> float:
        """How many points it has; infinite with a continuous range."""
        return math.prod(len(axis.values) or math.inf for axis in self.axes)

    def point(self, positions: Sequence[float]) -> Point:
        """The point at these positions, one for each axis."""
        return {**self.fixed, **{axis.name: axis.at(place) for axis, place in zip(self.axes, positions, strict=True)}}

    def positions(self, point: Point) -> npt.NDArray[np.float64] | None:
        """Of a point on the axes; ``None`` for one of another alternative."""
        if point.keys() != {*self.fixed, *(axis.name for axis in self.axes)}:
            return None
        if any(identity(point[name]) != identity(value) for name, value in self.fixed.items()):
            return None
        found = np.array([axis.position(point[axis.name]) for axis in self.axes])
        return None if np.isnan(found).any() else found


@dataclass(frozen=True, slots=True)
class Group:
    """One combination of the values of ``per``: a search of its own."""

    number: int
    values: Point
    spaces: tuple[Space, ...]

    @property
    def label(self) -> str:
        """For a person; empty where there is one group."""
        return ", ".join(
            value if isinstance(value, str) else f"{name} = {text_of(value)}" for name, value in self.values.items()
        )

    @property
    def size(self) -> float:
        """How many points it has; infinite with a continuous range."""
        return sum(space.size for space in self.spaces)

    def has(self, point: Point) -> bool:
        """Whether the point is one of this group's."""
        return key_of(self.values) <= key_of(point)


def groups_of(search: Search) -> tuple[Group, ...]:
    """In the order of the file."""
    found: dict[Key, tuple[Point, list[Space]]] = {}
    for alternative in search.spaces:
        names = [name for name in search.per if name in alternative]
        for chosen in itertools.product(*(_listed(alternative[name]) for name in names)):
            values = dict(zip(names, chosen, strict=True))
            _, spaces = found.setdefault(key_of(values), (values, []))
            spaces.append(_space(alternative, values))
    return tuple(Group(i, values, tuple(spaces)) for i, (values, spaces) in enumerate(found.values()))


def _listed(dimension: Dimension) -> Iterable[Value]:
    if isinstance(dimension, Range):
        raise TypeError("a continuous range can make no groups")
    return dimension


def _space(alternative: Mapping[str, Dimension], values: Point) -> Space:
    fixed: dict[str, Value] = {}
    axes: list[Axis] = []
    for name, dimension in alternative.items():
        if name in values:
            fixed[name] = values[name]
        elif isinstance(dimension, Range):
            axes.append(_continuous(name, dimension))
        elif len(dimension) == 1:
            fixed[name] = dimension[0]
        else:
            axes.append(_held(name, dimension))
    return Space(fixed, tuple(axes))


def _continuous(name: str, ends: Range) -> Axis:
    low, high = float(ends.start), float(ends.stop)
    if ends.spacing is Spacing.LOG:
        low, high = math.log10(low), math.log10(high)
    return Axis(name, (), ends.spacing, low, high)


def _held(name: str, values: tuple[Value, ...]) -> Axis:
    numbers = [value for value in values if not isinstance(value, str | bool)]
    if len(numbers) < len(values):
        return Axis(name, values, None, 0.0, 1.0)
    low, high = float(min(numbers)), float(max(numbers))
    if is_logarithmic(numbers):
        return Axis(name, tuple(sorted(numbers)), Spacing.LOG, math.log10(low), math.log10(high))
    return Axis(name, tuple(sorted(numbers)), Spacing.LINEAR, low, high)
