"""What a trial prints, kept and passed on."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from typing import cast

import pytest

from kgen.trial.output import LOG_LINE_LENGTH, LOG_LINES, ReportPrinter, Tail, TeeStream, printable, tee_output


@pytest.fixture
def tail() -> Tail:
    return Tail()


def test_a_tail_keeps_the_last_lines(tail: Tail) -> None:
    tail.add("".join(f"line {i}\n" for i in range(100)))
    assert tail.text().splitlines() == [f"line {i}" for i in range(100 - LOG_LINES, 100)]


def test_a_tail_puts_lines_together_that_come_in_pieces(tail: Tail) -> None:
    for piece in ("one", " two\nthr", "ee", "\n", "four"):
        tail.add(piece)
    assert tail.text() == "one two\nthree\nfour"


def test_a_tail_does_not_mix_lines_of_two_streams(tail: Tail) -> None:
    for text, source in (("out ", "stdout"), ("err ", "stderr"), ("put\n", "stdout"), ("or\n", "stderr"), ("x", "a")):
        tail.add(text, source)
    assert tail.text() == "out put\nerr or\nx"


def test_a_tail_forgets(tail: Tail) -> None:
    tail.add("one\ntwo")
    tail.clear()
    assert tail.text() == ""


def test_a_tail_keeps_no_endless_line(tail: Tail) -> None:
    for _ in range(1000):
        tail.add("x" * 1000)
    assert len(tail.text()) == LOG_LINE_LENGTH
    tail.add("\n" + "y" * 10**6 + "\n")
    assert max(map(len, tail.text().splitlines())) == LOG_LINE_LENGTH


def test_of_a_progress_bar_its_last_state_is_kept(tail: Tail) -> None:
    tail.add("".join(f"\r{i} %" for i in range(101)))
    assert tail.text() == "100 %"
    tail.add("\nwindows\r\n")
    assert tail.text() == "100 %\nwindows"


def test_text_that_utf_8_cannot_hold_is_escaped(tail: Tail) -> None:
    tail.add(b"caf\xe9 \x00 \xff".decode("utf-8", "surrogateescape") + " é\n")
    assert tail.text() == "caf\\udce9 \0 \\udcff é"
    assert printable(tail.text()).encode() == tail.text().encode()


def test_output_goes_on_to_where_it_went(tail: Tail) -> None:
    target = io.StringIO()
    tee = cast(io.StringIO, TeeStream(target, tail))
    print("one", file=tee)
    tee.writelines(["two\n", "three\n"])
    assert tee.write("four") == 4
    tee.flush()
    assert target.getvalue() == tail.text().replace("four", "") + "four" == "one\ntwo\nthree\nfour"
    assert not tee.isatty()  # the rest is the stream's own


class Gone(io.StringIO):
    """As a pipe that nobody reads, or a full disk."""

    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_output_that_nobody_takes_ends_no_training(tail: Tail) -> None:
    tee = cast(io.StringIO, TeeStream(Gone(), tail))
    print("one", file=tee, flush=True)
    assert tail.text() == "one"


def test_both_streams_and_earlier_loggers_go_into_one_tail() -> None:
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        handler = logging.StreamHandler()
        logging.root.addHandler(handler)
        try:
            tail = tee_output()
            print("out")
            print("err", file=sys.stderr)
            logging.getLogger("trainer").warning("logged")
        finally:
            logging.root.removeHandler(handler)
    assert tail.text() == "out\nerr\nlogged"
    assert stream.getvalue() == "out\nerr\nlogged\n"


def test_reports_are_printed_once_a_second_at_the_most(capsys: pytest.CaptureFixture[str]) -> None:
    now = 100.0
    printer = ReportPrinter("aaaaaaaaaa", lambda: now)
    for step in range(100):
        printer(step, {"loss": step / 100})
        now += 0.125
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["step"] for line in lines] == [*range(0, 100, 8)]
    assert lines[1] == {"trial": "aaaaaaaaaa", "step": 8, "loss": 0.08}


def test_a_report_is_json_whatever_its_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    ReportPrinter("aaaaaaaaaa")(3, {"a": float("nan"), "b": float("-inf"), "trial": 1.0, "step": 2.0, "é\n": 0.5})
    line = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert line == {"trial": "aaaaaaaaaa", "step": 3, "a": "nan", "b": "-inf", "é\n": 0.5}
