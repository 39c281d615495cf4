"""The objects that all trials of a sweep share: its ConfigMap, and one for the contents of ``trainer.files``."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Final

import kgen
from kgen import names
from kgen.errors import InputError
from kgen.render.manifest import Manifest
from kgen.spec import dump_json
from kgen.sweep import SweepSpec

KEY_SWEEP_NAME: Final = "sweep-file"
"""Key of the sweep's ConfigMap: name of the sweep file."""
KEY_TEMPLATE: Final = "template"
"""Text of the user's own template."""
KEY_TEMPLATE_NAME: Final = "template-file"
"""Its path beside the sweep file."""
KEY_FILES: Final = "files"
"""Name of the files' ConfigMap."""
KEY_FILE_KEYS: Final = "file-keys"
"""JSON: its key for each path."""
KEY_VERSION: Final = "kgen-version"

MAX_DATA: Final = 1 << 20
"""Bytes of a ConfigMap's data, by the API server."""
_SAFE_KEY: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_HASH_LENGTH: Final = 16


def common_labels(spec: SweepSpec, component: str) -> dict[str, str]:
    """Labels of every object of a sweep."""
    return {
        names.LABEL_NAME: f"kgen-{component}",
        names.LABEL_INSTANCE: spec.name,
        names.LABEL_COMPONENT: component,
        names.LABEL_PART_OF: spec.name,
        names.LABEL_MANAGED_BY: names.FIELD_MANAGER,
        names.LABEL_VERSION: kgen.__version__,
        names.LABEL_SWEEP: spec.name,
    }


def digest(data: bytes) -> str:
    """What tells one object's text from another's."""
    return base64.b32encode(hashlib.sha256(data).digest())[:_HASH_LENGTH].decode().lower()


def file_keys(spec: SweepSpec) -> dict[str, str]:
    """Key in the files' ConfigMap of each file's path: its own name where a key may look like that."""
    keys: dict[str, str] = {}
    for number, path in enumerate(spec.trainer.files):
        plain = PurePosixPath(path).name
        fits = _SAFE_KEY.fullmatch(plain) is not None and plain not in keys.values()
        keys[path] = plain if fits else f"file-{number}"
    return keys


def files_config_map_name(spec: SweepSpec) -> str:
    """Named after the sweep and the contents, so that a change is a new object and running pods keep theirs."""
    content = json.dumps([spec.name, spec.trainer.file_hashes()]).encode()
    return names.FILES_CONFIG_MAP_PREFIX + digest(content)[:10]


def files_manifest(spec: SweepSpec, namespace: str) -> Manifest:
    """The contents of ``trainer.files``; immutable."""
    text: dict[str, str] = {}
    binary: dict[str, str] = {}
    keys = file_keys(spec)
    for path, content in spec.trainer.files.items():
        try:
            text[keys[path]] = content.decode()
        except UnicodeDecodeError:
            binary[keys[path]] = base64.b64encode(content).decode()
    name = files_config_map_name(spec)
    data = {"data": text} if text else {}
    data |= {"binaryData": binary} if binary else {}
    return config_map(spec, name, names.COMPONENT_FILES, namespace, {**data, "immutable": True})


def sweep_manifest(spec: SweepSpec, namespace: str, choices: Mapping[str, str] = MappingProxyType({})) -> Manifest:
    """The sweep itself: enough to make the SweepSpec again where there are no files, with the choices that were made:
    stage → their JSON.

    Raises InputError when it is too large for a ConfigMap.
    """
    data = {
        names.CONFIG_MAP_SWEEP_KEY: spec.text,
        KEY_SWEEP_NAME: spec.file.name,
        KEY_VERSION: kgen.__version__,
    }
    template = spec.kubernetes.template
    if template is not None:
        data[KEY_TEMPLATE] = template.text
        data[KEY_TEMPLATE_NAME] = template.file.relative_to(spec.folder).as_posix()
    if spec.trainer.files:
        data[KEY_FILES] = files_config_map_name(spec)
        data[KEY_FILE_KEYS] = dump_json(file_keys(spec))
    data |= {names.choice_key(stage): text for stage, text in sorted(choices.items())}
    size = sum(len(text.encode()) for text in data.values())
    if size > MAX_DATA:
        found = f"{size:,} bytes with its template{' and choices' * bool(choices)}"
        raise InputError.of(str(spec.file), "the file", found, f"at most {MAX_DATA:,} in a ConfigMap")
    return config_map(spec, names.sweep_config_map(spec.name), names.COMPONENT_SWEEP, namespace, {"data": data})


def config_map(spec: SweepSpec, name: str, component: str, namespace: str, content: Mapping[str, Any]) -> Manifest:
    """A ConfigMap of the sweep with its labels; ``content`` are its fields beside the metadata."""
    labels = {**common_labels(spec, component), names.LABEL_SPEC: ""}
    hashed = {key: value for key, value in labels.items() if key != names.LABEL_VERSION}
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": hashed}, **content}
    labels[names.LABEL_SPEC] = digest(pretty(made).encode())  # the same in every namespace, of every kgen, as a Job's
    made["metadata"] = {"name": name, **({"namespace": namespace} if namespace else {}), "labels": labels}
    return Manifest("ConfigMap", name, pretty(made), labels[names.LABEL_SPEC])


def pretty(value: Any) -> str:
    """An object as it is written and sent."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
