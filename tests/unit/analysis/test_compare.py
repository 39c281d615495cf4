from __future__ import annotations

from typing import Any, get_args

import pandas as pd
import pytest

from kgen.analysis import Analysis, analyse
from kgen.analysis.compare import Comparison, compare
from kgen.analysis.published import ARTICLE, WORKS
from kgen.choice import Choice, Chosen
from kgen.spec import At, Budget, Goal, Objective
from kgen.sweep.model import ReportModel
from tests.unit.analysis.synthetic import BUDGET, NO_CURVES, STEPS, article, capped, finished, reached, table

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
    assert optimizers["adadelta"].accuracy_at == 3.16


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
    _, other = compared(
        table([({"optimizer": "adadelta", "learning_rate": 1.0}, finished(val_accuracy=0.9)), rows[0]]),
        objective=objective, budget=Budget(steps=100),
    )  # fmt: skip
    assert other.besides[0].sentences[1] == "Published of adadelta at 3.16, not at its fastest rate."


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


def kept_sentence(outcome: Any, source: str = "", **more: Any) -> str:
    rows = [({"optimizer": "adam", "learning_rate": r, "scale": s}, outcome(r, s)) for r in (0.001, 0.002)
            for s in (1, 2, 3, 4, 5)]  # fmt: skip
    trials = table(rows).assign(timing="shared")
    point: dict[str, Any] = {"optimizer": "adam", "learning_rate": 0.001}
    chosen = Chosen({"optimizer": "adam"}, point, (point,), 100.0, None, None, ("trial00000",))
    taken = Choice("main", source, {}, "the fastest", (chosen,), {}, ()) if source else None
    _, comparison = compared(trials, taken=taken, **more)
    (sentence,) = comparison.besides[0].sentences
    return sentence


def test_what_keeping_a_choice_costs_is_said_of_the_stage_that_made_it_with_the_sizes_that_it_lost() -> None:
    def time(rate: float, scale: int) -> dict[str, Any]:
        return capped() if rate == 0.001 and scale > 3 else reached(100 if rate == 0.001 and scale == 1 else
                                                                    120 if rate == 0.001 else 100)  # fmt: skip

    there = "14 % on average and 67 % at worst."
    assert kept_sentence(time, "grid") == (
        "Keeping the choice of stage grid costs 20 % on average and 20 % at worst, and does not get there at 2 of 4 "
        f"larger sizes here; published, of the smallest size's choice: {there}"
    )
    assert kept_sentence(time).startswith("Keeping the choice of the smallest size ")
    assert kept_sentence(lambda r, s: capped() if r == 0.001 and s > 1 else reached(100), "grid").startswith(
        "Keeping the choice of stage grid does not get there at any of 4 larger sizes here; "
    )
    goal = {"objective": Objective("acc", Goal.MAXIMIZE)}
    assert kept_sentence(lambda r, s: finished(acc=0.9 if r == 0.001 else 0.95), "grid", **goal).startswith(
        "Keeping the choice of stage grid stays behind the best by 0.05 on average and 0.05 at worst here; "
    )


def test_another_sweep_has_nothing_beside_it() -> None:
    for rows in (
        [({"optimizer": o, "width": w}, reached(100)) for o in ("adam", "sgd") for w in (1, 2, 3)],
        [({"optimizer": o, "learning_rate": r}, reached(100)) for o in ("lion", "lamb") for r in (1, 2, 3)],
        [({"learning_rate": r}, reached(100)) for r in (1, 2, 3)],
    ):
        assert compared(table(rows).assign(timing="shared"))[1].besides == ()
