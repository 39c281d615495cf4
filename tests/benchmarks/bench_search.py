"""Replays the search methods on complete grids: how good the recommended rate is, for how many trials and steps.

    python tests/benchmarks/bench_search.py mnist10k=results/article --table mnist10k.csv
    python tests/benchmarks/bench_search.py digits=results/digits --range-tests digits=results/range --table digits.csv
    python tests/benchmarks/bench_search.py --draw digits.csv mnist10k.csv --figure docs/images/search.svg

A folder holds kgen's results of a full grid of optimizers and learning rates with several seeds. A proposed trial is
looked up there and not trained, the search being held to the grid's rates. One look-up is one run, never a mean: of a
data seed drawn for each trial (`trial`), or for each search (`search`: all trials of a sweep share a seed unless it has
repeats). Range tests can't be looked up: a folder of theirs holds real ones, of a sweep over the optimizers with
`trainer: {config: {range_test: {start: 1e-6, stop: 100}}}` and several seeds.

Regret of a rate: its time to the target on the valley smoothed over all data seeds (`kgen.analysis.smooth`), as a share
above the best; infinite where fewer than half of the seeds get there. A search counts as good when every optimizer that
has a working rate has a regret within 25 % (10 %). Intervals are 95 %: Wilson's for shares, order statistics for
medians.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

from kgen.analysis.outcomes import Status
from kgen.analysis.smooth import SmoothedValley, smooth
from kgen.analysis.told import believed
from kgen.results.rows import TrialRow, bytes_to_rows
from kgen.search import Ask, Tried, ask
from kgen.search.halving import latest
from kgen.search.range_test import suggested
from kgen.spec import Budget, Objective, Value, load_json
from kgen.sweep import SweepSpec, load
from kgen.sweep.sweepspec import Method, Search, Stage

GRID = "full grid"
COUNTS = (4, 5, 6, 8, 12, 16)
ADAPTIVE = (Method.BISECTION, Method.TPE)


@dataclass
class Table:
    """A complete grid: every run by optimizer, place of its rate and seed."""

    name: str
    spec: SweepSpec
    budget: Budget
    rates: list[Value]
    seeds: list[int]
    runs: dict[tuple[str, int, int], Tried]
    truth: dict[str, SmoothedValley]

    @property
    def optimizers(self) -> list[str]:
        """Those that have a rate that works."""
        return [name for name, valley in self.truth.items() if valley.best is not None]

    @property
    def grid_steps(self) -> float:
        """Training steps of the whole grid with one seed."""
        return sum(run.spent_steps for run in self.runs.values()) / len(self.seeds)

    def regret(self, optimizer: str, rate: float) -> float:
        """Of the nearest rate of the grid."""
        valley = self.truth[optimizer]
        assert valley.best is not None
        place = int(np.argmin(np.abs(valley.positions - math.log10(rate))))
        fitted = valley.fitted[place]
        return float(fitted / valley.fitted[valley.best] - 1) if math.isfinite(fitted) else math.inf


def rows_of(folder: Path) -> Iterator[TrialRow]:
    """Complete rows."""
    for file in sorted((folder / "rows").glob("*.parquet")):
        yield from (row for row in bytes_to_rows(file.read_bytes()) if row.outcome is not None)


def tried_of(row: TrialRow) -> Tried:
    """A row as a search sees it."""
    assert row.outcome is not None
    budget = Budget.from_json(load_json(row.budget))
    curve: dict[str, list[tuple[int, float]]] = {}
    for point in row.curve:
        curve.setdefault(point.metric, []).append((point.step, point.value))
    metric = None if budget.target is None else next(
        (one.final for one in row.metrics if one.metric == budget.target.metric), None
    )  # fmt: skip
    value = None if row.steps_to_target is None else float(row.steps_to_target)
    return Tried(row.parameters, row.seed, budget.steps, Status(row.outcome), value, row.steps, row.seconds, metric,
                 curve=curve)  # fmt: skip


def table_of(name: str, folder: Path) -> Table:
    """The largest stage of a folder as a complete grid, of those seeds that are complete; exits where none is."""
    rows = list(rows_of(folder))
    stage = max({row.stage for row in rows}, key=[row.stage for row in rows].count)
    rows = [row for row in rows if row.stage == stage]
    rates = sorted({row.parameters["learning_rate"] for row in rows}, key=float)
    optimizers = list(dict.fromkeys(str(row.parameters["optimizer"]) for row in rows))
    full = len(optimizers) * len(rates)
    found = Counter((row.seed) for row in {row.trial: row for row in rows}.values())
    seeds = sorted(seed for seed, number in found.items() if number == full)
    if not seeds:
        sys.exit(f"{folder}: no seed has all {full} runs, {max(found.values())} at the most")
    rows = [row for row in rows if row.seed in seeds]
    runs = {(str(row.parameters["optimizer"]), rates.index(row.parameters["learning_rate"]), row.seed): tried_of(row)
            for row in rows}  # fmt: skip
    budget = Budget.from_json(load_json(rows[0].budget))
    truth = {}
    for optimizer in sorted(optimizers):
        here = [(math.log10(float(rates[i])), run) for (of, i, _), run in runs.items() if of == optimizer]
        truth[optimizer] = smoothed([place for place, _ in here], [run for _, run in here], budget)
    spec = replace(load(folder / "sweep.yaml"), budget=budget, stages=(), parts=())
    return Table(name, spec, budget, rates, seeds, runs, truth)


def smoothed(places: Sequence[float], runs: Sequence[Tried], budget: Budget, *, lean: bool = False) -> SmoothedValley:
    """Times to the target, smoothed as ``kgen recommend`` and the report do; ``lean``: of a search by bisection."""
    values = [math.inf if run.value is None else run.value for run in runs]
    expected = believed(runs, places, budget, Objective()).expected if lean else None
    return smooth(np.array(places), np.array(values), cap=budget.steps, lean=expected)


def stage_of(table: Table, method: Method, trials: int, parallel: int, seed: int) -> Stage:
    """A search over the table's rates."""
    space: dict[str, Any] = {"optimizer": tuple(table.optimizers), "learning_rate": tuple(table.rates)}
    search = Search(method, (space,), ("optimizer",), trials, None, None, None, parallel, 3, None)
    base = replace(table.spec, alternatives=(), seed=seed, repeats=1, stage="search", objective=Objective())
    return Stage(base, search=search)


