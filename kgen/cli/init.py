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


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Write a commented sweep file, and its schema for editors")(init)


def init(
    file: SweepFile = Path("sweep.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file")] = False,
) -> None:
    """Write the file and ``.kgen/sweep.schema.json`` beside it."""
    from kgen.sweep.schema import schema

    if file.exists() and not force:
        raise InputError.of(str(file), "the file", "one that exists", "a new file, or --force to overwrite it")
    schema_file = file.parent / SCHEMA_PATH
    text = importlib.resources.files("kgen.sweep").joinpath("init.yaml").read_text(encoding="utf-8")
    try:
        schema_file.parent.mkdir(parents=True, exist_ok=True)
        schema_file.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{error.filename}: can't be written: {error.strerror}") from error
    print(f"wrote {file}; next: {command('plan', file)}")
