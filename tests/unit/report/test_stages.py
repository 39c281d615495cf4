"""What the page says of a sweep of several stages."""

from __future__ import annotations

import re
from types import MappingProxyType

import pandas as pd
import pytest

from kgen.analysis import analyse
from kgen.choice import Choice, Chosen
from kgen.report import Origin, write_report
from tests.unit.analysis.synthetic import BUDGET, NO_CURVES, STEPS, reached, table
from tests.unit.report.made import REPRODUCE, SWEEP, certificate_of
from tests.unit.report.test_page import Reader, check

CHOICE = Choice(
    stage="scale",
    source="grid",
    asked=MappingProxyType({"stage": "grid"}),
    rule="the smallest steps to the target",
    chosen=(
        Chosen(
            group=MappingProxyType({"optimizer": "adam"}),
            best=MappingProxyType({"optimizer": "adam", "learning_rate": 0.1}),
            points=tuple(MappingProxyType({"optimizer": "adam", "learning_rate": rate}) for rate in (0.01, 0.1)),
            value=100.0,
            low=90.0,
            high=None,
            trials=("trial00000", "trial00001"),
        ),
    ),
    without=MappingProxyType({"sgd": "nothing works"}),
    missing=("trial00003",),
)
ORIGINS = {
    "scale": Origin(choice=CHOICE),
    "find": Origin(said=("A search by tpe: 12 trials asked for.", "It ended: 12 trials.")),
}
WAITING = {"last": "its trials are chosen when stage find is complete"}


def trials_of(stage: str, size: str = "") -> pd.DataFrame:
    rows = [
        ({"optimizer": "adam", "learning_rate": rate} | ({size: number} if size else {}), reached(100 * number))
        for rate in (0.01, 0.1)
        for number in (1, 2, 3)
    ]
    return table(rows).assign(stage=stage, timing="shared").assign(trial=lambda frame: stage + frame["trial"])


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    stages = {"grid": trials_of("grid"), "scale": trials_of("scale", "scale"), "find": trials_of("find", "width")}
    analyses = [
        analyse(trials, NO_CURVES, name="three", objective=STEPS, budget=BUDGET, stage=stage)
        for stage, trials in stages.items()
    ]
    trials = pd.concat(stages.values(), ignore_index=True)
    certificate = certificate_of(trials, complete=False, waiting=WAITING, incomplete_choices={"scale": ["trial00003"]})
    files: dict[str, bytes] = {}
    write_report(
        analyses, trials, certificate, origins=ORIGINS, reproduce=REPRODUCE, sweep_text=SWEEP, write=files.__setitem__
    )
    return files


@pytest.fixture(scope="module")
def page(made: dict[str, bytes]) -> Reader:
    return Reader(made["report/index.html"].decode())


def text_of(page: Reader) -> str:
    return " ".join(page.text)


def test_the_answers_of_all_stages_come_first_and_then_a_section_for_each(made: dict[str, bytes]) -> None:
    html = made["report/index.html"].decode()
    answers = html.index('id="the-answer"')
    places = [html.index(f'id="stage-{stage}"') for stage in ("grid", "scale", "find")]
    assert answers < places[0] < places[1] < places[2] < html.index('id="every-trial"')
    for headline in re.findall(r'class="headline">(.*?)</p>', html[answers : places[0]]):
        assert html.count(headline) >= 2
    assert "18 trials in 4 stages." in html


def test_figures_are_named_after_their_stage_and_numbered_through(made: dict[str, bytes]) -> None:
    figures = {name for name in made if name.endswith(".svg")}
    assert all(name.startswith(("figures/grid-", "figures/scale-", "figures/find-")) for name in figures)
    assert "figures/scale-scaling-steps_to_target.svg" in figures
    html = made["report/index.html"].decode()
    assert [int(n) for n in re.findall(r"<b>Figure (\d+)\.", html)] == [*range(1, len(figures) + 1)]
    for name in figures:
        assert f'href="../{name}"' in html


def test_ids_are_unique_and_every_reference_has_its_target(page: Reader, made: dict[str, bytes]) -> None:
    html = made["report/index.html"].decode()
    assert len(page.ids) == len(set(page.ids))
    targets = set(re.findall(r'href="#([^"]+)"', html)) | set(re.findall(r"url\(#([^)]+)\)", html))
    assert targets <= set(page.ids)


def test_the_trials_say_which_stage_they_belong_to(page: Reader) -> None:
    shown = page.tables["trials"]
    assert shown.names[:2] == ["trial", "stage"]
    assert [row[1] for row in shown.rows] == ["grid"] * 6 + ["scale"] * 6 + ["find"] * 6


def test_a_choice_is_shown_with_its_rule_and_the_trials_that_made_it(page: Reader) -> None:
    text = text_of(page)
    assert "Chosen from stage grid : the smallest steps to the target." in text
    first, second = page.tables["scale-chosen"].rows
    assert first == [
        "adam", "learning_rate 0.1", "100", "90 to …", "learning_rate 0.01; learning_rate 0.1",
        "trial00000, trial00001",
    ]  # fmt: skip
    assert second[:2] == ["sgd", "none: nothing works"]


def test_a_choice_from_an_incomplete_stage_says_so(page: Reader) -> None:
    text = text_of(page)
    assert "Chosen before stage grid was complete: 1 of its trials had no result then." in text
    assert "1 choice from an incomplete stage" in text
    assert "scale : trial00003" in text


def test_a_search_says_how_it_went(page: Reader) -> None:
    assert "A search by tpe: 12 trials asked for. It ended: 12 trials." in text_of(page)


def test_a_stage_that_has_not_begun_is_named(page: Reader) -> None:
    text = text_of(page)
    assert text.count("its trials are chosen when stage find is complete") == 2
    assert "Incomplete: 18 trials with a result each, and more to come." in text


def test_growth_has_its_tables(page: Reader) -> None:
    assert page.tables["scale-fits"].names[:3] == ["learning_rate", "sizes", "not_reached"]
    shown = page.tables["scale-sizes"]
    check(shown, pd.DataFrame({"scale": [1, 2, 3], "best_learning_rate": 0.01, "best_steps_to_target": [100, 200, 300],
                               "kept_steps_to_target": [100, 200, 300], "regret": 0.0,
                               "kept_learning_rate": 0.01}))  # fmt: skip
