"""How sure a choice is: what it would have been with other seeds, by the bootstrap.

With repeats whole seeds are resampled, the same ones for every line, because trials of one seed share their batches and
first weights. Up to five seeds, all resamples that there are are gone through with their probabilities, so that nothing
is left to chance (N. I. Fisher, P. Hall (1991), "Bootstrap algorithms for small samples", J. Stat. Plan. Inference 27,
157-169); beyond that 200 are drawn. A few seeds make it too sure of itself, for what none of them shows is in no
resample; so it is also found which line is first by each seed alone. With a single seed only what runs differ from the
smoothed line by can be resampled (A. C. Davison, D. V. Hinkley (1997), "Bootstrap Methods and their Application", ch.
7.6). That shows the noise of single runs, and nothing of what another seed would change in all of them; it is said
wherever it is shown.
"""

from __future__ import annotations

import enum
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Final

import numpy as np

from kgen.analysis.line import Line
from kgen.analysis.smooth import NOISE, Floats, SmoothedValley, leverage

DRAWN: Final = 200
"""Resamples, where not all of them are gone through."""
_MOST_FITS: Final = 6000
"""Of all lines together: about five seconds. With more lines there are fewer resamples."""
_LEAST: Final = 20
"""Fewer resamples say nothing."""
_EXACT: Final = 5
"""Seeds up to which they are: 126 resamples."""
_FEW: Final = 6
"""Residuals below this number say too little of the noise: the usual one stands in."""
_ENDS: Final = (0.025, 0.975)


class Resampled(enum.StrEnum):
    """What resamples are made of."""

    SEEDS = "repeats"
    RESIDUALS = "residuals"


@dataclass(frozen=True, slots=True)
class Sureness:
    """Of one line."""

    low: float | None
    """Ends of the 95 % interval of the smoothed cost at the best position, by percentiles; ``None``: no bound."""
    high: float | None
    safe: float
    """Share of the resamples in which the best position lies in the safe band."""
    best: Mapping[float, float]
    """Position → share of the resamples in which it is the best."""


@dataclass(frozen=True, slots=True)
class Confidence:
    """Of all lines together."""

    by: Resampled
    samples: int
    """How many resamples there were."""
    lines: Mapping[int, Sureness]
    """By the line's code; those in which something works."""
    first: Mapping[int, float]
    """Share of the resamples in which a line has the smallest best; equals share it."""
    alone: Mapping[int, float]
    """The same of the seeds, each by itself: what to expect of one more. Empty where seeds are not resampled."""


