"""The page: one HTML file that needs nothing else, opens offline, and reads without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jinja2
import pandas as pd
from markupsafe import Markup

from kgen.analysis import COMPLETE, Analysis, FigureData
from kgen.analysis.text import listing, number, plural
from kgen.names import COLLECTED_DIR, FIGURES_DIR, SUMMARY_FILE
from kgen.report.provenance import environment, exclusive_trials, notices, verdict
from kgen.report.style import PALETTE
from kgen.report.tables import answer_table, frame_table, trial_table

_TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("kgen.report"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_FEW: Final = 20
"""Lists up to here are open on the page."""


def page(
    analysis: Analysis,
    trials: pd.DataFrame,
    certificate: Mapping[str, Any],
    *,
    drawings: Sequence[tuple[FigureData, bytes]],
    reproduce: str,
    sweep_text: str,
) -> str:
    """The whole page; ``drawings`` are the figures with their SVG. Everything but these is escaped."""
    several = bool((analysis.points["trials"] > 1).any())
    done = trials[trials["status"].isin(COMPLETE)]
    return _TEMPLATES.get_template("page.html.j2").render(
        analysis=analysis,
        question=question(analysis, len(trials)),
        verdict=verdict(certificate),
        complete=bool(certificate["complete"]),
        timed=len({item["trial"] for item in certificate.get("timed", ())}),
        results=len(done),
        exclusive=exclusive_trials(done),
        notices=notices(certificate, trials),
        environment=environment(trials),
        answer=answer_table(analysis),
        summary=frame_table("summary", analysis.summary),
        points=frame_table("points", analysis.points) if several else None,
        trials=trial_table(analysis, trials),
        figures=[(figure, inline_svg(svg, figure.name)) for figure, svg in drawings],
        reproduce=reproduce,
        sweep_text=sweep_text,
        metrics={str(name).partition(".")[2] for name in trials.columns if str(name).startswith("final.")},
        built_in=bool(trials["trainer"].astype("string").str.startswith("kgen_trainer").any()),
        palette=PALETTE,
        summary_file=f"{COLLECTED_DIR}/{SUMMARY_FILE}",
        figures_folder=f"../{FIGURES_DIR}",
        few=_FEW,
    )


def question(analysis: Analysis, trials: int) -> str:
    """What was asked, in a line: how many trials of what, for which target, within which budget."""
    roles, budget = analysis.roles, analysis.budget
    varied = [parameter.name for parameter in (roles.group, roles.x, *roles.spread) if parameter is not None]
    said = plural(trials, "trial")
    if varied:
        said += f" over {listing(varied, most=12)}"
    if roles.seeds > 1:
        said += f", {roles.seeds} seeds each"
    limits = [plural(budget.steps, "step")] if budget.steps is not None else []
    if budget.seconds is not None:
        limits.append(f"{number(budget.seconds)} counted seconds")
    target = f" Target: {budget.target}." if budget.target is not None else ""
    return f"{said}.{target} Budget: {' or '.join(limits)}." if limits else f"{said}.{target}"


def inline_svg(svg: bytes, name: str) -> Markup:
    """An SVG file as part of a page: scaled to its width, ids apart from other figures', colours from the page's CSS.

    The colours become variables, so that the page can show them on a dark ground too.
    """
    text = svg.decode()
    text = text[text.index("<svg ") :]
    prefix = re.sub(r"[^A-Za-z0-9]", "-", name)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = text.replace('href="#', f'href="#{prefix}-').replace("url(#", f"url(#{prefix}-")
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg [^>]*?)\swidth="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg [^>]*?)\sheight="[^"]*"', r"\1", text, count=1)
    for variable, (light, _) in PALETTE.items():
        text = text.replace(light, f"var(--{variable})")
    # Safe: matplotlib made it, and every text in it is a path.
    return Markup(text)
