"""The only place that turns an exception into text and an exit code."""

from __future__ import annotations

import platform
import sys
import traceback
from collections.abc import Callable
from typing import Final, NoReturn

import kgen
from kgen.errors import InputError, KgenError, Problem

INTERRUPTED: Final = 130
BUG: Final = 70
_WIDTH: Final = 160
"""Of a source line in a message; a longer one is cut around the place."""


def guarded(command: Callable[[], object]) -> NoReturn:
    """Run a command and exit: 0, or the code of the error that ended it, said on standard error."""
    try:
        command()
        code = 0
    except InputError as error:
        code = error.exit_code
        for problem in error.problems:
            print(describe(problem), file=sys.stderr)
        if len(error.problems) > 1:
            print(f"kgen: {len(error.problems)} mistakes", file=sys.stderr)
    except KgenError as error:
        code = error.exit_code
        print(f"kgen: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:  # `kgen plan … | head`
        sys.stderr.close()
        code = 0
    except Exception:  # noqa: BLE001  what nobody foresaw is a bug of kgen, and says so
        code = BUG
        print(bug_report(), file=sys.stderr)
    sys.exit(code)


def describe(problem: Problem) -> str:
    """A mistake as compilers show it: the message, the line, a caret under the place."""
    if not problem.source.strip():
        return str(problem)
    column = max(1, problem.column)
    start = max(0, column - _WIDTH // 2) if len(problem.source) > _WIDTH else 0
    line = problem.source[start : start + _WIDTH]
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
