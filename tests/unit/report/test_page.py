"""What the page says, read as a browser would but without one."""

from __future__ import annotations

import html.parser
import math
import re
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pytest

from kgen.analysis import Analysis
from kgen.spec import Goal, Objective
from tests.unit.analysis.synthetic import article, capped, failed, finished, reached, table
from tests.unit.analysis.test_predicted import sweep
from tests.unit.report.made import certificate_of, report_of

Report = tuple[Analysis, dict[str, bytes]]


@dataclass
class Shown:
    """One table of the page: column names, and per row the exact values."""

    names: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


class Reader(html.parser.HTMLParser):
    """Tables, ids, and every attribute that could make a browser fetch something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, Shown] = {}
        self.ids: list[str] = []
        self.fetches: list[str] = []
        self.text: list[str] = []
        self._table: Shown | None = None
        self._silent = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            self.ids.append(found["id"])
        for name in ("src", "href", "xlink:href"):
            if name in found and tag != "a":
                self.fetches.append(found[name])
        self._silent = tag in ("style", "script")
        if tag == "table":
            self._table = self.tables[found["id"]] = Shown()
        elif tag == "th" and self._table is not None:
            self._table.names.append(found["data-name"])
        elif tag == "tr" and self._table is not None and self._table.names:
            self._table.rows.append([])
        elif tag == "td" and self._table is not None:
            self._table.rows[-1].append(found["data-value"])

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.text.append(" ".join(data.split()))


def read(files: dict[str, bytes]) -> Reader:
    return Reader(files["report/index.html"].decode())


def same(shown: str, value: Any) -> bool:
    if pd.isna(value):
        return shown == ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return shown == str(value).replace("True", "true").replace("False", "false")
    return float(shown) == float(value)


def check(shown: Shown, frame: pd.DataFrame) -> None:
    assert len(shown.rows) == len(frame)
    for row, (_, line) in zip(shown.rows, frame[shown.names].iterrows(), strict=True):
        for name, text in zip(shown.names, row, strict=True):
            assert same(text, line[name]), (name, text, line[name])


def test_the_numbers_on_the_page_are_those_of_the_tables(article_report: Report) -> None:
    analysis, files = article_report
    page = read(files)

    check(page.tables["summary"], analysis.summary)
    assert page.tables["summary"].names == list(analysis.summary.columns)
    trials = article()[0]
    check(page.tables["trials"], trials)
    assert {"trial", "param.optimizer", "param.learning_rate", "seed", "status"} <= set(page.tables["trials"].names)
    answer = page.tables["answer"]
    best = answer.names.index("best")
    value = answer.names.index("value")
    found = {row[0]: (float(row[best]), float(row[value])) for row in answer.rows}
    summary = analysis.summary
    assert found == {
        group: (rate, steps)
        for group, rate, steps in zip(
            summary["optimizer"], summary["best_learning_rate"], summary["steps_to_target"], strict=True
        )
    }


def test_points_of_repeats_are_those_of_the_table() -> None:
    trials = table(
        [({"rate": 10.0**n}, reached(100 * n + 50 * s + 50)) for n in range(3) for s in range(3)], [0, 1, 2] * 3
    )
    analysis, files = report_of(trials)
    check(read(files).tables["points"], analysis.points)


def test_the_answer_comes_first_and_every_sentence_is_there(article_report: Report) -> None:
    analysis, files = article_report
    text = " ".join(read(files).text)
    assert analysis.answer.headline in text
    for sentence in analysis.answer.sentences:
        assert " ".join(sentence.split()) in text
    assert text.index(analysis.answer.headline) < text.index("Figure 1.")


def test_the_page_needs_nothing_from_anywhere(article_report: Report) -> None:
    page = article_report[1]["report/index.html"].decode()
    reader = Reader(page)
    assert all(target.startswith(("#", "data:")) for target in reader.fetches)
    assert "default-src 'none'" in page
    assert not re.search(r"@import|url\((?!#)", page)


def test_ids_are_unique_and_every_reference_has_its_target(article_report: Report) -> None:
    page = article_report[1]["report/index.html"].decode()
    ids = Reader(page).ids
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert targets <= set(ids)


def test_figures_take_their_colours_from_the_page(article_report: Report) -> None:
    page = article_report[1]["report/index.html"].decode()
    drawn = page[page.index("<svg ") : page.rindex("</svg>")]
    assert "var(--ink)" in drawn
    assert not re.search(r"(fill|stroke): #", drawn)
    assert "prefers-color-scheme: dark" in page


def test_whatever_a_user_writes_stays_text() -> None:
    evil = '<script>alert("x")</script>&{{ 7*7 }}'
    trials = table([({evil: value, "n": n}, failed(evil)) for value in (evil, "b") for n in (1, 2)])
    certificate = certificate_of(trials, damaged=[{"file": evil, "reason": evil}], images=[evil, "other"])
    _, files = report_of(trials, name=evil, certificate=certificate, reproduce=evil, sweep_text=evil)
    page = files["report/index.html"].decode()
    assert page.count("<script>") == 1
    assert "alert(" not in re.sub(r"&lt;script&gt;alert\(&#34;x&#34;\)&lt;/script&gt;", "", page)
    assert "{{ 7*7 }}" in page
    assert "49" not in Reader(page).text


def test_the_command_and_the_sweep_file_are_there_as_they_are() -> None:
    sweep = "version: 1\nname: a\n  # a comment & more\n"
    _, files = report_of(table([({}, reached(1))]), reproduce="kgen run 'my sweep.yaml'", sweep_text=sweep)
    page = files["report/index.html"].decode()
    assert '<pre id="command">kgen run &#39;my sweep.yaml&#39;</pre>' in page
    assert "# a comment &amp; more" in page


# -- the certificate --------------------------------------------------------------------------------------------


def test_a_complete_sweep_says_so() -> None:
    trials = table([({}, reached(1)), ({}, capped())])
    text = " ".join(read(report_of(trials)[1]).text)
    assert "Complete: 2 expected trials, and a result of every one." in text
    assert "No trial failed, none is missing or ran twice, no file is damaged or foreign." in text


def test_every_id_and_file_of_the_certificate_is_named() -> None:
    trials = table([({"n": n}, reached(1)) for n in range(3)])
    certificate = certificate_of(
        trials,
        complete=False,
        accepted=1,
        missing=[f"missing{n:03d}" for n in range(60)],
        failed=[{"trial": "failed001", "file": "rows/f.parquet", "reason": "OSError: full"}],
        duplicates=[{"trial": "twice0001", "accepted": "a-first", "others": ["a-second", "a-third"]}],
        interrupted=["interru001"],
        damaged=[{"file": "rows/torn.parquet", "reason": "not a readable Parquet file"}],
        foreign=[{"file": "rows/strange.parquet", "trial": "stranger01"}],
        images=["image:1", "image:2"],
        digests=["sha256:1", "sha256:2"],
        revisions=["r1", "r2"],
        trainers=["mine", "mine, fused"],
        shared=[{"trial": "shared0001", "file": "rows/s.parquet", "reason": "reached"}],
    )
    text = " ".join(read(report_of(trials, certificate=certificate)[1]).text)
    for name in ("missing000", "missing059", "failed001", "rows/f.parquet", "OSError: full", "twice0001", "a-first",
                 "a-second, a-third", "interru001", "rows/torn.parquet", "rows/strange.parquet", "stranger01",
                 "shared0001", "1 trial on a shared device", "image:1", "image:2", "r2",
                 "60 missing trials", "2 images", "2 revisions", "2 image digests", "sha256:2", "2 trainers",
                 "mine, fused"):  # fmt: skip
        assert name in text, name
    assert "Incomplete: results of 1 of 3 expected trials." in text


def test_the_last_output_of_a_failed_trial_is_there() -> None:
    text = " ".join(read(report_of(table([({}, failed("ValueError: odd"))]))[1]).text)
    assert "last lines of its output" in text
    assert "Traceback … ValueError: odd" in text


# -- method and machines ----------------------------------------------------------------------------------------


def test_machines_and_versions_are_named_and_counted_where_they_differ() -> None:
    trials = table([({}, reached(1)), ({}, {**reached(2), "device": "A100"}), ({}, reached(2))])
    text = " ".join(read(report_of(trials)[1]).text)
    assert "Tesla K80 (2 trials) and A100 (1 trial)" in text
    assert "tensorflow 2.18.0" in text
    assert "3 of 3 trials had their device to themselves" in text
    assert "2026-01-02 03:04:05 UTC, 2026-01-02 03:05:05 UTC" in text
    assert "Seconds are not compared: trials ran on 2 kinds of device" in text


def test_the_timing_is_counted_from_the_rows_and_explained_where_it_is_shared() -> None:
    wall = {"total_seconds": 60.0}
    shared = {**reached(1), **wall, "timing": "shared"}
    page = read(report_of(table([({}, shared), ({}, shared), ({}, {**reached(2), **wall}), ({}, failed())]))[1])
    text = " ".join(page.text)
    assert "Timing, as the rows say: 1 of 3 results are exclusive" in text
    assert "2 shared" in text
    assert "fused with others in one program" in text
    # Wall times of trials that ran together are not added up, and seconds are not said to be a trial's own.
    assert "seconds in all, loading" not in text
    assert "seconds (own if exclusive)" in text
    assert "predicted" not in text

    text = " ".join(read(report_of(table([({}, {**reached(1), **wall}), ({}, {**reached(2), **wall})]))[1]).text)
    assert "Timing, as the rows say: 2 of 2 results are exclusive (trained alone on a device), 0 shared" in text
    assert "fused" not in text
    assert "seconds in all, loading, compilation and evaluation included 120" in text


def test_predicted_seconds_are_on_the_page_under_that_name_with_their_error() -> None:
    trials = sweep()
    _, files = report_of(trials, certificate=certificate_of(trials, timed=[{"trial": "trial00001"}]))
    page = read(files)
    text = " ".join(page.text)
    assert "Predicted seconds are steps × the median of seconds per step of 3 trials trained alone" in text
    assert "off by 10 % in the median and 110 % at worst" in text
    assert "1 of the trials also has a result of the other timing" in text
    assert "none is missing or ran twice" in text
    check(page.tables["trials"], trials)
    assert "predicted_seconds_to_target" in page.tables["trials"].names
    assert "figures/predicted_seconds_to_target.svg" in files
    assert "figures/seconds_to_target.svg" not in files


def test_the_method_says_what_was_mixed_fixed_and_measured() -> None:
    rows = [({"r": r, "o": o, "extra": e, "fixed": 7}, {**reached(100), "final.train_accuracy": 0.98})
            for r in (1, 2, 3, 4) for o in ("a", "b", "c") for e in (True, False)]  # fmt: skip
    text = " ".join(read(report_of(table(rows))[1]).text)
    assert "every value of extra , mixed" in text
    assert "fixed is 7 in every trial." in text
    assert "the share right over the last 5,000 examples seen" in text
    assert "Kaplan–Meier" in text
    metric = table([({"r": r}, finished(acc=r / 10)) for r in (1, 2)])
    said = " ".join(read(report_of(metric, objective=Objective("acc", Goal.MAXIMIZE))[1]).text)
    assert "Kaplan–Meier" not in said
    assert "counts as worse than any value" in said
    assert "5,000 examples" not in said


def test_intervals_are_said_with_the_ends_that_are_known() -> None:
    few = table([({"o": o}, reached(100 * s + 100)) for o in "ab" for s in range(3)], [0, 1, 2] * 2)
    assert "100 or more" in read(report_of(few)[1]).text
    many = table([({"o": o}, reached(100 * s + 100)) for o in "ab" for s in range(12)], list(range(12)) * 2)
    analysis, files = report_of(many)
    best = analysis.answer.rows[0]
    assert best.high is not None
    assert f"{best.low:.0f} to {best.high:,.0f}" in read(files).text


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-310, 12345678.9])
def test_a_rounded_number_has_all_its_digits_behind_it(value: float) -> None:
    trials = table([({"r": value}, reached(1)), ({"r": 2 * value}, reached(1))])
    shown = read(report_of(trials)[1]).tables["trials"]
    found = float(shown.rows[0][shown.names.index("param.r")])
    assert math.isclose(found, value, rel_tol=0)
