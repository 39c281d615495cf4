"""``kgen report``."""

from __future__ import annotations

from pathlib import Path

import typer

from kgen.cli.arguments import SweepFile


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Draw the figures and make the page from the results so far")(report)


def report(file: SweepFile = Path("sweep.yaml")) -> None:
    """Collect, draw, and print the answer."""
    from kgen.cli.text import answer_table
    from kgen.sweep import load
    from kgen.workflow.report import report_sweep

    page, collected = report_sweep(load(file))
    certificate = collected.results.certificate
    if not certificate.complete:
        print(f"so far: {certificate.accepted:,} of {certificate.expected:,} trials have a result")
    print(answer_table(collected.analysis))
    print(f"\nreport: {page}")
