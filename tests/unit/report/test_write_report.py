from __future__ import annotations

import io
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kgen.analysis import Analysis, analyse
from kgen.errors import MissingExtraError
from kgen.report import write_report
from kgen.spec import Budget, Objective
from tests.unit.analysis.synthetic import (
    BUDGET,
    NO_CURVES,
    STEPS,
    article,
    capped,
    diverged,
    failed,
    finished,
    missing,
    reached,
    table,
)
from tests.unit.report.made import certificate_of, digests, report_of

ROOT = Path(__file__).parents[3]
Report = tuple[Analysis, dict[str, bytes]]


def test_every_figure_comes_in_three_formats_beside_the_page(article_report: Report) -> None:
    analysis, files = article_report
    names = [figure.name for figure in analysis.figures]
    assert set(files) == {
        "report/index.html",
        *(f"figures/{name}.{suffix}" for name in names for suffix in ("svg", "png", "pdf")),
    }
    for name, data in files.items():
        start = {"html": b"<!DOCTYPE html>", "svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[
            name.rpartition(".")[2]
        ]
        assert data.startswith(start), name


def test_another_process_with_other_settings_makes_the_same_bytes(article_report: Report, tmp_path: Path) -> None:
    """Another hash seed, locale, time zone and matplotlibrc; the first process has drawn other things before."""
    settings = tmp_path / "matplotlibrc"
    settings.write_text("font.size: 20\nlines.linewidth: 9\nsvg.fonttype: none\n")
    env = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C", "MATPLOTLIBRC": str(settings)}
    made = subprocess.run(
        [sys.executable, "-m", "tests.unit.report.made"], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    assert made.stdout == digests(article_report[1])


def test_a_figure_is_a_picture_of_two_columns_width(article_report: Report) -> None:
    image = Image.open(io.BytesIO(article_report[1]["figures/steps_to_target.png"]))
    assert image.width == 1440
    colours = image.convert("RGB").getcolors(1 << 24) or []
    by_count = {colour: count for count, colour in colours}
    assert by_count[(255, 255, 255)] > 0.8 * image.width * image.height
    # Every group's own colour is there.
    for colour in ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0)):
        assert by_count.get(colour, 0) > 50, colour


def test_without_matplotlib_the_message_is_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = table([({}, reached(1))])
    analysis = analyse(trials, NO_CURVES, name="s", objective=STEPS, budget=BUDGET)
    monkeypatch.delitem(sys.modules, "kgen.report.draw", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'kgen-sweep\[report\]'"):
        write_report([analysis], trials, certificate_of(trials), reproduce="", sweep_text="", write=lambda *_: None)


ROWS: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {
    "one trial": [({}, reached(300))],
    "nothing reached": [({"rate": rate, "o": o}, capped()) for rate in (0.1, 1.0) for o in "ab"],
    "all failed": [({"rate": rate}, failed()) for rate in (0.1, 1.0)],
    "all missing": [({"rate": rate}, missing()) for rate in (0.1, 1.0)],
    "all diverged": [({"rate": rate}, diverged()) for rate in (0.1, 1.0)],
    "categories": [({"o": o, "s": s}, reached(100)) for o in ("a", "b" * 70, "$\\c$", "_d") for s in "xy"],
    "two numbers": [({"d": d, "w": w}, reached(100 * d)) for d in (1, 2) for w in (1, 10, 100)],
    "two hundred categories": [({"o": f"optimizer-{n}"}, reached(100 + n)) for n in range(200)],
    "flags": [({"flag": flag}, reached(100)) for flag in (True, False)],
    "twenty groups": [({"m": f"m{n}", "w": w}, reached(100 + n)) for n in range(20) for w in (1, 2)],
    "without the parameter": [({"o": "a", "r": float(n)}, reached(9)) for n in (1, 2)] + [({"o": "b"}, reached(8))],
}


@pytest.mark.parametrize("kind", ROWS)
def test_any_shape_of_sweep_makes_a_report(kind: str) -> None:
    # Without seconds, which would only double the figures.
    trials = table(ROWS[kind]).assign(timing="shared")
    analysis, files = report_of(trials)
    assert analysis.figures
    assert b"</html>" in files["report/index.html"]


def test_no_target_and_no_metric_make_a_report_that_says_so() -> None:
    _, files = report_of(table([({"rate": rate}, finished(acc=rate)) for rate in (0.1, 1.0)]), budget=Budget(steps=10))
    assert b"No trial has a value of steps to the target." in files["report/index.html"]


@pytest.mark.parametrize("metric", ["_loss", "$loss \\oops{$", "loss\n" * 50, "verlust λ 损失 <b>"])
def test_odd_names_are_drawn(metric: str) -> None:
    trials = table([({"rate": n / 2}, {**finished(), f"final.{metric}": n}) for n in range(3)])
    assert len(report_of(trials, objective=Objective(metric))[1]) == 4


@pytest.mark.parametrize("values", [[1e-300, 1.0, 3e38, 1e300, math.nan, math.inf], [-1e300, 0.0, 1e300], [0.0, 0.0]])
def test_extreme_values_are_drawn(values: list[float]) -> None:
    trials = table([({"rate": n / 2}, finished(loss=value)) for n, value in enumerate(values)])
    assert len(report_of(trials, objective=Objective("loss"))[1]) == 4


def test_repeats_make_a_taller_strip_and_a_table_of_points() -> None:
    _, files = report_of(article(repeats=2)[0].iloc[:192])
    assert b'id="points"' in files["report/index.html"]
