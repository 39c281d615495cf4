"""The only place that turns an exception into text and an exit code."""

from __future__ import annotations

import errno
import io
import os
import platform
import sys
import traceback
from collections.abc import Callable
from typing import Final, NoReturn

import kgen
from kgen.errors import InputError, KgenError, Problem, StoreError
from kgen.interrupt import heeding_interrupts

INTERRUPTED: Final = 130
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
BUG: Final = 70
_WIDTH: Final = 160
"""Of a source line in a message; a longer one is cut around the place."""


def guarded(command: Callable[[], object]) -> NoReturn:
    """Run a command and exit: 0, or the code of the error that ended it, said on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without UTF-8, a file name without an encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(command)
        sys.stdout.flush()
    except BrokenPipeError:  # `kgen plan … | head`
        drop_output()
        code = 0
    except OSError as error:  # `kgen plan > log` on a full disk
        drop_output()
        print(f"kgen: output can't be written: {error.strerror}", file=sys.stderr)
        code = StoreError.exit_code
    sys.exit(code)


def drop_output() -> None:
    """What is left to print goes nowhere, and nobody complains at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(command: Callable[[], object]) -> int | str | None:
    try:
        with heeding_interrupts():
            return _ended(command)
    except InputError as error:
        for problem in error.problems:
            print(describe(problem), file=sys.stderr)
        if len(error.problems) > 1:
            print(f"kgen: {len(error.problems):,} mistakes", file=sys.stderr)
        return error.exit_code
    except KgenError as error:
        print(f"kgen: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if _is_output(error):
            raise
        print(bug_report(), file=sys.stderr)
        return BUG


def _ended(command: Callable[[], object]) -> int | str | None:
    """The exit code of a command that raised no error."""
    try:
        command()
    except SystemExit as stop:  # typer's own: 0, 2 for wrong usage, 130 for Ctrl-C, 1 for a broken pipe
        if isinstance(stop.__context__, BrokenPipeError):
            raise stop.__context__ from None
        return stop.code
    return 0


def _is_output(error: Exception) -> bool:
    """Whether standard output can't be written: kgen's own files end in a StoreError instead."""
    return isinstance(error, BrokenPipeError) or (
        isinstance(error, OSError) and error.errno in _NO_SPACE and error.filename is None
    )


def describe(problem: Problem) -> str:
    """A mistake as compilers show it: the message, the line, a caret under the place."""
    if not problem.source.strip():
        return str(problem)
    column = max(1, problem.column)
    start = max(0, column - _WIDTH // 2) if len(problem.source) > _WIDTH else 0
    line = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in problem.source[start : start + _WIDTH])
    # A tab in the source stays one in front of the caret, so that they line up whatever its width.
    indent = "".join("\t" if c == "\t" else " " for c in problem.source[start : column - 1])
    return f"{problem}\n    {line}\n    {indent}^"


def bug_report() -> str:
    """Text to paste into an issue."""
    return (
        f"{traceback.format_exc()}\n"
        f"kgen: this is a bug in kgen. Please open an issue with the text above and:\n"
        f"kgen {kgen.__version__}, Python {platform.python_version()}, {platform.platform()}"
    )
