"""A run as it is shown: a live table in a terminal, lines elsewhere, nothing but failures when quiet."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from kgen.backends.local.events import Dealt, PutBack
from kgen.cli.progress import Lines, LiveTable, Progress, Quiet, display
from kgen.plan import Seen, plan
from kgen.spec import Packing, TrialSpec
from kgen.spec import shown as shown_value
from kgen.sweep import SweepSpec, expand, loads
from kgen.trial.channel import Ended, Report, Started
from kgen.workflow.run import Display
from tests.unit.sweep.sweeps import text

Output = Callable[[], tuple[str, str]]


def sweep(objective: str | None = None) -> SweepSpec:
    return loads(text(parameters="{optimizer: [sgd, adam], rate: [1e-3, 1e-2, .1, 1]}", objective=objective))


def begin(
    shown: Display | Progress, spec: SweepSpec, *, done: int = 0, packing: Packing = Packing.SEQUENTIAL
) -> tuple[TrialSpec, ...]:
    """Begin with so many trials done before; returns the others."""
    trials = expand(spec)
    seen = {trial.id: (Seen.DONE, "") for trial in trials[:done]}
    made = plan(spec.name, trials, seen, budget=spec.budget, workers=2, packing=packing)
    shown.begin(made)
    return made.pending


def ended(trial: TrialSpec, outcome: str | None = "capped", *, steps: int | None = None, **fields: object) -> Ended:
    values: dict[str, object] = {
        "trial": trial.id,
        "state": "complete" if outcome else "failed",
        "outcome": outcome,
        "reason": "",
        "exit_code": 0,
        "steps": 100,
        "steps_to_target": steps,
        "seconds_to_target": None,
        "seconds": 1.0,
        "total_seconds": 2.5,
        "metrics": {},
        "log": "",
        "resident_bytes": 0,
        **fields,
    }
    return Ended(**values)  # type: ignore[arg-type]  # the values above have the fields' types


# -- lines --------------------------------------------------------------------------------------------------------


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Output:
    def read() -> tuple[str, str]:
        printed = capsys.readouterr()
        return printed.out, printed.err

    return read


def test_the_rounds_of_a_search_count_on(output: Output) -> None:
    trials = expand(sweep())
    shown = display(sweep(), quiet=False)
    for asked in (2, 4):  # the second round has no heading of its own
        made = plan("sweep", trials[asked : asked + 2], {}, budget=sweep().budget, workers=2)
        shown.begin(replace(made, at_most=8, asked=asked))
        for trial in made.pending:
            shown.event(ended(trial))
    heading, *lines = output()[0].splitlines()
    assert heading == "sweep: search, up to 8 trials, 2 done before, 2 at a time"
    assert [line.split()[0] for line in lines] == ["3/8", "4/8", "5/8", "6/8"]
    assert all(re.search(r" left$", line) for line in lines)
    begin(shown, sweep())
    assert output()[0] == "sweep: 8 trials to run, 2 at a time\n"


def test_where_no_terminal_is_each_ended_trial_is_a_line(output: Output) -> None:
    spec = sweep()
    shown = display(spec, quiet=False)
    trials = begin(shown, spec, done=2)
    assert output() == ("sweep: 6 trials to run, 2 done before, 2 at a time\n", "")
    shown.event(Started(trials[0].id))
    shown.event(Report(trials[0].id, 50, {"accuracy": 0.5}))
    assert output() == ("", "")
    shown.event(ended(trials[0], "reached", steps=50))
    out, err = output()
    assert re.fullmatch(r"1/6 reached  optimizer=sgd rate=0\.1  steps_to_target 50  2\.5 s, \d+ s left\n", out)
    shown.event(ended(trials[1]))
    shown.end()
    out, err = output()
    assert re.fullmatch(r"2/6 capped   optimizer=sgd rate=1  2\.5 s, \d+ s left\n", out)
    assert "\x1b" not in out
    assert err == ""


def test_a_failed_trial_says_why_on_standard_error_with_the_end_of_its_log(output: Output) -> None:
    spec = sweep()
    shown = display(spec, quiet=False)
    trials = begin(shown, spec)
    output()
    log = "\n".join(f"line {i}" for i in range(20))
    shown.event(ended(trials[0], None, reason="ValueError: no such optimizer", log=log, exit_code=1))
    out, err = output()
    assert out.startswith("1/8 failed   optimizer=sgd rate=0.001  ")
    assert err.splitlines() == [
        f"failed: {trials[0].id} optimizer=sgd rate=0.001: ValueError: no such optimizer",
        *(f"  | line {i}" for i in range(12, 20)),
    ]


def test_an_interrupted_trial_is_no_ended_one(output: Output) -> None:
    spec = sweep()
    shown = display(spec, quiet=False)
    trials = begin(shown, spec)
    output()
    shown.event(ended(trials[0], None, state="interrupted", reason="SIGTERM"))
    assert output() == (f"interrupted: {trials[0].id} optimizer=sgd rate=0.001\n", "")
    shown.event(ended(trials[1]))
    assert output()[0].startswith("1/8 ")


def test_quiet_shows_failures_and_nothing_else(output: Output) -> None:
    spec = sweep()
    shown = display(spec, quiet=True)
    trials = begin(shown, spec)
    shown.event(Started(trials[0].id))
    shown.event(ended(trials[0], "reached", steps=5))
    shown.event(ended(trials[1], None, state="interrupted"))
    shown.end()
    assert output() == ("", "")
    shown.event(ended(trials[2], None, reason="crash"))
    assert output() == ("", f"failed: {trials[2].id} optimizer=sgd rate=0.1: crash\n")


def test_the_display_fits_where_standard_output_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = sweep()
    assert not isinstance(display(spec, quiet=False), LiveTable)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert isinstance(display(spec, quiet=False), LiveTable)
    quiet = display(spec, quiet=True)
    assert isinstance(quiet, Quiet)
    assert not isinstance(quiet, LiveTable)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# -- what is known ------------------------------------------------------------------------------------------------


def test_the_time_left_comes_from_the_pace_so_far() -> None:
    now = 0.0
    progress = Progress(sweep(), clock=lambda: now)
    now = 100.0  # a plan takes time too, which is not the trials'
    trials = begin(progress, sweep(), done=2)
    now = 160.0
    assert progress.left == "?"
    progress.note(ended(trials[0]))
    progress.note(ended(trials[1]))
    assert progress.left == "2 min"
    now = 280.0
    for trial in trials[2:]:
        progress.note(ended(trial))
    assert progress.left == "0 s"


def best(objective: str | None, *events: tuple[int, Ended | dict[str, object]]) -> dict[str, tuple[float, str]]:
    spec = sweep(objective)
    progress = Progress(spec)
    trials = begin(progress, spec)
    for i, fields in events:
        progress.note(ended(trials[i], **fields))  # type: ignore[arg-type]
    return {group: (value, str(trial.parameters["rate"])) for group, (value, trial) in progress.best.items()}


def test_the_best_of_each_group_is_the_one_with_the_fewest_steps() -> None:
    assert best(
        None,
        (0, {"steps": 80, "outcome": "reached"}),
        (1, {"steps": 40, "outcome": "reached"}),
        (2, {"steps": 60, "outcome": "reached"}),
        (3, {}),
        (5, {"steps": 90, "outcome": "reached"}),
    ) == {"sgd": (40, "0.01"), "adam": (90, "0.01")}


@pytest.mark.parametrize(
    ("objective", "winner"),
    [
        ("{metric: score, goal: maximize, at: final}", (0.6, "0.01")),
        ("{metric: score, goal: maximize, at: best}", (0.9, "0.001")),
        ("{metric: score, goal: minimize, at: final}", (0.2, "0.001")),
        ("{metric: score, goal: minimize, at: best}", (0.1, "0.001")),
        ("{metric: seconds_to_target}", (7.0, "0.01")),
        ("{metric: other}", None),
    ],
)
def test_the_best_is_what_the_objective_asks_for(objective: str, winner: tuple[float, str] | None) -> None:
    found = best(
        objective,
        (0, {"metrics": {"score": (0.2, 0.1, 0.9)}, "seconds_to_target": 9.0}),
        (1, {"metrics": {"score": (0.6, 0.5, 0.7)}, "seconds_to_target": 7.0}),
        (2, {"metrics": {"score": (0.9, 0.0, 1.0)}, "outcome": None}),
    )
    assert found == ({} if winner is None else {"sgd": winner})


def test_a_value_that_is_no_number_is_never_the_best() -> None:
    """A diverged trial comes first, its loss is NaN, and nothing compares with that."""
    nan = float("nan")
    assert best(
        "{metric: loss}",
        (0, {"metrics": {"loss": (nan, nan, nan)}, "outcome": "diverged"}),
        (1, {"metrics": {"loss": (float("-inf"), 0.0, 0.0)}, "outcome": "diverged"}),
        (2, {"metrics": {"loss": (0.5, 0.1, 2.0)}}),
    ) == {"sgd": (0.5, "0.1")}


# -- the live table -----------------------------------------------------------------------------------------------


def screen(printed: str) -> str:
    """The last frame behind its bar, without colours and movements of the cursor."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed)
    *_, last = re.finditer(r"\d+/\d+ ", plain)
    return plain[last.start() :]


