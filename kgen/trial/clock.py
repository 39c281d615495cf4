"""Counted seconds: a trial's own, or its share of what many trials in one program took together."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Protocol


class Watch(Protocol):
    """What a trial counts its seconds with."""

    @property
    def is_counting(self) -> bool:
        """Whether time passes now."""

    def start(self) -> None:
        """Count from now on."""

    def stop(self) -> None:
        """Count no more."""

    def take(self) -> float:
        """Seconds counted since they were last taken."""

    def end(self) -> None:
        """The trial is decided: what follows is not its time."""


class OwnWatch:
    """Of a trial that has its process to itself."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: float | None = None
        self._counted = 0.0

    @property
    def is_counting(self) -> bool:
        """Whether time passes now."""
        return self._since is not None

    def start(self) -> None:
        """Count from now on. Raises RuntimeError when it counts already."""
        if self._since is not None:
            raise RuntimeError("trial.training() is entered twice at the same time")
        self._since = self._clock()

    def stop(self) -> None:
        """Count no more."""
        self._advance()
        self._since = None

    def take(self) -> float:
        """Seconds counted since they were last taken."""
        self._advance()
        counted, self._counted = self._counted, 0.0
        return counted

    def end(self) -> None:
        """Whatever is counted from now on is not asked for."""

    def _advance(self) -> None:
        if self._since is not None:
            now = self._clock()
            self._counted += now - self._since
            self._since = now


class SharedWatch:
    """One clock for many trials: at each moment its time is divided equally among those that are not decided.

    It keeps one number, the seconds that a trial would have got that was there from the beginning (the integral of
    1 / number over time); a trial's share is the difference between two of its values, whatever the others do.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._since: float | None = None
        self._members = 0
        self._share = 0.0

    @property
    def is_counting(self) -> bool:
        """Whether time passes now."""
        return self._since is not None

    def start(self) -> None:
        """Count from now on. Raises RuntimeError when it counts already."""
        with self._lock:
            if self._since is not None:
                raise RuntimeError("trials.training() is entered twice at the same time")
            self._since = self._clock()

    def stop(self) -> None:
        """Count no more."""
        with self._lock:
            self._advance()
            self._since = None

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Count inside."""
        self.start()
        try:
            yield
        finally:
            self.stop()

    def member(self) -> Share:
        """A share of all that is counted from now on."""
        return Share(self)

    def change(self, members: int) -> float:
        """So many more (or fewer) share from now on; returns the share of one that was there from the beginning."""
        with self._lock:
            self._advance()
            self._members += members
            return self._share

    def _advance(self) -> None:
        if self._since is not None:
            now = self._clock()
            if self._members:
                self._share += (now - self._since) / self._members
            self._since = now


class Share:
    """One trial's part of a :class:`SharedWatch`; starting and stopping it does so for all."""

    def __init__(self, watch: SharedWatch) -> None:
        self._watch = watch
        self._taken = watch.change(1)
        self._kept = 0.0
        """Counted, not taken, when it began to rest."""
        self._rests = False
        self._has_ended = False

    @property
    def is_counting(self) -> bool:
        """Whether time passes now."""
        return self._watch.is_counting

    def start(self) -> None:
        """For all of them."""
        self._watch.start()

    def stop(self) -> None:
        """For all of them."""
        self._watch.stop()

    def take(self) -> float:
        """This trial's seconds since they were last taken."""
        if self._has_ended:
            return 0.0
        seconds, self._kept = self._kept, 0.0
        if not self._rests:
            share = self._watch.change(0)
            seconds, self._taken = seconds + share - self._taken, share
        return seconds

    def rest(self) -> None:
        """The others share what follows, until :meth:`wake`."""
        if not self._has_ended and not self._rests:
            self._rests = True
            self._kept += self._watch.change(-1) - self._taken

    def wake(self) -> None:
        """It has its share again."""
        if self._rests and not self._has_ended:
            self._taken = self._watch.change(1)
        self._rests = False

    def end(self) -> None:
        """The others share what follows."""
        if not self._has_ended:
            self._has_ended = True
            if not self._rests:
                self._watch.change(-1)
