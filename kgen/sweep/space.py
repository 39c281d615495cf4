"""The values of one parameter: lists, linear and logarithmic grids, whole numbers. Exact, in decimal arithmetic.

The ends of a grid are the written numbers and each point between them is the double nearest to the true value:
``10**(k/6)`` correctly rounded, not what arithmetic with doubles makes of it.
"""

from __future__ import annotations

import bisect
import decimal
import itertools
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from kgen.spec import Value, WrittenFloat, text_of

MAX_VALUES: Final = 100_000
"""Values of one parameter."""
MAX_GRIDS: Final = 1_000_000
"""Values of all parameters of a sweep; more can't be fewer trials."""
LOG_SPAN: Final = 100.0
"""Two values of a parameter that lie two decades or more apart were chosen on a logarithmic grid, or should have
been."""
_PRECISION: Final = 60  # digits; correct rounding takes about 40, the errors of MAX_VALUES multiplications take 5 more


ABOVE_0: Final = "a number above 0, because the scale is logarithmic"

Mistake = tuple[str, str, tuple[str | int, ...]]
"""What was found, what is allowed, and the way to the part of the value that is wrong."""


class SpaceError(ValueError):
    """A grid that can't be made, and why."""

    def __init__(self, *mistakes: Mistake) -> None:
        self.mistakes = mistakes
        super().__init__("; ".join(f"found {found}, allowed {allowed}" for found, allowed, _ in mistakes))


def exact(value: Value) -> Decimal:
    """The number as written, not as rounded to a double."""
    if value == 0:  # in any spelling; its exponent may be more than Decimal takes
        return Decimal(0)
    return Decimal(value.text if isinstance(value, WrittenFloat) else repr(value))


def linear(start: Value, stop: Value, *, num: int | None = None, step: Value | None = None) -> tuple[Value, ...]:
    """Evenly spaced floats, both ends included.

    Raises SpaceError when the step does not lead from start to stop, or the grid is too large.
    """
    with decimal.localcontext() as context:
        context.prec = _PRECISION
        first, last = exact(start), exact(stop)
        if num is None:
            assert step is not None
            num = _count_steps(first, last, exact(step), start, stop, step)
        _check_ends(first, last, num)
        middle = [float(first + (last - first) * i / (num - 1)) for i in range(1, num - 1)]
    return _with_ends(start, middle, stop, num)


def _count_steps(first: Decimal, last: Decimal, width: Decimal, start: Value, stop: Value, step: Value) -> int:
    if width == 0 or (last - first) / width < 0:
        raise SpaceError((text_of(step), f"a step that leads from {text_of(start)} to {text_of(stop)}", ("step",)))
    steps = (last - first) / width
    num = _count("step", steps.to_integral_value(decimal.ROUND_FLOOR) + 1)
    if steps != num - 1:
        reach = f"{(first + (num - 1) * width).normalize():f}"
        raise SpaceError((text_of(stop), f"a whole number of steps from start, such as {reach}", ("stop",)))
    return num


def log(start: Value, stop: Value, *, num: int | None = None, per_decade: int | None = None) -> tuple[Value, ...]:
    """Logarithmically spaced floats, both ends included: ``num`` in all, or ``per_decade`` for each factor of ten.

    Raises SpaceError when an end is not positive, the stop is no whole number of steps away, or it is too large.
    """
    low = [(name, value) for name, value in (("start", start), ("stop", stop)) if exact(value) <= 0]
    if low:
        raise SpaceError(*((text_of(value), ABOVE_0, (name,)) for name, value in low))
    with decimal.localcontext() as context:
        context.prec = _PRECISION
        first, last = exact(start), exact(stop)
        if per_decade is None:
            assert num is not None
            _check_ends(first, last, num)
            factor = (last / first) ** (1 / Decimal(max(1, num - 1)))
        else:
            steps = (last / first).log10() * per_decade
            whole = steps.to_integral_value(decimal.ROUND_HALF_EVEN)
            num = _count("per_decade", abs(whole) + 1)
            if abs(steps - whole) > Decimal("1e-12"):
                near = text_of(float(first * Decimal(10) ** (whole / per_decade)))
                allowed = f"start times a power of 10**(1/{per_decade}), such as {near}"
                raise SpaceError((text_of(stop), allowed, ("stop",)))
            factor = Decimal(10) ** (Decimal(1 if whole > 0 else -1) / per_decade)
        factors = itertools.repeat(factor, max(0, num - 2))
        middle = [float(point) for point in itertools.accumulate(factors, lambda point, f: point * f, initial=first)]
    return _with_ends(start, middle[1:], stop, num)


