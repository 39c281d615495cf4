"""``kgen init`` and ``kgen schema``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from kgen.sweep import expand, load
from kgen.sweep.document import parse
from tests.unit.cli.ran import Kgen


def test_what_it_writes_is_a_valid_sweep(tmp_path: Path, kgen: Kgen) -> None:
    file = tmp_path / "sweep.yaml"
    assert kgen("init", file).ok().out == f"wrote {file}; next: kgen plan {file}\n"
    assert kgen("check", file).ok().out == f"{file}: ok, 96 trials\n"


def test_the_schema_line_names_a_schema_beside_it_that_accepts_the_file(tmp_path: Path, kgen: Kgen) -> None:
    file = tmp_path / "new" / "my.yaml"
    kgen("init", file).ok()
    content = file.read_text(encoding="utf-8")
    line = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", content.splitlines()[0])
    assert line is not None
    schema = json.loads((file.parent / line[1]).read_text(encoding="utf-8"))
    jsonschema.validate(parse(content, "x").value, schema)
    assert schema == json.loads(kgen("schema").ok().out)


def test_every_line_that_is_commented_out_may_be_taken_in(tmp_path: Path, kgen: Kgen) -> None:
    """The comments are documentation: they have to be right."""
    file = tmp_path / "sweep.yaml"
    kgen("init", file).ok()
    lines = file.read_text(encoding="utf-8").splitlines()
    samples = [line.replace("# ", "", 1) for line in lines if re.match(r" *# ([a-z_]+): [^ ]", line)]
    for sample in samples:
        name = sample.split(":")[0].strip()
        kept = [line for line in lines if not line.strip().startswith(f"{name}:")]
        at = lines.index(next(line for line in lines if line.replace("# ", "", 1) == sample))
        owner = next((line for line in reversed(lines[:at]) if re.match(r"[a-z]+:", line)), "")
        where = kept.index(owner) + 1 if sample.startswith(" ") else len(kept)
        file.write_text("\n".join([*kept[:where], sample, *kept[where:]]) + "\n", encoding="utf-8")
        (tmp_path / "train.py").touch()
        spec = load(file)
        assert expand(spec) or spec.stages, sample  # a search has no trials before its first answer
    assert {sample.split(":")[0].strip() for sample in samples} >= {"batch_size", "scale", "seconds"}


def test_it_overwrites_nothing_unless_told(tmp_path: Path, kgen: Kgen) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("mine")
    ran = kgen("init", file)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"{file}: the file: found one that exists, allowed a new file, or --force to overwrite it\n"
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == "mine"
    kgen("init", "--force", file).ok()
    kgen("check", file).ok()


def test_without_a_name_it_writes_sweep_yaml_here(tmp_path: Path, kgen: Kgen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert kgen("init").ok().out == "wrote sweep.yaml; next: kgen plan sweep.yaml\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".kgen", "sweep.yaml"]


def test_a_place_that_can_not_be_written_is_told(tmp_path: Path, kgen: Kgen) -> None:
    (tmp_path / "file").touch()
    ran = kgen("init", tmp_path / "file" / "sweep.yaml")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("kgen: ")
    assert "can't be written: " in ran.err


def test_the_schema_is_printed_whole_and_names_its_draft(kgen: Kgen) -> None:
    schema = json.loads(kgen("schema").ok().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["required"]) == {"version", "name"}  # parameters or stages
