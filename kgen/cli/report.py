"""``kgen report``."""

from __future__ import annotations

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace
from kgen.cli.results import Image, Results, SweepOrFile, fetch_results
from kgen.names import stage_title


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Draw the figures and make the page from the results so far")(report)


def report(
    sweep: SweepOrFile = "sweep.yaml",
    results: Results = None,
    image: Image = "",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Fetch what is new, collect, draw, and print the answer."""
    from kgen.cli.text import answers
    from kgen.workflow.collect import collect_sweep
    from kgen.workflow.report import report_sweep

    opened = fetch_results(sweep, kubeconfig, context, namespace, results=results, image=image)
    page, collected = report_sweep(opened.spec, collect_sweep(opened.spec, opened.pods))
    certificate = collected.results.certificate
    if not certificate.complete:
        print(f"so far: {certificate.accepted:,} of {certificate.expected:,} trials have a result")
        print("".join(f"{stage_title(stage)}: {why}\n" for stage, why in certificate.waiting.items()), end="")
    print(answers(collected.analyses))
    print(f"\nreport: {page}")
