"""Ctrl-C and SIGTERM where Python swallows what it raises for them."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from kgen.backends.kubernetes.many import in_threads
from kgen.interrupt import check_interrupt, heeding_interrupts

NUMBERS = [signal.SIGINT, signal.SIGTERM]


class Dying:
    """Gets a signal while its destructor runs."""

    def __init__(self, number: signal.Signals = signal.SIGINT) -> None:
        self._number = number

    def __del__(self) -> None:
        signal.raise_signal(self._number)


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Python would print of errors that it ignores."""
    said: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: said.append(repr(found.exc_value)))
    return said


@pytest.fixture(autouse=True)
def ctrl_c_works() -> Iterator[None]:
    """Also where whoever runs the tests was started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def swallow(number: signal.Signals = signal.SIGINT) -> None:
    """A signal that comes where Python swallows it."""
    dying = Dying(number)
    del dying


@pytest.mark.parametrize("number", NUMBERS)
def test_it_is_raised_at_once(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), heeding_interrupts():
        signal.raise_signal(number)


@pytest.mark.parametrize("number", NUMBERS)
def test_one_that_is_swallowed_is_raised_at_the_next_check(number: signal.Signals, unraisable: list[str]) -> None:
    reached: list[str] = []

    @heeding_interrupts()
    def work() -> None:
        check_interrupt()
        swallow(number)
        reached.append("behind it")
        check_interrupt()
        reached.append("behind the check")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["behind it"]
    assert unraisable == []


def test_one_that_is_swallowed_is_raised_at_the_end_at_the_latest(unraisable: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt), heeding_interrupts():
        swallow()
    assert unraisable == []


def test_other_errors_in_destructors_are_said(unraisable: list[str]) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("broken")

    with heeding_interrupts():
        broken = Broken()
        del broken
    assert unraisable == ["ValueError('broken')"]


def test_what_puts_things_away_is_not_interrupted_again() -> None:
    put_away = []

    def loop() -> None:
        check_interrupt()
        put_away.append(True)

    def work() -> None:
        try:
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                loop()
                raise
            finally:
                loop()
        except KeyboardInterrupt:
            raise ValueError("in other words") from None
        finally:
            loop()

    with pytest.raises(ValueError, match="other words"), heeding_interrupts():
        work()
    assert put_away == [True] * 3


def test_a_second_one_interrupts_what_puts_things_away_swallowed_or_not(unraisable: list[str]) -> None:
    for second in (swallow, lambda: signal.raise_signal(signal.SIGINT)):
        reached: list[str] = []

        def work(second: object = second, reached: list[str] = reached) -> None:
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                check_interrupt()
                reached.append("first")
                second()  # type: ignore[operator]
                check_interrupt()
                reached.append("second")

        with pytest.raises(KeyboardInterrupt), heeding_interrupts():
            work()
        assert reached == ["first"]
    assert unraisable == []


def test_one_that_somebody_catches_and_forgets_is_raised_again() -> None:
    reached: list[str] = []

    @heeding_interrupts()
    def work() -> None:
        with contextlib.suppress(BaseException):  # as some libraries do
            signal.raise_signal(signal.SIGINT)
        reached.append("behind it")
        check_interrupt()
        reached.append("behind the check")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["behind it"]


@pytest.mark.parametrize("number", NUMBERS)
def test_afterwards_all_is_as_before(number: signal.Signals) -> None:
    before = signal.getsignal(number), sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), heeding_interrupts(), heeding_interrupts():
        swallow(number)
    assert (signal.getsignal(number), sys.unraisablehook) == before
    check_interrupt()


def test_what_this_process_was_told_to_ignore_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with heeding_interrupts():
        signal.raise_signal(signal.SIGINT)
        check_interrupt()


def test_in_another_thread_nothing_is_interrupted(unraisable: list[str]) -> None:
    ends: list[str] = []

    def beside() -> None:
        with heeding_interrupts():
            check_interrupt()
        ends.append("well")

    @heeding_interrupts()
    def work() -> None:
        swallow()
        thread = threading.Thread(target=beside)
        thread.start()
        thread.join()

    with pytest.raises(KeyboardInterrupt):
        work()
    assert ends == ["well"]
    assert unraisable == []


def test_one_that_comes_too_late_for_many_requests_ends_the_next_ones() -> None:
    """Such as while the only ConfigMap of a sweep is created: Jobs come next."""
    done: list[int] = []
    ending = threading.Event()

    def interrupted(item: int) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        assert ending.wait(60)
        done.append(item)

    @heeding_interrupts()
    def work() -> None:
        assert in_threads(interrupted, [1], ending=ending)
        assert in_threads(done.append, [2, 3], ending=threading.Event())

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [1]
