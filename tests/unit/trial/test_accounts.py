"""Whatever a trainer of many does, each trial that has begun leaves exactly one row."""

from __future__ import annotations

import random
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgen.errors import BadParametersError
from kgen.results.folder import FolderStore
from kgen.trial import Trial, Trials
from kgen.trial.clock import Share, SharedWatch
from kgen.trial.crew import Crew
from kgen.trial.environment import Surroundings
from kgen.trial.fused import Fused
from kgen.trial.many import TrainMany
from kgen.trial.output import Tail, Turns
from kgen.trial.pack import Pack, PackSource
from tests.unit.trial.trainers import rows, specs


class World:
    """A pack in this process, with a trainer that does as it likes."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.trials = specs(number)
        self.pack = Pack(self.trials)

    def fused(self, train_many: TrainMany) -> Fused:
        surroundings = Surroundings.read({"KGEN_RESULTS": str(self.folder), "KGEN_ATTEMPT": "a"})

        def leave() -> NoReturn:
            raise AssertionError("nothing should be written over the trainer's head")

        def give_up(error: BaseException) -> None:
            raise error

        crew = Crew(PackSource(self.pack, "a"), store=FolderStore(self.folder), surroundings=surroundings,
                    tail=Tail(), describe=dict, on_failure=lambda text: None, on_unwritable=give_up)  # fmt: skip
        return Fused(train_many, crew, tell=lambda text: None, leave=leave, ends_after_crash=False)

    def states(self) -> dict[int, str]:
        found = rows(self.folder)
        assert max(Counter(row.trial for row in found).values(), default=1) == 1
        return {int(row.parameters["x"]): str(row.state) for row in found}


@settings(max_examples=60, deadline=None)
@given(
    number=st.integers(1, 14),
    seed=st.integers(0, 2**32),
    capacity=st.integers(1, 8),
    at_fault=st.sets(st.integers(0, 13)),
    refused=st.sets(st.integers(0, 13)),
    interrupt_at=st.none() | st.integers(1, 30),
    returns_early=st.booleans(),
)
def test_one_row_each(
    number: int, seed: int, capacity: int, at_fault: set[int], refused: set[int], interrupt_at: int | None,
    returns_early: bool,
) -> None:  # fmt: skip
    chance = random.Random(seed)
    calls = 0
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), number)
        begun: set[int] = set()

        def train_many(trials: Trials) -> None:
            nonlocal calls
            running: list[Trial] = []
            places = chance.randint(1, capacity)
            while running := running + trials.take(places - len(running)):
                chance.shuffle(running)
                for trial in list(running):
                    calls += 1
                    if calls == interrupt_at:
                        fused.stop("enough")
                    x = int(trial.parameters["x"])
                    begun.add(x)
                    if x in refused:
                        trials.fail(trial, BadParametersError("x"))
                        running.remove(trial)
                        continue
                    if x in at_fault and chance.random() < 0.5:
                        raise ValueError(x)
                    if trial.report(step=trial.steps + 10, loss=1).stop:
                        if x in at_fault:
                            raise ValueError(x)
                        trials.end(trial)
                        running.remove(trial)
                    elif returns_early and chance.random() < 0.1 and all(each.steps for each in running):
                        return

        fused = world.fused(train_many)
        fused.run()
        states = world.states()
        assert begun <= set(states)
        if fused.is_interrupted:
            assert set(states.values()) <= {"complete", "failed", "interrupted"}
            assert not {x for x, state in states.items() if state == "failed"} - at_fault - refused
            return
        assert set(states) == set(range(number))
        failed = {x for x, state in states.items() if state == "failed"}
        assert refused & set(range(number)) <= failed
        assert failed <= at_fault | refused
        if not returns_early:
            assert failed == (at_fault | refused) & set(range(number))
        assert world.pack.exit_code(is_interrupted=False) == (0 if not failed else 1 if failed - refused else 64)


def test_a_part_of_which_few_are_taken_at_a_time_is_trained_whole(tmp_path: Path) -> None:
    """A failure while the rest of a part still waits sets that rest aside, too."""
    world = World(tmp_path, 9)
    places = 8

    def train_many(trials: Trials) -> None:
        nonlocal places
        while trials.take(places - len(trials.running)) or trials.running:
            if places == 8 or len(trials.running) == 2:
                places = 2
                raise ValueError("with company")
            for trial in trials.running:
                trial.report(step=1000, loss=1)
                trials.end(trial)

    world.fused(train_many).run()
    assert world.states() == dict.fromkeys(range(9), "complete")


def test_two_threads_end_the_same_trials_once(tmp_path: Path) -> None:
    """The trainer ends them while their rows are written over its head."""
    world = World(tmp_path, 200)
    go = threading.Barrier(2)

    def train_many(trials: Trials) -> None:
        running = trials.take(200)
        for trial in running:
            trial.report(step=1000, loss=1)
        go.wait()
        for trial in running:
            try:
                trials.end(trial)
            except ValueError:
                return  # it is written already

    def interrupt() -> None:
        go.wait()
        fused.stop("SIGTERM")
        fused._crew.end_interrupted()

    fused = world.fused(train_many)
    other = threading.Thread(target=interrupt)
    other.start()
    fused.run()
    other.join()
    assert world.states() == dict.fromkeys(range(200), "complete")


# -- shares of one clock


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.sampled_from(["join", "end", "run", "wait", "take"]), max_size=60), st.randoms())
def test_shares_add_up_to_what_was_counted_while_any_was_there(events: list[str], chance: random.Random) -> None:
    clock = Clock()
    watch = SharedWatch(clock)
    members: list[Share] = []
    counted = taken = 0.0
    for event in events:
        if event == "join":
            members.append(watch.member())
        elif event == "run":
            with watch.counting():
                clock.now += 3
            counted += 3 if members else 0
        elif event == "wait":
            clock.now += 10
        elif members:
            member = chance.choice(members)
            taken += member.take()
            if event == "end":
                member.end()
                members.remove(member)
    taken += sum(member.take() for member in members)
    assert taken == pytest.approx(counted)


# -- turns


def test_each_speaks_in_turn_whatever_the_order() -> None:
    clock = Clock()
    turns = Turns(1.0, clock)
    spoke: Counter[str] = Counter()
    for _ in range(40):
        for who in "abcd":
            if turns.has(who):
                spoke[who] += 1
        clock.now += 1
    assert set(spoke) == set("abcd")
    assert max(spoke.values()) - min(spoke.values()) <= 2
    assert sum(spoke.values()) >= 36


def test_one_alone_and_those_that_others_have_left_speak_on() -> None:
    clock = Clock()
    turns = Turns(1.0, clock)
    assert turns.has("a")
    assert not turns.has("b")
    spoke = 0
    for _ in range(10):
        clock.now += 1
        spoke += turns.has("a")
    assert spoke >= 9