def test_the_live_table_shows_what_a_run_has_come_to() -> None:
    spec = sweep()
    terminal = io.StringIO()
    shown = LiveTable(spec, Console(file=terminal, force_terminal=True, width=110, color_system=None))
    trials = begin(shown, spec)
    shown.event(Started(trials[0].id))
    shown.event(ended(trials[0], "reached", steps=80))
    shown.event(ended(trials[1], "reached", steps=40))
    shown.event(ended(trials[5], "reached", steps=120))
    shown.event(ended(trials[6]))
    shown.event(ended(trials[7], "diverged"))
    shown.event(Started(trials[2].id))
    shown.event(Started(trials[3].id))
    shown.event(Report(trials[3].id, 60, {"accuracy": 0.51234, "loss": 1.5}))
    shown.end()
    first, *lines = (line.rstrip() for line in screen(terminal.getvalue()).splitlines())
    assert re.fullmatch(r"5/8 \d+ s left 1 capped  1 diverged  3 reached", first)
    assert lines[0] == "best so far: steps_to_target"
    assert [line.split() for line in lines[1:3]] == [["adam", "120", "rate=0.01"], ["sgd", "40", "rate=0.01"]]
    assert sorted(lines[3:]) == sorted(
        [
            f"  running {trials[2].id} optimizer=sgd rate=0.1",
            f"  running {trials[3].id} optimizer=sgd rate=1  step 60  accuracy 0.5123  loss 1.5",
        ]
    )


