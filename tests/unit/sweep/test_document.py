"""The file as text: YAML 1.2 with the place of everything, and what is refused of YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgen.errors import InputError, Problem
from kgen.sweep import expand, load, loads
from tests.unit.sweep.sweeps import ids, messages, only_message, problems, text, trials

PLAIN = text()


def parameters_of(file: str) -> list[dict[str, object]]:
    return [dict(trial.parameters) for trial in expand(loads(file))]


# -- ways to write the same ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file",
    [
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        "---\n" + PLAIN,
        "---\n" + PLAIN + "...\n",
        "%YAML 1.2\n---\n" + PLAIN,
        "# a comment\n\n" + PLAIN + "# the end",
        PLAIN.rstrip("\n"),
        PLAIN.replace("{a: [1, 2]}", "\n  a:\n  - 1\n  - 2"),
        PLAIN.replace("{a: [1, 2]}", "{a: [1, 2,],}"),
        PLAIN.replace("name: sweep", "? name\n: sweep"),
        PLAIN.replace("name: sweep", "'name': \"sweep\""),
        PLAIN.replace("name: sweep", "name: >-\n  sweep"),
        PLAIN.replace("name: sweep", "name: !!str sweep").replace("{a: ", "!!map {a: !!seq "),
    ],
    ids=[
        "BOM", "CRLF", "CR", "start", "end", "directive", "comments", "no line break at the end", "block", "commas",
        "explicit key", "quotes", "folded", "core tags",
    ],
)  # fmt: skip
def test_the_same_file_in_another_form_gives_the_same_trials(file: str) -> None:
    assert ids(file) == ids(PLAIN)


def test_a_byte_order_mark_on_disk_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    plain = text(trainer="{command: [train]}")
    file.write_bytes(b"\xef\xbb\xbf" + plain.replace("\n", "\r\n").encode())
    assert len(expand(load(file))) == 2
    file.write_bytes(b"\xef\xbb\xbf" + plain.replace("version: 1", "version: 2").encode())
    with pytest.raises(InputError) as caught:
        load(file)
    (problem,) = caught.value.problems
    assert (problem.column, problem.source) == (10, "version: 2")


def test_anchors_and_aliases_stand_for_what_they_name() -> None:
    file = text(
        parameters="{a: &values [1, 2], b: *values}",
        budget="{steps: &n 50, check_every_steps: *n, target: {accuracy: 0.9}}",
    )
    assert parameters_of(file) == [{"a": a, "b": b} for a in (1, 2) for b in (1, 2)]
    assert loads(file).budget.check_every_steps == 50


def test_an_anchor_may_be_set_again_and_the_last_one_counts() -> None:
    assert parameters_of(text(parameters="{a: &x 1, b: &x 2, c: *x}")) == [{"a": 1, "b": 2, "c": 2}]


def test_a_mistake_behind_an_alias_is_shown_at_the_alias() -> None:
    assert messages(text(parameters="{a: &x [1, 2], b: {log: *x}}")) == [
        "3:37 parameters.b.log: found a list of 2, allowed a mapping"
    ]


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (PLAIN + "x: [1, 2\n", "5:4 YAML syntax: found the end of the file, allowed ',' or ']'"),
        (PLAIN + "x: {a: b: c}\n", "5:9 YAML syntax: found ':', allowed ',' or '}'"),
        (PLAIN + "x: 'abc\n", "5:4 YAML syntax: found unexpected end of stream, allowed YAML 1.2"),
        (PLAIN + 'x: "a\\q"\n', "5:7 YAML syntax: found unknown escape character 'q', allowed YAML 1.2"),
        (PLAIN + "x: %a\n", "5:4 YAML syntax: found character '%' that cannot start any token, allowed YAML 1.2"),
        (PLAIN + "x: @a\n", "5:4 YAML syntax: found character '@' that cannot start any token, allowed YAML 1.2"),
        (
            "version: 1\n name: x\n",
            "2:6 YAML syntax: found a ':' that can't stand here, allowed its own line, indented deeper, or quotes "
            "around the text",
        ),
        (
            "a:\n  b: 1\n c: 2\n",
            "3:2 YAML syntax: found '<block mapping start>', allowed <block end>",
        ),
        ("version: 1\nbudget:\n\tsteps: 1\n", "3:1 YAML syntax: found a tab, allowed spaces for indentation"),
        (PLAIN + "local:\tprocesses: 1\n", "5:7 YAML syntax: found a tab, allowed spaces for indentation"),
        (
            "version: 1\nname: a\x07b\n",
            "2:8 YAML syntax: found the character U+0007, allowed printable characters, others escaped",
        ),
        ("version: 1\r\nname: \x00", "2:7 YAML syntax: found the character U+0000, allowed printable characters"),
        ("%YAML 1.1\n---\n" + PLAIN, "2:1 the file: found %YAML 1.1, allowed %YAML 1.2, or no such line"),
        (PLAIN + "---\n" + PLAIN, "5:1 the file: found a second document, allowed one YAML document"),
        (PLAIN + "...\n---\n", "6:1 the file: found a second document, allowed one YAML document"),
        (text(parameters="{a: *foo}"), "3:17 parameters.a: found alias *foo, allowed the name of an anchor before it"),
        (text(parameters="&x {a: *x}"), "3:20 parameters.a: found alias *x, allowed the name of an anchor before it"),
        (text(parameters="{a: !foo 3}"), "3:17 parameters.a: found !foo 3, allowed values without tags"),
        (text(parameters="{a: !!int 1.5}"), "3:17 parameters.a: found !!int 1.5, allowed values without tags"),
        (text(parameters="{a: !!int true}"), "3:17 parameters.a: found !!int true, allowed values without tags"),
        (text(parameters="{a: !!binary aGk=}"), "3:17 parameters.a: found !!binary aGk=, allowed values without tags"),
        (text(parameters="{a: !!set {1, 2}}"), "3:17 parameters.a: found the tag !!set, allowed values without tags"),
        (
            text(parameters="!!python/object/apply:os.system {a: [1]}"),
            "3:13 parameters: found the tag !!python/object/apply:os.system, allowed values without tags",
        ),
        (text(parameters="{[1]: [1]}"), "3:14 parameters: found a key that is no plain text, allowed text keys"),
        (
            text(parameters="{<<: {a: [1]}, b: [2]}"),
            "3:14 parameters.<<: found a merge key, allowed every key written out; YAML 1.2 has no merge keys",
        ),
        (text(parameters='{a: "x\\0y"}'), "3:17 parameters.a: found the character U+0000, allowed text without it"),
        (text(parameters='{a: "\\ud800"}'), "3:17 parameters.a: found the character U+D800, allowed text without it"),
        (text(trainer='{config: {"a\\0": 1}}'), "found the character U+0000, allowed text without it"),
    ],
)
def test_yaml_that_is_not_a_sweep_file_is_refused_where_it_goes_wrong(file: str, message: str) -> None:
    (found,) = messages(file)
    assert message in found


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("", "nothing"),
        ("# only a comment\n", "nothing"),
        ("---\n", "nothing"),
        ("- 1\n- 2\n", "a list of 2"),
        ("hello\n", "the text 'hello'"),
        ("42\n", "42"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(file: str, found: str) -> None:
    (message,) = messages(file)
    assert message.endswith(f"the file: found {found}, allowed a mapping that begins with version: 1")


def test_every_duplicate_key_is_found_with_where_it_stood_first() -> None:
    assert messages(
        "version: 1\nname: a\nname: b\nparameters: {a: [1], a: [2], 'a': [3]}\n"
        "budget: {steps: 1, target: {x: 0.5}}\nversion: 2\n"
    ) == [
        "3:1 name: found the key again, allowed each key once (first on line 2)",
        "4:22 parameters.a: found the key again, allowed each key once (first on line 4)",
        "4:30 parameters.a: found the key again, allowed each key once (first on line 4)",
        "6:1 version: found the key again, allowed each key once (first on line 1)",
    ]


def test_mistakes_of_the_text_and_of_the_fields_come_together() -> None:
    fields = [p.field for p in problems(text(parameters="{a: *gone, a: [2]}", seed="x", name="A"))]
    assert fields == ["name", "parameters.a", "parameters.a", "seed"]


def test_a_mistake_of_the_text_hides_no_missing_field() -> None:
    assert [p.field for p in problems(text(name=None, parameters="{a: *gone}"))] == ["name", "parameters.a"]


def test_what_was_found_before_a_syntax_error_is_told_with_it() -> None:
    assert [p.field for p in problems("name: a\nname: b\nx: [1\n")] == ["name", "YAML syntax"]


# -- places -------------------------------------------------------------------------------------------------------


def place(file: str) -> Problem:
    (problem,) = problems(file)
    return problem


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_lines_are_counted_with_any_line_break(line_break: str) -> None:
    problem = place((PLAIN + "seed: x # here\n").replace("\n", line_break))
    assert (problem.line, problem.column, problem.source) == (5, 7, "seed: x # here")


def test_what_only_other_programs_take_for_a_line_break_does_not_shift_lines() -> None:
    problem = place(PLAIN.replace("[1, 2]", '["a\u2028b", "c\x85d"]') + "seed: x\n")
    assert (problem.line, problem.source) == (5, "seed: x")


def test_columns_count_characters_not_bytes() -> None:
    problem = place(text(trainer="{config: {漢字: ü, b: .nan}}"))
    assert problem.source[problem.column - 1 :] == ".nan}}"


def test_an_absent_value_is_placed_at_its_key() -> None:
    problem = place("version: 1\nname:\nparameters: {a: [1]}\nbudget: {steps: 1, target: {x: 0.5}}\n")
    assert (problem.line, problem.column, problem.found) == (2, 1, "nothing")


def test_an_empty_text_is_placed_at_its_quotes() -> None:
    assert only_message(results="''").startswith("5:10 results")


def test_a_long_word_is_cut_in_the_message() -> None:
    problem = place(text(**{"x" * 5000: "1"}))
    assert len(problem.field) <= 101
    assert len(problem.found) <= 101


# -- files --------------------------------------------------------------------------------------------------------


def refused(file: Path | str) -> str:
    with pytest.raises(InputError) as caught:
        load(file)
    return str(caught.value)


def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("version: 1\nname: größe\n".encode("latin-1"))
    (tmp_path / "wide.yaml").write_bytes("version: 1\n".encode("utf-16"))
    assert refused(tmp_path / "gone.yaml").endswith("found no such file or directory, allowed a readable sweep file")
    assert refused(tmp_path).endswith("the file: found is a directory, allowed a readable sweep file")
    assert refused(tmp_path / "latin.yaml").endswith("the file: found byte 19 that is not UTF-8, allowed UTF-8 text")
    assert refused(tmp_path / "wide.yaml").endswith("the file: found byte 0 that is not UTF-8, allowed UTF-8 text")
    assert refused("/dev/zero").endswith("the file: found a larger one, allowed at most 524,288 bytes")


def test_paths_start_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("x = 1\n")
    trainer = "{command: [python, train.py], files: [train.py]}"
    (tmp_path / "sweep.yaml").write_text(text(trainer=trainer, results="out"))
    spec = load(tmp_path / "sweep.yaml")
    assert dict(spec.trainer.files) == {"train.py": b"x = 1\n"}
    assert spec.results == tmp_path / "out" / "sweep"
    assert spec.folder == tmp_path


def test_defaults_are_those_of_the_documentation() -> None:
    (trial, _) = trials()
    spec = loads(text())
    assert (trial.seed, spec.repeats, spec.objective.metric) == (0, 1, "steps_to_target")
    assert (spec.trainer.command, spec.trainer.arguments, spec.trainer.metrics) == (
        ("python", "-m", "kgen_trainer"),
        "none",
        "report",
    )
    assert spec.budget.check_every_steps == 50
    assert str(spec.results) == "results/sweep"
    assert (spec.local.processes, spec.local.gpus) == (None, None)
