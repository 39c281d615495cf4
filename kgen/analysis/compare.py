"""Published numbers beside ours: shapes, order and ranges, never seconds against seconds of another machine.

A sweep file asks for them by name (``report: {published: article}``); they stand in a table of their own, beside the
results of the stage that did the same, and what was different is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from kgen.analysis.measure import Measure
from kgen.analysis.published import WORKS, Optimizer, Size, Work
from kgen.analysis.regret import Kept
from kgen.analysis.text import listing, number, plural

if TYPE_CHECKING:
    from kgen.analysis import Analysis

_OPTIMIZER: Final = "optimizer"
_RATE: Final = "learning_rate"
_NEAR: Final = 0.05
"""Share by which two learning rates may differ and be called the same: 0.00146 and 0.00147 are."""


@dataclass(frozen=True, slots=True)
class Beside:
    """One stage's results beside the published ones."""

    stage: str
    title: str
    table: pd.DataFrame
    """A line per optimizer or learning rate; columns of ours, then ``published_…``."""
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All stages beside what was published, and what was different."""

    name: str
    source: str
    besides: tuple[Beside, ...]
    differences: tuple[tuple[str, str, str], ...]
    """What, here, there."""


def compare(
    published: str, analyses: Sequence[Analysis], trials: pd.DataFrame, configs: Mapping[str, Mapping[str, Any]]
) -> Comparison:
    """Our stages beside published ones; a stage that did something else has nothing beside it.

    ``published`` is one of :data:`kgen.analysis.published.WORKS`; ``configs`` are the trainer's settings by stage.
    """
    work = WORKS[published]
    besides = [beside for analysis in analyses if (beside := _beside(work, analysis)) is not None]
    return Comparison(work.name, work.source, tuple(besides), _differences(work, analyses, trials, configs))


def _beside(work: Work, analysis: Analysis) -> Beside | None:
    roles = analysis.roles
    growing = analysis.scaling
    if growing is not None and growing.choice is not None and growing.choice.name == _RATE:
        return _scales(work, analysis)
    if roles.group is None or roles.group.name != _OPTIMIZER or not set(roles.group.values) & set(work.optimizers):
        return None
    if analysis.measures[0].is_time and roles.x is not None and roles.x.name == _RATE:
        return _rates(work, analysis)
    return _accuracies(work, analysis)


# -- result 1: which rates work -----------------------------------------------------------------------------------


def _rates(work: Work, analysis: Analysis) -> Beside:
    measure = analysis.measures[0]
    rows, pairs = [], []
    for line in analysis.summary.to_dict("records"):
        theirs = work.optimizers.get(str(line[_OPTIMIZER]))
        if theirs is None:
            continue
        best = _known(line[f"best_{_RATE}"])
        rows.append(
            {
                _OPTIMIZER: line[_OPTIMIZER],
                "rates_that_work": f"{line['values_working']} of {line['values_tried']}",
                "published_rates_that_work": f"{theirs.working} of {theirs.tried}",
                "band": _band(_known(line["band_low"]), _known(line["band_high"]), bool(_known(line["band_holes"]))),
                "published_band": _band(theirs.low, theirs.high, theirs.holes),
                f"best_{_RATE}": best,
                f"published_best_{_RATE}": theirs.best,
                measure.column: _known(line[measure.column]),
                "published_seconds": theirs.seconds,
            }
        )
        pairs.append((str(line[_OPTIMIZER]), best, theirs))
    return Beside(analysis.stage, f"{measure.label} against {_RATE}", pd.DataFrame(rows), _rates_said(pairs, analysis))


def _rates_said(pairs: Sequence[tuple[str, float | None, Optimizer]], analysis: Analysis) -> tuple[str, ...]:
    known = [(name, best, theirs) for name, best, theirs in pairs if best is not None]
    if not known:
        return ()
    bands = {str(line[_OPTIMIZER]): line for line in analysis.summary.to_dict("records")}
    overlapping = [
        name
        for name, _, theirs in known
        if bands[name]["band_low"] <= theirs.high * (1 + _NEAR) and theirs.low <= bands[name]["band_high"] * (1 + _NEAR)
    ]
    inside = [name for name, best, theirs in known if theirs.low / (1 + _NEAR) <= best <= theirs.high * (1 + _NEAR)]
    ours = [name for name, _, _ in sorted(known, key=lambda one: one[1])]
    published = [name for name, _, _ in sorted(known, key=lambda one: one[2].best)]
    same = "the same as published" if ours == published else f"published: {listing(published, 12)}"
    return (
        f"Working bands overlap published ones for {len(overlapping)} of {plural(len(known), 'optimizer')}; the best "
        f"rate lies in the published band for {len(inside)}.",
        f"From the lowest best rate to the highest: {listing(ours, 12)} ({same}).",
    )


def _band(low: float | None, high: float | None, holes: bool) -> str:
    if low is None or high is None:
        return "–"
    return f"{number(low, 3)} to {number(high, 3)}{', with holes' if holes else ''}"


# -- result 3: how high each gets at its own best rate ------------------------------------------------------------


def _accuracies(work: Work, analysis: Analysis) -> Beside | None:
    measure = analysis.measures[0]
    column = measure.column
    values: dict[str, float | None] = {
        str(line[_OPTIMIZER]): _known(line[column]) for line in analysis.summary.to_dict("records")
    }
    if measure.is_time or "accuracy" not in column:
        return None
    shown = {name: value for name, value in values.items() if name in work.optimizers}
    rows = [
        {_OPTIMIZER: name, column: value, "published_val_accuracy": work.optimizers[name].accuracy}
        for name, value in shown.items()
    ]
    known = [name for name, value in shown.items() if value is not None]
    ours = sorted(known, key=lambda name: -(shown[name] or 0.0))
    theirs = sorted(known, key=lambda name: -(work.optimizers[name].accuracy or 0.0))
    said = [f"From the highest to the lowest: {listing(ours, 12)}; published: {listing(theirs, 12)}."] if known else []
    elsewhere = {name: at for name in shown if (at := work.optimizers[name].accuracy_at) is not None}
    if elsewhere:
        rates = listing([f"{name} at {number(at)}, not at its fastest rate" for name, at in elsewhere.items()])
        said.append(f"Published of {rates}.")
    return Beside(analysis.stage, measure.label, pd.DataFrame(rows), tuple(said))


# -- result 4: how it grows ---------------------------------------------------------------------------------------


def _scales(work: Work, analysis: Analysis) -> Beside | None:
    growing = analysis.scaling
    assert growing is not None
    first = growing.growths[0]
    fits = growing.fits
    if "measure" in fits:
        fits = fits[fits["measure"] == first.measure.column]
    rows = []
    for line in fits.to_dict("records"):
        rate = _nearest(work.sizes, float(line[_RATE]))
        missed = f"{line['not_reached']} of {line['sizes']}"
        rows.append(_size_row(work, rate, line[_RATE], _known(line["slope"]), _known(line["r2"]), missed))
    shown = {_nearest(work.sizes, float(rate)) for rate in fits[_RATE]}
    rows += [_size_row(work, rate, rate, None, None, "") for rate in work.sizes if rate not in shown]
    rows.sort(key=lambda row: float(row[_RATE]))
    return Beside(analysis.stage, _growth(first.measure), pd.DataFrame(rows), _kept_said(work, analysis))


def _size_row(
    work: Work, published: float | None, rate: float, slope: float | None, r2: float | None, missed: str
) -> dict[str, Any]:
    theirs = None if published is None else work.sizes[published]
    return {
        _RATE: rate,
        "slope": slope,
        "published_slope_in_seconds": None if theirs is None else theirs.slope,
        "r2": r2,
        "published_r2": None if theirs is None else theirs.r2,
        "not_reached": missed or None,
        "published_not_reached": None if theirs is None else f"{theirs.failed} of 36",
    }


def _growth(measure: Measure) -> str:
    return f"{measure.label} against scale"


def _kept_said(work: Work, analysis: Analysis) -> tuple[str, ...]:
    first = None if analysis.scaling is None else analysis.scaling.growths[0]
    kept = None if first is None else first.kept
    theirs = f"{number(100 * work.regret_mean, 2)} % on average and {number(100 * work.regret_worst, 2)} % at worst"
    if first is None or kept is None or not kept.larger:
        return (f"Keeping the choice of the smallest size cost {theirs} there.",)
    what, there = "the choice of the smallest size", "published"
    if kept.source:
        what, there = f"the choice of stage {kept.source}", "published, of the smallest size's choice"
    return (f"Keeping {what} {_kept_cost(first.measure, kept)} here; {there}: {theirs}.",)


def _kept_cost(measure: Measure, kept: Kept) -> str:
    """Of a time in per cent; of a metric, which has no zero to count from, as it is."""
    fails = "does not get there" if measure.is_time else "has no value"
    if kept.mean is None or kept.worst is None or kept.worst.regret is None:
        return f"{fails} at any of {plural(len(kept.larger), 'larger size')}"
    costs = (kept.mean, kept.worst.regret)
    mean, worst = (f"{number(100 * cost, 2)} %" if measure.is_time else number(cost, 2) for cost in costs)
    ours = f"{'costs' if measure.is_time else 'stays behind the best by'} {mean} on average and {worst} at worst"
    return f"{ours}, and {fails} at {len(kept.lost)} of {len(kept.larger)} larger sizes" if kept.lost else ours


def _nearest(sizes: Mapping[float, Size], rate: float) -> float | None:
    """The published rate that is the same."""
    near = min(sizes, key=lambda known: abs(known / rate - 1))
    return near if abs(near / rate - 1) <= _NEAR else None


def _known(value: Any) -> Any:
    return None if pd.isna(value) else value


# -- what was different -------------------------------------------------------------------------------------------


def _differences(
    work: Work, analyses: Sequence[Analysis], trials: pd.DataFrame, configs: Mapping[str, Mapping[str, Any]]
) -> tuple[tuple[str, str, str], ...]:
    done = trials[trials["device"].notna()]
    versions = done["framework"].fillna("") + " " + done["framework_version"].fillna("")
    shared = done["timing"].eq("shared").fillna(False).any()
    hardware = listing([*sorted(set(done["device"]) - {""})] or ["unknown"])
    keys = ("dataset", "data", "model", "batch_size", "optimizers")
    return (
        ("hardware", f"{hardware}{', many trials in one program' if shared else ''}", work.hardware),
        ("framework", listing(sorted(set(versions.str.strip()) - {""}) or ["unknown"]), work.framework),
        ("data and model", _each(configs, lambda config: _settings(config, keys)), f"{work.data}; 3,371 weights"),
        ("target", _stated({a.stage: str(a.budget.target or "none") for a in analyses}), work.target),
        ("cap", _stated({a.stage: _cap(a) for a in analyses}), work.cap),
        ("compared by", _stated({a.stage: a.measures[0].label for a in analyses}), "seconds"),
    )


def _settings(config: Mapping[str, Any], keys: Sequence[str]) -> str:
    found = [f"{key} {str(config[key]).rpartition('/')[2]}" for key in keys if isinstance(config.get(key), (str, int))]
    return ", ".join(found) or "the trainer's defaults"


def _cap(analysis: Analysis) -> str:
    budget = analysis.budget
    limits = [plural(budget.steps, "step")] if budget.steps is not None else []
    if budget.seconds is not None:
        limits.append(f"{number(budget.seconds)} s")
    return " or ".join(limits) or "none"


def _each(configs: Mapping[str, Mapping[str, Any]], say: Any) -> str:
    return _stated({stage: say(config) for stage, config in configs.items()})


def _stated(by_stage: Mapping[str, str]) -> str:
    """One text where all stages have the same, else each with its stage."""
    if len(set(by_stage.values())) == 1:
        return next(iter(by_stage.values()))
    return "; ".join(f"{stage}: {text}" for stage, text in by_stage.items())
