"""The sweep's ConfigMap → SweepSpec: what any machine with access to the namespace knows of a sweep."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from kgen import names
from kgen.errors import ClusterError
from kgen.render.objects import KEY_FILE_KEYS, KEY_FILES, KEY_SWEEP_NAME, KEY_TEMPLATE, KEY_TEMPLATE_NAME
from kgen.sweep import SweepSpec, loads


def sweep_from_objects(config_map: Mapping[str, Any], files_config_map: Mapping[str, Any] | None) -> SweepSpec:
    """The sweep that was rendered into these objects; gives the same trials and the same manifests.

    ``files_config_map`` is the one that ``data["files"]`` of the first names. Raises ClusterError when something is
    missing in them, InputError when this kgen takes the sweep file for wrong.
    """
    name = config_map["metadata"]["name"]
    data: Mapping[str, str] = config_map.get("data") or {}
    if names.CONFIG_MAP_SWEEP_KEY not in data:
        raise ClusterError(f"configmap/{name} holds no sweep: it has no key {names.CONFIG_MAP_SWEEP_KEY}")
    files = {}
    if KEY_TEMPLATE_NAME in data:
        files[data[KEY_TEMPLATE_NAME]] = data.get(KEY_TEMPLATE, "").encode()
    if KEY_FILES in data:
        files |= _contents(name, data, files_config_map)
    return loads(data[names.CONFIG_MAP_SWEEP_KEY], file=data.get(KEY_SWEEP_NAME, "sweep.yaml"), files=files)


def choices_in(config_map: Mapping[str, Any]) -> dict[str, str]:
    """The choices that the sweep's ConfigMap holds: stage → their JSON."""
    prefix, suffix = names.choice_key("\0").split("\0")
    return {
        key.removeprefix(prefix).removesuffix(suffix): text
        for key, text in (config_map.get("data") or {}).items()
        if key.startswith(prefix) and key.endswith(suffix)
    }


def _contents(name: str, data: Mapping[str, str], files_config_map: Mapping[str, Any] | None) -> dict[str, bytes]:
    """Path → content of ``trainer.files``."""
    if files_config_map is None:
        raise ClusterError(f"configmap/{data[KEY_FILES]} is not there, which has the files of configmap/{name}")
    text, binary = files_config_map.get("data") or {}, files_config_map.get("binaryData") or {}
    files = {}
    try:
        for path, key in json.loads(data[KEY_FILE_KEYS]).items():
            files[path] = text[key].encode() if key in text else base64.b64decode(binary[key], validate=True)
    except (KeyError, ValueError, AttributeError) as error:
        raise ClusterError(f"configmap/{data[KEY_FILES]} does not have the files of configmap/{name}") from error
    return files
