"""Many requests at the same time, which can be ended early without cutting one off."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from kgen.interrupt import check_interrupt

IN_FLIGHT: Final = 16
"""Requests at the same time. 8 to 32 are equally fast: by then the API server's processors are busy."""
_LOOK_SECONDS: Final = 0.05
"""How often the caller's event is looked at."""

Item = TypeVar("Item")


def in_threads(
    work: Callable[[Item], None],
    items: Sequence[Item],
    *,
    ending: threading.Event,
    in_flight: int = IN_FLIGHT,
    stop: threading.Event | None = None,
) -> bool:
    """Call ``work`` for each item. Returns whether ``stop`` or Ctrl-C ended it early.

    After ``ending``, which these two set and ``work`` may set, nothing more is begun, and what is under way is waited
    for; a second Ctrl-C does not wait. An exception of ``work`` ends it, too, and is raised here. Where Ctrl-C has come
    too late to end it early, the next :func:`check_interrupt` ends what comes after it.
    """
    crew = _Crew(work, items, ending)
    interrupted = False
    try:
        check_interrupt()
        for _ in range(min(in_flight, len(items))):
            threading.Thread(target=crew.run, daemon=True).start()
        interrupted = crew.wait(stop)
    except KeyboardInterrupt:
        interrupted = True
        ending.set()
        crew.wait(None)  # inside, so that only another Ctrl-C ends it
    if crew.failure is not None:
        raise crew.failure
    return interrupted


class _Crew(Generic[Item]):
    """Threads that work off one list."""

    def __init__(self, work: Callable[[Item], None], items: Sequence[Item], ending: threading.Event) -> None:
        self.failure: Exception | None = None
        self._work = work
        self._left = iter(items)
        self._ending = ending
        self._open = bool(items)
        """Whether there may be more to begin."""
        self._busy = 0
        self._changed = threading.Condition()

    def run(self) -> None:
        """What each thread does."""
        while True:
            with self._changed:
                item = None if self._ending.is_set() else next(self._left, None)
                if item is None:
                    self._open = False
                    self._changed.notify_all()
                    return
                self._busy += 1
            try:
                self._work(item)
            except Exception as error:  # noqa: BLE001  raised again where somebody hears it
                self.failure = error
                self._ending.set()
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    def wait(self, stop: threading.Event | None) -> bool:
        """Until nothing is under way and nothing will be begun; returns whether ``stop`` is why."""
        stopped = False
        with self._changed:
            while self._busy or (self._open and not self._ending.is_set()):
                self._changed.wait(_LOOK_SECONDS)
                check_interrupt()
                if stop is not None and stop.is_set():
                    stopped = True
                    self._ending.set()
        return stopped
