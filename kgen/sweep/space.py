"""The values of one parameter: lists, linear and logarithmic grids, whole numbers. Exact, in decimal arithmetic.

The ends of a grid are the written numbers and each point between them is the double nearest to the true value:
``10**(k/6)`` correctly rounded, not what repeated multiplication makes of it.
"""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from kgen.spec import Value, WrittenFloat, text_of

MAX_VALUES: Final = 100_000
"""Values of one parameter."""
_PRECISION: Final = 60  # digits; a double needs 17, and correct rounding of an irrational a few more than twice that


class SpaceError(ValueError):
    """A grid that can't be made; ``field`` is the part of it that is wrong."""

    def __init__(self, field: str, found: str, allowed: str) -> None:
        self.field, self.found, self.allowed = field, found, allowed
        super().__init__(f"{field}: found {found}, allowed {allowed}")


def exact(value: Value) -> Decimal:
    """The number as written, not as rounded to a double."""
    return Decimal(value.text if isinstance(value, WrittenFloat) else repr(value))



def linear(start: Value, stop: Value, *, num: int | None = None, step: Value | None = None) -> tuple[Value, ...]:
    """Evenly spaced values, both ends included.

    Raises SpaceError when the step does not lead from start to stop, or the grid is too large.
    """
    with decimal.localcontext() as context:
        context.prec = _PRECISION
        first, last = exact(start), exact(stop)
        if num is None:
            assert step is not None
            if exact(step) == 0 or (last - first) / exact(step) < 0:
                raise SpaceError("step", text_of(step), "a step that leads from start to stop")
            steps = (last - first) / exact(step)
            if steps != steps.to_integral_value():
                reach = first + steps.to_integral_value(decimal.ROUND_FLOOR) * exact(step)
                raise SpaceError("stop", text_of(stop), f"a whole number of steps from start, such as {reach.normalize():f}")
            num = _count("step", steps + 1)
        middle = [float(first + (last - first) * i / (num - 1)) for i in range(1, num - 1)]
    return _with_ends(start, middle, stop, num)


def log(start: Value, stop: Value, *, num: int | None = None, per_decade: int | None = None) -> tuple[Value, ...]:
    """Logarithmically spaced values, both ends included: ``num`` in all, or ``per_decade`` for each factor of ten.

    Raises SpaceError when an end is not positive, the stop is no whole number of steps away, or it is too large.
    """
    for name, value in (("start", start), ("stop", stop)):
        if exact(value) <= 0:
            raise SpaceError(name, text_of(value), "a number above 0, because the scale is logarithmic")
    with decimal.localcontext() as context:
        context.prec = _PRECISION
        first, last = exact(start), exact(stop)
        if per_decade is None:
            assert num is not None
            ratio = last / first
            middle = [float(first * ratio ** (Decimal(i) / (num - 1))) for i in range(1, num - 1)]
            return _with_ends(start, middle, stop, num)
        steps = (last / first).log10() * per_decade
        whole = steps.to_integral_value(decimal.ROUND_HALF_EVEN)
        sign = 1 if whole >= 0 else -1
        num = _count("per_decade", abs(whole) + 1)
        if abs(steps - whole) > Decimal("1e-12"):
            near = first * Decimal(10) ** (whole / per_decade)
            raise SpaceError("stop", text_of(stop), f"start times a power of 10**(1/{per_decade}), such as {float(near)!r}")
        middle = [float(first * Decimal(10) ** (Decimal(sign * k) / per_decade)) for k in range(1, num - 1)]
    return _with_ends(start, middle, stop, num)


def _count(field: str, count: Decimal) -> int:
    if count > MAX_VALUES:
        raise SpaceError(field, f"a grid of {count:.3g} values", f"at most {MAX_VALUES:,} values")
    return int(count)


def _with_ends(start: Value, middle: Sequence[float], stop: Value, num: int) -> tuple[Value, ...]:
    if num == 1:
        return (start,)
    return same_type((start, *middle, stop))


def whole(start: int, stop: int, step: int = 1) -> tuple[Value, ...]:
    """Whole numbers from start to stop, both included. Raises SpaceError when the step does not meet stop."""
    if step == 0 or (stop - start) * step < 0:
        raise SpaceError("step", str(step), "a step that leads from start to stop")
    if (stop - start) % step:
        raise SpaceError("stop", str(stop), f"a whole number of steps from start, such as {stop - (stop - start) % step}")
    if (stop - start) // step >= MAX_VALUES:
        raise SpaceError("step", f"a grid of {(stop - start) // step + 1:,} values", f"at most {MAX_VALUES:,} values")
    return tuple(range(start, stop + (1 if step > 0 else -1), step))


def same_type(values: Sequence[Value]) -> tuple[Value, ...]:
    """Whole numbers among floats become floats (``[0.1, 1, 10]``), so that a trainer sees one type."""
    if not any(isinstance(value, float) for value in values):
        return tuple(values)
    return tuple(
        WrittenFloat(str(v)) if isinstance(v, int) and not isinstance(v, bool) and abs(v) <= 2**53 else v for v in values
    )


def without(values: Sequence[Value], removed: Sequence[Value]) -> tuple[Value, ...]:
    """The values but for those named. Raises SpaceError for a name that is no value, or when nothing is left."""
    for i, gone in enumerate(removed):
        if not any(is_same(gone, value) for value in values):
            raise SpaceError(f"except[{i}]", text_of(gone), _nearest(gone, values))
    left = tuple(value for value in values if not any(is_same(gone, value) for gone in removed))
    if not left:
        raise SpaceError("except", "every value", "at least one value left")
    return left


def is_same(a: Value, b: Value) -> bool:
    """Equal, where a truth value is not a number (Python takes ``True == 1``)."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _nearest(gone: Value, values: Sequence[Value]) -> str:
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if numbers and isinstance(gone, int | float):
        nearest = min(numbers, key=lambda v: abs(v - gone))
        return f"a value of the grid, the nearest is {text_of(nearest)}"
    return f"a value of the list: {', '.join(text_of(v) for v in values[:12])}"