@dataclass
class Looked:
    """Where trials of one search are looked up: one data seed for all, or one for each point."""

    table: Table
    rng: np.random.Generator
    each: bool
    named: int
    """The seed that its trials are said to have."""

    def __post_init__(self) -> None:
        self.seed = int(self.rng.choice(self.table.seeds))
        self.seeds: dict[tuple[str, int], int] = {}

    def trial(self, point: Any, steps: int | None, before: int) -> Tried:
        """The run of a point; with ``steps`` as far as it had come by then, ``before`` of them trained already."""
        place = str(point["optimizer"]), self.table.rates.index(point["learning_rate"])
        if place not in self.seeds:
            self.seeds[place] = int(self.rng.choice(self.table.seeds)) if self.each else self.seed
        run = replace(self.table.runs[*place, self.seeds[place]], parameters=point, seed=self.named)
        return run if steps is None else _cut(run, steps, before, self.table.budget)


def _cut(run: Tried, steps: int, before: int, budget: Budget) -> Tried:
    if run.spent_steps <= steps:
        return replace(run, steps_budget=steps, spent_steps=max(run.spent_steps - before, 0))
    curve = {name: [(step, value) for step, value in points if step <= steps] for name, points in run.curve.items()}
    metric = budget.target.metric if budget.target else ""
    last = curve[metric][-1][1] if curve.get(metric) else None
    return replace(run, steps_budget=steps, status=Status.CAPPED, value=None, spent_steps=steps - before, curve=curve,
                   metric=last)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """One search."""

    data: str
    method: str
    noise: str
    count: int
    """Trials of each optimizer that were allowed."""
    trials: float
    """That were trained, per optimizer; a rung counts as one."""
    steps: float
    """As a share of the grid's."""
    regrets: Mapping[str, float]
    """Of each optimizer."""


def searched(
    table: Table, method: Method, parallel: int, counts: Sequence[int], seed: int, each: bool
) -> list[Outcome]:
    """One search, judged after each of the counts; halving, whose rungs depend on the count, once for each."""
    if method is Method.HALVING:
        return [one for count in counts for one in _search(table, method, parallel, (count,), seed, each)]
    return _search(table, method, parallel, counts, seed, each)


