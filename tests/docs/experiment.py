"""The tables of docs/experiment.md, from results of examples/quickstart.yaml, in Markdown.

    kgen run examples/quickstart.yaml
    python -m tests.docs.experiment examples/results/quickstart

With `--alone` and the results of the same trials under `packing: sequential`, also what the two have in common:

    sed 's/^results:/execution: {packing: sequential}\\nresults:/' examples/quickstart.yaml > alone.yaml
    kgen run alone.yaml --results alone
    python -m tests.docs.experiment examples/results/quickstart --alone alone/quickstart
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from kgen.analysis.published import ARTICLE
from kgen.analysis.text import plural
from kgen.names import COLLECTED_DIR, SUMMARY_FILE, TRIALS_FILE, summary_file

CHECK = 50
"""Steps between two checks, and so the resolution of steps to the target."""
NAMES = {"sgd": "SGD", "momentum": "Momentum", "adam": "Adam", "adagrad": "Adagrad", "adadelta": "Adadelta",
         "rmsprop": "RMSProp"}  # fmt: skip


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path, help="results folder of the sweep")
    parser.add_argument("--stage", default="", help="which stage's table, of a sweep of several")
    parser.add_argument("--alone", type=Path, help="results folder of the same trials with packing: sequential")
    given = parser.parse_args()
    print("\n".join(against_the_article(read(given.results, summary_file(given.stage)))))
    trials = read(given.results, TRIALS_FILE)
    if given.stage:
        trials = trials[trials["stage"] == given.stage]
    print("\n" + "\n".join(facts(trials)))
    if given.alone is not None:
        print("\n" + "\n".join(side_by_side(read(given.results, SUMMARY_FILE), read(given.alone, SUMMARY_FILE))))
        print("\n" + "\n".join(in_common(trials, read(given.alone, TRIALS_FILE))))


def read(results: Path, name: str) -> pd.DataFrame:
    """A collected table."""
    path = results / COLLECTED_DIR / name
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


def against_the_article(summary: pd.DataFrame) -> list[str]:
    """One line per optimizer, published figures in brackets."""
    lines = [
        "| optimizer | rates that reached 97 % | working band | best rate | steps there |",
        "|---|---|---|---|---|",
    ]
    for row in summary.to_dict("records"):
        theirs = ARTICLE.optimizers[row["optimizer"]]
        band = f"{_rate(theirs.low)} – {_rate(theirs.high)}{', with a hole' if theirs.holes else ''}"
        lines.append(
            f"| {NAMES[row['optimizer']]} | {row['values_working']} of {row['values_tried']} ({theirs.working} of "
            f"{theirs.tried}) | {_band(row)} ({band}) | {_rate(row['best_learning_rate'])} ({_rate(theirs.best)}) "
            f"| {_whole(row['steps_to_target'])} |"
        )
    return lines


def side_by_side(fused: pd.DataFrame, alone: pd.DataFrame) -> list[str]:
    """One line per optimizer: fused, and trained one after another."""
    lines = [
        "| optimizer | rates that reached 97 %: fused, alone | band | best rate | steps there |",
        "|---|---|---|---|---|",
    ]
    for a, b in zip(fused.to_dict("records"), alone.to_dict("records"), strict=True):
        assert a["optimizer"] == b["optimizer"]
        lines.append(
            f"| {NAMES[a['optimizer']]} | {a['values_working']}, {b['values_working']} | {_band(a)}; {_band(b)} "
            f"| {_rate(a['best_learning_rate'])}; {_rate(b['best_learning_rate'])} "
            f"| {_whole(a['steps_to_target'])}; {_whole(b['steps_to_target'])} |"
        )
    return lines


def facts(trials: pd.DataFrame) -> list[str]:
    """Counts that the text around the table has."""
    counts = trials["status"].value_counts().to_dict()
    timing = trials["timing"].value_counts().to_dict()
    reached = trials["steps_to_target"].dropna()
    cap = int(trials["steps"].max())
    steps = [step for step in (1000, 2000, 4000, 8000) if step <= cap]
    return [
        f"- trials: {len(trials)}; {', '.join(f'{status} {n}' for status, n in counts.items())}; "
        f"timing: {', '.join(f'{name} {n}' for name, n in timing.items())}",
        f"- reached by step: {', '.join(f'{step:,}: {int((reached <= step).sum())}' for step in steps)}",
        f"- rates that work for at least one optimizer: "
        f"{trials.loc[trials['status'] == 'reached', 'param.learning_rate'].nunique()} "
        f"of {trials['param.learning_rate'].nunique()}",
    ]


def in_common(fused: pd.DataFrame, alone: pd.DataFrame) -> list[str]:
    """How far trials end alike, and each that does not."""
    both = fused.merge(alone, on="trial", suffixes=("", "_alone"))
    got_there = both[(both["status"] == "reached") & (both["status_alone"] == "reached")]
    off = (got_there["steps_to_target"] - got_there["steps_to_target_alone"]).abs()
    same = both["status"] == both["status_alone"]
    far = got_there[off > CHECK]
    lines = [
        f"- the same outcome: {int(same.sum())} of {len(both)}",
        f"- steps to the target, of {len(got_there)} that reach both ways: equal {int((off == 0).sum())}, "
        f"one check off {int(((off > 0) & (off <= CHECK)).sum())}, further {len(far)}",
    ]
    others = pd.concat([both[~same], far]).to_dict("records")
    return lines + [
        f"  - {row['param.optimizer']} {_rate(row['param.learning_rate'])}: {row['status']} after {row['steps']:,} "
        f"steps fused, {row['status_alone']} after {row['steps_alone']:,} alone"
        for row in others
    ]


def _band(row: Mapping[Hashable, Any]) -> str:
    if pd.isna(row["band_low"]):
        return "–"
    holes = int(row["band_holes"])
    return f"{_rate(row['band_low'])} – {_rate(row['band_high'])}" + (f", {plural(holes, 'hole')}" if holes else "")


def _rate(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"


def _whole(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.0f}"


if __name__ == "__main__":
    main()
