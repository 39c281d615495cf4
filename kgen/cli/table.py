"""Tables as kubectl prints them: upper-case headers, columns apart by three spaces, ages in one or two units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

WIDTH: Final = 80
_GAP: Final = "   "
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, shrink: str | None = None, widths: list[int] | None = None
) -> list[str]:
    """Lines of a table. The column ``shrink`` loses the ends of its cells where lines would be longer than 80.

    ``widths`` are those of an earlier part of the same table, and are made those of this one.
    """
    lines = [list(header), *(list(row) for row in rows)]
    before, widths = widths or [0] * len(header), [] if widths is None else widths
    widths[:] = [max(least, *(len(line[i]) for line in lines)) for i, least in enumerate(before)]
    if shrink is not None:
        i = list(header).index(shrink)
        over = sum(widths) + len(_GAP) * (len(widths) - 1) - WIDTH
        widths[i] = max(len(shrink), widths[i] - max(0, over))
        for line in lines:
            line[i] = line[i] if len(line[i]) <= widths[i] else f"{line[i][: widths[i] - 1]}…"
    return [_GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def age(seconds: float | None) -> str:
    """How old something is, as kubectl says it.

    >>> age(75), age(601), age(3 * 3600 + 120), age(9 * 3600), age(30 * 3600), age(20 * 86400), age(None)
    ('75s', '10m', '3h2m', '9h', '30h', '20d', '<unknown>')
    """
    if seconds is None:
        return "<unknown>"
    whole = max(0, int(seconds))
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 10 * _MINUTE:
        return _two(whole, _MINUTE, "m", 1, "s")
    if whole < 3 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 8 * _HOUR:
        return _two(whole, _HOUR, "h", _MINUTE, "m")
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    if whole < 8 * _DAY:
        return _two(whole, _DAY, "d", _HOUR, "h")
    return f"{whole // _DAY}d"


def _two(whole: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    rest = whole % large // small
    return f"{whole // large}{large_unit}{rest}{small_unit}" if rest else f"{whole // large}{large_unit}"
