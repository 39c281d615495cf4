"""``kgen render``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kgen.cli.arguments import SweepFile


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Write the objects that submit would create, as plain manifests")(render)


def render(
    file: SweepFile = Path("sweep.yaml"),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder for one JSON file per object")
    ] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace; else that of the sweep file, else none is said")
    ] = "",
) -> None:
    """Print YAML documents, or write a folder for kubectl, Argo CD or Flux. Asks no cluster."""
    from kgen.cli.output import Output, dump
    from kgen.cli.text import command, count
    from kgen.sweep import load
    from kgen.workflow.render import render_sweep, write_manifests

    spec = load(file)
    rendered = render_sweep(spec, namespace=namespace)
    for note in rendered.notes:
        print(f"kgen: note: {note}", file=sys.stderr)
    if output is None:
        for manifest in rendered.objects():
            print(f"---\n{dump(manifest.object(), Output.YAML)}")
        return
    written = write_manifests(rendered, spec.name, output)
    removed = f", {count(written.removed, 'file')} removed" if written.removed else ""
    print(f"{output}: {count(written.files, 'object')}, {written.changed:,} new or changed{removed}")
    has_jobs = bool(rendered.jobs)
    print(f"next: kubectl apply -f {output}" if has_jobs else f"next: {command('submit', file)} --wait")
