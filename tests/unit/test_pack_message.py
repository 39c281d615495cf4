"""What a pack's process leaves in its pod can be read again, however much there is to say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kgen.pack_message import LIMIT, Failure, PackMessage, parse, write

IDS = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=10, max_size=10)
REASONS = st.text(max_size=400) | st.sampled_from(["a; b (1) c", "not ended: aaaaaaaaaa", "failed: x", "kgen: 1 of 2"])


@given(st.lists(IDS, unique=True, max_size=30), st.data())
def test_there_and_back(trials: list[str], data: st.DataObject) -> None:
    parts = data.draw(st.tuples(*(st.integers(0, 2) for _ in trials)))
    failed = [trial for trial, part in zip(trials, parts, strict=True) if part == 1]
    left = tuple(trial for trial, part in zip(trials, parts, strict=True) if part == 2)
    failures = tuple(Failure(trial, data.draw(st.integers(1, 255)), data.draw(REASONS)) for trial in failed)
    message = PackMessage(len(trials) - len(failed) - len(left), len(trials), failures, left)
    text = write(message)
    assert len(text.encode()) <= LIMIT
    assert "\n" not in text
    found = parse(f"something else before\n{text}\n")
    assert found is not None
    assert found.names_all
    assert (found.results, found.trials, found.left) == (message.results, message.trials, left)
    assert [(each.trial, each.code) for each in found.failed] == [(each.trial, each.code) for each in failures]
    assert all(found.has_result(trial) == (part == 0) for trial, part in zip(trials, parts, strict=True))


def test_a_reason_comes_back_in_one_line() -> None:
    found = parse(write(PackMessage(0, 1, (Failure("aaaaaaaaaa", 1, "ValueError:\n no; really\t"),))))
    assert found is not None
    assert found.failure("aaaaaaaaaa") == Failure("aaaaaaaaaa", 1, "ValueError: no, really")


def test_what_does_not_fit_is_not_taken_for_a_result() -> None:
    ids = [f"{chr(97 + n // 26)}{chr(97 + n % 26)}aaaaaaaa" for n in range(600)]
    text = write(PackMessage(0, 600, tuple(Failure(each, 1, "x" * 100) for each in ids)))
    assert len(text.encode()) <= LIMIT
    found = parse(text)
    assert found is not None
    assert (found.results, found.trials, found.names_all) == (0, 600, False)
    assert 200 < len(found.failed) < 600
    assert not any(found.has_result(each) for each in ids)


def test_reasons_are_cut_before_names_are() -> None:
    ids = [f"{chr(97 + n // 26)}{chr(97 + n % 26)}aaaaaaaa" for n in range(60)]
    found = parse(write(PackMessage(4, 64, tuple(Failure(each, 1, "é" * 300) for each in ids))))
    assert found is not None
    assert found.names_all
    assert all(each.reason.startswith("éé") for each in found.failed)


@given(st.text() | st.from_regex(r"kgen: \d{1,3} of \d{1,3} trials have a result(; .*)?", fullmatch=True))
def test_any_text_is_a_message_or_none(text: str) -> None:
    found = parse(text)
    assert found is None or found.trials >= 0
