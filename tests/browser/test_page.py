"""The report's page in a real browser: from a file, without a network."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from kgen.analysis import Analysis
from kgen.workflow.report import report_sweep
from tests.unit.analysis.synthetic import article, reached, table
from tests.unit.report.made import REPRODUCE, certificate_of, report_of
from tests.unit.report.three_stages import SWEEP, make

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        assert os.environ.get("CI") != "true", "no Chromium on PATH, and CI must have one"
        pytest.skip("no Chromium on PATH")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        home = str(tmp_path_factory.mktemp("chromium"))  # it makes folders there, even when it runs in a test
        environment: dict[str, str | float | bool] = {**os.environ, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home}
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, env=environment)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    return article()[0]


@pytest.fixture(scope="module")
def report(trials: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[Analysis, str]:
    """An analysis and the address of its page, alone in a folder: no figure lies beside it."""
    certificate = certificate_of(trials, damaged=[{"file": "rows/torn.parquet", "reason": "not a Parquet file"}])
    analysis, files = report_of(trials, article()[1], certificate=certificate)
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_bytes(files["report/index.html"])
    return analysis, path.as_uri()


@pytest.fixture
def page(browser: Browser, report: tuple[Analysis, str]) -> Iterator[Page]:
    """The open page; the test fails if it complained, or asked for anything but itself."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, offline=True)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("request", lambda request: complaints.append(request.url) if request.url != report[1] else None)
    page.goto(report[1])
    yield page
    context.close()
    assert complaints == []


def column(page: Page, table: str, name: str) -> list[str]:
    """The exact values of one column, from top to bottom."""
    script = """([table, name]) => {
      const heads = [...document.querySelectorAll(`#${table} th`)];
      const place = heads.findIndex((head) => head.dataset.name === name);
      return [...document.querySelectorAll(`#${table} tbody tr`)].map((row) => row.cells[place].dataset.value);
    }"""
    found: list[str] = page.evaluate(script, [table, name])
    return found


def head(table: str, name: str) -> str:
    return f'#{table} th[data-name="{name}"]'


def test_it_opens_with_the_answer_and_all_figures(page: Page, report: tuple[Analysis, str]) -> None:
    analysis, _ = report
    assert page.title() == "optimizers · kgen report"
    assert page.inner_text(".headline") == analysis.answer.headline
    pictures = page.locator("figure svg")
    assert pictures.count() == len(analysis.figures)
    for number in range(pictures.count()):
        pictures.nth(number).scroll_into_view_if_needed()
        box = pictures.nth(number).bounding_box()
        assert box is not None
        assert box["width"] > 800
        assert box["height"] > 400
    assert page.inner_text("#command") == REPRODUCE
    assert "rows/torn.parquet" in page.inner_text("#certificate")


def test_the_numbers_are_those_of_the_tables(page: Page, report: tuple[Analysis, str], trials: pd.DataFrame) -> None:
    summary = report[0].summary
    for name in ("best_learning_rate", "steps_to_target", "seconds_to_target", "band_width", "share_reached", "trials"):
        assert [float(value) for value in column(page, "summary", name)] == summary[name].tolist()
    shown = [math.nan if value == "" else float(value) for value in column(page, "trials", "steps_to_target")]
    assert pd.Series(shown).equals(trials["steps_to_target"].astype(float))
    assert [float(value) for value in column(page, "trials", "param.learning_rate")] == (
        trials["param.learning_rate"].tolist()
    )
    assert column(page, "trials", "status") == trials["status"].tolist()


def test_a_click_on_a_heading_sorts_and_another_turns_it_round(page: Page, trials: pd.DataFrame) -> None:
    steps = trials["steps_to_target"].dropna().astype(int).astype(str).tolist()
    missing = [""] * (len(trials) - len(steps))
    heading = head("trials", "steps_to_target")

    page.click(f"{heading} button")
    assert page.get_attribute(heading, "aria-sort") == "ascending"
    assert column(page, "trials", "steps_to_target") == [*sorted(steps, key=int), *missing]

    page.click(f"{heading} button")
    assert page.get_attribute(heading, "aria-sort") == "descending"
    assert column(page, "trials", "steps_to_target") == [*sorted(steps, key=int, reverse=True), *missing]
    assert page.locator("#trials th[aria-sort]").count() == 1


