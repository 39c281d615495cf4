"""Registers the commands, nothing else. Heavy libraries are imported inside them, so that help is quick."""

from __future__ import annotations

from typing import Annotated

import typer

import kgen
from kgen.cli import check, collect, init, plan, report, run, schema
from kgen.cli.boundary import guarded

app = typer.Typer(
    name="kgen",
    help="Deep-learning sweeps from one file, to tables and figures.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        print(f"kgen {kgen.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit")
    ] = False,
) -> None:
    pass


for module in (init, check, schema, plan, run, collect, report):
    module.register(app)


def main() -> None:
    """Entry point of ``kgen``."""
    guarded(app)
