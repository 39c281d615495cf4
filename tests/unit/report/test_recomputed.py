"""Every number in the tables of a report of three stages, recomputed from its row files without kgen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

from kgen.workflow.report import report_sweep
from tests.unit.report import recomputed
from tests.unit.report.recomputed import SMOOTHED, Kind
from tests.unit.report.test_page import Reader, Shown
from tests.unit.report.three_stages import make

STEPS, SECONDS = Kind("steps_to_target", cap=1000), Kind("seconds_to_target")
ACCURACY = Kind("max.val_accuracy", metric="val_accuracy")
OPTIMIZERS = ("sgd", "adam", "adadelta")


@dataclass(frozen=True)
class Both:
    """The page, and the rows that it was made of."""

    page: Reader
    rows: pd.DataFrame
    chosen: float
    """The rate of adam that the third stage took from the first one, as the choice's file has it."""

    def stage(self, name: str) -> pd.DataFrame:
        return self.rows[self.rows["stage"] == name]

    @property
    def text(self) -> str:
        return " ".join(self.page.text)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    spec = make(tmp_path_factory.mktemp("three"), fail=30)
    page, _ = report_sweep(spec)
    choice = json.loads((spec.results / "choices" / "scale.json").read_text())
    chosen = choice["chosen"][0]["best"]["learning_rate"]
    return Both(Reader(page.read_text()), recomputed.read(spec.results), chosen)


def check(shown: Shown, expected: pd.DataFrame) -> None:
    """Every column but those of the smoothing spline, every line, to seven digits."""
    own = [name for name in shown.names if not name.startswith(SMOOTHED)]
    assert set(own) == set(expected.columns)
    assert len(shown.rows) == len(expected)
    for row, (_, line) in zip(shown.rows, expected.iterrows(), strict=True):
        for name, text in zip(shown.names, row, strict=True):
            if name not in own:
                continue
            value = line[name]
            if pd.isna(value):
                assert text == "", (name, row)
            elif isinstance(value, str):
                assert text == value, (name, row)
            else:
                assert float(text) == pytest.approx(float(value), rel=1e-7, abs=1e-12), (name, row)


def test_the_grid(both: Both) -> None:
    stage = both.stage("grid")
    check(both.page.tables["grid-summary"],
          recomputed.summary(stage, "optimizer", "learning_rate", (STEPS, SECONDS), OPTIMIZERS))  # fmt: skip
    check(both.page.tables["grid-points"],
          recomputed.points_table(stage, "optimizer", "learning_rate", STEPS, OPTIMIZERS))  # fmt: skip


def test_each_optimizer_at_its_best(both: Both) -> None:
    stage = both.stage("best")
    check(both.page.tables["best-summary"],
          recomputed.summary(stage, "optimizer", "learning_rate", (ACCURACY,), OPTIMIZERS))  # fmt: skip
    check(both.page.tables["best-points"],
          recomputed.points_table(stage, "optimizer", "learning_rate", ACCURACY, OPTIMIZERS))  # fmt: skip
    check(both.page.tables["best-ranking"], recomputed.ranking(stage, "optimizer", "learning_rate", "val_accuracy"))


def test_the_growth(both: Both) -> None:
    stage = both.stage("scale")
    scales = sorted(stage["scale"].unique())
    check(both.page.tables["scale-fits"], recomputed.fits(stage, (STEPS, SECONDS)))
    check(both.page.tables["scale-sizes"], recomputed.sizes(stage, STEPS, both.chosen))
    check(both.page.tables["scale-summary"],
          recomputed.summary(stage, "scale", "learning_rate", (STEPS, SECONDS), scales))  # fmt: skip
    check(both.page.tables["scale-points"], recomputed.points_table(stage, "scale", "learning_rate", STEPS, scales))


def test_what_the_sentences_say_of_growth(both: Both) -> None:
    sizes = recomputed.sizes(both.stage("scale"), STEPS, both.chosen)
    larger = sizes["regret"].iloc[1:]
    worst = sizes.iloc[1 + int(larger.to_numpy().argmax())]
    assert f"within 25 % of the best at {(larger <= 0.25).sum()} of {len(larger)} larger sizes" in both.text
    assert f"costs {100 * larger.mean():.2g} % on average" in both.text
    assert f"{100 * worst['regret']:.2g} % at worst (at {worst['scale']:.0f})" in both.text
    for rate, count in sizes["best_learning_rate"].value_counts().items():
        assert f"{rate:.3g} at {count} size{'s' * (count != 1)}" in both.text


def test_the_answers(both: Both) -> None:
    for stage, kinds in (("grid", (STEPS, SECONDS)), ("best", (ACCURACY,))):
        summary = recomputed.summary(both.stage(stage), "optimizer", "learning_rate", kinds, OPTIMIZERS)
        shown = both.page.tables[f"{stage}-answer"]
        known = {row[0]: dict(zip(shown.names, row, strict=True)) for row in shown.rows}
        for line in summary.to_dict("records"):
            row = known[line["optimizer"]]
            assert float(row["best"]) == pytest.approx(line["best_learning_rate"])
            assert float(row["value"]) == pytest.approx(line[kinds[0].column])
            assert int(row["working"]) == line["values_working"]


def test_every_trial(both: Both) -> None:
    shown = both.page.tables["trials"]
    rows = both.rows.set_index("trial")
    assert len(shown.rows) == len(rows)
    for line in (dict(zip(shown.names, row, strict=True)) for row in shown.rows):
        row: dict[str, Any] = {str(name): value for name, value in rows.loc[line["trial"]].items()}
        for name in ("stage", "status", "timing", "exit_reason"):
            assert line[name] == row[name]
        for name in ("seed", "steps", "seconds", "steps_to_target", "seconds_to_target"):
            assert line[name] == "" if pd.isna(row[name]) else float(line[name]) == pytest.approx(float(row[name]))
        for name in ("optimizer", "learning_rate", "scale"):
            shown_value = line[f"param.{name}"]
            if pd.isna(row[name]):
                assert shown_value == ""
            else:
                assert shown_value == row[name] if name == "optimizer" else float(shown_value) == row[name]
        for name in ("train_accuracy", "val_accuracy", "weights"):
            finals: dict[str, float] = dict(row["final"])
            final = finals.get(name)
            assert line[f"final.{name}"] == "" if final is None else float(line[f"final.{name}"]) == final


def test_a_choice_from_an_incomplete_stage_is_named(both: Both) -> None:
    failed = both.rows[both.rows["state"] == "failed"]["trial"].tolist()
    assert len(failed) == 1
    assert "2 choices from incomplete stages" in both.text
    assert both.text.count(f"best : {failed[0]}") == both.text.count(f"scale : {failed[0]}") == 1
    assert "Chosen before stage grid was complete: 1 of its trials had no result then." in both.text
