"""Analysis → figures (SVG, PNG, PDF) and one self-contained HTML page.

Knows no folder and reads no clock: it hands names and bytes to whoever writes them, and the same analysis gives the
same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from kgen.analysis import Analysis
from kgen.analysis.compare import Comparison
from kgen.errors import MissingExtraError
from kgen.names import FIGURES_DIR, PAGE_FILE, REPORT_DIR
from kgen.report.stages import Origin, figure_name

__all__ = ["Origin", "write_report"]


def write_report(
    analyses: Sequence[Analysis],
    trials: pd.DataFrame,
    certificate: Mapping[str, Any],
    *,
    origins: Mapping[str, Origin] | None = None,
    comparison: Comparison | None = None,
    reproduce: str,
    sweep_text: str,
    write: Callable[[str, bytes], object],
) -> tuple[str, ...]:
    """Draw every figure and make the page; returns the names written, the page first.

    ``analyses`` are those of the stages that have begun, at least one, in their order; where there are several, the
    names of a stage's figures begin with its own. ``origins`` says by stage where its trials came from, ``comparison``
    what was published. ``reproduce`` is the command that makes these results again, ``sweep_text`` the resolved sweep
    file. ``write`` takes a name relative to the sweep's results folder. Raises MissingExtraError without matplotlib.
    """
    try:
        from kgen.report.draw import draw
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise MissingExtraError("the report", "report") from error
    from kgen.report.page import page

    several = len(analyses) > 1
    pictures = {
        figure_name(analysis, figure, several=several): draw(figure)
        for analysis in analyses
        for figure in analysis.figures
    }
    html = page(
        analyses,
        trials,
        certificate,
        drawings={name: picture.files["svg"] for name, picture in pictures.items()},
        origins=origins or {},
        comparison=comparison,
        reproduce=reproduce,
        sweep_text=sweep_text,
    )
    files = {f"{REPORT_DIR}/{PAGE_FILE}": html.encode()}
    for name, picture in pictures.items():
        files |= {f"{FIGURES_DIR}/{name}.{suffix}": data for suffix, data in picture.files.items()}
    for name, data in files.items():
        write(name, data)
    return tuple(files)