def test_rows_stay_whole_when_sorted(page: Page, trials: pd.DataFrame) -> None:
    page.click(f"{head('trials', 'param.learning_rate')} button")
    rates = dict(zip(trials["trial"], trials["param.learning_rate"], strict=True))
    shown = dict(zip(column(page, "trials", "trial"), column(page, "trials", "param.learning_rate"), strict=True))
    assert {trial: float(rate) for trial, rate in shown.items()} == rates
    assert [float(rate) for rate in shown.values()] == sorted(rates.values())


def test_the_keyboard_sorts_too(page: Page, trials: pd.DataFrame) -> None:
    button = page.locator(f"{head('trials', 'param.optimizer')} button")
    button.focus()
    page.keyboard.press("Enter")
    assert page.get_attribute(head("trials", "param.optimizer"), "aria-sort") == "ascending"
    assert column(page, "trials", "param.optimizer") == sorted(trials["param.optimizer"])
    page.keyboard.press("Space")
    assert page.get_attribute(head("trials", "param.optimizer"), "aria-sort") == "descending"


def test_it_reads_without_javascript(browser: Browser, report: tuple[Analysis, str]) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(report[1])
    assert page.inner_text(".headline") == report[0].answer.headline
    assert page.locator("#trials tbody tr").count() == 288
    assert not page.locator(".script").is_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_reader_s_light_or_dark(browser: Browser, report: tuple[Analysis, str], scheme: Any) -> None:
    context = browser.new_context(color_scheme=scheme, offline=True)
    page = context.new_page()
    page.goto(report[1])
    script = "() => getComputedStyle(document.body).backgroundColor"
    figure = "() => getComputedStyle(document.querySelector('figure svg path')).fill"
    grounds = {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 23, 27)"}
    assert page.evaluate(script) == grounds[scheme]
    assert page.evaluate(figure) == grounds[scheme]
    context.close()


def test_a_narrow_screen_scrolls_tables_and_not_the_page(browser: Browser, report: tuple[Analysis, str]) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 800}, offline=True)
    page = context.new_page()
    page.goto(report[1])
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    context.close()


def test_ten_thousand_trials_still_open_and_sort(browser: Browser, tmp_path: Path) -> None:
    rows = [({"learning_rate": 10.0 ** (n % 20 / 4)}, reached(50 * (n % 39 + 1))) for n in range(10_000)]
    trials = table(rows, seeds=[n // 20 for n in range(10_000)]).assign(timing="shared")
    path = tmp_path / "index.html"
    path.write_bytes(report_of(trials)[1]["report/index.html"])
    page = browser.new_page()
    page.goto(path.as_uri())
    page.click(f"{head('trials', 'steps_to_target')} button")
    shown = column(page, "trials", "steps_to_target")
    assert shown == sorted(trials["steps_to_target"].astype(str), key=int)
    page.close()


def test_the_report_is_one_file(report: tuple[Analysis, str]) -> None:
    folder = Path(report[1].removeprefix("file://")).parent
    assert [path.name for path in folder.iterdir()] == ["index.html"]


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page of three stages, made of row files, beside published numbers."""
    text = SWEEP.replace("results:", "report: {published: article}\nresults:")
    page, _ = report_sweep(make(tmp_path_factory.mktemp("three"), text=text, fail=30))
    return page.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_stages_fit_on_any_screen(browser: Browser, staged: str, width: int, scheme: Any) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(staged)
    assert page.locator(".headlines .headline").count() == 3
    for stage in ("grid", "best", "scale"):
        page.click(f"nav a[href='#stage-{stage}']")
        box = page.locator(f"#stage-{stage} h2").bounding_box()
        assert box is not None
        assert -1 <= box["y"] < 900
    # Only tables scroll sideways, each in its own frame; nothing else is wider than the screen.
    blocks = "h2, h3, p, ul, li, figure, figure > div, figcaption, dl, pre, .scroll"
    wider = """(blocks) => [...document.querySelectorAll(`main :is(${blocks})`)]
      .filter((one) => one.getBoundingClientRect().right > window.innerWidth + 0.5)
      .map((one) => one.tagName)"""
    assert page.evaluate(wider, blocks) == []
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    assert complaints == []
    context.close()
