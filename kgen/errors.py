"""Every error that kgen raises on purpose, and the exit code that it ends with.

::

    KgenError                      70  a bug, unless a subclass says otherwise
    ├── InputError                  2  the user's file or flags are wrong: a list of Problems, all at once
    ├── MissingExtraError           2  an optional dependency is not installed
    ├── TrialsFailedError           1  the sweep ran, some trials did not give a result
    │   └── IncompleteStageError    1  a stage waits for results that an earlier one lacks
    ├── StoreError                  3  the result store can't be read or written
    │   └── UnreadableFileError     3  one file of it can't be read; the others may
    ├── ClusterError                3  the cluster can't be reached, or forbids something
    ├── TimedOutError             124  the command waited as long as it was told to
    ├── InterruptedRunError       130  Ctrl-C or SIGTERM, after everything was put away
    └── TrialError                     raised inside a trial; the code is the trial's own (see TrialExit)
        ├── BadParametersError     64
        ├── DeviceError            65
        └── DataError              66

Only :mod:`kgen.cli.boundary` turns these into text and an exit code for the command line, and only
:mod:`kgen.trial` does for a trial.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass


class TrialExit(enum.IntEnum):
    """Exit code of a trial's process; Kubernetes' ``podFailurePolicy`` is written from the same table."""

    OK = 0
    """A result was written (also when an accepted one was there already)."""
    CRASH = 1
    """Anything unforeseen: counted against ``backoffLimit``."""
    BAD_PARAMETERS = 64
    """The same parameters will fail again: a cluster does not try them again by itself."""
    NO_DEVICE = 65
    """A GPU was asked for and none is visible."""
    NO_DATA = 66
    """The data or the result store can't be used."""
    INTERRUPTED = 143
    """SIGTERM; the row says so."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the user's input, in the words of the house: where, what was found, what is allowed.

    ``line`` and ``column`` count from 1; 0 means that the place is not known. ``source`` is the text of that line.
    """

    file: str
    line: int
    column: int
    field: str
    found: str
    allowed: str
    source: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.field}: found {self.found}, allowed {self.allowed}"


class KgenError(Exception):
    """Base of everything kgen raises on purpose."""

    exit_code: int = 70


class InputError(KgenError):
    """The user's input is wrong; carries every problem found, in the order of the file."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def of(cls, file: str, field: str, found: str, allowed: str) -> InputError:
        """One problem without a line, for what does not stand in a file (a flag, a folder)."""
        return cls([Problem(file, 0, 0, field, found, allowed)])


class MissingExtraError(KgenError):
    """Something optional is needed; the message is the command that installs it."""

    exit_code = 2

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra that is not installed: pip install 'kgen-sweep[{extra}]'")


class TrialsFailedError(KgenError):
    """The command did its work, but some trials have no result."""

    exit_code = 1


class IncompleteStageError(TrialsFailedError):
    """A stage can't start: an earlier one lacks results, or has none that it could be chosen from."""


class StoreError(KgenError):
    """The result store can't be read or written; nothing that was written before is lost."""

    exit_code = 3


class UnreadableFileError(StoreError):
    """One file of the results can't be read: it is gone, or damaged. The others may be good."""


class ClusterError(KgenError):
    """The cluster can't be reached, or it forbids or refuses something; nothing that it did before is undone."""

    exit_code = 3


class TimedOutError(KgenError):
    """What was waited for did not come in the time that the user gave."""

    exit_code = 124


class InterruptedRunError(KgenError):
    """The user stopped the command; the message says what is done and how to go on."""

    exit_code = 130


class TrialError(KgenError):
    """Raised by a trainer or by :mod:`kgen.trial` to end a trial with a code that says whose fault it is."""

    exit_code = int(TrialExit.CRASH)


class BadParametersError(TrialError):
    """The trial's parameters or configuration can't work: a cluster does not try again by itself."""

    exit_code = int(TrialExit.BAD_PARAMETERS)


class DeviceError(TrialError):
    """A GPU was asked for and none is visible: better no row than a silent CPU row."""

    exit_code = int(TrialExit.NO_DEVICE)


class DataError(TrialError):
    """The data set or the result store can't be used."""

    exit_code = int(TrialExit.NO_DATA)