def test_a_failure_stays_above_the_live_table() -> None:
    spec = sweep()
    terminal = io.StringIO()
    shown = LiveTable(spec, Console(file=terminal, force_terminal=True, width=110))
    trials = begin(shown, spec)
    shown.event(ended(trials[0], None, reason="[bold] is no markup", log="a\nb"))
    shown.end()
    assert f"failed: {trials[0].id} optimizer=sgd rate=0.001: [bold] is no markup" in terminal.getvalue()
    assert "  | b" in terminal.getvalue()
    assert "0/8" not in screen(terminal.getvalue())
    assert "1 failed" in screen(terminal.getvalue())


def test_with_nothing_to_run_there_is_no_table() -> None:
    spec = sweep()
    terminal = io.StringIO()
    shown = LiveTable(spec, Console(file=terminal, force_terminal=True, width=110))
    begin(shown, spec, done=8)
    shown.end()
    shown.end()
    assert terminal.getvalue() == ""


# -- many trials in each process ----------------------------------------------------------------------------------


def many() -> SweepSpec:
    return loads(
        text(
            parameters="{optimizer: [sgd, adam], rate: {log: {start: 1e-5, stop: 1, num: 60}}}",
            budget="{steps: 1000, target: {accuracy: 0.9}}",
        )
    )


def start(shown: Display, trials: tuple[TrialSpec, ...], place: int = 0) -> None:
    shown.event(Dealt(tuple(trial.id for trial in trials), place))
    for trial in trials:
        shown.event(Started(trial.id))


