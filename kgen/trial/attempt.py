"""One attempt of one trial, from its start to the single row that says how it ended, whatever happens."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kgen.errors import StoreError, TrialError, TrialExit
from kgen.results.rows import Environment, Outcome, State, TrialRow
from kgen.spec import Timing, TrialSpec, dump_json
from kgen.trial.clock import Share
from kgen.trial.environment import Surroundings
from kgen.trial.handle import Trial
from kgen.trial.output import Tail, printable

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
    """What is known of one run of one trial: enough for its row, however it ends."""

    def __init__(
        self,
        spec: TrialSpec,
        attempt: str,
        *,
        surroundings: Surroundings,
        tail: Tail,
        on_report: Callable[[int, Mapping[str, float]], None] = lambda step, metrics: None,
        on_failure: Callable[[str], object] = lambda text: None,
        share: Share | None = None,
    ) -> None:
        """``on_failure`` gets the error that ended the trial as text, lines that the row's log ends with too;
        ``share`` counts the seconds of one of many that train together."""
        self.spec = spec
        self.name = attempt
        self.environment = surroundings.describe({})
        self.mates = surroundings.mates
        """How many others ran at the same time, at most."""
        self._surroundings = surroundings
        self._tail = tail
        self._on_failure = on_failure
        self._complaint = ""
        self._share = share
        self._started = dt.datetime.now(dt.UTC)
        self._began = time.monotonic()
        checkpoints = surroundings.checkpoints(spec, attempt)
        kept = surroundings.checkpoint_files(spec)
        self.trial = Trial(spec, checkpoints=checkpoints, on_report=on_report, share=share, kept=kept)

    def ending(self) -> Ending:
        """How it ended, now that the trainer is done with it and has raised nothing."""
        try:
            verdict = self.trial.ended()
        except TrialError as silent:
            return self.failure(silent)
        if verdict.outcome is None:
            return self.interruption(verdict.reason)
        return Ending(State.COMPLETE, verdict.outcome, verdict.reason, TrialExit.OK)

    def interruption(self, reason: str) -> Ending:
        """It was stopped from outside."""
        return Ending(State.INTERRUPTED, None, reason, TrialExit.INTERRUPTED)

    def failure(self, error: BaseException) -> Ending:
        """It ended with this error."""
        code = exit_code(error)
        if code == TrialExit.OK:  # sys.exit(0) is a return
            try:
                verdict = self.trial.ended()
            except TrialError as silent:
                return self.failure(silent)
            if verdict.outcome is not None:
                return Ending(State.COMPLETE, verdict.outcome, verdict.reason, TrialExit.OK)
        else:
            text = error_text(error)
            self._complaint += text
            self._on_failure(text)
        if self.trial.stopping:  # an error on the way out of an interrupted trial is not the trial's fault
            return self.interruption(self.trial.ended().reason)
        return Ending(State.FAILED, None, f"{type(error).__name__}: {_first_line(error)}", code)

    def row(self, ending: Ending) -> TrialRow:
        """The row that says so."""
        trial = self.trial
        metrics, curve = trial.snapshot()
        resumed = trial.resumed_from_step
        reached = ending.outcome is Outcome.REACHED
        is_shared = self._share is not None or resumed is not None
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
            timing=Timing.SHARED if is_shared else self._surroundings.timing,
            steps=trial.steps,
            steps_to_target=trial.steps_to_target if reached else None,
            # A share of what many took together is no time that this trial would take.
            seconds_to_target=trial.seconds_to_target if reached and self._share is None else None,
            seconds=trial.seconds,
            total_seconds=time.monotonic() - self._began,
            resumed_from_step=resumed,
            started=self._started,
            ended=dt.datetime.now(dt.UTC),
            metrics=metrics,
            curve=curve,
            environment=dataclasses.replace(self.environment, mates=self.mates),
            log=ending.log or self._tail.text(self._complaint),
        )

    def rest_clock(self) -> None:
        """For now no time that many share is this one's."""
        if self._share is not None:
            self._share.rest()

    def wake_clock(self) -> None:
        """From now on some of it is again."""
        if self._share is not None:
            self._share.wake()

    def stop_clock(self) -> None:
        """No more of the time that many share is this one's."""
        if self._share is not None:
            self._share.end()

    def written(self, row: TrialRow) -> None:
        """Its row is there: what only a retry would have needed may go."""
        self._surroundings.tidy(self.spec, self.name)
        if row.state is State.COMPLETE:
            self.trial.done()


def error_text(error: BaseException) -> str:
    """An error as a log should show it: what kgen raises on purpose in a line, all else with its traceback."""
    if isinstance(error, TrialError | StoreError):
        return f"{type(error).__name__}: {error}\n"
    return "".join(traceback.format_exception(error))


def exit_code(error: BaseException) -> int:
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
