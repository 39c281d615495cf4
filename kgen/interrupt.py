"""Ctrl-C and SIGTERM, of which none is lost.

Python raises KeyboardInterrupt wherever the main thread happens to be. In a destructor, in the callback of a weak
reference or of a C library it is printed and forgotten, and whoever pressed Ctrl-C waits for ever. So it is kept, too,
and every loop that may run for long asks for it.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _Memory:
    """What was raised last for a signal; None where none has come."""

    raised: KeyboardInterrupt | None = None


@contextlib.contextmanager
def heeding_interrupts() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM raise KeyboardInterrupt: at once and, where that one is swallowed, again at the next
    :func:`check_interrupt`, at the latest at the end of the block.

    A signal that this process was told to ignore, as by nohup, stays ignored. Only the main thread gets signals: in
    another one the block is one like any other.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    say_unraisable = sys.unraisablehook
    sys.unraisablehook = _silence(say_unraisable)
    before = {number: signal.signal(number, _interrupt) for number in handled}
    try:
        yield
        check_interrupt()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = say_unraisable
        _Memory.raised = None


def check_interrupt() -> None:
    """Raise the KeyboardInterrupt of a signal that somebody has swallowed.

    One on account of which things are being put away at this moment was heard: it is not raised again.
    """
    raised = _Memory.raised
    if raised is not None and threading.current_thread() is threading.main_thread() and raised not in _being_handled():
        raise raised


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    _Memory.raised = KeyboardInterrupt()
    raise _Memory.raised


def _being_handled() -> Iterator[BaseException]:
    error = sys.exception()
    while error is not None:
        yield error
        error = error.__context__


def _silence(say: Callable[[UnraisableHookArgs], object]) -> Callable[[UnraisableHookArgs], object]:
    """Nothing is said of an interrupt that will be raised again."""
    return lambda unraisable: None if unraisable.exc_value is _Memory.raised else say(unraisable)
