"""Analysis → figures (SVG, PNG, PDF) and one self-contained HTML page.

Knows no folder and reads no clock: it hands names and bytes to whoever writes them, and the same analysis gives the
same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from kgen.analysis import Analysis
from kgen.errors import MissingExtraError
from kgen.names import FIGURES_DIR, PAGE_FILE, REPORT_DIR

__all__ = ["write_report"]


def write_report(
    analysis: Analysis,
    trials: pd.DataFrame,
    certificate: Mapping[str, Any],
    *,
    reproduce: str,
    sweep_text: str,
    write: Callable[[str, bytes], object],
) -> tuple[str, ...]:
    """Draw every figure and make the page; returns the names written, the page first.

    ``reproduce`` is the command that makes these results again, ``sweep_text`` the resolved sweep file. ``write`` takes
    a name relative to the sweep's results folder. Raises MissingExtraError without matplotlib.
    """
    try:
        from kgen.report.draw import draw
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise MissingExtraError("the report", "report") from error
    from kgen.report.page import page

    pictures = [(figure, draw(figure)) for figure in analysis.figures]
    drawings = [(figure, picture.files["svg"]) for figure, picture in pictures]
    html = page(analysis, trials, certificate, drawings=drawings, reproduce=reproduce, sweep_text=sweep_text)
    files = {f"{REPORT_DIR}/{PAGE_FILE}": html.encode()}
    for figure, picture in pictures:
        files |= {f"{FIGURES_DIR}/{figure.name}.{suffix}": data for suffix, data in picture.files.items()}
    for name, data in files.items():
        write(name, data)
    return tuple(files)
