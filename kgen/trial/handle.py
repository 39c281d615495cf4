"""The handle that a trainer holds: parameters in, reports out, and the one decision when to stop."""

from __future__ import annotations

import contextlib
import json
import math
import operator
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kgen.errors import BadParametersError, TrialError
from kgen.results.rows import CurvePoint, MetricSummary, Outcome
from kgen.spec import Budget, TrialSpec, Value, text_of
from kgen.trial.checkpoints import CheckpointFiles
from kgen.trial.clock import OwnWatch, Watch
from kgen.trial.curve import Curve
from kgen.trial.output import printable

_LARGEST_STEP = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a report."""

    stop: bool
    """Whether the trainer must return now."""
    reason: str = ""
    """Why, in one line; empty while training goes on."""
    interrupted: bool = False
    """Whether it stops without a result, so that a checkpoint is worth its time: there are three seconds for it."""
    budget_spent: bool = False
    """Whether it stops because its budget is spent: a longer trial of its lineage goes on from a checkpoint of now."""


@dataclass(slots=True)
class Verdict:
    """What a trial came to, as its row will say it; ``outcome`` None means interrupted."""

    outcome: Outcome | None
    reason: str


class Trial:
    """One running trial.

    Attributes:
        id, sweep, stage: as in the sweep file.
        parameters: this trial's point, a read-only mapping; floats are the very bits of the file.
        config: ``trainer.config`` of the file, a read-only mapping.
        seed: the seed for everything random.
        budget: target, caps and how often to check.
    """

    def __init__(
        self,
        spec: TrialSpec,
        *,
        checkpoints: Path,
        on_report: Callable[[int, Mapping[str, float]], None] = lambda step, metrics: None,
        clock: Callable[[], float] = time.perf_counter,
        share: Watch | None = None,
        kept: CheckpointFiles | None = None,
    ) -> None:
        """``checkpoints``: the folder of this machine for them; ``share``: counts this trial's part of the seconds that
        many take together, in place of its own clock; ``kept``: files that outlast the attempt, where these lie not in
        that folder."""
        self._spec = spec
        self._checkpoint_dir = checkpoints
        self._kept = CheckpointFiles.in_folder(checkpoints) if kept is None else kept
        self._on_report = on_report
        self._is_one_of_many = share is not None
        self._watch: Watch = OwnWatch(clock) if share is None else share
        self._lock = threading.RLock()
        self._counted = 0.0
        self._earlier = 0.0
        """Of ``_counted``, what earlier attempts counted up to the checkpoint that this one continues from."""
        self._counts_itself = False
        self._interrupted: str | None = None
        self._curve = Curve()
        self._when_done: list[Callable[[], None]] = []
        self.verdict: Verdict | None = None
        """Set once, by the report (or the error) that ended the trial."""
        self.steps = 0
        """Last step reported."""
        self.steps_to_target: int | None = None
        self.seconds_to_target: float | None = None
        self.resumed_from_step: int | None = None

    @property
    def id(self) -> str:
        """Ten characters that name what is trained; the same on every machine."""
        return self._spec.id

    @property
    def spec(self) -> TrialSpec:
        """The whole description that this trial was started with."""
        return self._spec

    @property
    def sweep(self) -> str:
        """Name of the sweep."""
        return self._spec.sweep

    @property
    def stage(self) -> str:
        """Name of the stage."""
        return self._spec.stage

    @property
    def parameters(self) -> Mapping[str, Value]:
        """This trial's point."""
        return self._spec.parameters

    @property
    def config(self) -> Mapping[str, Any]:
        """``trainer.config`` of the sweep file."""
        return self._spec.config

    @property
    def seed(self) -> int:
        """Seed for weights, shuffling, dropout and whatever else is random."""
        return self._spec.seed

    @property
    def budget(self) -> Budget:
        """Target, caps, and how often to check."""
        return self._spec.budget

    @property
    def lineage(self) -> str:
        """What this trial has in common with those that differ from it by ``budget.steps`` alone, where a longer one
        should go on from the checkpoint that a shorter one left at its end; empty for a trial that stands alone."""
        return self._spec.lineage

    @property
    def checkpoint_dir(self) -> Path:
        """A folder of this trial's own, the same for each of its attempts, and shared by all trials of its
        :attr:`lineage`; made on first use. With results in a bucket it lasts no longer than this attempt: see
        :attr:`checkpoints`."""
        self._checkpoint_dir.mkdir(parents=True, exist_ok=True)
        return self._checkpoint_dir

    @property
    def checkpoints(self) -> CheckpointFiles:
        """Files by name that every attempt finds again, also with results in a bucket; with results in a folder they
        are those in :attr:`checkpoint_dir`."""
        return self._kept

    @property
    def seconds(self) -> float:
        """Counted seconds so far; they end with the report that ends the trial."""
        with self._lock:
            self._count()
            return self._counted

    def _count(self) -> None:
        passed = self._watch.take()
        if not self._counts_itself and self.verdict is None:
            self._counted += passed

    def parameter(self, name: str, kind: type[Any] | tuple[type[Any], ...] = object) -> Any:
        """A parameter that must be there and be of that type; raises BadParametersError (exit 64) otherwise.

        An int is accepted where a float is asked for.
        """
        if name not in self.parameters:
            raise BadParametersError(f"parameter {name!r} is missing; there are {', '.join(self.parameters) or 'none'}")
        value = self.parameters[name]
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if float in kinds and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        known = isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds or object in kinds)
        if not known:
            wanted = " or ".join(k.__name__ for k in kinds)
            raise BadParametersError(f"parameter {name!r} is {text_of(value)!r}, not a {wanted}")
        return value

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Count the time spent inside. Leave evaluation, loading and compiling outside; may be entered many times.

        Raises RuntimeError for one of many: their time is counted together, with ``trials.training()``.
        """
        if self._is_one_of_many:
            raise RuntimeError("trial.training() is for a trial alone: count the time of many with trials.training()")
        self._watch.start()
        try:
            yield
        finally:
            self._watch.stop()

    @contextlib.contextmanager
    def _clock_standing(self) -> Iterator[None]:
        was_counting = self._watch.is_counting
        self._watch.stop()
        with self._lock:
            self._count()
        try:
            yield
        finally:
            if self.verdict is not None:
                self._watch.end()
            if was_counting:
                self._watch.start()

    def report(self, /, *, step: int, seconds: float | None = None, **metrics: float) -> Decision:
        """Record metrics after ``step`` training steps and hear whether to stop.

        The order of the checks: not a number or infinite (diverged); target reached within the budget; budget of steps
        or of counted seconds spent; stopped from outside, which comes last because a trial that has done its work is a
        result. The first that holds ends the trial for good. The clock stands while this runs, also inside ``with
        trial.training()``. ``seconds`` replaces the clock for a trainer that counts its own training time: seconds
        since the start of this attempt.
        """
        with self._clock_standing():
            step = operator.index(step)
            if abs(step) > _LARGEST_STEP:
                raise ValueError(f"step {step} is too large")
            if seconds is not None and not 0 <= seconds < math.inf:
                raise ValueError(f"seconds {seconds} is not a time")
            values = {printable(name): float(value) for name, value in metrics.items()}
            with self._lock:
                if self.verdict is None:
                    if seconds is not None:
                        self._counted, self._counts_itself = self._earlier + float(seconds), True
                    self.steps = step
                    self._curve.add(step, self._counted, values)
                    self._decide(step, values)
                decision = self._decision()
            self._on_report(step, values)
            return decision

    def _decision(self) -> Decision:
        verdict = self.verdict
        if verdict is None:
            return Decision(False)
        spent = verdict.outcome in (Outcome.CAPPED, Outcome.FINISHED)
        return Decision(True, verdict.reason, interrupted=verdict.outcome is None, budget_spent=spent)

    def would_end(self, /, *, step: int, **metrics: float) -> bool:
        """Whether a report of these would end the trial by what they show, not by a stop from outside: for trainers
        that say more in their last report."""
        with self._lock:
            self._count()
            return self.verdict is not None or self._judge(step, metrics) is not None

    def _decide(self, step: int, values: Mapping[str, float]) -> None:
        self.verdict = self._judge(step, values)
        if self.verdict is None and self._interrupted is not None:
            self.verdict = Verdict(None, self._interrupted)
        elif self.verdict is not None and self.verdict.outcome is Outcome.REACHED:
            self.steps_to_target, self.seconds_to_target = step, self._counted

    def _judge(self, step: int, values: Mapping[str, float]) -> Verdict | None:
        budget = self.budget
        for name, value in values.items():
            if not math.isfinite(value):
                what = "nan" if math.isnan(value) else "infinite"
                return Verdict(Outcome.DIVERGED, f"{what}: {name} at step {step}")
        target = budget.target
        over = (budget.steps is not None and step > budget.steps) or (
            budget.seconds is not None and self._counted > budget.seconds
        )  # a target that was met past the budget was not met within it
        if not over and target is not None and target.metric in values and target.reached_by(values[target.metric]):
            return Verdict(Outcome.REACHED, f"{target}: {values[target.metric]:.6g} at step {step}")
        ended = Outcome.FINISHED if target is None else Outcome.CAPPED
        if budget.steps is not None and step >= budget.steps:
            return Verdict(ended, f"budget of {budget.steps} steps spent")
        if budget.seconds is not None and self._counted >= budget.seconds:
            return Verdict(ended, f"budget of {text_of(budget.seconds)} seconds spent")
        return None

    def diverged(self, reason: str) -> Decision:
        """End the trial as diverged for a reason that the metrics do not show, such as a provably dead network."""
        with self._clock_standing(), self._lock:
            if self.verdict is None:
                self.verdict = Verdict(Outcome.DIVERGED, reason)
            return self._decision()

    def progress(self, leave_out: Collection[str] = ()) -> str:
        """What was reported and counted so far, as text for a checkpoint: :meth:`resume_from` takes it.

        ``leave_out``: metrics of the last report that were in it only because it was a trial's last; a longer trial
        of the :attr:`lineage`, which goes on from here, would not have reported them.
        """
        with self._lock:
            last = self.steps
            points = [at for at in self._curve.points if at.step != last or at.metric not in leave_out]
            return json.dumps(
                {
                    "steps": self.steps,
                    "seconds": self._counted,
                    "curve": [[point.step, point.seconds, point.metric, point.value] for point in points],
                }
            )

    def resume_from(self, step: int, progress: str | None = None) -> None:
        """Say that this attempt continues from a checkpoint at ``step``, before its first report.

        With the :meth:`progress` that was kept in the checkpoint, the row has the whole curve, and its seconds are
        those of all attempts up to their checkpoints; without it they are this attempt's. In neither case is it taken
        for a timing: the row says ``shared``. Raises ValueError for a text that is not from :meth:`progress`.
        """
        if progress is not None:
            self._take_up(progress)
        self.resumed_from_step = step

    def _take_up(self, progress: str) -> None:
        curve = Curve()
        try:
            kept = json.loads(progress)
            steps, seconds = int(kept["steps"]), float(kept["seconds"])
            for step, at, metric, value in kept["curve"]:
                curve.add(int(step), float(at), {str(metric): float(value)})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a trial's progress: {error}") from error
        with self._clock_standing(), self._lock:
            self.steps, self._curve = steps, curve
            self._earlier = self._counted = seconds

    def when_done(self, action: Callable[[], None]) -> None:
        """Call it once the trial's result is written: to remove what only a retry would have needed."""
        self._when_done.append(action)

    def done(self) -> None:
        """The trial's result is written; for :mod:`kgen.trial`, not for trainers."""
        while self._when_done:
            try:
                self._when_done.pop(0)()
            except Exception as error:  # noqa: BLE001  the result is written: what is left over can't undo it
                print(f"kgen: what was to be done after the result failed: {error}", flush=True)

    def interrupt(self, reason: str) -> None:
        """Ask for a stop at the next report; for :mod:`kgen.trial`, not for trainers."""
        self._interrupted = reason

    @property
    def stopping(self) -> bool:
        """Whether a stop from outside was asked for; a trainer with long steps may look at it."""
        return self._interrupted is not None

    def ended(self) -> Verdict:
        """The verdict after the trainer returned; one that returned by itself stops where it is.

        Raises TrialError for one that reported nothing, or never the target's metric: that is no result.
        """
        with self._lock:
            if self.verdict is None:
                if self._interrupted is not None:
                    self.verdict = Verdict(None, self._interrupted)
                    return self.verdict
                outcome = Outcome.FINISHED if self.budget.target is None else Outcome.CAPPED
                self.verdict = Verdict(outcome, f"the trainer returned at step {self.steps}")
            reported, target = self._curve.series, self.budget.target
            if self.verdict.outcome in (Outcome.CAPPED, Outcome.FINISHED):
                if not reported:
                    raise TrialError("the trainer returned without one report: trial.report(step=…, …) was not called")
                if target is not None and target.metric not in reported:
                    raise TrialError(
                        f"the target's metric {target.metric!r} was never reported; reported were {', '.join(reported)}"
                    )
            return self.verdict

    def snapshot(self) -> tuple[tuple[MetricSummary, ...], tuple[CurvePoint, ...]]:
        """Summaries and curve so far; safe to call from another thread."""
        with self._lock:
            return self._curve.summaries(), tuple(self._curve.points)
