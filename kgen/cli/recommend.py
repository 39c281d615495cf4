"""``kgen recommend``."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace
from kgen.cli.output import Output, dump
from kgen.cli.results import Image, Results, SweepOrFile, fetch_results, tell
from kgen.errors import TrialsFailedError

if TYPE_CHECKING:
    from kgen.workflow.recommend import Advice


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
    if not words.is_answered(advice):
        elsewhere = _elsewhere(sweep, advice)
        raise TrialsFailedError(f"nothing to recommend for sweep {opened.spec.name}{elsewhere}")


def _elsewhere(sweep: str, advice: Advice) -> str:
    """Where ``kgen run --recommend`` has put what the file itself has no result of."""
    from pathlib import Path

    from kgen.cli.text import command
    from kgen.workflow.derive import derived_file

    derived = derived_file(Path(sweep))
    if any(question.results for question in advice.questions) or advice.hints or not derived.is_file():
        return ""
    return f"; 'kgen run --recommend' has made {derived.name}, with results of its own: {command('recommend', derived)}"