def _count(field: str, count: Decimal) -> int:
    if count > MAX_VALUES:
        size = f"{count:,}" if count < 10 * MAX_VALUES else f"{count:.3g}"
        raise SpaceError((f"a grid of {size} values", f"at most {MAX_VALUES:,} values", (field,)))
    return int(count)


def _check_ends(first: Decimal, last: Decimal, num: int) -> None:
    if num == 1 and first != last:
        raise SpaceError(("1", "at least 2, because start and stop are both among the values", ("num",)))


def _with_ends(start: Value, middle: Sequence[float], stop: Value, num: int) -> tuple[Value, ...]:
    return (as_float(start),) if num == 1 else (as_float(start), *middle, as_float(stop))


def whole(start: int, stop: int, step: int = 1) -> tuple[Value, ...]:
    """Whole numbers from start to stop, both included. Raises SpaceError when the step does not meet stop."""
    if step == 0 or (stop - start) * step < 0:
        raise SpaceError((str(step), f"a step that leads from {start} to {stop}", ("step",)))
    _count("step", Decimal((stop - start) // step + 1))
    if over := (stop - start) % step:
        raise SpaceError((str(stop), f"a whole number of steps from start, such as {stop - over}", ("stop",)))
    return tuple(range(start, stop + (1 if step > 0 else -1), step))


def as_float(value: Value) -> Value:
    """A whole number as the float of the same text; others as they are."""
    return WrittenFloat(str(value)) if isinstance(value, int) and not isinstance(value, bool) else value


def same_type(values: Sequence[Value]) -> tuple[Value, ...]:
    """Whole numbers among floats become floats (``[0.1, 1, 10]``), so that a trainer sees one type.

    Those that a double might not hold stay as they are.
    """
    if not any(isinstance(value, float) for value in values):
        return tuple(values)
    return tuple(as_float(value) if isinstance(value, int) and abs(value) <= 2**53 else value for value in values)


def without(values: Sequence[Value], removed: Sequence[Value]) -> tuple[Value, ...]:
    """The values but for those named. Raises SpaceError for names that are no values, or when nothing is left."""
    if not removed:
        return tuple(values)
    present, gone = {identity(value) for value in values}, {identity(value) for value in removed}
    if unknown := [(i, value) for i, value in enumerate(removed) if identity(value) not in present]:
        nearest = _Nearest(values)
        raise SpaceError(*((text_of(value), nearest.words(value), ("except", i)) for i, value in unknown))
    left = tuple(value for value in values if identity(value) not in gone)
    if not left:
        raise SpaceError(("every value", "at least one value left", ("except",)))
    return left


def identity(value: Value) -> tuple[bool, Value]:
    """What makes two values the same: equal as Python has it, but a truth value is no number."""
    return isinstance(value, bool), value


def is_logarithmic(values: Sequence[Value]) -> bool:
    """Whether a list of numbers, none of them a word or a truth value, spans :data:`LOG_SPAN` or more."""
    known = _numbers(values)
    return 0 < len(known) == len(values) and min(known) > 0 and max(known) / min(known) >= LOG_SPAN


class _Nearest:
    """What could have been meant instead of a value that is not there."""

    def __init__(self, values: Sequence[Value]) -> None:
        self._values = values
        self._numbers = sorted(_numbers(values))

    def words(self, value: Value) -> str:
        """What is allowed in its place: the nearest number, or the list."""
        if self._numbers and (wanted := _numbers([value])):
            i = bisect.bisect(self._numbers, wanted[0])
            nearest = min(self._numbers[max(0, i - 1) : i + 1], key=lambda number: abs(number - wanted[0]))
            return f"a value of the grid, the nearest is {text_of(nearest)}"
        return f"a value of the list: {', '.join(text_of(v) for v in self._values[:12])}"


def _numbers(values: Iterable[Value]) -> list[int | float]:
    return [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
