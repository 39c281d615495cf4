"""Registers the commands, nothing else. Heavy libraries are imported inside them, so that help is quick."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

import kgen
from kgen.cli import (
    act,
    check,
    collect,
    describe,
    diff,
    doctor,
    get,
    init,
    logs,
    plan,
    recommend,
    render,
    report,
    run,
    schema,
    submit,
    wait,
)
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


for module in (
    init,
    check,
    schema,
    plan,
    run,
    collect,
    report,
    recommend,
    diff,
    render,
    submit,
    get,
    describe,
    logs,
    wait,
    act,
    doctor,
):  # in the order of help
    module.register(app)


def main() -> None:
    """Entry point of ``kgen``, and of ``kubectl-kgen``, which kubectl runs as ``kubectl kgen``."""
    as_plugin = Path(sys.argv[0]).name.startswith("kubectl-")
    guarded(partial(app, prog_name="kubectl kgen" if as_plugin else "kgen"))
