"""One attempt of one trial, from its start to the single row that it leaves, whatever happens."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kgen.errors import StoreError, TrialError, TrialExit
from kgen.names import row_file
from kgen.results.rows import Environment, Outcome, State, TrialRow, rows_to_bytes
from kgen.results.store import Store
from kgen.spec import Timing, TrialSpec, dump_json
from kgen.trial.environment import Surroundings
from kgen.trial.handle import Trial
from kgen.trial.output import ReportPrinter, Tail, printable

Train = Callable[[Trial], None]
"""A user's trainer: trains one trial, reports as it goes, returns when told to stop."""
Describe = Callable[[], Mapping[str, str]]
"""What a trainer knows of itself: trainer, framework, framework_version, device, device_uuid."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended."""

    state: State
    outcome: Outcome | None
    reason: str
    exit_code: int
    log: str = ""
    """Last output, where the attempt itself does not keep it."""


class Attempt:
    """Runs a trainer once and publishes its row.

    Two threads may want to end it (the trainer's own and the one that hears signals): the first one writes the row,
    the other finds it done.
    """

    def __init__(
        self,
        spec: TrialSpec,
        attempt: str,
        *,
        store: Store,
        surroundings: Surroundings,
        tail: Tail,
        on_report: Callable[[int, Mapping[str, float]], None] = lambda step, metrics: None,
        on_failure: Callable[[str], object] = lambda text: None,
    ) -> None:
        """``on_failure`` gets the error that ended the trainer as text, lines that the row's log ends with too."""
        self.spec = spec
        self.name = attempt
        self.ended = threading.Event()
        self.row: TrialRow | None = None
        """The row, once it is written."""
        self._store = store
        self._surroundings = surroundings
        self._tail = tail
        self._on_report = on_report
        self._on_failure = on_failure
        self._printer = ReportPrinter(spec.id)
        self._started = dt.datetime.now(dt.UTC)
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._environment = surroundings.describe({})
        self.trial = Trial(spec, checkpoints=surroundings.checkpoints(spec.id, attempt), on_report=self._report)

    def _report(self, step: int, metrics: Mapping[str, float]) -> None:
        self._printer(step, metrics)
        self._on_report(step, metrics)

    def run(self, train: Train, describe: Describe) -> Ending:
        """Train, then write the row; the ending says with what code a process of this one trial exits.

        An error of the trainer ends in a ``failed`` row, never in an exception here. Raises StoreError only when
        the row can't be written.
        """
        try:
            self._environment = self._surroundings.describe(describe())
            train(self.trial)
            verdict = self.trial.ended()
            if verdict.outcome is None:
                ending = Ending(State.INTERRUPTED, None, verdict.reason, TrialExit.INTERRUPTED)
            else:
                ending = Ending(State.COMPLETE, verdict.outcome, verdict.reason, TrialExit.OK)
        except BaseException as error:  # noqa: BLE001  whatever a trainer raises, the trial must leave a row
            ending = self._failure(error)
        return self.finish(ending)

    def _failure(self, error: BaseException) -> Ending:
        code = _exit_code(error)
        if code == TrialExit.OK:  # sys.exit(0) is a return
            try:
                verdict = self.trial.ended()
            except TrialError as silent:
                return self._failure(silent)
            if verdict.outcome is not None:
                return Ending(State.COMPLETE, verdict.outcome, verdict.reason, TrialExit.OK)
        elif isinstance(error, TrialError | StoreError):
            self._tell(f"{type(error).__name__}: {error}\n")
        else:
            self._tell("".join(traceback.format_exception(error)))
        if self.trial.stopping:  # an error on the way out of an interrupted trial is not the trial's fault
            return Ending(State.INTERRUPTED, None, self.trial.ended().reason, TrialExit.INTERRUPTED)
        return Ending(State.FAILED, None, f"{type(error).__name__}: {_first_line(error)}", code)

    def _tell(self, text: str) -> None:
        self._tail.add(text)
        self._on_failure(text)

    def finish(self, ending: Ending) -> Ending:
        """Write the row, once. A later call changes nothing and returns what the first one said."""
        with self._lock:
            if self.row is None:
                row = self._make_row(ending)
                for start in itertools.count(2):
                    if self._store.write_row_file(row_file(row.trial, row.attempt), rows_to_bytes([row])):
                        break
                    # The name is taken: a container that was started again in its pod has the pod's name still.
                    row = dataclasses.replace(row, attempt=f"{self.name}-{start}")
                self.row = row
                self.ended.set()
                self._surroundings.tidy(self.spec.id, self.name)
                if row.state is State.COMPLETE:
                    self.trial.done()
            row = self.row
        return Ending(row.state, row.outcome, row.exit_reason, row.exit_code)

    def _make_row(self, ending: Ending) -> TrialRow:
        trial = self.trial
        metrics, curve = trial.snapshot()
        resumed = trial.resumed_from_step
        reached = ending.outcome is Outcome.REACHED
        return TrialRow(
            trial=self.spec.id,
            attempt=self.name,
            sweep=self.spec.sweep,
            stage=self.spec.stage,
            seed=self.spec.seed,
            parameters=self.spec.parameters,
            budget=dump_json(self.spec.budget.to_json()),
            objective=dump_json(self.spec.objective.to_json()),
            state=ending.state,
            outcome=ending.outcome,
            exit_reason=printable(ending.reason),
            exit_code=int(ending.exit_code),
            timing=Timing.SHARED if resumed is not None else self._surroundings.timing,
            steps=trial.steps,
            steps_to_target=trial.steps_to_target if reached else None,
            seconds_to_target=trial.seconds_to_target if reached else None,
            seconds=trial.seconds,
            total_seconds=time.monotonic() - self._began,
            resumed_from_step=resumed,
            started=self._started,
            ended=dt.datetime.now(dt.UTC),
            metrics=metrics,
            curve=curve,
            environment=self._environment,
            log=ending.log or self._tail.text(),
        )


def _exit_code(error: BaseException) -> int:
    """The code that a process of its own would end with."""
    if isinstance(error, TrialError):
        return error.exit_code
    if isinstance(error, StoreError):
        return int(TrialExit.NO_DATA)
    if isinstance(error, SystemExit) and isinstance(error.code, int | None):
        return (error.code or 0) & 0xFF
    return int(TrialExit.CRASH)


def _first_line(error: BaseException) -> str:
    try:
        text = str(error).strip()
    except Exception:  # noqa: BLE001  a trainer's own exception class may be broken too
        text = ""
    return (text or "no message").splitlines()[0]


def row_without_process(
    spec: TrialSpec, attempt: str, ending: Ending, *, started: dt.datetime, timing: Timing, environment: Environment
) -> TrialRow:
    """The row of a trial whose process ended without leaving one (killed, crashed): written by whoever started it."""
    now = dt.datetime.now(dt.UTC)
    return TrialRow(
        trial=spec.id,
        attempt=attempt,
        sweep=spec.sweep,
        stage=spec.stage,
        seed=spec.seed,
        parameters=spec.parameters,
        budget=dump_json(spec.budget.to_json()),
        objective=dump_json(spec.objective.to_json()),
        state=ending.state,
        outcome=None,
        exit_reason=ending.reason,
        exit_code=ending.exit_code,
        timing=timing,
        steps=0,
        steps_to_target=None,
        seconds_to_target=None,
        seconds=0.0,
        total_seconds=(now - started).total_seconds(),
        resumed_from_step=None,
        started=started,
        ended=now,
        environment=environment,
        log=ending.log,
    )
