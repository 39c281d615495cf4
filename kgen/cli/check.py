"""``kgen check``."""

from __future__ import annotations

from pathlib import Path

import typer

from kgen.cli.arguments import SweepFile


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Report every mistake in a sweep file")(check)


def check(file: SweepFile = Path("sweep.yaml")) -> None:
    """Load and expand the file: everything that can be wrong without running it."""
    from kgen.sweep import expand, load

    trials = expand(load(file))
    print(f"{file}: ok, {len(trials):,} trial{'s' * (len(trials) != 1)}")
