"""A run as it goes: a live table in a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kgen.backends.local.events import Dealt, Event, PutBack
from kgen.cli.pace import Pace, Rounds
from kgen.cli.text import at_a_time, count, duration, parameters, short
from kgen.plan import Plan
from kgen.spec import SECONDS_TO_TARGET, STEPS_TO_TARGET, At, Goal, Packing, TrialSpec
from kgen.trial.channel import Ended, Report, Started

if TYPE_CHECKING:
    from kgen.sweep import SweepSpec
    from kgen.workflow.run import Display

_STYLES = {"reached": "green", "finished": "green", "capped": "yellow", "diverged": "magenta", "failed": "red"}
_LOG_LINES = 8
_RUNNING_LINES = 8
"""More running trials than this are not named one by one."""
_NEWEST = 5
_SILENCE_SECONDS = 30.0
"""Where no terminal is, something is said after so long, though no trial has ended."""


def display(spec: SweepSpec, *, quiet: bool) -> Display:
    """The display that fits where standard output goes."""
    if quiet:
        return Quiet(spec)
    return LiveTable(spec) if sys.stdout.isatty() else Lines(spec)


class Progress:
    """What is known of the run so far; the displays only differ in how they show it."""

    def __init__(self, spec: SweepSpec, clock: Callable[[], float] = time.monotonic) -> None:
        self.objective = spec.objective
        self.repeats = spec.repeats > 1
        self.clock = clock
        self.trials: dict[str, TrialSpec] = {}
        self.running: dict[str, Report | None] = {}
        self.newest: deque[Ended] = deque(maxlen=_NEWEST)
        self.ended = 0
        self.total = 0
        self.is_fused = False
        self.outcomes: Counter[str] = Counter()
        self.best: dict[str, tuple[float, TrialSpec]] = {}
        self.pace = Pace(0, None, clock)
        self.search: Rounds | None = None

    def begin(self, plan: Plan) -> None:
        """Take in the plan, of a run or of what comes behind it."""
        pending = plan.pending
        if pending:  # each stage of a sweep has its own
            self.objective = pending[0].objective
        self.repeats = len({trial.seed for trial in pending}) > 1
        self.trials = {trial.id: trial for trial in pending}
        self.is_fused = plan.packing is Packing.FUSED
        self.pace = Pace(len(pending), plan.budget.steps, self.clock)
        self.running.clear()
        if self.search is None or not self.search.goes_on(plan):
            self.search = None if plan.at_most is None else Rounds(plan, self.clock())
            for kept in (self.newest, self.outcomes, self.best):
                kept.clear()
        self.ended = plan.asked
        self.total = len(pending) if plan.at_most is None else plan.at_most

    def note(self, event: Event) -> None:
        """Take in an event."""
        if isinstance(event, Dealt):
            self.pace.dealt(event.trials, event.place)
        elif isinstance(event, Started):
            self.running[event.trial] = None
            self.pace.started(event.trial)
        elif isinstance(event, Report):
            self.running[event.trial] = event
            self.pace.reported(event.trial, event.step)
        elif isinstance(event, PutBack):
            for trial in event.trials:
                self._stopped(trial)
        elif isinstance(event, Ended) and event.state == "interrupted":
            self._stopped(event.trial)
        elif isinstance(event, Ended):
            self.running.pop(event.trial, None)
            self.pace.ended(event.trial, event.steps)
            self.newest.append(event)
            self.ended += 1
            self.outcomes[event.outcome or event.state] += 1
            self._note_best(event)

    def _stopped(self, trial: str) -> None:
        self.running.pop(trial, None)
        self.pace.stopped(trial)

    def _note_best(self, ended: Ended) -> None:
        value = self.value(ended)
        if value is None or not math.isfinite(value):
            return
        trial = self.trials[ended.trial]
        group = next((v for v in trial.parameters.values() if isinstance(v, str)), "all")
        best = self.best.get(group)
        sign = 1 if self.objective.goal is Goal.MINIMIZE else -1
        if best is None or sign * value < sign * best[0]:
            self.best[group] = (value, trial)

    def value(self, ended: Ended) -> float | None:
        """The objective's value of a trial that has one."""
        if self.objective.metric == STEPS_TO_TARGET:
            return ended.steps_to_target
        if self.objective.metric == SECONDS_TO_TARGET:
            return ended.seconds_to_target
        found = ended.metrics.get(self.objective.metric)
        if found is None or ended.state != "complete":
            return None
        final, low, high = found
        if self.objective.at is At.FINAL:
            return final
        return low if self.objective.goal is Goal.MINIMIZE else high

    @property
    def left(self) -> str:
        """Time left, from the pace so far; of a search with all that it may still ask for."""
        seconds = self.pace.seconds_left
        if self.search is not None:
            seconds = self.search.seconds_left(self.ended, self.total, self.clock())
        return "?" if seconds is None else duration(seconds)

    @property
    def activity(self) -> str:
        """What runs and what waits, and how fast it goes: for more trials than can be named."""
        steps = sorted({self.pace.step(trial) for trial in self.running})
        at = f" at step {steps[0]:,}" if steps else ""
        at += f" to {steps[-1]:,}" if len(steps) > 1 else ""
        parts = [f"{len(self.running):,} training{at}", f"{self.total - self.ended - len(self.running):,} waiting"]
        if (pace := self.pace.steps_per_second) is not None:
            parts.append(f"{pace:,.0f} steps a second")
        return ", ".join(parts)


