"""How fast the trials of a run train, and so how long the rest of them may take."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kgen.plan import Plan

WINDOW_SECONDS: Final = 15.0
"""The pace is that of the last seconds: loading and compiling, at the start, tell nothing of the rest."""
_LEAST_MARKS: Final = 8
_BINS: Final = 256

Place = int | str


class Pace:
    """Steps of all trials together, from the few reports that are heard of them.

    Of a hundred trials in one program only one is heard of at a time, but all of them advance alike. So each place has
    an odometer: the steps that a trial would have made which had been there from the beginning. A report of any trial
    moves it, and says how far the others are.
    """

    def __init__(self, total: int, cap: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        """So many trials will run, of at most ``cap`` steps each."""
        self._clock = clock
        self._cap = cap
        self._total = total
        self._began = clock()
        self._odometers: dict[Place, int] = {}
        self._places: dict[str, Place] = {}
        self._bases: dict[str, int] = {}
        """The odometer's value at the start of each trial that runs."""
        self._steps = 0
        self._marks: deque[tuple[float, int]] = deque()
        self._ended = 0
        self._stops: Counter[int] = Counter()
        """How many trials ended in each part of the way to the cap."""

    # -- what happens

    def dealt(self, trials: tuple[str, ...], place: int) -> None:
        """These will be trained in one program. Any other trial has a place to itself."""
        self._places.update(dict.fromkeys(trials, place))

    def started(self, trial: str) -> None:
        """It trains from now on."""
        self._bases[trial] = self._odometers.setdefault(self._place(trial), 0)

    def reported(self, trial: str, step: int) -> None:
        """It has got so far, and the others in its program with it."""
        if trial not in self._bases:
            return
        place = self._place(trial)
        ahead = self._bases[trial] + step - self._odometers[place]
        if ahead > 0:
            self._odometers[place] += ahead
            self._steps += ahead * sum(self._place(other) == place for other in self._bases)
        now = self._clock()
        self._marks.append((now, self._steps))
        while len(self._marks) > _LEAST_MARKS and self._marks[0][0] < now - WINDOW_SECONDS:
            self._marks.popleft()

    def ended(self, trial: str, steps: int) -> None:
        """It will run no more."""
        self.reported(trial, steps)
        self.stopped(trial)
        self._ended += 1
        self._stops[self._bin(steps)] += 1

    def stopped(self, trial: str) -> None:
        """It does not run now, and has not ended."""
        self._bases.pop(trial, None)

    # -- what that says

    def step(self, trial: str) -> int:
        """How far one that runs is about now."""
        return self._odometers[self._place(trial)] - self._bases[trial]

    @property
    def steps_per_second(self) -> float | None:
        """Of all trials together, lately; None before there is anything to tell it from."""
        if len(self._marks) < 2:
            return None
        (then, before), (now, steps) = self._marks[0], self._marks[-1]
        return (steps - before) / (now - then) if now > then and steps > before else None

    @property
    def seconds_left(self) -> float | None:
        """What is left to train by the present pace; None before there is anything to tell it from.

        Where nothing caps the steps of a trial, by how many have ended so far.
        """
        left = self._total - self._ended
        pace = self.steps_per_second
        if pace is not None and self._cap:
            return self._steps_left(left - len(self._bases), self._cap) / pace
        if not self._ended:
            return None
        return (self._clock() - self._began) / self._ended * left

    def _steps_left(self, waiting: int, cap: int) -> float:
        """Steps that all those running and waiting will make, on average, if they end as those before them.

        Those that ended say how many of all that come to a part of the way leave in it; those that run have come as far
        as they are, and not left (Kaplan and Meier's estimate). Before any has ended, all go to the cap: that is the
        most it can be.
        """
        width = cap / _BINS
        steps = [min(self.step(trial), cap) for trial in self._bases]
        running = Counter(map(self._bin, steps))
        further = [0.0] * (_BINS + 1)  # from the beginning of each part
        at_risk = 0
        for i in reversed(range(_BINS)):
            at_risk += self._stops[i] + running[i]
            leave = self._stops[i] / at_risk if at_risk else 0.0
            further[i] = leave * width / 2 + (1 - leave) * (width + further[i + 1])
        rest = sum((i + 1) * width - step + further[i + 1] for step in steps for i in (self._bin(step),))
        return rest + waiting * further[0]

    def _bin(self, step: int) -> int:
        return min(_BINS - 1, step * _BINS // self._cap) if self._cap else 0

    def _place(self, trial: str) -> Place:
        return self._places.get(trial, trial)


class Rounds:
    """The rounds of one search, each of which asks for a few trials."""

    def __init__(self, plan: Plan, now: float) -> None:
        """From the plan of the first one."""
        self._name = plan.name
        self._first = plan.asked
        self._began = now
        self._last = plan.asked

    def goes_on(self, plan: Plan) -> bool:
        """Whether that is its next round."""
        if plan.at_most is None or plan.name != self._name or plan.asked < self._last:
            return False
        self._last = plan.asked
        return True

    def seconds_left(self, ended: int, total: int, now: float) -> float | None:
        """If all that it may ask for takes as long as what it has asked for; ``None`` before anything has ended."""
        done = ended - self._first
        return (now - self._began) / done * (total - ended) if done > 0 else None