def _search(table: Table, method: Method, parallel: int, counts: Sequence[int], seed: int, each: bool) -> list[Outcome]:
    stage = stage_of(table, method, max(counts), parallel, seed)
    looked = Looked(table, np.random.default_rng([seed, each]), each, seed)
    tried: list[Tried] = []
    out = []
    name = f"{method}, {parallel} at a time" if parallel > 1 and method in ADAPTIVE else str(method)
    while isinstance(answer := ask(stage, tried), Ask):
        for point in answer.points:
            done = [one.steps_budget or 0 for one in tried if one.parameters == point]
            tried.append(looked.trial(point, answer.steps, max(done, default=0)))
        per = len(tried) / len(table.optimizers)
        if method is not Method.HALVING and per in counts:
            out.append(_judged(table, stage, name, each, int(per), tried))
    if method is Method.HALVING:
        out.append(_judged(table, stage, name, each, counts[0], tried))
    return out


def _judged(table: Table, stage: Stage, name: str, each: bool, count: int, tried: Sequence[Tried]) -> Outcome:
    """By what ``kgen recommend`` says of these trials."""
    assert stage.search is not None
    lean = stage.search.method is Method.BISECTION
    regrets: dict[str, float] = {}
    for optimizer in table.optimizers:
        mine = latest([one for one in tried if one.parameters["optimizer"] == optimizer])
        valley = smoothed([math.log10(float(one.parameters["learning_rate"])) for one in mine], mine, table.budget,
                          lean=lean)  # fmt: skip
        best = None if valley.best is None else 10 ** float(valley.positions[valley.best])
        regrets[optimizer] = math.inf if best is None else table.regret(optimizer, best)
    steps = sum(one.spent_steps for one in tried) / table.grid_steps
    noise = "trial" if each else "search"
    return Outcome(table.name, name, noise, count, len(tried) / len(table.optimizers), steps, regrets)


def whole_grid(table: Table, seed: int, each: bool) -> list[Outcome]:
    """The anchor: all rates with one seed."""
    stage = stage_of(table, Method.SOBOL, len(table.rates), 1, seed)
    looked = Looked(table, np.random.default_rng([seed, each]), each, seed)
    tried = [looked.trial({"optimizer": optimizer, "learning_rate": rate}, None, 0)
             for optimizer in table.optimizers for rate in table.rates]  # fmt: skip
    return [_judged(table, stage, GRID, each, len(table.rates), tried)]


def range_tested(table: Table, tests: dict[str, list[Tried]], seed: int) -> Outcome:
    """One real range test of each optimizer."""
    rng = np.random.default_rng([seed, 2])
    picked = {name: tests[name][int(rng.integers(len(tests[name])))] for name in table.optimizers}
    rates = {name: suggested(one) for name, one in picked.items()}
    regrets = {name: math.inf if rate is None else table.regret(name, rate) for name, rate in rates.items()}
    steps = sum(one.spent_steps for one in picked.values()) / table.grid_steps
    return Outcome(table.name, "range-test", "trial", 1, 1, steps, regrets)


def tests_of(folder: Path) -> dict[str, list[Tried]]:
    """Range tests by optimizer."""
    out: dict[str, list[Tried]] = {}
    for row in rows_of(folder):
        out.setdefault(str(row.parameters["optimizer"]), []).append(tried_of(row))
    return out


def share(good: int, of: int) -> tuple[float, float, float]:
    """With Wilson's interval."""
    p, z = good / of, 1.96
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return p, max(middle - half, 0.0), min(middle + half, 1.0)


