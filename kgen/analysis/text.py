"""Numbers and lists as a reader of a paper expects them: few digits, no false ones, plural where it belongs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

NONE: Final = "–"
"""Stands for a value that does not exist."""
_LARGEST_EXACT: Final = 10**15
"""Integers up to here are written out; a double holds them exactly and a reader can still take them in."""
_WRITTEN_OUT: Final = 1e6
_MOST_DIGITS: Final = 17
"""Enough to tell any two doubles apart."""


def number(value: float | None, digits: int = 4) -> str:
    """A number to ``digits`` significant digits; whole numbers are whole, with a comma every thousand.

    From 1e-4 to 1e6 without an exponent. ``None`` and NaN become a dash.
    """
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if isinstance(value, int) or (value.is_integer() and abs(value) < _LARGEST_EXACT):
        return f"{int(value):,}"
    text = f"{value:.{digits}g}"
    mantissa, e, exponent = text.partition("e")
    if e and not 1 <= abs(value) < _WRITTEN_OUT:
        return f"{mantissa}e{int(exponent)}"
    whole, dot, rest = (f"{value:.0f}" if e else text).partition(".")
    return f"{int(whole):,}{dot}{rest}" if abs(value) >= 1 else text


def distinct(values: Sequence[float]) -> tuple[str, ...]:
    """Labels of numbers with as few digits (three or more) as keep them apart."""
    labels: tuple[str, ...] = ()
    for digits in range(3, _MOST_DIGITS + 1):
        labels = tuple(number(value, digits) for value in values)
        if len(set(labels)) == len(set(values)):
            break
    return labels


def percent(part: int, whole: int) -> str:
    """A share in per cent, to two significant digits; never 0 % or 100 % of a share that is neither."""
    if whole == 0:
        return NONE
    share = 100 * part / whole
    if 0 < part < whole:
        share = min(max(share, 0.1), 99.9)
    return f"{share:.0f} %" if part in (0, whole) or 1 <= share <= 99 else f"{share:.1f} %"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """``1 trial``, ``2 trials``."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def plurals(counts: Sequence[int], noun: str) -> str:
    """``3 seeds`` where all counts are that, else ``2 to 3 seeds``; zeros are passed over."""
    known = [count for count in counts if count] or [0]
    fewest, most = min(known), max(known)
    return plural(most, noun) if fewest == most else f"{fewest:,} to {plural(most, noun)}"


def listing(items: Sequence[str], most: int = 6) -> str:
    """``a, b and c``; beyond ``most`` the rest is counted."""
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most} more"
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
