"""The page: one HTML file that needs nothing else, opens offline, and reads without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jinja2
import pandas as pd
from markupsafe import Markup

from kgen.analysis import COMPLETE, Analysis
from kgen.analysis.compare import Comparison
from kgen.analysis.text import plural
from kgen.names import FIGURES_DIR
from kgen.report.provenance import environment, exclusive_trials, notices, verdict
from kgen.report.stages import Origin, question, sections
from kgen.report.style import PALETTE
from kgen.report.tables import texts_table, trial_table

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
    analyses: Sequence[Analysis],
    trials: pd.DataFrame,
    certificate: Mapping[str, Any],
    *,
    drawings: Mapping[str, bytes],
    origins: Mapping[str, Origin],
    comparison: Comparison | None,
    reproduce: str,
    sweep_text: str,
) -> str:
    """The whole page; ``drawings`` are the figures' SVG by their files' names. Everything but these is escaped."""
    done = trials[trials["status"].isin(COMPLETE)]
    waiting: Mapping[str, str] = certificate.get("waiting", {})
    stages = len({analysis.stage for analysis in analyses} | set(waiting))
    several = len(analyses) > 1
    inline = {name: inline_svg(svg, name) for name, svg in drawings.items()}
    return _TEMPLATES.get_template("page.html.j2").render(
        name=analyses[0].name,
        several=several,
        sections=sections(analyses, trials, drawings=inline, origins=origins, comparison=comparison),
        waiting=waiting,
        question=f"{plural(len(trials), 'trial')} in {plural(stages, 'stage')}."
        if several
        else question(analyses[0], len(trials)),
        verdict=verdict(certificate),
        complete=bool(certificate["complete"]),
        timed=len({item["trial"] for item in certificate.get("timed", ())}),
        results=len(done),
        exclusive=exclusive_trials(done),
        notices=notices(certificate, trials),
        environment=environment(trials),
        trials=trial_table(analyses, trials),
        comparison=comparison,
        differences=None
        if comparison is None
        else texts_table("differences", ("what", "here", "published"), comparison.differences),
        times=any(measure.is_time for analysis in analyses for measure in analysis.measures),
        metrics_compared=any(not measure.is_time for analysis in analyses for measure in analysis.measures),
        growing=any(analysis.scaling is not None for analysis in analyses),
        ranked=any(analysis.ranking is not None for analysis in analyses),
        repeated=any(analysis.answer.repeated for analysis in analyses),
        reproduce=reproduce,
        sweep_text=sweep_text,
        metrics={str(name).partition(".")[2] for name in trials.columns if str(name).startswith("final.")},
        built_in=bool(trials["trainer"].astype("string").str.startswith("kgen_trainer").any()),
        palette=PALETTE,
        figures_folder=f"../{FIGURES_DIR}",
        few=_FEW,
    )


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