class Quiet:
    """Shows nothing but failures."""

    def __init__(self, spec: SweepSpec) -> None:
        self.progress = Progress(spec)

    def begin(self, plan: Plan) -> None:
        """As Display."""
        self.progress.begin(plan)

    def event(self, message: Event) -> None:
        """As Display."""
        self.progress.note(message)
        self.show(message)
        if isinstance(message, Ended) and message.state == "failed":
            self.fail(failure_lines(message, self.words(message.trial)))
        elif isinstance(message, PutBack):
            number = len(message.trials)
            self.fail([f"{message.reason}, with {number:,} trials at work: they are trained again, in smaller groups"])

    def tell(self, line: str) -> None:
        """As Display; nothing failed, so nothing is said."""

    def note(self, line: str) -> None:
        """As Display."""
        print(line, file=sys.stderr, flush=True)

    def words(self, trial: str) -> str:
        """A trial's parameters, with the seed where there are repeats."""
        return parameters(self.progress.trials[trial], seed=self.progress.repeats)

    def result(self, message: Ended) -> str:
        """What came of a trial."""
        value = self.progress.value(message)
        shown = "" if value is None else f"  {self.progress.objective.metric} {value:.5g}"
        return f"{message.outcome or message.state:<8} {self.words(message.trial)}{shown}"

    def show(self, message: Event) -> None:
        """What this display shows of an event."""

    def fail(self, lines: Sequence[str]) -> None:
        """What went wrong, such as a failed trial with the last lines that it printed, on standard error."""
        for line in lines:
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        """As Display."""


def failure_lines(message: Ended, words: str) -> list[str]:
    """A failed trial in words, with its last output; what is said already is not said again."""
    log = message.log.splitlines()
    if log and log[-1].strip() == message.reason:
        log.pop()
    return [f"failed: {message.trial} {words}: {message.reason}", *(f"  | {line}" for line in log[-_LOG_LINES:])]


def heading(plan: Plan) -> str:
    """What is about to run."""
    if plan.at_most is not None:
        done = f", {plan.asked:,} done before" if plan.asked else ""
        return f"{plan.name}: search, up to {count(plan.at_most, 'trial')}{done}, {at_a_time(plan)}"
    before = len(plan.planned) - len(plan.pending)
    done = f", {before:,} done before" if before else ""
    return f"{plan.name}: {count(len(plan.pending), 'trial')} to run{done}, {at_a_time(plan)}"


class Lines(Quiet):
    """One line per ended trial."""

    def begin(self, plan: Plan) -> None:
        """As Display."""
        begun = self.progress.search
        super().begin(plan)
        if begun is None or self.progress.search is not begun:
            self._say(heading(plan))

    def tell(self, line: str) -> None:
        """As Display."""
        self._say(line)

    def _say(self, line: str) -> None:
        print(line, flush=True)
        self._said = self.progress.clock()

    def show(self, message: Event) -> None:
        """As Quiet."""
        p = self.progress
        if isinstance(message, Report) and p.is_fused and p.clock() > self._said + _SILENCE_SECONDS:
            self._say(f"{p.activity}, {p.left} left")
        if not isinstance(message, Ended):
            return
        if message.state == "interrupted":
            self._say(f"interrupted: {message.trial} {self.words(message.trial)}")
            return
        width = len(str(p.total))
        # A trial that was trained beside others has no seconds of its own.
        took = f"{count(message.steps, 'step')}" if p.is_fused else f"{message.total_seconds:.1f} s"
        self._say(f"{p.ended:{width}}/{p.total} {self.result(message)}  {took}, {p.left} left")


class LiveTable(Quiet):
    """A live table."""

    def __init__(self, spec: SweepSpec, console: Console | None = None) -> None:
        super().__init__(spec)
        self._console = console or Console()
        self._live = Live(console=self._console, refresh_per_second=4, get_renderable=self._render)

    def begin(self, plan: Plan) -> None:
        """As Display."""
        begun = self.progress.search
        super().begin(plan)
        if self.progress.total:
            if begun is None or self.progress.search is not begun:
                self._console.print(Text(heading(plan)))
            self._live.start()

    def tell(self, line: str) -> None:
        """As Display."""
        self._console.print(Text(line))

    def fail(self, lines: Sequence[str]) -> None:
        """As Quiet, above the table."""
        for line in lines:
            self._console.print(Text(line, style="red"))

    def end(self) -> None:
        """As Display."""
        self._live.stop()

    def _render(self) -> Group:
        p = self.progress
        counts = Text("  ").join(
            Text(f"{count} {name}", style=_STYLES.get(name, "")) for name, count in sorted(p.outcomes.items())
        )
        head = Table.grid(padding=(0, 1))
        head.add_row(ProgressBar(p.total, p.ended, width=30), f"{p.ended}/{p.total}", f"{p.left} left", counts)
        parts: list[Any] = [head]
        if p.best:
            parts.append(Text(f"best so far: {p.objective.metric}", style="italic"))
            best = Table(show_header=False, box=None, padding=(0, 2))
            for group, (value, trial) in sorted(p.best.items()):
                rest = " ".join(f"{n}={short(v)}" for n, v in trial.parameters.items() if v != group)
                best.add_row(group, f"{value:.5g}", rest)
            parts.append(best)
        parts += [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in self._running()]
        return Group(*parts)

    def _running(self) -> Iterator[str]:
        p = self.progress
        if p.is_fused:
            yield from (f"  {self.result(ended)}" for ended in p.newest)
            yield f"  {p.activity}"
        if len(p.running) <= _RUNNING_LINES:
            yield from (f"  running {id_} {self.words(id_)}{_at(report)}" for id_, report in sorted(p.running.items()))
        elif not p.is_fused:
            yield f"  {p.activity}"


def _at(report: Report | None) -> str:
    if report is None:
        return ""
    metrics = "  ".join(f"{name} {value:.4g}" for name, value in report.metrics.items())
    return f"  step {report.step}  {metrics}"
