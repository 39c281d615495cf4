"""What a scaling stage says, in sentences made of its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kgen.analysis.regret import AtSize, Kept
from kgen.analysis.roles import Kind
from kgen.analysis.smooth import WITHIN
from kgen.analysis.text import listing, number, plural

if TYPE_CHECKING:
    from kgen.analysis.scaling import Growth, Line

_FEW: Final = 3
"""Larger sizes from which the question is answered."""
_WIDE: Final = 1.0
"""Of an exponent's interval: from here on it decides nothing."""
_SURE: Final = 0.05
"""Of a rank correlation: the largest probability of chance that counts as a movement."""


def sentences(growths: Sequence[Growth], size: str, choice: str) -> tuple[str, ...]:
    """How it grows, what was not reached, and whether the choice survives: of every family by the first measure, of the
    other measures how they grow."""
    said: list[str] = []
    first = growths[0].measure
    for growth in growths:
        of = _family(growth)
        chosen = next(
            (one.kept.choice for one in growths if one.family == growth.family and one.kept is not None), None
        )
        found = [*_grows(growth, size, chosen)]
        if growth.measure is first:
            found += [*_missed(growth, size)]
            if growth.kept is not None:
                # The first one's is the headline.
                found += [] if growth is growths[0] else [_survives(growth, growth.kept, size)]
                found += _luck(growth, growth.kept)
                found += _best_at(growth, growth.kept, size, choice)
        said += [f"{of}{sentence}" if of else sentence for sentence in found]
    return tuple(said)


def headline(growths: Sequence[Growth], size: str) -> str:
    """Whether what is best at the smallest size stays good, of the first family in which something is."""
    first = growths[0].measure
    for growth in growths:
        if growth.measure is first and growth.kept is not None:
            return f"{_family(growth)}{_survives(growth, growth.kept, size)}"
    return _grows(growths[0], size)[0]


def _family(growth: Growth) -> str:
    return "".join(f"{name} {value}: " for name, value in growth.family.items())


def _named(growth: Growth, code: int) -> str:
    """A line in a sentence: learning_rate 0.001, or adam."""
    group = growth.grid.roles.group
    if group is None:
        return "all trials"
    return f"{group.name} {group.labels[code]}" if group.kind is Kind.NUMBER else group.labels[code]


def _short(growth: Growth, code: int) -> str:
    """The same where its parameter has been named: 0.001."""
    group = growth.grid.roles.group
    return "" if group is None else group.labels[code]


def _grows(growth: Growth, size: str, chosen: int | None = None) -> list[str]:
    """By the line of the choice, that of the first measure; without one by the first line."""
    measure = growth.measure
    fitted = [line for line in growth.lines if line.fit is not None]
    if not fitted:
        return [f"How {measure.label} grows with {size} can't be told: no line has three sizes that were reached."]
    line = next((line for line in fitted if line.code == chosen), fitted[0])
    assert line.fit is not None
    slope, unit = line.fit.slope, f" {measure.unit}" if measure.unit else ""
    only = len(growth.lines) == 1
    where = "" if only else f" with {_named(growth, line.code)}"
    what = measure.label[:1].upper() + measure.label[1:]
    said = [
        f"{what}{where}: {'+' if slope.value > 0 else ''}{number(slope.value, 3)}{unit} for each 1 of {size} (95 % "
        f"interval {number(slope.low, 3)} to {number(slope.high, 3)}), a straight line from "
        f"{number(line.fit.intercept.value, 3)} at 0 with r² {number(line.fit.r2, 2)} over "
        f"{plural(line.fit.points, 'size')}."
    ]
    if not only and len(fitted) > 1:
        r2 = [line.fit.r2 for line in fitted if line.fit is not None]
        said.append(f"Over all {len(fitted)} lines r² is {number(min(r2), 2)} to {number(max(r2), 2)}.")
    return [*said, *_linear(growth, fitted, size)]


def _linear(growth: Growth, fitted: Sequence[Line], size: str) -> list[str]:
    """Whether it is linear, by the exponents' intervals."""
    kinds: dict[str, list[str]] = {}
    for line in fitted:
        exponent = None if line.fit is None else line.fit.exponent
        if exponent is None:
            continue
        if exponent.holds(1):
            wide = exponent.high - exponent.low > _WIDE
            kind = "too wide an interval to tell" if wide else f"in proportion to {size} as far as can be told"
        elif exponent.holds(0):
            kind = "no growth that can be told"
        elif exponent.value < 0:
            kind = f"falls as {size} grows"
        else:
            kind = "less than in proportion" if exponent.value < 1 else "more than in proportion"
        said = f"{number(exponent.low, 2)} to {number(exponent.high, 2)}"
        kinds.setdefault(kind, []).append(said if len(fitted) == 1 else f"{_short(growth, line.code)}: {said}")
    if not kinds:
        return []
    parts = [f"{kind} ({'; '.join(names)})" for kind, names in kinds.items()]
    per = f" by {growth.grid.roles.group.name}" if len(fitted) > 1 and growth.grid.roles.group is not None else ""
    return [f"Is it linear? By the 95 % interval of a power law's exponent{per}: {listing(parts)}."]