def median(values: Sequence[float]) -> tuple[float, float, float]:
    """With its interval by order statistics; infinite values are the largest."""
    ranked = sorted(values)
    low = max(int(binom.ppf(0.025, len(ranked), 0.5)) - 1, 0)
    return ranked[(len(ranked) - 1) // 2], ranked[low], ranked[len(ranked) - 1 - low]


Line = dict[str, Any]


def summed(outcomes: Sequence[Outcome]) -> list[Line]:
    """One line for each data set, method, kind of noise and count."""
    groups: dict[tuple[str, str, str, int], list[Outcome]] = {}
    for one in outcomes:
        groups.setdefault((one.data, one.noise, one.method, one.count), []).append(one)
    lines = []
    for (data, noise, method, count), here in groups.items():
        worst = [max(one.regrets.values()) for one in here]
        middle = [sorted(one.regrets.values())[(len(one.regrets) - 1) // 2] for one in here]
        within = {limit: share(sum(value <= limit for value in worst), len(here)) for limit in (0.25, 0.10)}
        steps, trained = np.mean([(one.steps, one.trials) for one in here], axis=0).tolist()
        lines.append({
            "data": data, "noise": noise, "method": method, "trials": count, "searches": len(here), "trained": trained,
            "steps": steps, "within25": within[0.25], "within10": within[0.10], "worst": median(worst),
            "middle": median(middle),
            "per": {name: float(np.mean([one.regrets[name] <= 0.25 for one in here])) for name in here[0].regrets},
        })  # fmt: skip
    return lines


def printed(lines: Sequence[Line]) -> None:
    """As a table."""
    print(f"{'data':9} {'noise':6} {'method':22} {'trials':>6} {'steps':>6}  {'all within 25 %':>15}  "
          f"{'within 10 %':>15}  {'worst regret, median':>20}  each within 25 %")  # fmt: skip
    for line in lines:
        first, second = (f"{p:4.0%} ({low:4.0%}-{high:4.0%})" for p, low, high in (line["within25"], line["within10"]))
        worst = [f"{value:.0%}" if math.isfinite(value) else "none" for value in line["worst"]]
        each = ", ".join(f"{name} {value:.0%}" for name, value in line["per"].items())
        print(f"{line['data']:9} {line['noise']:6} {line['method']:22} {line['trained']:6.1f} {line['steps']:6.1%}  "
              f"{first:>15}  {second:>15}  {worst[0]:>6} ({worst[1]:>5}-{worst[2]:>5})  {each}")  # fmt: skip


PLAIN = ("data", "noise", "method")
TRIPLES = ("within25", "within10", "worst", "middle")


def written(lines: Sequence[Line], file: Path) -> None:
    """As CSV; a share and a median are three columns: the number and the ends of its interval."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        ends = [f"{name}{end}" for name in TRIPLES for end in ("", "_low", "_high")]
        writer.writerow([*PLAIN, "searches", "trained", "steps", *ends])
        for one in lines:
            numbers = (one["searches"], one["trained"], one["steps"], *(x for name in TRIPLES for x in one[name]))
            writer.writerow([*(one[name] for name in PLAIN), *(f"{number:.4g}" for number in numbers)])


def read(file: Path) -> list[Line]:
    """What :func:`written` wrote."""
    with file.open(newline="", encoding="utf-8") as lines:
        return [{**line, "trained": float(line["trained"]), "steps": float(line["steps"]),
                 **{name: tuple(float(line[name + end]) for end in ("", "_low", "_high")) for name in TRIPLES}}
                for line in csv.DictReader(lines)]  # fmt: skip


COLOURS = {"bisection": "#1b6ca8", "tpe": "#d1802a", "halving": "#7a4fa3", "sobol": "#4c9a52", "random": "#888"}
PANELS = (("trained", "within25"), ("trained", "middle"), ("steps", "middle"))
HIGHEST = 4.0


def drawn(lines: Sequence[Line], file: Path) -> None:
    """A row of panels for each data set: share of good searches and regret, against trials and steps."""
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "kgen", "font.size": 8, "font.family": "sans-serif"}
    from matplotlib import pyplot as plt
    from matplotlib.ticker import PercentFormatter

    names = list(dict.fromkeys(line["data"] for line in lines))
    size = 9.5, 2.3 * len(names) + 0.5
    figure, axes = plt.subplots(len(names), 3, figsize=size, squeeze=False, layout="constrained")
    for row, name in zip(axes, names, strict=True):
        mine = [line for line in lines if line["data"] == name and line["noise"] == "trial"]
        for axis, (x, y) in zip(row, PANELS, strict=True):
            for method, colour in COLOURS.items():
                here = sorted((line for line in mine if line["method"] == method), key=lambda line: float(line[x]))
                if here:
                    middle, low, high = np.minimum(np.array([line[y] for line in here]).T, HIGHEST)
                    places = [line[x] for line in here]
                    axis.plot(places, middle, color=colour, marker="o", markersize=2.5, linewidth=1.2, label=method)
                    axis.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
            for line in mine:
                if line["method"] == GRID:
                    axis.axhline(min(line[y][0], HIGHEST), color="black", linewidth=0.8, linestyle=":", label=GRID)
                if line["method"] == str(Method.RANGE_TEST):
                    axis.plot([line[x]], [min(line[y][0], HIGHEST)], "^", color="#c44", label=line["method"])
        row[0].axvline(8, color="#888", linewidth=0.6, linestyle="--")
        row[0].axhline(0.9, color="#888", linewidth=0.6, linestyle="--")
        row[0].set(ylim=(-0.02, 1.02), ylabel=f"{name}\nall optimizers within 25 %")
        row[1].set(ylim=(0, 1), ylabel="regret of the median optimizer")
        row[2].set(ylim=(0, 1), xlim=(0, 0.36))
        for axis in row[:2]:
            axis.set(xlim=(0, 16.5), xticks=range(0, 17, 4))
        for axis in row:
            axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        row[2].xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for axis, label in zip(
        axes[-1], ["trials per optimizer"] * 2 + ["training steps, share of the grid's"], strict=True
    ):
        axis.set_xlabel(label)
    found = dict(zip(*reversed(axes[0][0].get_legend_handles_labels()), strict=True))
    figure.legend(found.values(), found.keys(), loc="outside upper center", ncols=len(found), frameon=False)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None, dpi=110)
    plt.close(figure)
    if file.suffix == ".svg":  # a hundredth of a point is enough, and a third of the bytes less
        file.write_text(re.sub(r"(\d\.\d\d)\d+", r"\1", file.read_text(encoding="utf-8")), encoding="utf-8")


def named(text: str) -> tuple[str, Path]:
    """``NAME=FOLDER``."""
    name, _, folder = text.partition("=")
    return name, Path(folder)


def main() -> None:
    """Replay, print, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=named, metavar="NAME=FOLDER", help="results of complete grids")
    parser.add_argument("--range-tests", nargs="*", type=named, default=[], metavar="NAME=FOLDER")
    parser.add_argument("--seeds", type=int, default=100, help="searches of each kind")
    parser.add_argument("--methods", nargs="*", type=Method, default=[*Method])
    parser.add_argument(
        "--parallel", nargs="*", type=int, default=[1, 4], help="points at a time, of bisection and tpe"
    )
    parser.add_argument("--noise", nargs="*", choices=("trial", "search"), default=["trial", "search"])
    parser.add_argument("--table", type=Path, help="CSV to write")
    parser.add_argument("--draw", nargs="*", type=Path, default=[], help="CSVs written before")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    lines = [line for file in given.draw for line in read(file)]
    for name, folder in given.folders:
        table = table_of(name, folder)
        near = {one: int(np.sum(table.truth[one].fitted <= (table.truth[one].limit or 0))) for one in table.optimizers}
        print(f"{name}: {len(table.seeds)} seeds of {len(table.rates)} rates; rates within 25 % of the best: {near}")
        outcomes = [one for noise in given.noise for seed in range(given.seeds)
                    for one in replayed(table, given.methods, given.parallel, seed, noise == "trial")]  # fmt: skip
        if Method.RANGE_TEST in given.methods and name in dict(given.range_tests):
            tests = tests_of(dict(given.range_tests)[name])
            outcomes += [range_tested(table, tests, seed) for seed in range(given.seeds)]
        summary = summed(outcomes)
        printed(summary)
        lines += summary
    if given.table:
        written(lines, given.table)
    if given.figure:
        drawn(lines, given.figure)


def replayed(
    table: Table, methods: Sequence[Method], parallel: Sequence[int], seed: int, each: bool
) -> Iterator[Outcome]:
    """All methods with one seed."""
    yield from whole_grid(table, seed, each)
    for method in methods:
        if method is not Method.RANGE_TEST:
            for number in parallel if method in ADAPTIVE else (1,):
                yield from searched(table, method, number, COUNTS, seed, each)


if __name__ == "__main__":
    main()
