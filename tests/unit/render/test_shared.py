"""The ConfigMaps of a sweep, and the sweep from them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from kgen.errors import ClusterError, InputError
from kgen.render import render
from kgen.render.objects import MAX_DATA, sweep_manifest
from kgen.render.sweep_object import sweep_from_objects
from kgen.render.template import built_in_text
from kgen.sweep import expand
from tests.unit.render.rendering import BLOCKS, rendered, spec, whole
from tests.unit.sweep.sweeps import text

FILES = {"train.py": b"print(1)\n", "lib/data.bin": b"\xff\0", "lib/train.py": "é".encode(), "a b.txt": b""}
TRAINER = "{image: r/x, command: [sh, train.py], files: [train.py, lib/data.bin, lib/train.py, a b.txt]}"


def test_the_sweeps_config_map_has_the_file_as_it_is() -> None:
    made = rendered("ml")
    found = made.shared[0].object()
    assert found["metadata"]["name"] == made.shared[0].name == "kgen-sweep-sweep"
    assert found["metadata"]["namespace"] == "ml"
    assert found["metadata"]["labels"]["app.kubernetes.io/component"] == "sweep"
    assert found["metadata"]["labels"]["kgen.dev/spec"] == made.shared[0].spec
    assert found["data"]["sweep.yaml"] == text(**BLOCKS)
    assert "files" not in found["data"]


def test_another_process_gets_the_same_sweep_from_it() -> None:
    made = spec(template=built_in_text() + "# mine", trainer=TRAINER, files=FILES, kubernetes="{queue: q}", repeats="2")
    first = render(made, expand(made), namespace="ml")
    sweep, files = (json.loads(manifest.text) for manifest in first.shared)
    assert sweep["data"]["files"] == files["metadata"]["name"]
    again = sweep_from_objects(sweep, files)
    assert again == made
    second = render(again, expand(again), namespace="ml")
    assert [m.text for m in whole(second)] == [m.text for m in whole(first)]


def test_a_sweep_without_files_needs_no_more() -> None:
    (sweep,) = rendered().shared
    assert sweep_from_objects(sweep.object(), None) == spec()


def test_what_is_missing_is_said() -> None:
    sweep, files = (m.object() for m in rendered(trainer=TRAINER, files=FILES).shared)
    with pytest.raises(ClusterError, match=r"configmap/kgen-files-\w+ is not there, which has the files of"):
        sweep_from_objects(sweep, None)
    for broken in ({**files, "data": {}}, {**files, "binaryData": {"data.bin": "!"}}):
        with pytest.raises(ClusterError, match="does not have the files of"):
            sweep_from_objects(sweep, broken)
    with pytest.raises(ClusterError, match="configmap/x holds no sweep"):
        sweep_from_objects({"metadata": {"name": "x"}}, None)


def test_files_are_named_after_sweep_and_contents() -> None:
    def name(**blocks: Any) -> str:
        return rendered(trainer=TRAINER, **{"files": FILES, **blocks}).shared[1].name

    assert name() == name(seed="3") == name(kubernetes="{queue: q}")
    changed = {name(), name(files={**FILES, "train.py": b""}), name(name="other")}
    assert len(changed) == 3
    assert all(one.startswith("kgen-files-") and len(one) == 21 for one in changed)


def test_keys_of_files_are_such_that_the_server_takes_them() -> None:
    files = rendered(trainer=TRAINER, files=FILES).shared[1].object()
    assert set(files["data"]) == {"train.py", "file-2", "file-3"}
    assert set(files["binaryData"]) == {"data.bin"}


def test_the_hash_changes_with_anything_but_itself() -> None:
    def hashes(**blocks: Any) -> list[str]:
        return [manifest.spec for manifest in whole(rendered(**blocks))]

    base = hashes()
    assert base == hashes()
    assert len(set(base)) == len(base)
    assert all(len(one) == 16 and one.isalnum() and one.islower() for one in base)
    assert not set(base[1:]) & set(hashes(kubernetes="{deadline: 60}")[1:])
    assert not set(base[1:]) & set(hashes(trainer="{image: r/other}")[1:])
    assert base[0] != hashes(seed="# a comment\n  0")[0]
    assert base[1:] == hashes(seed="# a comment\n  0")[1:]


def test_a_sweep_too_large_for_a_config_map_is_refused() -> None:
    """No file can be: this is about what both limits together would allow one day."""
    big = replace(spec(template=built_in_text()), text="x" * MAX_DATA)
    with pytest.raises(InputError, match=r"found 1,05\d,\d+ bytes with its template, allowed at most 1,048,576"):
        sweep_manifest(big, "")
