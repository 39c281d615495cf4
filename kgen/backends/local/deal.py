"""Which of the trials that wait go to which worker, when one that trains many at a time asks for more."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from typing import Any, Final

from kgen.spec import TrialSpec, Value, text_of

_IN_ONE_PROGRAM: Final = ("optimizer", "learning_rate")


def in_order_of_programs(trials: Sequence[TrialSpec]) -> list[TrialSpec]:
    """Trials that can share batches and a program next to each other, and among these the most alike.

    So every n-th of them is a fair sample: it has of each program and each optimizer the same share, and of the rates
    as many high as low ones.
    """

    def key(trial: TrialSpec) -> list[Any]:
        others = sorted(name for name in trial.parameters if name not in _IN_ONE_PROGRAM)
        names = [*others, *(name for name in _IN_ONE_PROGRAM if name in trial.parameters)]
        return [trial.seed, [(name, *_sortable(trial.parameters[name])) for name in names]]

    return sorted(trials, key=key)


def _sortable(value: Value) -> tuple[bool, float, str]:
    """Numbers by their size, then all else by its text."""
    return (False, value, "") if isinstance(value, int | float) else (True, 0.0, text_of(value))


class Deal:
    """The trials that wait. Pure: it knows of places by their number only."""

    def __init__(self, trials: Sequence[TrialSpec], places: int = 1) -> None:
        """Each place has a hand of its own, every ``places``-th of the trials in their order."""
        self._hands = [collections.deque(trials[place::places]) for place in range(places)]
        self._suspects: collections.deque[list[TrialSpec]] = collections.deque()

    def __len__(self) -> int:
        return self.unsuspected + sum(map(len, self._suspects))

    @property
    def unsuspected(self) -> int:
        """Trials that may be trained beside others."""
        return sum(map(len, self._hands))

    @property
    def first(self) -> TrialSpec:
        """One that waits; where there is one place only, the next one."""
        return next(self.waiting)

    @property
    def waiting(self) -> Iterator[TrialSpec]:
        """All that wait."""
        return (trial for group in (*self._hands, *self._suspects) for trial in group)

    def take(self, place: int, most: int) -> list[TrialSpec]:
        """Up to so many for a place: of its own hand, then of the longest other one, from its end."""
        out: list[TrialSpec] = []
        while len(out) < most and self._hands[place]:
            out.append(self._hands[place].popleft())
        while len(out) < most and (longest := max(self._hands, key=len)):
            out.append(longest.pop())
        return out

    def put_back(self, trials: Sequence[TrialSpec]) -> None:
        """They wait again, in front of all others."""
        self._hands[0].extendleft(reversed(trials))

    # -- after a worker has died, nobody knows of which of its trials

    def suspect(self, trials: Sequence[TrialSpec]) -> None:
        """They wait again, to be trained in groups of at most half as many, each of them apart from all others."""
        size = max(1, len(trials) // 2)
        self._suspects.extend(list(trials[i : i + size]) for i in range(0, len(trials), size))

    def take_suspects(self, most: int) -> list[TrialSpec]:
        """Up to so many of the next group; none if there is none."""
        if not self._suspects:
            return []
        group = self._suspects.popleft()
        if group[most:]:
            self._suspects.appendleft(group[most:])
        return group[:most]
