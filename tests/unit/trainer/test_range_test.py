"""One run with a rising learning rate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgen.errors import BadParametersError
from kgen.results.rows import Outcome
from kgen.spec import Budget, TrialSpec
from kgen.trial import Trial
from kgen_trainer import train
from kgen_trainer.fused import is_fusable
from kgen_trainer.program import program_for
from kgen_trainer.range_test import RangeTest, Rise
from kgen_trainer.settings import Settings

RANGE = {"range_test": {"start": 1e-6, "stop": 100}}
BUDGET = {"steps": 250, "check_every_steps": 5}


def series(trial: Trial, metric: str) -> list[float]:
    return [point.value for point in trial.snapshot()[1] if point.metric == metric]


def test_the_rate_rises_by_one_factor_until_the_loss_is_four_times_its_smallest(run: Any) -> None:
    trial = run({"optimizer": "sgd"}, RANGE, **BUDGET)
    rates, losses = series(trial, "learning_rate"), series(trial, "loss")
    assert len(rates) == len(losses) == trial.steps / 5
    assert rates[0] == pytest.approx(1e-6)
    assert np.diff(np.log(rates)) == pytest.approx(math.log(1e8) / 49), "from check to check, over all 250 steps"
    assert losses[-1] > 4 * min(losses)
    assert all(loss <= 4 * min(losses[: i + 1]) for i, loss in enumerate(losses[:-1]))
    assert trial.verdict.outcome is Outcome.DIVERGED
    assert trial.verdict.reason == (
        f"loss {losses[-1]:.4g} at learning_rate {rates[-1]:.4g} is over 4 times its smallest, {min(losses):.4g}: "
        "the range test is at its end"
    )


def test_the_steps_before_a_check_have_the_rate_that_it_reports(run: Any) -> None:
    """Two rates, of which the second is that of a trial that goes on with it."""
    run({"optimizer": "sgd"}, {"range_test": {"start": 0.01, "stop": 0.1}}, steps=10, check_every_steps=5)
    program = program_for(Settings(optimizer="sgd"), 5)
    found = program.state()
    trial = run({"optimizer": "sgd", "learning_rate": 0.01}, steps=10, check_every_steps=5)
    assert not all(map(np.array_equal, program.state(), found))
    course_batches = _batches(trial)
    program.reset(trial.seed, 0.01)
    program.train(course_batches[:5])
    program.set_learning_rate(0.1)
    program.train(course_batches[5:])
    assert all(map(np.array_equal, program.state(), found))


def test_only_more_than_four_times_the_smallest_is_too_much() -> None:
    rise = Rise(RangeTest(1e-6, 100.0), Budget(steps=250, check_every_steps=5))
    assert [rise.check(loss, 0.1) for loss in (2.0, 0.5, 2.0)] == [None, None, None]
    assert (rise.check(2.001, 0.1) or "").startswith(
        "loss 2.001 at learning_rate 0.1 is over 4 times its smallest, 0.5"
    )


def _batches(trial: Trial) -> Any:
    from kgen_trainer.randomness import examples_at

    return examples_at(trial.seed, 0, 1000, 1438).reshape(10, 100)


def test_one_that_goes_well_to_the_end_reaches_the_last_rate(run: Any) -> None:
    trial = run({}, {"range_test": {"start": 1e-5, "stop": 1e-4}}, steps=23, check_every_steps=5)
    assert series(trial, "learning_rate") == pytest.approx([1e-5 * 10 ** (i / 4) for i in range(5)])
    assert (trial.steps, trial.verdict.outcome) == (23, Outcome.FINISHED)


def test_a_dead_network_is_trained_on(run: Any) -> None:
    """That it can't learn any more was proved for rates that do not rise."""
    trial = run({"optimizer": "sgd"}, {"range_test": {"start": 50, "stop": 60}}, steps=1000, check_every_steps=5)
    assert "dead" not in trial.verdict.reason


def test_one_that_is_stopped_goes_on_at_its_rate_and_knows_its_smallest_loss(tmp_path: Path) -> None:
    def start(folder: str, stop_at: int = 0) -> Trial:
        config = {**RANGE, "checkpoint_every_seconds": 3600}
        spec = TrialSpec(
            "aaaaaaaaaa",
            "sweep",
            "main",
            {"optimizer": "sgd"},
            1,
            Budget(steps=250, check_every_steps=5),
            config=config,
        )

        def report(step: int, metrics: object) -> None:
            if step == stop_at:
                trial.interrupt("SIGTERM")

        trial = Trial(spec, checkpoints=tmp_path / folder, on_report=report)
        train(trial)
        return trial

    whole = start("whole")
    assert whole.verdict
    start("cut", stop_at=whole.steps - 10)
    again = start("cut")
    assert (again.resumed_from_step, again.verdict) == (whole.steps - 5, whole.verdict)
    assert series(again, "loss") == series(whole, "loss")
    assert series(again, "learning_rate") == series(whole, "learning_rate")


def test_it_is_trained_alone(new_trial: Any) -> None:
    settings = Settings.from_trial(new_trial({}, RANGE, **BUDGET))
    assert is_fusable(settings) == "the learning rate of a range test rises while it trains"
    assert is_fusable(Settings.from_trial(new_trial({}))) is None


@pytest.mark.parametrize(
    ("parameters", "config", "budget", "message"),
    [
        ({}, {"range_test": 3}, {}, "config range_test: found 3, allowed a mapping of start and stop"),
        ({}, {"range_test": {"start": 1}}, {}, "config range_test: stop is missing"),
        ({}, {"range_test": {"start": 1, "end": 2}}, {}, "unknown key in config range_test 'end'.*start, stop"),
        (
            {},
            {"range_test": {"start": 0, "stop": 2}},
            {},
            r"config range_test\.start: found 0, allowed a number above 0",
        ),
        (
            {},
            {"range_test": {"start": 1, "stop": 1}},
            {},
            r"config range_test\.stop: found 1.*, allowed a number above",
        ),
        ({"learning_rate": 1}, RANGE, {}, "config range_test: found beside learning_rate, allowed one of the two"),
        ({}, {**RANGE, "learning_rate": 1}, {}, "config range_test: found beside learning_rate"),
        ({"range_test": 1}, {}, {}, "unknown parameter 'range_test'"),
        (
            {},
            RANGE,
            {"steps": None, "seconds": 1},
            r"budget\.steps none, allowed a number above .*check_every_steps, 5",
        ),
        ({}, RANGE, {"steps": 5}, r"config range_test: found budget\.steps 5"),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(
    new_trial: Any, parameters: dict[str, Any], config: dict[str, Any], budget: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadParametersError, match=message):
        Settings.from_trial(new_trial(parameters, config, **{**BUDGET, **budget}))
