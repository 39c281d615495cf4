"""``kgen-trial -- PROGRAM …``: a program in any language as a trial.

The program gets its trial through the environment and its command line, prints or appends JSON lines such as
``{"step": 50, "loss": 0.3}``, and its exit code is the trial's. Special keys: ``step`` (else the lines are counted)
and ``seconds`` (its own counted training time; else the whole run of the program counts).
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final

from kgen import names
from kgen.errors import BadParametersError, DataError, DeviceError, TrialError, TrialExit
from kgen.spec import dump_json
from kgen.trial.handle import Trial
from kgen.trial.process import main as trial_main

POLL_SECONDS: Final = 0.1
STOP_SECONDS: Final = 2.0
"""How long a program may take to end after SIGTERM before it is killed."""
_LINE_LENGTH: Final = 1 << 20
"""A longer line of output is taken in parts."""
_COMPLAINT_LENGTH: Final = 500
"""Of the program's last words, as many characters get into the reason of its end."""
_LARGEST_STEP: Final = 2**53
_ERRORS: Final[Mapping[int, type[TrialError]]] = {
    TrialExit.BAD_PARAMETERS: BadParametersError,
    TrialExit.NO_DEVICE: DeviceError,
    TrialExit.NO_DATA: DataError,
}
_USAGE: Final = """\
usage: kgen-trial [--metrics stdout|file] -- PROGRAM [ARGUMENT ...]

Run PROGRAM as one trial of a sweep and write its result row. The program finds its trial in
KGEN_PARAMETERS, KGEN_CONFIG, KGEN_BUDGET (JSON objects), KGEN_SEED and KGEN_CHECKPOINT_DIR.

  --metrics stdout   read its JSON lines from standard output (the default)
  --metrics file     read them from the file that KGEN_METRICS_FILE names
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``kgen-trial``; exits with a code of :class:`TrialExit`, or 2 for a wrong call."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--help" in words[: words.index("--") if "--" in words else None]:
        print(_USAGE, end="")
        return
    metrics = "stdout"
    if words[:1] == ["--metrics"] and len(words) > 1:
        metrics = words[1]
        words = words[2:]
    if words[:1] != ["--"] or len(words) < 2 or metrics not in ("stdout", "file"):
        print(_USAGE, end="", file=sys.stderr)
        raise SystemExit(2)
    program = words[1:]
    trial_main(lambda trial: run_program(trial, program, metrics))


def run_program(trial: Trial, program: Sequence[str], metrics: str) -> None:
    """Run the program to its end or to the trial's, whichever comes first.

    Raises the TrialError of its exit code, also when it ends well but said nothing.
    """
    complaint: list[str] = []
    with TemporaryDirectory(prefix="kgen-trial-") as folder:
        file = Path(folder, "metrics.jsonl")
        file.touch()
        with trial.training(), _started(program, _environment(trial, file)) as process:
            reports = 0
            for line in _lines(process, trial, file if metrics == "file" else None, complaint):
                values = parse_line(line)
                if values is None:
                    continue
                reports += 1
                step = values.pop("step", None)
                seconds = values.pop("seconds", None)
                if trial.report(step=reports if step is None else int(step), seconds=seconds, **values).stop:
                    break
            if trial.verdict is not None or trial.stopping:
                return
    code = process.returncode
    if code != 0:
        what = f"signal {-code}" if code < 0 else f"code {code}"
        why = f": {complaint[-1][:_COMPLAINT_LENGTH]}" if complaint else ""
        raise _ERRORS.get(code, TrialError)(f"{program[0]} ended with {what}{why}")
    if reports == 0:
        where = "standard output" if metrics == "stdout" else "the file named by KGEN_METRICS_FILE"
        raise TrialError(
            f'{program[0]} ended without one metric: expected JSON lines like {{"step": 50, "loss": 0.3}} on {where}'
        )


def parse_line(line: str) -> dict[str, float] | None:
    """The numbers of one JSON line, or None if it is not a JSON object with a metric in it.

    ``step`` and ``seconds`` are left out where they can't be one.
    """
    line = line.strip()
    if not line.startswith("{"):
        return None
    try:
        data = json.loads(line)
        values = {k: float(v) for k, v in data.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    except (ValueError, OverflowError, RecursionError):
        return None
    if not -_LARGEST_STEP <= values.get("step", 0.0) <= _LARGEST_STEP:
        del values["step"]
    if not 0 <= values.get("seconds", 0.0) < math.inf:
        del values["seconds"]
    return values if values.keys() - {"step", "seconds"} else None


def _environment(trial: Trial, file: Path) -> dict[str, str]:
    return {
        **os.environ,
        names.ENV_PARAMETERS: dump_json(dict(trial.parameters), written=True),
        names.ENV_CONFIG: dump_json(dict(trial.config), written=True),
        names.ENV_SEED: str(trial.seed),
        names.ENV_BUDGET: dump_json(trial.budget.to_json(), written=True),
        names.ENV_CHECKPOINT_DIR: str(trial.checkpoint_dir),
        names.ENV_METRICS_FILE: str(file),
    }


@contextlib.contextmanager
def _started(program: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The program, running in a process group of its own; ended for certain, with its children, on the way out."""
    try:
        process = subprocess.Popen(
            program,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            process_group=0,
        )
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        raise BadParametersError(f"{program[0]} can't be started: {what}") from error
    try:
        yield process
    finally:
        if process.poll() is None:
            _signal_group(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        _signal_group(process, signal.SIGKILL)  # what it has started and left behind, too
        process.wait()


def _signal_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _lines(process: subprocess.Popen[str], trial: Trial, file: Path | None, complaint: list[str]) -> Iterator[str]:
    """Lines that may hold metrics, as they come; everything printed is passed on and so kept for the row.

    At the end ``complaint`` holds the last line on standard error, if there was one.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    printed: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    readers = [
        threading.Thread(target=_pump, args=(process.stdout, sys.stdout, printed), daemon=True),
        threading.Thread(target=_pump, args=(process.stderr, sys.stderr, None, complaint), daemon=True),
    ]
    for reader in readers:
        reader.start()
    with contextlib.ExitStack() as stack:
        follow = None if file is None else stack.enter_context(_Follower(file))
        while not trial.stopping:
            ended = process.poll() is not None
            if ended:  # a child left behind must not hold the pipes open
                _signal_group(process, signal.SIGKILL)
            try:
                line = printed.get(timeout=STOP_SECONDS if ended else POLL_SECONDS)
            except queue.Empty:
                line = None if ended else ""
            if follow is not None:
                yield from follow.lines()
            elif line:
                yield line
            if line is None:  # the end of its output
                process.wait()
                readers[1].join(STOP_SECONDS)
                if follow is not None:
                    yield from follow.lines(to_the_end=True)
                return


def _pump(
    source: IO[str], target: IO[str], lines: queue.SimpleQueue[str | None] | None, last: list[str] | None = None
) -> None:
    try:
        while line := source.readline(_LINE_LENGTH):
            with contextlib.suppress(OSError, ValueError):  # what the terminal can't show is in the row all the same
                target.write(line)
                target.flush()
            if lines is not None:
                lines.put(line)
            if last is not None and (words := line.strip()):
                last[:] = [words]
    finally:
        if lines is not None:
            lines.put(None)


class _Follower:
    """Whole lines appended to a file since the last look."""

    def __init__(self, file: Path) -> None:
        self._file = file.open(encoding="utf-8", errors="replace")
        self._rest = ""

    def __enter__(self) -> _Follower:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def lines(self, *, to_the_end: bool = False) -> Iterator[str]:
        """What is new; at the end also a last line that nobody ended."""
        *whole, self._rest = (self._rest + self._file.read()).split("\n")
        yield from whole
        if to_the_end and self._rest:
            yield self._rest


if __name__ == "__main__":
    main()
