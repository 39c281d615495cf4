"""The JSON Schema of sweep.yaml, for editors."""

from __future__ import annotations

from typing import Any

from kgen.sweep.model import SweepFile


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the file's format, with a description of each field."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kgen sweep",
        **{key: value for key, value in SweepFile.model_json_schema(by_alias=True).items() if key != "title"},
    }
