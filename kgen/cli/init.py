"""``kgen init``."""

from __future__ import annotations

import importlib.resources
import json
from pathlib import Path
from typing import Annotated

import typer

from kgen.cli.arguments import SweepFile
from kgen.cli.text import command
from kgen.errors import InputError, StoreError

SCHEMA_PATH = Path(".kgen", "sweep.schema.json")
TEMPLATE_NAME = "job.yaml.j2"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Write a commented sweep file, and its schema for editors; or a Job template")(init)


def init(
    file: SweepFile = Path("sweep.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file")] = False,
    template: Annotated[
        bool, typer.Option("--template", help=f"Write kgen's own Job template to edit, as {TEMPLATE_NAME} or FILE")
    ] = False,
) -> None:
    """Write the file and ``.kgen/sweep.schema.json`` beside it, or the Job template."""
    from kgen.sweep.schema import schema

    if template:
        _write_template(Path(TEMPLATE_NAME) if file == Path("sweep.yaml") else file, force=force)
        return
    _refuse_existing(file, force=force)
    schema_file = file.parent / SCHEMA_PATH
    text = importlib.resources.files("kgen.sweep").joinpath("init.yaml").read_text(encoding="utf-8")
    try:
        schema_file.parent.mkdir(parents=True, exist_ok=True)
        schema_file.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{error.filename}: can't be written: {error.strerror}") from error
    print(f"wrote {file}; next: {command('plan', file)}")


def _refuse_existing(file: Path, *, force: bool) -> None:
    if file.exists() and not force:
        raise InputError.of(str(file), "the file", "one that exists", "a new file, or --force to overwrite it")


def _write_template(file: Path, *, force: bool) -> None:
    from kgen.render.template import built_in_text

    _refuse_existing(file, force=force)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(built_in_text(), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{error.filename}: can't be written: {error.strerror}") from error
    print(f"wrote {file}; next: edit it, and write kubernetes: {{template: {file.name}}} into the sweep file beside it")
