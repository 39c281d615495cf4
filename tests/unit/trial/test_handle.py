"""The handle that a trainer holds, under a clock that the test moves."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgen.errors import BadParametersError, StoreError, TrialError
from kgen.results.rows import MetricSummary, Outcome
from kgen.spec import Direction, Target, WrittenFloat
from kgen.trial import Trial
from tests.unit.trial.trainers import spec


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def run(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


class MakeTrial:
    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self.reports: list[tuple[int, dict[str, float]]] = []

    def __call__(self, parameters: Mapping[str, Any] | None = None, **budget: Any) -> Trial:
        return Trial(
            spec(parameters, **budget),
            checkpoints=self._folder / "checkpoints" / "aaaaaaaaaa",
            on_report=lambda step, metrics: self.reports.append((step, dict(metrics))),
            clock=self._clock,
        )


@pytest.fixture
def new(tmp_path: Path, clock: Clock) -> MakeTrial:
    return MakeTrial(tmp_path, clock)


ACCURACY = Target("accuracy", 0.9)


# -- what a report would come to


def test_it_says_beforehand_which_report_would_be_the_last(new: MakeTrial) -> None:
    trial = new(steps=100, target=ACCURACY)
    assert not trial.would_end(step=50, accuracy=0.5)
    assert trial.would_end(step=50, accuracy=0.9)
    assert trial.would_end(step=50, accuracy=math.nan)
    assert trial.would_end(step=100, accuracy=0.5)
    assert (trial.steps, trial.steps_to_target, trial.verdict, trial.snapshot()) == (0, None, None, ((), ()))
    trial.interrupt("SIGTERM")
    assert not trial.would_end(step=50, accuracy=0.5), "a stop from outside is nothing that a report shows"
    assert trial.report(step=50, accuracy=0.5).interrupted
    assert trial.would_end(step=60, accuracy=0.5), "it has ended already"


# -- the clock


def test_only_time_inside_training_counts(new: MakeTrial, clock: Clock) -> None:
    trial = new()
    clock.run(5)
    with trial.training():
        clock.run(2)
    clock.run(7)
    with trial.training():
        clock.run(1)
        assert trial.seconds == 3
    clock.run(9)
    assert trial.seconds == 3


def test_the_clock_stands_while_a_report_is_handled(new: MakeTrial, clock: Clock, tmp_path: Path) -> None:
    trial = Trial(spec(), checkpoints=tmp_path, on_report=lambda step, metrics: clock.run(100), clock=clock)
    with trial.training():
        clock.run(1)
        trial.report(step=1, loss=1)
        clock.run(2)
    assert trial.seconds == 3


def test_the_clock_ends_with_the_report_that_ends_the_trial(new: MakeTrial, clock: Clock) -> None:
    trial = new(steps=10)
    with trial.training():
        clock.run(1)
        assert trial.report(step=10, loss=1).stop
        clock.run(50)
    with trial.training():
        clock.run(50)
    assert trial.seconds == 1


def test_time_before_a_trial_is_declared_diverged_counts(new: MakeTrial, clock: Clock) -> None:
    trial = new()
    with trial.training():
        clock.run(3)
        trial.diverged("dead")
        clock.run(50)
    assert trial.seconds == 3


def test_training_counts_up_to_an_exception(new: MakeTrial, clock: Clock) -> None:
    trial = new()

    def crash() -> None:
        with trial.training():
            clock.run(4)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crash()
    clock.run(4)
    assert trial.seconds == 4


def test_training_inside_training_is_a_mistake(new: MakeTrial) -> None:
    trial = new()
    with trial.training(), pytest.raises(RuntimeError, match="twice"), trial.training():
        pass
    with trial.training():
        pass  # and left, it may be entered again


def test_a_trainer_may_count_its_own_seconds(new: MakeTrial, clock: Clock) -> None:
    trial = new(target=ACCURACY, seconds=10)
    with trial.training():
        clock.run(100)
        assert not trial.report(step=1, seconds=2.5, accuracy=0.1).stop
        clock.run(100)
        assert trial.seconds == 2.5
        assert trial.report(step=2, seconds=float(np.float32(4)), accuracy=0.95).stop
    assert (trial.seconds_to_target, trial.seconds) == (4, 4)
    assert [point.seconds for point in trial.snapshot()[1]] == [2.5, 4]


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf])
def test_seconds_must_be_a_time(new: MakeTrial, seconds: float) -> None:
    trial = new()
    with pytest.raises(ValueError, match="not a time"):
        trial.report(step=1, seconds=seconds, loss=1)
    assert trial.snapshot() == ((), ())


def test_the_curve_has_counted_seconds(new: MakeTrial, clock: Clock) -> None:
    trial = new()
    for step in (1, 2):
        with trial.training():
            clock.run(1.5)
        clock.run(10)
        trial.report(step=step, loss=step)
    assert [(p.step, p.seconds, p.metric, p.value) for p in trial.snapshot()[1]] == [
        (1, 1.5, "loss", 1),
        (2, 3, "loss", 2),
    ]


# -- when to stop


def test_the_target_ends_a_trial_at_the_report_that_meets_it(new: MakeTrial, clock: Clock) -> None:
    trial = new(target=ACCURACY, steps=100)
    with trial.training():
        clock.run(1)
    assert not trial.report(step=10, accuracy=0.89).stop
    with trial.training():
        clock.run(1)
    decision = trial.report(step=20, accuracy=0.9)
    assert decision.stop
    assert decision.reason == "accuracy >= 0.9: 0.9 at step 20"
    assert (trial.steps_to_target, trial.seconds_to_target) == (20, 2)
    assert trial.ended().outcome is Outcome.REACHED


def test_a_target_may_lie_below(new: MakeTrial) -> None:
    trial = new(target=Target("loss", 0.1, Direction.AT_MOST))
    assert not trial.report(step=1, loss=0.11).stop
    assert trial.report(step=2, loss=0.1).stop


def test_a_report_without_the_targets_metric_decides_nothing(new: MakeTrial) -> None:
    trial = new(target=ACCURACY)
    assert not trial.report(step=1, loss=0.95).stop


def test_the_budget_of_steps_caps_a_trial_with_a_target(new: MakeTrial) -> None:
    trial = new(target=ACCURACY, steps=100)
    assert not trial.report(step=99, accuracy=0.1).stop
    assert trial.report(step=100, accuracy=0.1).reason == "budget of 100 steps spent"
    assert trial.ended().outcome is Outcome.CAPPED
    assert trial.steps_to_target is None


def test_the_budget_of_seconds_is_of_counted_seconds(new: MakeTrial, clock: Clock) -> None:
    trial = new(target=ACCURACY, seconds=2)
    clock.run(10)
    assert not trial.report(step=1, accuracy=0.1).stop
    with trial.training():
        clock.run(2)
    assert trial.report(step=2, accuracy=0.1).reason == "budget of 2 seconds spent"
    assert trial.ended().outcome is Outcome.CAPPED


def test_without_a_target_a_spent_budget_is_the_end_that_was_wanted(new: MakeTrial) -> None:
    trial = new(steps=5)
    assert trial.report(step=5, loss=1).stop
    assert trial.ended().outcome is Outcome.FINISHED


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "nan: loss at step 3"),
        (math.inf, "infinite: loss at step 3"),
        (-math.inf, "infinite: loss at step 3"),
    ],
)
def test_what_is_not_a_number_diverges(new: MakeTrial, value: float, reason: str) -> None:
    trial = new(target=ACCURACY, steps=100)
    decision = trial.report(step=3, loss=value)
    assert (decision.stop, decision.reason) == (True, reason)
    assert trial.ended().outcome is Outcome.DIVERGED


def test_a_provably_dead_network_diverges(new: MakeTrial) -> None:
    trial = new()
    assert trial.diverged("all units of conv1 are dead").stop
    assert trial.report(step=1, loss=1).reason == "all units of conv1 are dead"
    assert trial.ended().outcome is Outcome.DIVERGED


def test_the_first_that_holds_decides(new: MakeTrial) -> None:
    """Not a number, then the target, then the budget, then a stop from outside."""

    def outcome(*, nan: bool = False, target: bool = False, budget: bool = False) -> Outcome | None:
        trial = new(target=ACCURACY, steps=10)
        trial.interrupt("SIGTERM")
        step, accuracy = 10 if budget else 1, 0.95 if target else 0.1
        decision = trial.report(step=step, accuracy=accuracy, loss=math.nan if nan else 1.0)
        assert decision.stop
        return trial.ended().outcome

    assert outcome(nan=True, target=True, budget=True) is Outcome.DIVERGED
    assert outcome(target=True, budget=True) is Outcome.REACHED
    assert outcome(budget=True) is Outcome.CAPPED
    assert outcome() is None


def test_a_stop_from_outside_is_heard_at_the_next_report(new: MakeTrial) -> None:
    trial = new(steps=10)
    assert not trial.report(step=1, loss=1).stop
    assert not trial.stopping
    trial.interrupt("SIGTERM")
    assert trial.stopping
    assert trial.report(step=2, loss=1).reason == "SIGTERM"
    assert trial.ended().outcome is None


def test_after_its_end_a_trial_takes_nothing_more(new: MakeTrial) -> None:
    trial = new(target=ACCURACY)
    trial.report(step=1, accuracy=0.95)
    assert trial.report(step=2, accuracy=math.nan).reason == "accuracy >= 0.9: 0.95 at step 1"
    assert (trial.steps, trial.steps_to_target, len(trial.snapshot()[1])) == (1, 1, 1)
    assert trial.ended().outcome is Outcome.REACHED


def test_a_trainer_that_returns_by_itself_stops_where_it_is(new: MakeTrial) -> None:
    for trial, outcome in ((new(), Outcome.FINISHED), (new(target=ACCURACY), Outcome.CAPPED)):
        trial.report(step=7, accuracy=0.1)
        assert (trial.ended().outcome, trial.ended().reason) == (outcome, "the trainer returned at step 7")


def test_a_trainer_that_reported_nothing_has_no_result(new: MakeTrial) -> None:
    with pytest.raises(TrialError, match="without one report"):
        new(target=ACCURACY).ended()


def test_a_target_that_was_never_reported_is_no_result(new: MakeTrial) -> None:
    trial = new(target=ACCURACY, steps=5)
    assert trial.report(step=5, acuracy=0.99).stop
    with pytest.raises(TrialError, match="'accuracy' was never reported; reported were acuracy"):
        trial.ended()


def test_a_target_met_past_the_budget_was_not_met_within_it(new: MakeTrial) -> None:
    trial = new(target=ACCURACY, steps=120)
    trial.report(step=150, accuracy=1.0)
    assert (trial.ended().outcome, trial.steps_to_target) == (Outcome.CAPPED, None)


def test_a_trainer_that_returns_because_it_was_told_to_is_interrupted(new: MakeTrial) -> None:
    trial = new()
    trial.interrupt("SIGTERM")
    assert (trial.ended().outcome, trial.ended().reason) == (None, "SIGTERM")


# -- going on from a checkpoint


def test_progress_taken_up_is_that_of_one_trial(new: MakeTrial, clock: Clock) -> None:
    first = new(seconds=10)
    with first.training():
        clock.run(1 / 3)
        first.report(step=5, loss=0.1, accuracy=0.2)
    kept = first.progress()
    again = new(seconds=10)
    again.resume_from(5, kept)
    assert (again.resumed_from_step, again.steps, again.seconds) == (5, 5, first.seconds)
    with again.training():
        clock.run(4)
        again.report(step=6, loss=0.05)
    assert again.snapshot()[1][:2] == first.snapshot()[1]
    assert again.snapshot()[0] == (MetricSummary("accuracy", 0.2, 0.2, 0.2), MetricSummary("loss", 0.05, 0.05, 0.1))
    with again.training():
        clock.run(6)
        decision = again.report(step=7, loss=0.01)
    assert decision.reason == "budget of 10 seconds spent", "of which the earlier attempt counted a part"


def test_a_trainer_that_counts_its_own_seconds_counts_on_top_of_earlier_ones(new: MakeTrial) -> None:
    first = new()
    first.report(step=5, seconds=3, loss=1)
    again = new()
    again.resume_from(5, first.progress())
    again.report(step=6, seconds=2, loss=1)
    assert again.seconds == 5


def test_without_progress_seconds_are_those_of_the_attempt(new: MakeTrial, clock: Clock) -> None:
    trial = new()
    trial.resume_from(40)
    with trial.training():
        clock.run(2)
    assert (trial.resumed_from_step, trial.seconds, trial.snapshot()) == (40, 2, ((), ()))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"steps": 1, "seconds": 0, "curve": [1]}', '{"steps": "x"}'])
def test_what_is_no_progress_changes_nothing(new: MakeTrial, text: str) -> None:
    trial = new()
    with pytest.raises(ValueError, match=r"."):
        trial.resume_from(5, text)
    assert (trial.resumed_from_step, trial.steps, trial.snapshot()) == (None, 0, ((), ()))


def test_only_a_stop_without_a_result_is_worth_a_checkpoint(new: MakeTrial) -> None:
    going, done, stopped = new(), new(steps=5), new()
    stopped.interrupt("SIGTERM")
    reports = [trial.report(step=5, loss=1) for trial in (going, done, stopped)]
    assert [(report.stop, report.interrupted) for report in reports] == [(False, False), (True, False), (True, True)]


def test_a_longer_trial_goes_on_from_an_end_by_the_budget_alone(new: MakeTrial) -> None:
    capped, reached = (
        new(steps=5, target=Target("loss", 0.5, Direction.AT_MOST)),
        new(steps=5, target=Target("loss", 2.0, Direction.AT_MOST)),
    )
    going, done, lost, stopped = new(), new(steps=5), new(steps=5), new()
    stopped.interrupt("SIGTERM")
    spent = [trial.report(step=5, loss=1).budget_spent for trial in (capped, done, reached, going, stopped)]
    assert spent == [True, True, False, False, False]
    assert not lost.report(step=5, loss=math.nan).budget_spent


def test_what_only_a_last_report_says_can_be_left_out_of_what_a_longer_trial_goes_on_from(new: MakeTrial) -> None:
    first = new(steps=10)
    first.report(step=5, loss=0.3, val_loss=0.4)
    first.report(step=10, loss=0.1, val_loss=0.2)
    longer = new(steps=20)
    longer.resume_from(10, first.progress(leave_out=["val_loss"]))
    points = [(point.step, point.metric, point.value) for point in longer.snapshot()[1]]
    assert points == [(5, "loss", 0.3), (5, "val_loss", 0.4), (10, "loss", 0.1)]
    assert longer.snapshot()[0][1] == MetricSummary("val_loss", 0.4, 0.4, 0.4)
    assert longer.steps == 10


# -- what is reported


def test_metrics_are_summed_up_by_name(new: MakeTrial) -> None:
    trial = new(steps=4)
    for step, loss in enumerate((3.0, 1.0, 2.0), start=1):
        trial.report(step=step, loss=loss, **({"accuracy": 0.5} if step == 2 else {}))
    assert trial.snapshot()[0] == (MetricSummary("accuracy", 0.5, 0.5, 0.5), MetricSummary("loss", 2, 1, 3))


def test_nan_is_the_final_value_but_neither_lowest_nor_highest(new: MakeTrial) -> None:
    trial = new()
    trial.report(step=1, loss=2)
    trial.report(step=2, loss=math.nan, other=math.nan)
    loss, other = trial.snapshot()[0]
    assert (math.isnan(loss.final), loss.min, loss.max) == (True, 2, 2)
    assert all(math.isnan(value) for value in (other.final, other.min, other.max))


def test_numbers_of_other_libraries_become_plain_ones(new: MakeTrial) -> None:
    trial = new()
    trial.report(step=np.int64(3), loss=np.float32(0.5))  # type: ignore[arg-type]
    ((step, metrics),) = new.reports
    assert (type(step), type(metrics["loss"])) == (int, float)
    assert (step, metrics) == (3, {"loss": 0.5})


@pytest.mark.parametrize(("step", "error"), [(1.5, TypeError), ("1", TypeError), (2**63, ValueError)])
def test_a_step_is_a_whole_number_that_a_row_can_hold(new: MakeTrial, step: Any, error: type[Exception]) -> None:
    trial = new()
    with pytest.raises(error):
        trial.report(step=step, loss=1)
    assert trial.snapshot() == ((), ())


def test_a_metric_may_have_any_name(new: MakeTrial) -> None:
    trial = new()
    trial.report(step=1, **{"self": 1.0, "trial": 2.0, "a\udc80b": 3.0, "é\0": 4.0})
    assert [m.metric for m in trial.snapshot()[0]] == ["a\\udc80b", "self", "trial", "é\0"]


def test_a_metric_that_is_no_number_is_the_trainers_mistake(new: MakeTrial, clock: Clock) -> None:
    trial = new()
    with trial.training():
        clock.run(1)
        with pytest.raises(ValueError, match="float"):
            trial.report(step=1, loss="low")  # type: ignore[arg-type]
        clock.run(1)  # and the clock goes on
    assert trial.seconds == 2


def test_it_may_be_looked_at_from_another_thread_while_it_reports(new: MakeTrial) -> None:
    trial = new()
    done = threading.Event()
    lengths: list[int] = []

    def look() -> None:
        while not done.is_set():
            summaries, points = trial.snapshot()
            assert len(summaries) <= 2
            lengths.append(len(points))

    thread = threading.Thread(target=look)
    thread.start()
    for step in range(2000):
        trial.report(step=step, loss=1, accuracy=0)
    done.set()
    thread.join()
    assert all(length % 2 == 0 for length in lengths)  # never half a report
    assert lengths == sorted(lengths)


# -- what a trainer reads


def test_parameters_are_read_only_and_have_the_files_bits(new: MakeTrial) -> None:
    trial = new({"rate": WrittenFloat("1e-3"), "units": 3})
    assert trial.parameters["rate"] == 0.001
    assert (trial.seed, trial.sweep, trial.stage, trial.id) == (7, "sweep", "main", "aaaaaaaaaa")


def test_a_parameter_that_is_missing_or_of_another_kind_is_a_bad_parameter(new: MakeTrial) -> None:
    trial = new({"rate": 0.1, "units": 3, "fast": True, "name": "adam"})
    assert trial.parameter("rate", float) == 0.1
    assert isinstance(trial.parameter("units", float), float)
    assert trial.parameter("units", int) == 3
    assert trial.parameter("name", (int, str)) == "adam"
    with pytest.raises(BadParametersError, match="'decay' is missing; there are rate, units, fast, name"):
        trial.parameter("decay")
    with pytest.raises(BadParametersError, match="'name' is 'adam', not a float"):
        trial.parameter("name", float)
    for kind in (float, int):
        with pytest.raises(BadParametersError, match=f"'fast' is 'true', not a {kind.__name__}"):
            trial.parameter("fast", kind)
    assert trial.parameter("fast", bool) is trial.parameter("fast") is True


def test_the_checkpoint_folder_is_made_on_first_use(new: MakeTrial, tmp_path: Path) -> None:
    trial = new()
    assert not (tmp_path / "checkpoints").exists()
    assert trial.checkpoint_dir.is_dir()
    assert trial.checkpoint_dir.name == trial.id


def test_checkpoints_are_files_in_that_folder(new: MakeTrial) -> None:
    trial = new()
    assert trial.checkpoints.names() == []
    trial.checkpoints.write("model", b"1")
    (trial.checkpoint_dir / "other").write_bytes(b"2")
    assert (trial.checkpoints.names(), trial.checkpoints.read("other")) == (["model", "other"], b"2")
    assert trial.checkpoints.place("model") == str(trial.checkpoint_dir / "model")
    with pytest.raises(StoreError, match="none: can't be read"):
        trial.checkpoints.read("none")
    trial.checkpoints.remove("model", "other", "none")
    assert trial.checkpoints.names() == []
