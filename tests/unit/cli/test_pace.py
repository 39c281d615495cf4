"""How long a run may take, from what little is heard of hundreds of trials."""

from __future__ import annotations

import random

import pytest

from kgen.cli.pace import Pace

TRIALS = tuple(f"t{i}" for i in range(100))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fused(clock: Clock, *, cap: int | None = 1000, at_once: int = 100) -> Pace:
    """A hundred trials, of which the first so many have begun in one program."""
    pace = Pace(len(TRIALS), cap, clock)
    pace.dealt(TRIALS[:at_once], 0)
    for trial in TRIALS[:at_once]:
        pace.started(trial)
    return pace


def test_nothing_is_said_before_anything_is_known(clock: Clock) -> None:
    pace = fused(clock)
    clock.now = 30.0
    assert (pace.seconds_left, pace.steps_per_second) == (None, None)
    pace.reported(TRIALS[0], 10)
    assert (pace.seconds_left, pace.steps_per_second) == (None, None)


def test_one_report_speaks_for_all_in_its_program(clock: Clock) -> None:
    pace = fused(clock)
    for second in range(11):
        clock.now = 20.0 + second  # what came before was compilation
        pace.reported(TRIALS[second], 50 * second)
    assert pace.steps_per_second == 100 * 50
    assert {pace.step(trial) for trial in TRIALS} == {500}
    assert pace.seconds_left == pytest.approx(10.0)


def test_those_that_wait_have_their_whole_way_before_them(clock: Clock) -> None:
    pace = fused(clock, at_once=50)
    pace.reported("t0", 0)
    clock.now = 10.0
    pace.reported("t1", 500)
    assert pace.seconds_left == pytest.approx(10.0 + 20.0)


def test_those_that_come_later_begin_at_zero(clock: Clock) -> None:
    pace = fused(clock, at_once=50)
    pace.reported("t0", 0)
    clock.now = 10.0
    pace.reported("t0", 500)
    pace.dealt(("t50",), 0)
    pace.started("t50")
    assert (pace.step("t0"), pace.step("t50")) == (500, 0)
    pace.reported("t50", 100)
    assert (pace.step("t0"), pace.step("t50")) == (600, 100)


def test_a_wave_of_early_ends_does_not_make_the_rest_look_short(clock: Clock) -> None:
    """A third of the trials reach the target soon, the others go to the cap: the first ends say nothing of those."""
    pace = fused(clock)
    pace.reported("t0", 0)
    clock.now = 1.0
    pace.reported("t0", 100)
    for trial in TRIALS[:33]:
        pace.ended(trial, 100)
    # 67 trials × 900 steps, at 100 × 100 steps a second; by the number of ends it would be two seconds.
    assert pace.seconds_left == pytest.approx(67 * 900 / 10_000, rel=0.01)


def test_those_that_train_on_count_for_what_those_that_wait_will_do(clock: Clock) -> None:
    """A third has ended early: that is one chance in three, however many of the others have not ended yet."""
    pace = fused(clock, at_once=60)
    pace.reported("t0", 0)
    clock.now = 1.0
    pace.reported("t0", 100)
    for trial in TRIALS[:20]:
        pace.ended(trial, 100)
    expected = 40 * 900 + 40 * (100 + 1000 + 1000) / 3
    assert pace.seconds_left == pytest.approx(expected / 6_000, rel=0.01)


def test_those_that_wait_are_expected_to_end_as_those_before_them(clock: Clock) -> None:
    pace = fused(clock, at_once=50)
    pace.reported("t0", 0)
    for second in range(1, 11):
        clock.now = float(second)
        pace.reported("t49", 100 * second)
        for trial in TRIALS[5 * (second - 1) : 5 * second]:
            pace.ended(trial, 100 * second)
    speed = pace.steps_per_second
    assert speed is not None
    assert pace.seconds_left == pytest.approx(50 * 550 / speed, rel=0.02)


def test_all_that_ended_were_right_about_the_time_that_it_took(clock: Clock) -> None:
    """A run of many waves, foretold at a third of it."""
    draw = random.Random(1)
    ends = {trial: draw.choice([draw.randrange(10, 100) * 10, 1000]) for trial in TRIALS}
    pace = Pace(len(TRIALS), 1000, clock)
    waiting, running = list(TRIALS), dict[str, int]()
    guesses = []
    while waiting or running:
        new, waiting = waiting[: 20 - len(running)], waiting[20 - len(running) :]
        pace.dealt(tuple(new), 0)
        for trial in new:
            pace.started(trial)
            running[trial] = 0
        clock.now += len(running) / 1000
        for trial in list(running):
            running[trial] += 10
            pace.reported(trial, running[trial])
            if running[trial] >= ends[trial]:
                pace.ended(trial, running.pop(trial))
        guesses.append((clock.now, pace.seconds_left))
    for now, left in guesses[100:]:
        assert left is not None
        assert now + left == pytest.approx(clock.now, rel=0.15)


def test_trials_without_a_cap_are_foretold_by_their_number(clock: Clock) -> None:
    pace = fused(clock, cap=None)
    clock.now = 10.0
    assert pace.seconds_left is None
    for trial in TRIALS[:20]:
        pace.ended(trial, 70)
    assert pace.seconds_left == pytest.approx(40.0)


def test_trials_that_are_put_back_run_no_more(clock: Clock) -> None:
    pace = fused(clock)
    pace.reported("t0", 0)
    clock.now = 1.0
    pace.reported("t0", 500)
    for trial in TRIALS:
        pace.stopped(trial)
    assert pace.seconds_left == pytest.approx(2.0)
    pace.dealt(TRIALS[:50], 0)
    pace.started("t3")
    assert pace.step("t3") == 0


def test_a_program_that_says_nothing_for_long_has_the_pace_of_its_last_words(clock: Clock) -> None:
    pace = Pace(2, 1000, clock)
    pace.started("t0")
    for minute in range(5):
        clock.now = 60.0 * minute
        pace.reported("t0", 100 * minute)
    assert pace.steps_per_second == pytest.approx(100 / 60)
    assert pace.seconds_left == pytest.approx((600 + 1000) * 60 / 100, rel=0.01)