def confidence(lines: Mapping[int, Line], fits: Mapping[int, SmoothedValley]) -> Confidence | None:
    """Resample all lines together; ``fits`` are those of the runs as they are. ``None`` when nothing works."""
    alive = {group: line for group, line in lines.items() if fits[group].best is not None}
    draws = min(DRAWN, _MOST_FITS // max(len(alive), 1))
    if not alive or draws < _LEAST:
        return None
    by = Resampled.SEEDS if all(line.repeated(fits[group]) for group, line in alive.items()) else Resampled.RESIDUALS
    if by is Resampled.SEEDS:
        chances, drawn = _by_seed(alive, draws)
        alone = _alone(alive)
    elif any(not line.joined for line in alive.values()):
        return None  # single runs of categories: there is nothing to resample
    else:
        chances, drawn = _by_residual(alive, fits, draws)
        alone = {}
    sure = {group: _sureness(fits[group], drawn[group], chances) for group in alive}
    return Confidence(by, len(chances), sure, _first(drawn, chances), alone)


def _by_seed(lines: Mapping[int, Line], draws: int) -> tuple[Floats, dict[int, list[SmoothedValley]]]:
    seeds = np.unique(np.concatenate([line.seeds for line in lines.values()]))
    counts, chances = _multiplicities(len(seeds), draws)
    places = {group: np.searchsorted(seeds, line.seeds) for group, line in lines.items()}
    return chances, {
        group: [line.smoothed(weights=times[places[group]]) for times in counts] for group, line in lines.items()
    }


def _alone(lines: Mapping[int, Line]) -> dict[int, float]:
    seeds = np.unique(np.concatenate([line.seeds for line in lines.values()]))
    fits = {g: [line.smoothed(weights=1.0 * (line.seeds == seed)) for seed in seeds] for g, line in lines.items()}
    return _first(fits, np.full(len(seeds), 1 / len(seeds)))


def _multiplicities(seeds: int, draws: int) -> tuple[list[Floats], Floats]:
    """How often each seed is in each resample, and the resample's probability."""
    if seeds > _EXACT or draws < DRAWN:
        drawn = np.random.default_rng(0).multinomial(seeds, np.full(seeds, 1 / seeds), draws).astype(float)
        return list(drawn), np.full(draws, 1 / draws)
    counts = [
        np.bincount(chosen, minlength=seeds).astype(float)
        for chosen in combinations_with_replacement(range(seeds), seeds)
    ]
    ways = [math.factorial(seeds) / math.prod(math.factorial(int(n)) for n in times) for times in counts]
    return counts, np.array(ways) / seeds**seeds


def _by_residual(
    lines: Mapping[int, Line], fits: Mapping[int, SmoothedValley], draws: int
) -> tuple[Floats, dict[int, list[SmoothedValley]]]:
    return np.full(draws, 1 / draws), {
        group: [line.smoothed(costs) for costs in _redrawn(line, fits[group], draws)] for group, line in lines.items()
    }


def _redrawn(line: Line, fit: SmoothedValley, draws: int) -> Iterator[Floats]:
    """Costs with other residuals. What had no value has none; a value that is drawn beyond its bound loses it."""
    # From the numbers themselves, so that a line is as sure alone as among others.
    random = np.random.default_rng(zlib.crc32(line.positions.tobytes() + line.costs.tobytes()))
    place = np.searchsorted(fit.positions, line.positions)
    got = np.isfinite(line.costs) & np.isfinite(fit.fitted[place])
    fitted, costs = (np.log10(values) if line.log else values for values in (fit.fitted[place][got], line.costs[got]))
    unit = 1.0 if line.log else float(np.ptp(costs)) or 1.0
    residuals = (costs - fitted) / np.sqrt(1 - leverage(fit)[place[got]])
    for _ in range(draws):
        noise = (
            random.normal(0.0, NOISE * unit, got.sum())
            if len(residuals) < _FEW
            else random.choice(residuals - residuals.mean(), got.sum())
        )
        values = np.full(len(line.costs), math.inf)
        values[got] = 10.0 ** (fitted + noise) if line.log else fitted + noise
        yield np.where(values > line.bounds, math.inf, values)


def _sureness(fit: SmoothedValley, drawn: Sequence[SmoothedValley], chances: Floats) -> Sureness:
    assert fit.best is not None
    at = fit.positions[fit.best]
    there = np.array([_cost(each, at) for each in drawn])
    limits = np.array([math.inf if each.limit is None else each.limit for each in drawn])
    best: dict[float, float] = {}
    for each, chance in zip(drawn, chances.tolist(), strict=True):
        if each.best is not None:
            position = float(each.positions[each.best])
            best[position] = best.get(position, 0.0) + chance
    low, high = (_quantile(there, chances, share) for share in _ENDS)
    safe = _sum(chances[np.isfinite(there) & (there <= limits)])
    return Sureness(low, high, safe, dict(sorted(best.items())))


def _cost(fit: SmoothedValley, position: float) -> float:
    """The fit at a position; infinite where it does not work."""
    place = int(np.searchsorted(fit.positions, position))
    if place == len(fit.positions) or fit.positions[place] != position or np.isnan(fit.fitted[place]):
        return math.inf
    return float(fit.fitted[place])


def _quantile(values: Floats, chances: Floats, share: float) -> float | None:
    order = np.argsort(values, kind="stable")
    found = values[order][min(int(np.searchsorted(np.cumsum(chances[order]), share)), len(values) - 1)]
    return float(found) if math.isfinite(found) else None


def _first(drawn: Mapping[int, Sequence[SmoothedValley]], chances: Floats) -> dict[int, float]:
    groups = list(drawn)
    least = np.array([[math.inf if f.best is None else float(f.fitted[f.best]) for f in drawn[g]] for g in groups])
    leads = (least == least.min(axis=0)) & np.isfinite(least)
    shares = leads / np.maximum(leads.sum(axis=0), 1)
    return {group: _sum(shares[place] * chances) for place, group in enumerate(groups)}


def _sum(chances: Floats) -> float:
    """Without the rounding that makes 0.9999999999999998 of everything."""
    return round(math.fsum(chances.tolist()), 9)