def test_hundreds_that_run_are_counted_and_not_listed() -> None:
    spec = many()
    terminal = io.StringIO()
    shown = LiveTable(spec, Console(file=terminal, force_terminal=True, width=110, height=24, color_system=None))
    trials = begin(shown, spec, packing=Packing.FUSED)
    start(shown, trials[:100])
    shown.event(Report(trials[7].id, 150, {"accuracy": 0.4}))
    for i in range(10):
        shown.event(ended(trials[i], "reached", steps=150))
    shown.end()
    first, *lines = (line.rstrip() for line in screen(terminal.getvalue()).splitlines())
    assert re.fullmatch(r"10/120 \S+( \S+)* left 10 reached", first)
    assert lines[:2] == ["best so far: steps_to_target", "  sgd    150    rate=1e-5"]
    words = [f"optimizer=sgd rate={shown_value(trial.parameters['rate'])}" for trial in trials[5:10]]
    assert lines[2:7] == [f"  reached  {word}  steps_to_target 150" for word in words]
    assert lines[7].startswith("  90 training at step 150, 20 waiting")
    assert lines[8:] == []
    assert "sweep: 120 trials to run, fused in 2 processes" in terminal.getvalue()


def test_the_last_few_are_listed_again() -> None:
    spec = many()
    terminal = io.StringIO()
    shown = LiveTable(spec, Console(file=terminal, force_terminal=True, width=110, color_system=None))
    trials = begin(shown, spec, packing=Packing.FUSED)
    start(shown, trials[:2])
    shown.end()
    lines = screen(terminal.getvalue()).splitlines()
    assert sorted(line.split()[1] for line in lines if "running" in line) == sorted(trial.id for trial in trials[:2])


def test_a_fused_trial_has_no_seconds_where_no_terminal_is(output: Output) -> None:
    spec = many()
    shown = display(spec, quiet=False)
    trials = begin(shown, spec, packing=Packing.FUSED)
    assert output() == ("sweep: 120 trials to run, fused in 2 processes\n", "")
    start(shown, trials)
    shown.event(ended(trials[0], "reached", steps=50))
    assert re.fullmatch(
        r"  1/120 reached  optimizer=sgd rate=1e-5  steps_to_target 50  100 steps, .* left\n", output()[0]
    )


def test_a_long_silence_is_broken_where_no_terminal_is(output: Output) -> None:
    """Hundreds of trials may train for minutes before the first of them ends."""
    now = 0.0
    spec = many()
    shown = Lines(spec)
    shown.progress.clock = lambda: now
    trials = begin(shown, spec, packing=Packing.FUSED)
    start(shown, trials[:100])
    output()
    for now in (10.0, 20.0, 29.0):
        shown.event(Report(trials[0].id, 10 * int(now), {}))
    assert output() == ("", "")
    for now in (31.0, 40.0):
        shown.event(Report(trials[0].id, 10 * int(now), {}))
    assert output()[0] == "100 training at step 310, 20 waiting, 1,000 steps a second, 1 min 29 s left\n"


@pytest.mark.parametrize("quiet", [False, True])
def test_a_death_that_puts_trials_back_is_told_and_they_run_no_more(output: Output, quiet: bool) -> None:
    spec = many()
    shown = display(spec, quiet=quiet)
    assert isinstance(shown, Quiet)
    trials = begin(shown, spec, packing=Packing.FUSED)
    start(shown, trials[:100])
    output()
    shown.event(PutBack(tuple(trial.id for trial in trials[:100]), "the process was ended by SIGKILL"))
    said = "the process was ended by SIGKILL, with 100 trials at work: they are trained again, in smaller groups\n"
    assert output() == ("", said)
    assert shown.progress.activity.startswith("0 training, 120 waiting")


def test_what_is_timed_after_a_run_is_shown_anew(output: Output) -> None:
    spec = many()
    shown = display(spec, quiet=False)
    trials = begin(shown, spec, packing=Packing.FUSED)
    start(shown, trials)
    shown.event(ended(trials[0]))
    shown.end()
    shown.note("something is left undone")
    assert output()[1] == "something is left undone\n"
    again = begin(shown, spec, done=110)
    shown.event(Started(again[0].id))
    shown.event(ended(again[0], "reached", steps=50))
    assert re.search(r"^ 1/10 reached .*  2\.5 s, .* left$", output()[0], re.MULTILINE)