def _missed(growth: Growth, size: str) -> list[str]:
    missed = [
        f"{len(line.missed)} of {len(line.missed) + len(line.reached)} sizes"
        + ("" if len(growth.lines) == 1 else f" with {_named(growth, line.code)}")
        for line in growth.lines
        if line.missed
    ]
    verb = "Not reached" if growth.measure.is_time else "Without a value"
    return [f"{verb}, and so in no line: {listing(missed)}."] if missed else []


def _survives(growth: Growth, kept: Kept, size: str) -> str:
    """Whether what is best at the smallest size stays good: by the share that it costs at the others."""
    measure = growth.measure
    named = _named(growth, kept.choice)
    start = f"The best at {size} {number(kept.smallest)}, {named},"
    if kept.source:
        start = f"The choice of stage {kept.source}, {named},"
    larger, worst = kept.larger, kept.worst
    if len(larger) < _FEW:
        few = plural(len(larger), "larger size")
        return f"Whether {start[0].lower()}{start[1:]} stays good can't be told from {few}."
    fails, other = (
        ("does not get there", "another one does") if measure.is_time else ("has no value", "another one has")
    )
    if worst is None or kept.mean is None:
        return f"{start} does not survive scaling: at all {len(larger)} larger sizes it {fails} and {other}."
    lost = f"; at {plural(len(kept.lost), 'size')} it {fails} and {other}" if kept.lost else ""
    if not measure.is_time:
        return (
            f"{start} stays behind the best of the larger sizes by {number(kept.mean, 2)} on average and by "
            f"{number(worst.regret, 2)} at worst (at {number(worst.size)}){lost}."
        )
    close = [here for here in larger if here.regret is not None and here.regret <= WITHIN]
    if len(close) == len(larger):
        verdict = "survives scaling"
    elif (until := _until(larger)) is not None and len(close) * 2 >= len(larger):
        verdict = f"survives scaling up to {number(until)}, not everywhere beyond"
    else:
        verdict = "does not survive scaling" if len(close) * 2 < len(larger) else "survives scaling at most sizes only"
    interval = ""
    if kept.low is not None:
        high = " or more" if kept.high is None else f" to {_percent(kept.high)}"
        luck = f"the mean is above zero even of equal lines, for the best of {len(growth.lines)} is partly luck"
        interval = f" (95 % interval {_percent(kept.low)}{high} by resampled seeds; {luck})"
    return (
        f"{start} {verdict}: it is within {_percent(WITHIN)} of the best at {len(close)} of {len(larger)} larger sizes "
        f"and costs {_percent(kept.mean)} on average{interval}, {_percent(worst.regret or 0.0)} at worst "
        f"(at {number(worst.size)}){lost}."
    )


def _luck(growth: Growth, kept: Kept) -> list[str]:
    """The best of several noisy lines is better than any of them is; how much of the regret that can be."""
    scatter = [line.fit.scatter for line in growth.lines if line.fit is not None and line.fit.scatter is not None]
    if not scatter or kept.mean is None:
        return []
    typical = sorted(scatter)[(len(scatter) - 1) // 2]
    runs = "single runs" if growth.grid.roles.seeds == 1 else "medians"
    small = growth.measure.is_time and kept.mean <= typical
    doubt = f"; a mean regret of {_percent(kept.mean)} is no more than that" if small else ""
    return [
        f"Noise: {runs} miss their own line by {_percent(typical)} (root mean square, middle line), so the best of "
        f"{len(growth.lines)} lines at a size is partly luck{doubt}."
    ]


def _until(larger: Sequence[AtSize]) -> float | None:
    """The largest size up to which all are within the bound."""
    until = None
    for here in larger:
        if here.regret is None or here.regret > WITHIN:
            break
        until = here.size
    return until


def _best_at(growth: Growth, kept: Kept, size: str, choice: str) -> list[str]:
    order = sorted(kept.best_at.items(), key=lambda item: -item[1])
    counts = [f"{_short(growth, code)} at {plural(count, 'size')}" for code, count in order]
    said = f"Best {choice}: {listing(counts)}."
    if kept.drift is not None and kept.drift_p is not None:
        moves = "down" if kept.drift < 0 else "up"
        correlation = f"rank correlation {number(kept.drift, 2)}, p {number(kept.drift_p, 2)}"
        if kept.drift_p <= _SURE:
            said += f" The best {choice} moves {moves} as {size} grows ({correlation})."
        else:
            said += f" That the best {choice} moves as {size} grows can't be told ({correlation})."
    return [said]


def _percent(share: float) -> str:
    return f"{number(100 * share, 2)} %"
