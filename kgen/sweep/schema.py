"""The JSON Schema of sweep.yaml, for editors."""

from __future__ import annotations

from typing import Any

from kgen.sweep.model import SweepFile


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the file's format, with a description of each field.

    Editors that know only draft 07 read it the same: nothing stands beside a ``$ref``, which they would pass over.
    """
    made = _tidy(SweepFile.model_json_schema(by_alias=True))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "kgen sweep", **made}


def _tidy(value: Any) -> Any:
    """Without pydantic's titles, which are names of its classes; references apart from what is said of them."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidy = {key: _tidy(item) for key, item in value.items() if not (key == "title" and isinstance(item, str))}
    if "$ref" in tidy and len(tidy) > 1:
        return {"allOf": [{"$ref": tidy.pop("$ref")}], **tidy}
    return tidy
