"""``kgen schema``."""

from __future__ import annotations

import json

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="schema", help="Print the JSON Schema of a sweep file")(print_schema)


def print_schema() -> None:
    """For editors and other tools."""
    from kgen.sweep.schema import schema

    print(json.dumps(schema(), indent=2, ensure_ascii=False))
