from __future__ import annotations

from typing import Any, get_args

import pandas as pd
import pytest

from kgen.analysis import Analysis, analyse
from kgen.analysis.compare import Comparison, compare
from kgen.analysis.published import ARTICLE, WORKS
from kgen.spec import At, Budget, Goal, Objective
from kgen.sweep.model import ReportModel
from tests.unit.analysis.synthetic import BUDGET, NO_CURVES, STEPS, article, finished, reached, table

CONFIG = {
    "main": {"dataset": "mnist", "data": "/somewhere/mnist10k.npz", "model": "cnn-small", "optimizers": "article"}
}


def compared(trials: pd.DataFrame, **more: Any) -> tuple[Analysis, Comparison]:
    analysis = analyse(trials, NO_CURVES, name="s", **{"objective": STEPS, "budget": BUDGET, **more})
    return analysis, compare("article", [analysis], trials, CONFIG)


def lines_of(frame: pd.DataFrame, key: str) -> dict[Any, dict[str, Any]]:
    return {line[key]: {str(name): value for name, value in line.items()} for line in frame.to_dict("records")}


def test_what_a_file_may_ask_for_is_what_there_is() -> None:
    allowed = ReportModel.model_fields["published"].annotation
    assert {name for part in get_args(allowed) for name in get_args(part)} == set(WORKS)


def test_the_published_numbers_add_up_to_the_published_sums() -> None:
    """51 of 287 runs succeeded; the best rates lie in their bands."""
    optimizers = ARTICLE.optimizers
    assert sum(one.working for one in optimizers.values()) == 51
    assert sum(one.tried for one in optimizers.values()) == 287
    assert all(one.low <= one.best <= one.high for one in optimizers.values())


def test_working_rates_stand_beside_the_published_ones() -> None:
    analysis, comparison = compared(article()[0].assign(timing="shared"))
    (beside,) = comparison.besides
    lines = lines_of(beside.table, "optimizer")
    assert lines["adam"]["published_rates_that_work"] == "15 of 48"
    assert lines["sgd"]["published_rates_that_work"] == "6 of 47"
    assert lines["rmsprop"]["published_band"] == "0.000316 to 0.00147, with holes"
    ours = lines_of(analysis.summary, "optimizer")
    assert lines["adam"]["rates_that_work"] == f"{ours['adam']['values_working']} of 48"
    assert lines["adam"]["best_learning_rate"] == ours["adam"]["best_learning_rate"]
    assert beside.sentences[0].startswith("Working bands overlap published ones for 6 of 6 optimizers")


def test_the_differences_are_named() -> None:
    _, comparison = compared(article()[0].assign(timing="shared"))
    said = {what: (here, there) for what, here, there in comparison.differences}
    assert said["hardware"] == ("Tesla K80, many trials in one program", "one Tesla K80, trials one after another")
    assert said["data and model"][0] == "dataset mnist, data mnist10k.npz, model cnn-small, optimizers article"
    assert said["target"][0] == "train_accuracy >= 0.97"
    assert said["cap"] == ("2,000 steps or 120 s", "120 s")
    assert said["compared by"] == ("steps to train_accuracy >= 0.97", "seconds")
    assert "tensorflow 2.18.0" in said["framework"][0]
    assert "public domain" in comparison.source


def test_accuracies_stand_beside_the_published_ones() -> None:
    rows = [({"optimizer": o, "learning_rate": r}, finished(val_accuracy=a))
            for o, r, a in (("sgd", 0.1, 0.9), ("adam", 0.001, 0.97))]  # fmt: skip
    objective = Objective("val_accuracy", Goal.MAXIMIZE, At.BEST)
    _, comparison = compared(table(rows), objective=objective, budget=Budget(steps=100))
    (beside,) = comparison.besides
    assert beside.table["published_val_accuracy"].tolist() == [0.936, 0.959]
    assert beside.table["max.val_accuracy"].tolist() == pytest.approx([0.91, 0.98])
    assert beside.sentences == ("From the highest to the lowest: adam and sgd; published: adam and sgd.",)


def test_slopes_stand_beside_those_of_the_same_rate() -> None:
    rows = [({"learning_rate": r, "scale": s}, reached(round(100 * s * (1 + r)))) for r in (0.001, 0.0014678, 0.002)
            for s in (1, 2, 3, 4, 5)]  # fmt: skip
    _, comparison = compared(table(rows).assign(timing="shared"))
    (beside,) = comparison.besides
    lines = lines_of(beside.table, "learning_rate")
    assert lines[0.001]["published_slope_in_seconds"] == 8.3
    assert lines[0.0014678]["published_r2"] == 0.93
    assert pd.isna(lines[0.002]["published_r2"])
    assert lines[0.01]["published_not_reached"] == "13 of 36"
    assert pd.isna(lines[0.01]["slope"])
    assert "published: 14 % on average and 67 % at worst" in beside.sentences[0]


def test_another_sweep_has_nothing_beside_it() -> None:
    for rows in (
        [({"optimizer": o, "width": w}, reached(100)) for o in ("adam", "sgd") for w in (1, 2, 3)],
        [({"optimizer": o, "learning_rate": r}, reached(100)) for o in ("lion", "lamb") for r in (1, 2, 3)],
        [({"learning_rate": r}, reached(100)) for r in (1, 2, 3)],
    ):
        assert compared(table(rows).assign(timing="shared"))[1].besides == ()
