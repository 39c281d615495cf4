"""``kgen check``."""

from __future__ import annotations

from pathlib import Path

import typer

from kgen.cli.arguments import SweepFile


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Report every mistake in a sweep file")(check)


def check(file: SweepFile = Path("sweep.yaml")) -> None:
    """Load and expand the file: everything that can be wrong without running it. Of stages each with its trials."""
    from kgen.sweep import expand, load
    from kgen.sweep.stages import size_in_words
    from kgen.workflow.extras import lacking_extra

    spec = load(file)
    trials = expand(spec)
    words = [(stage.name, size_in_words(stage, spec.stages)) for stage in spec.stages]
    if not words:
        print(f"{file}: ok, {len(trials):,} trial{'s' * (len(trials) != 1)}")
    elif len(words) == 1:
        print(f"{file}: ok, {words[0][1]}")
    else:
        print(f"{file}: ok, {len(words)} stages")
        width = max(len(name) for name, _ in words)
        for name, said in words:
            print(f"  {name:{width}}  {said}")
    if what := lacking_extra(spec):
        print(f"{what} needs pip install 'kgen-sweep[search]' where it runs; sobol and random need nothing")
