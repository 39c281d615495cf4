"""``kgen recommend``."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace
from kgen.cli.output import Output, dump
from kgen.cli.results import Image, Results, SweepOrFile, fetch_results, tell
from kgen.errors import TrialsFailedError


class _Format(enum.StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Say which values to use, how safe and how sure that is, by the results so far")(recommend)


def recommend(
    sweep: SweepOrFile = "sweep.yaml",
    output: Annotated[
        _Format,
        typer.Option(
            "--output",
            "-o",
            metavar="FORMAT",
            help="table; json, with everything; yaml, parameters to paste into a sweep file; name, as --where takes it",
        ),
    ] = _Format.TABLE,
    stage: Annotated[
        str,
        typer.Option("--stage", metavar="STAGE", help="The question of this stage, where stages train several things"),
    ] = "",
    results: Results = None,
    image: Image = "",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Fetch what is new and say what it says. Exit code 1 where nothing can be recommended yet."""
    from kgen.cli import advice as words
    from kgen.workflow.recommend import recommend as recommend_sweep

    say = print if output is _Format.TABLE else tell
    opened = fetch_results(sweep, kubeconfig, context, namespace, results=results, image=image, say=say)
    advice = recommend_sweep(opened.spec, stage=stage)
    if output is _Format.JSON:
        print(dump(words.to_json(advice), Output.JSON))
    elif output is _Format.TABLE:
        print(words.table(advice))
    elif words.points(advice):
        print(words.parameters_yaml(advice) if output is _Format.YAML else words.names(advice))
    if not words.points(advice):
        raise TrialsFailedError(f"nothing to recommend for sweep {opened.spec.name}")
