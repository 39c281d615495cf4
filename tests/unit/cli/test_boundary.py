"""Exit codes, and what stands on which stream: the only place where exceptions become text."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import kgen as package
from kgen.cli.boundary import describe, guarded
from kgen.errors import (
    InputError,
    InterruptedRunError,
    KgenError,
    MissingExtraError,
    Problem,
    StoreError,
    TrialsFailedError,
)
from tests.unit.cli.ran import Kgen, Ran
from tests.unit.sweep.sweeps import foreign as text

# Trials enough for a plan that is far larger than a pipe's buffer.
MANY = text(parameters="{a: {int: {start: 1, stop: 5000}}}")


def outcome(error: BaseException | None, capsys: pytest.CaptureFixture[str]) -> Ran:
    def command() -> None:
        if error is not None:
            raise error

    with pytest.raises(SystemExit) as stopped:
        guarded(command)
    printed = capsys.readouterr()
    return Ran(stopped.value.code, printed.out, printed.err)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (None, 0, ""),
        (TrialsFailedError("3 trials failed"), 1, "kgen: 3 trials failed\n"),
        (InputError.of("--x", "the flag", "y", "z"), 2, "--x: the flag: found y, allowed z\n"),
        (MissingExtraError("the report", "report"), 2, "kgen: the report needs an extra that is not installed: "
         "pip install 'kgen-sweep[report]'\n"),
        (StoreError("/results: gone"), 3, "kgen: /results: gone\n"),
        (InterruptedRunError("stopped; go on with kgen run"), 130, "kgen: stopped; go on with kgen run\n"),
        (KeyboardInterrupt(), 130, ""),
        (KgenError("odd"), 70, "kgen: odd\n"),
        (SystemExit(5), 5, ""),
    ],
)  # fmt: skip
def test_each_error_has_its_exit_code_and_no_traceback(
    error: BaseException | None, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(error, capsys) == Ran(code, "", said)


def test_what_nobody_foresaw_is_a_bug_with_a_text_to_paste(capsys: pytest.CaptureFixture[str]) -> None:
    ran = outcome(ZeroDivisionError("division by zero"), capsys)
    assert (ran.code, ran.out) == (70, "")
    assert ran.err.startswith("Traceback (most recent call last):\n")
    assert "ZeroDivisionError: division by zero\n" in ran.err
    *_, request, facts = ran.err.splitlines()
    assert request == "kgen: this is a bug in kgen. Please open an issue with the text above and:"
    assert facts.startswith(f"kgen {package.__version__}, Python {platform.python_version()}, {platform.system()}")


# -- usage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nope"], "No such option: --nope"),
        (["nope"], "No such command 'nope'"),
        (["plan", "--nope"], "No such option: --nope"),
        (["plan", "-o", "xml"], "'xml' is not one of"),
        (["check", "a", "b"], "unexpected extra argument"),
        (["run", "--max-failures", "-1"], "--max-failures"),
        (["run", "--max-failures", "x"], "--max-failures"),
    ],
)
def test_wrong_usage_is_2_and_said_on_standard_error(arguments: list[str], said: str, kgen: Kgen) -> None:
    ran = kgen(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_version(kgen: Kgen) -> None:
    assert kgen("--version").ok().out == f"kgen {package.__version__}\n"


# -- whole processes ----------------------------------------------------------------------------------------------


def start(*arguments: str, stdout: int = subprocess.PIPE, **environment: str) -> subprocess.Popen[str]:
    """With buffers, as users have them, whatever this test run was started with."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        [sys.executable, "-m", "kgen", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**inherited, **environment},
    )


@pytest.mark.parametrize("arguments", [["plan", "-o", "name"], ["plan", "-o", "json"], ["check"], ["schema"], ["-h"]])
def test_a_reader_that_goes_away_is_no_error(arguments: list[str], tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(MANY)
    read, write = os.pipe()
    os.close(read)
    process = start(*arguments, *([str(file)] if arguments[0] in ("plan", "check") else []), stdout=write)
    os.close(write)
    assert process.communicate()[1] == ""
    assert process.returncode == 0


def test_ctrl_c_is_130_without_a_traceback(tmp_path: Path) -> None:
    """While it waits for its file: a pipe without a writer."""
    pipe = tmp_path / "sweep.yaml"
    os.mkfifo(pipe)
    process = start("check", str(pipe))
    writer = os.open(pipe, os.O_WRONLY)  # returns when kgen has opened the other end
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    os.close(writer)
    assert (process.returncode, out, err) == (130, "", "")


def test_a_terminal_without_unicode_gets_escapes_and_not_a_bug(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(text(parameters="{a: [ü, 漢, b, c, d, e, f, g, h]}"))
    process = start("plan", str(file), PYTHONIOENCODING="ascii")
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert "a=\\xfc\n" in out
    assert "\\u2026" in out


def test_a_file_name_that_is_no_text_can_be_told() -> None:
    process = start("check", os.fsdecode(b"/gone-\xff.yaml"))
    assert process.communicate() == (
        "",
        "/gone-\\udcff.yaml: the file: found no such file or directory, allowed a readable sweep file\n",
    )
    assert process.returncode == 2


# -- a mistake and its line ---------------------------------------------------------------------------------------


def shown(source: str, column: int) -> list[str]:
    return describe(Problem("f", 1, column, "x", "a", "b", source)).splitlines()[1:]


def test_the_caret_stands_under_the_place() -> None:
    assert shown("abc: def", 6) == ["    abc: def", "         ^"]


def test_a_tab_before_the_place_is_one_before_the_caret() -> None:
    assert shown("\ta:\tb", 5) == ["    \ta:\tb", "    \t  \t^"]


def test_a_long_line_is_cut_around_the_place() -> None:
    line, caret = shown("x" * 5000 + "HERE" + "x" * 5000, 5001)
    assert len(line) <= 170
    assert line[caret.index("^") :].startswith("HERE")


def test_characters_that_steer_a_terminal_are_not_printed() -> None:
    assert shown("a: \x1b[31m \x00", 4)[0] == "    a: \N{REPLACEMENT CHARACTER}[31m \N{REPLACEMENT CHARACTER}"


def test_without_a_place_there_is_only_the_message() -> None:
    assert describe(Problem("f", 0, 0, "x", "a", "b")) == "f: x: found a, allowed b"


def test_a_full_disk_under_the_output_is_no_bug(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(text())
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "kgen", "plan", str(tmp_path / "sweep.yaml")],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (3, "kgen: output can't be written: No space left on device\n")
