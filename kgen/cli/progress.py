"""A run as it goes: a live table in a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kgen.cli.text import count, duration, parameters, short
from kgen.plan import Plan
from kgen.spec import SECONDS_TO_TARGET, STEPS_TO_TARGET, At, Goal, TrialSpec
from kgen.trial.channel import Ended, Message, Report, Started

if TYPE_CHECKING:
    from kgen.sweep import SweepSpec
    from kgen.workflow.run import Display

_STYLES = {"reached": "green", "finished": "green", "capped": "yellow", "diverged": "magenta", "failed": "red"}
_LOG_LINES = 8


def display(spec: SweepSpec, *, quiet: bool) -> Display:
    """The display that fits where standard output goes."""
    if quiet:
        return Quiet(spec)
    return LiveTable(spec) if sys.stdout.isatty() else Lines(spec)


class Progress:
    """What is known of the run so far; the displays only differ in how they show it."""

    def __init__(self, spec: SweepSpec, clock: Callable[[], float] = time.monotonic) -> None:
        self.objective = spec.objective
        self.trials: dict[str, TrialSpec] = {}
        self.running: dict[str, Report | None] = {}
        self.ended = 0
        self.total = 0
        self.done_before = 0
        self.workers = 1
        self.outcomes: Counter[str] = Counter()
        self.best: dict[str, tuple[float, TrialSpec]] = {}
        self._clock = clock
        self._began = clock()

    def begin(self, plan: Plan) -> None:
        """Take in the plan."""
        pending = plan.pending
        self.trials = {trial.id: trial for trial in pending}
        self.total = len(pending)
        self.done_before = len(plan.planned) - len(pending)
        self.workers = plan.workers
        self._began = self._clock()

    def note(self, message: Message) -> None:
        """Take in an event."""
        if isinstance(message, Started):
            self.running[message.trial] = None
        elif isinstance(message, Report):
            self.running[message.trial] = message
        elif isinstance(message, Ended):
            self.running.pop(message.trial, None)
            if message.state == "interrupted":
                return
            self.ended += 1
            self.outcomes[message.outcome or message.state] += 1
            self._note_best(message)

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
        """Time left, from the pace so far."""
        if not self.ended:
            return "?"
        pace = (self._clock() - self._began) / self.ended
        return duration(pace * (self.total - self.ended))


class Quiet:
    """Shows nothing but failures."""

    def __init__(self, spec: SweepSpec) -> None:
        self.progress = Progress(spec)
        self._repeats = spec.repeats > 1

    def begin(self, plan: Plan) -> None:
        """As Display."""
        self.progress.begin(plan)

    def event(self, message: Message) -> None:
        """As Display."""
        self.progress.note(message)
        self.show(message)
        if isinstance(message, Ended) and message.state == "failed":
            self.fail(message)

    def words(self, trial: str) -> str:
        """A trial's parameters, with the seed where there are repeats."""
        return parameters(self.progress.trials[trial], seed=self._repeats)

    def show(self, message: Message) -> None:
        """What this display shows of an event."""

    def fail(self, message: Ended) -> None:
        """A failed trial and the last lines that it printed, on standard error."""
        for line in failure_lines(message, self.words(message.trial)):
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        """As Display."""


def failure_lines(message: Ended, words: str) -> list[str]:
    """A failed trial in words, with its last output; what is said already is not said again."""
    log = message.log.splitlines()
    if log and log[-1].strip() == message.reason:
        log.pop()
    return [f"failed: {message.trial} {words}: {message.reason}", *(f"  | {line}" for line in log[-_LOG_LINES:])]


class Lines(Quiet):
    """One line per ended trial."""

    def begin(self, plan: Plan) -> None:
        """As Display."""
        super().begin(plan)
        p = self.progress
        before = f", {p.done_before:,} done before" if p.done_before else ""
        print(f"{plan.name}: {count(p.total, 'trial')} to run{before}, {p.workers} at a time", flush=True)

    def show(self, message: Message) -> None:
        """As Quiet."""
        if not isinstance(message, Ended):
            return
        p = self.progress
        if message.state == "interrupted":
            print(f"interrupted: {message.trial} {self.words(message.trial)}", flush=True)
            return
        value = p.value(message)
        shown = "" if value is None else f"  {p.objective.metric} {value:.5g}"
        width = len(str(p.total))
        print(
            f"{p.ended:{width}}/{p.total} {message.outcome or message.state:<8} {self.words(message.trial)}"
            f"{shown}  {message.total_seconds:.1f} s, {p.left} left",
            flush=True,
        )


class LiveTable(Quiet):
    """A live table."""

    def __init__(self, spec: SweepSpec, console: Console | None = None) -> None:
        super().__init__(spec)
        self._console = console or Console()
        self._live = Live(console=self._console, refresh_per_second=4, get_renderable=self._render)

    def begin(self, plan: Plan) -> None:
        """As Display."""
        super().begin(plan)
        if self.progress.total:
            self._live.start()

    def fail(self, message: Ended) -> None:
        """As Quiet, above the table."""
        for line in failure_lines(message, self.words(message.trial)):
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
            title = f"best so far: {p.objective.metric}"
            best = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
            for group, (value, trial) in sorted(p.best.items()):
                rest = " ".join(f"{n}={short(v)}" for n, v in trial.parameters.items() if v != group)
                best.add_row(group, f"{value:.5g}", rest)
            parts.append(best)
        for trial_id, report in sorted(p.running.items()):
            line = f"  running {trial_id} {self.words(trial_id)}{_at(report)}"
            parts.append(Text(line, style="dim", no_wrap=True, overflow="ellipsis"))
        return Group(*parts)


def _at(report: Report | None) -> str:
    if report is None:
        return ""
    metrics = "  ".join(f"{name} {value:.4g}" for name, value in report.metrics.items())
    return f"  step {report.step}  {metrics}"
